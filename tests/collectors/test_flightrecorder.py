"""Flightrecorder: dumps of a job that hangs become a trace; hostile pickles become one clear error."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

import grayscope.collectors._pickle as restricted  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.errors import InputError
from grayscope.replaying import replay
from grayscope.tracewriter import TraceWriter

NOW = 1_700_000_000_000_000_000


def dump(rank: int, sequences: list[int]) -> dict[str, Any]:
    entries = [
        {"record_id": s, "pg_id": 0, "process_group": ("0", "default_pg"), "collective_seq_id": s, "profiling_name": "nccl:all_reduce", "state": "scheduled",
         "time_created_ns": NOW + s, "timeout_ms": 180_000, "is_p2p": False}
        for s in sequences
    ]  # fmt: skip
    return {"version": "2.9", "pg_config": {"0": {"name": "0", "desc": "default_pg", "ranks": "[0, 1, 2, 3]"}}, "pg_status": {}, "entries": entries}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three ranks wait for rank 2; one file is JSON, one is a log."""
    path = tmp_path / "train7"
    path.mkdir()
    for rank in (0, 1, 2):
        (path / f"trace_rank_{rank}").write_bytes(pickle.dumps(dump(rank, [] if rank == 2 else [5, 6]), 2))
    (path / "trace_rank_3.json").write_text(json.dumps(dump(3, [5])))
    (path / "stderr.log").write_text("NCCL WARN")
    return path


def test_the_trace_replays_to_one_page_for_the_culprit(folder: Path, tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "t") as writer:
        counts = plugins.collector("flightrecorder", folder).write(writer)
    assert counts == {"dumps": 4, "ignored": 1, "rows": 8, "roster": 5, "suspects": 1}
    roster = pl.read_parquet(tmp_path / "t" / "roster.parquet")
    assert roster.filter(pl.col("subject") == "job:train7/r2").select("table", "job", "comm").row(0) == ("rank", "train7", "comm:0")
    (event,) = pl.read_parquet(tmp_path / "t" / "events.parquet").select("subject", "source", "code", "text").rows()
    assert event == (
        "job:train7/r2", "nccl", "never_entered", "rank 2 never entered nccl:all_reduce 5 of group 0 (default_pg); 3 ranks wait for it: 0, 1, 3",
    )  # fmt: skip
    run = replay(tmp_path / "t")
    assert [(i.subject, i.severity, i.state, i.mode) for i in run.found] == [("job:train7/r2", "page", "gray", "hang")]
    assert "never entered nccl:all_reduce 5" in run.found[0].summary


def test_the_command_prints_who_did_not_enter(folder: Path, tmp_path: Path) -> None:
    command = plugins.load("pipelines", "import")
    said = CliRunner().invoke(command, ["flightrecorder", str(folder), "--out", str(tmp_path / "a"), "--job", "j"])
    assert said.exit_code == 0, said.output
    assert "r 2             nccl:all_reduce" in said.output
    told = json.loads(CliRunner().invoke(command, ["flightrecorder", str(folder), "--out", str(tmp_path / "b"), "--json"]).output.splitlines()[0])
    assert [(f["ranks"], f["sequence"], f["waiting"]) for f in told["found"]] == [([2], 5, [0, 1, 3])]


@pytest.mark.parametrize("scenario", ["gpu_error_2nd", "lock_gil_1st"])
def test_published_dumps_name_exactly_the_ranks_that_were_hit(shared: Path, tmp_path: Path, scenario: str) -> None:
    """The label is read here, after the answer: the collector counts it among the files that are no dump."""
    source = plugins.collector("flightrecorder", shared / "data" / "flight_recorder" / scenario)
    with TraceWriter(tmp_path / "t") as writer:
        source.write(writer)
    assert source.ignored == 1
    line = (shared / "data" / "flight_recorder" / scenario / "fault_injection.log").read_text().splitlines()[0]
    assert [s.ranks for s in source.suspects] == [(r,) for r in json.loads(line.partition(":")[2])]
    run = replay(tmp_path / "t")
    pages = sorted(i.subject for i in run.found if i.severity == "page")
    assert pages == sorted(f"job:{scenario}/r{r}" for r in json.loads(line.partition(":")[2]))


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, ("touch /tmp/never",)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def bomb() -> list[Any]:
    value: list[Any] = ["x"]
    for _ in range(30):
        value = [value, value, value, value]
    return value


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (pickle.dumps(Evil(), 2), "opcode GLOBAL is not allowed"),
        (pickle.dumps(Evil(), 4), "opcode STACK_GLOBAL is not allowed"),
        (b"cos\nsystem\n(S'true'\ntR.", "opcode GLOBAL is not allowed"),
        (b"\x80\x02\x82\x01.", "opcode EXT1 is not allowed"),
        (b"\x80\x02Pid\n.", "opcode PERSID is not allowed"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "expected a dict with a version, found NoneType"),  # a memo slot costs nothing
        (pickle.dumps(1 << 4000, 2), "a number of 4001 bits"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc", "plain data"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.", "expected a dict with a version"),  # nor does a frame
        (pickle.dumps(dump(0, [1]), 2)[:-20], "plain data"),
        (b"", "plain data"),
        (b"\x80\x02}}.", "plain data"),
        (b"\x80\x02(.", "no value"),
        (b"\x80\x02t.", "no mark"),
        (b"\x80\x02K\x01K\x02a.", "no list to append to"),
        (b"\x80\x02}(K\x01u.", "plain data"),
        (b"\x80\x02h\x05.", "plain data"),
        (b"\x80\x02}(]K\x01u.", "unhashable"),
        (pickle.dumps(deep(200), 2), "nesting: expected at most 32 levels"),
        (pickle.dumps(bomb(), 2), "expected a dict with a version, found list"),
        (pickle.dumps(LOOP, 2), "expected a dict with a version, found list"),
        (b'{"version": ' + b"[" * 100_000, "JSON: expected a dump"),
        (b"{}", "expected a dict with a version"),
    ],
)
def test_hostile_dumps_are_one_clear_error(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "dump_0").write_bytes(data)
    with pytest.raises(InputError) as error, TraceWriter(tmp_path / "out" / "t") as writer:
        plugins.collector("flightrecorder", tmp_path).write(writer)
    assert text in str(error.value)
    assert "dump_0" in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_gives_the_same_plain_data(tmp_path: Path, protocol: int) -> None:
    shared: list[Any] = [1, -1, 70_000, 1 << 40, 2.5, True, False, None, "ä", "x" * 300]
    value = {"version": "2", "a": shared, "b": (shared, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), 7: {}, "long": list(range(2000))}
    assert restricted.plain(pickle.dumps(value, protocol), "here") == value


def test_a_text_with_a_bad_escape_is_refused_and_not_warned_about() -> None:
    with pytest.raises(InputError, match="invalid escape"):
        restricted.plain(b"S'\\q'\n.", "here")


def test_two_files_of_one_rank_and_an_empty_folder(tmp_path: Path) -> None:
    source = plugins.collector("flightrecorder", tmp_path)
    with TraceWriter(tmp_path / "out" / "t") as writer:
        with pytest.raises(InputError, match="dumps whose names end in the rank"):
            source.write(writer)
        for name in ("dump_1", "dump_01"):
            (tmp_path / name).write_bytes(pickle.dumps(dump(1, [])))
        with pytest.raises(InputError, match="rank: expected one file for each, found 1 in dump_"):
            source.write(writer)
