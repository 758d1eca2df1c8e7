"""Rosterfile: TOML and CSV say the same; what is wrong is named by line or key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.errors import GrayscopeError

TOML = """["n[01-02]"]
leaf = "leaf04"
rack = 7
["n01/gpu3"]
serial = "S"
[leaf04]
table = "leaf"
"""
CSV = '\ufeffsubject,leaf,rack,serial,table\n"n[01-02]",leaf04,7,,\nn01/gpu3,,,S,\n\nleaf04,,,,leaf\n'


def rows(path: Path, text: str) -> list[Any]:
    path.write_text(text, "utf-8")
    return list(plugins.collector("rosterfile", path).rows())


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    found = rows(tmp_path / "r.toml", TOML)
    assert found == rows(tmp_path / "r.csv", CSV)
    assert [(r.subject, r.table, dict(r.keys)) for r in found] == [
        ("n01", "node", {"leaf": "leaf04", "rack": "7"}), ("n02", "node", {"leaf": "leaf04", "rack": "7"}), ("n01/gpu3", "gpu", {"serial": "S"}),
        ("leaf04", "leaf", {})]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.toml", "[n1]\nleaf = 1.5", "r.toml: n1: leaf: expected text or a whole number"),
        ("r.toml", "leaf = 'x'", "leaf: expected a section with keys"),
        ("r.toml", "['n1//gpu0']\na = 'b'", "subject: expected a name such as"),
        ("r.toml", "[n1", "TOML: expected"),
        ("r.csv", "name,leaf\nn1,l", "line 1: expected names of columns, one of them subject"),
        ("r.csv", "subject,leaf\nn1,l\nn2", "line 3: fields: expected 2, found 1"),
        ("r.csv", 'subject,leaf\n"n1,l', "CSV: expected"),
    ],
)
def test_what_is_wrong_is_named_and_costs_one_look(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    with pytest.raises(GrayscopeError) as error:
        rows(path, text)
    assert words in str(error.value)
    source = plugins.collector("rosterfile", path)
    assert source.collect() == []
    assert (source.rejected, words in source.last_error) == ({"unreadable": 1}, True)
    path.write_text(TOML if name == "r.toml" else CSV, "utf-8")
    assert len(source.collect()[0]) == 4


def test_what_is_crossed_out_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("subject,leaf\nn1,l1\nn2,l1\n")
    source = plugins.collector("rosterfile", path)
    source.collect()
    path.write_text("subject,leaf\nn2,l2\n")
    told = [{r.subject: dict(r.keys) for r in rows} for _ in range(2) for rows in source.collect()]
    assert told == [{"n1": {}, "n2": {"leaf": "l2"}}, {"n2": {"leaf": "l2"}}]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_files_are_rows_or_one_clear_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    module: Any = __import__("grayscope.collectors.rosterfile", fromlist=["parse_csv"])
    parse, text = data.draw(st.sampled_from([(module.parse_toml, TOML), (module.parse_csv, CSV)]))
    body = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from([b'"', b",", b"\n", b"]", b"[["]))) or b" "
    said = ""
    try:
        found = [module.row(s, keys, where) for subjects, keys, where in parse(bytes(body), "f") for s in module.expand(subjects, where)]
    except GrayscopeError as error:
        said = str(error)
    assert "expected" in said if said else all(r.subject for r in found)


@pytest.mark.parametrize("text", ['["' + "9" * 999 + '/"]\nleaf = "l"\n', "[n1]\nleaf = " + "9" * 5000 + "\n", "[n1]\n" + "k" * 999 + " = 1.5\n"])
def test_what_is_far_too_long_is_refused_in_short(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    source = plugins.collector("rosterfile", tmp_path / "r.toml")
    assert source.collect() == []
    assert "expected" in source.last_error
    assert len(source.last_error) < 600
