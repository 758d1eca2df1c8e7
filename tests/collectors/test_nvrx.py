"""Nvrx: reports in a log, one after the other; warnings accuse nobody by themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given

from grayscope import plugins
from grayscope.tracewriter import TraceWriter
from tests.mutations import MANY, mutated

START = 1_700_000_000_000_000
WARNING = (
    "STRAGGLER DETECTION WARNING: Some GPUs have worse relative performance. "
    "Affected ranks: {StragglerId(rank=3, node='n017'), StragglerId(rank=1, node='n016')}"
)


def report(slow: float = 0.62, head: str = "") -> str:
    scores = [f"  Rank={r} Node=n01{6 + r // 2} Score={slow if r == 3 else 0.99}" for r in range(4)]
    own = [f"[default0]:  Rank={r} Node=n01{6 + r // 2} Score=1.0" for r in range(4)]
    return "\n".join([f"{head}GPU relative performance:", *scores, "", "GPU individual performance:", *own, "Section relative performance:", *scores, ""])


def imported(tmp_path: Path, text: str, **settings: Any) -> dict[str, int]:
    (tmp_path / "train9.out.log").write_text(text)
    with TraceWriter(tmp_path / "t") as writer:
        counts: dict[str, int] = plugins.collector("nvrx", [tmp_path / "train9.out.log"], **settings).write(writer)
    return counts


def test_reports_become_rows_of_ranks(tmp_path: Path) -> None:
    counts = imported(tmp_path, "iteration 5\n" + report() + "iteration 6\n" + report(0.7), start=START, step=10_000_000)
    assert counts == {"files": 1, "reports": 2, "rows": 8, "roster": 4, "events": 0, "rejected: other_table": 8}
    rows = pl.read_parquet(tmp_path / "t" / "rank.parquet").filter(pl.col("subject") == "job:train9/r3")
    assert rows["rank_performance_ratio"].to_list() == [0.62, 0.7]
    assert rows['rank_performance_ratio{scope="own"}'].to_list() == [1.0, 1.0]
    assert rows["time"].dt.epoch("us").to_list() == [START, START + 10_000_000]
    roster = pl.read_parquet(tmp_path / "t" / "roster.parquet")
    assert dict(zip(roster["subject"], roster["node"], strict=True))["job:train9/r3"] == "n017"


def test_a_time_with_a_zone_stamps_what_follows_and_one_without_does_not(tmp_path: Path) -> None:
    imported(tmp_path, "2023-11-14T22:13:20Z start\n" + report() + "2031-01-01 00:00:00 local\n" + report())
    assert pl.read_parquet(tmp_path / "t" / "rank.parquet")["time"].dt.epoch("us").unique().to_list() == [START]


def test_without_any_time_the_last_report_is_at_the_file_s_last_change(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(report() * 2)
    os.utime(tmp_path / "a.log", (1_700_000_000, 1_700_000_000))
    with TraceWriter(tmp_path / "t") as writer:
        plugins.collector("nvrx", [tmp_path / "a.log"], job="9").write(writer)
    assert sorted(pl.read_parquet(tmp_path / "t" / "rank.parquet")["time"].dt.epoch("us").unique()) == [START - 60_000_000, START]


def test_a_warning_is_an_event_of_each_rank(tmp_path: Path) -> None:
    counts = imported(tmp_path, report() + WARNING + "\nSTRAGGLER DETECTION WARNING: cut of", start=START)
    assert (counts["events"], counts["rejected: no_warning"]) == (2, 1)
    events = pl.read_parquet(tmp_path / "t" / "events.parquet")
    assert sorted(events["subject"]) == ["job:train9/r1", "job:train9/r3"]
    assert set(events["code"]) == {"straggler"}


@pytest.mark.parametrize(
    "line", ["  Rank=x Node=n Score=1", "Rank=3 Node=n Score=", "Rank=3 Score=0.5", "Rank=3 Node=n Score=1e5", "Rank=99999999 Node=n Score=1"]
)
def test_a_broken_score_is_counted(line: str, tmp_path: Path) -> None:
    counts = imported(tmp_path, f"GPU relative performance:\nRank=0 Node=n Score=1.0\n{line}\n", start=START)
    assert (counts["rows"], counts["rejected: no_score"]) == (1, 1)


@MANY
@given(mutated(report(head="2026-01-01T00:00:00Z ").encode(), (report() + WARNING).encode()))
def test_any_log_is_read_without_an_error(data: bytes) -> None:
    import grayscope.collectors.nvrx as module  # type: ignore[import-not-found]

    source = plugins.collector("nvrx", ["x.log"], start=START)
    real = module.lines
    module.lines = lambda path: iter(data.decode("utf-8", "replace").split("\n"))
    try:
        reports = source._read(Path("x.log"))
    finally:
        module.lines = real
    assert all(0 <= v < 1e7 and 0 <= r < 1e7 for report in reports for (_, r), v in report.scores.items())
