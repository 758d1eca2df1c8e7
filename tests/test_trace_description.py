"""A trace's description: what is wrong in it is named by file and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grayscope.errors import InputError
from grayscope.trace import Trace
from grayscope.tracecheck import validate
from tests.tracefolder import write


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"formt": 1}, "unknown key 'formt': did you mean 'format'"),
        ({"version": 9}, "version: expected 1, found 9"),
        ({"format": "x"}, "format: expected"),
        ({"tables": {"gpu": {"period": 3}}}, "tables.gpu: unknown key 'period': did you mean 'period_s'"),
        ({"tables": {"gpus": {}}}, "'gpus' has no file"),
        ({"tables": {"gpu": {"period_s": -1}}}, "period_s: expected a positive number"),
        ({"tables": {"gpu": {"counters": "maybe"}}}, "counters: expected cumulative or increments"),
        ({"tables": []}, "tables: expected dict"),
        ({"metrics": {"m": {"table": "gpu", "wors": "higher"}}}, "metric m: unknown key 'wors': did you mean 'worse'"),
        ({"metrics": {"m": {"table": "gpu", "worse": "up"}}}, "metric m: worse: expected one of"),
        ({"metrics": {"m": {}}}, "metric m: table: expected"),
        ({"cluster": 3}, "cluster: expected str"),
    ],
)
def test_a_wrong_description_names_the_key(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    path = write(tmp_path / "t")
    document = {**json.loads((path / "trace.json").read_text()), **change}
    (path / "trace.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=expected):
        Trace.open(path)
    assert any(expected.split("'")[0] in p for p in validate(path))


def test_extra_keys_for_private_use_are_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "t")
    document = {**json.loads((path / "trace.json").read_text()), "x-mine": {"a": 1}}
    (path / "trace.json").write_text(json.dumps(document))
    assert Trace.open(path).cluster == "cluster"


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "[" * 100_000])
def test_no_description_at_all(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "t")
    (path / "trace.json").write_text(text)
    with pytest.raises(InputError, match=r"trace\.json"):
        Trace.open(path)


def test_no_trace_and_an_empty_trace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing"):
        Trace.open(tmp_path / "none")
    (tmp_path / "t").mkdir()
    with pytest.raises(InputError, match=r"trace\.json is missing"):
        Trace.open(tmp_path / "t")
    (tmp_path / "t" / "trace.json").write_text('{"format": "grayscope-trace", "version": 1}')
    with pytest.raises(InputError, match="empty trace"):
        Trace.open(tmp_path / "t")
