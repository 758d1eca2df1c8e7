"""Nccltests: logs old and new, several tests in one, cut off, failed, wrong; pairs of real nodes give no page."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given

import grayscope.collectors._ncclteststext as text  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.errors import InputError, UsageError
from grayscope.replaying import replay
from grayscope.tracewriter import TraceWriter
from tests.mutations import MANY, mutated

START = 1_700_000_000_000_000
COLUMNS = "#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong "


def log(name: str = "alltoall", nodes: tuple[str, ...] = ("n1", "n2"), *, busbw: float = 40.0, wrong: str = "0", sizes: int = 3, end: bool = True) -> str:
    ranks = [f"#  Rank {r:2d} Group  0 Pid {900 + r} on {n} device  0 [0000:9d:00] NVIDIA H100 80GB HBM3" for r, n in enumerate(nodes)]
    rows = [f"  {4294967296 << i}     134217728  double  none  -1  45867.4   93.64   {busbw:.2f}  {wrong}  4.5e+04   93.76   {busbw + 2:.2f}    N/A"
            for i in range(sizes)]  # fmt: skip
    last = ["# Out of bounds values : 0 OK", "# Avg bus bandwidth    : 70.3517 ", "#", f"# Collective test concluded: {name}_perf"] if end else []
    head = [
        "# nccl-tests version 2.17.8 nccl-headers=22902",
        f"# Collective test starting: {name}_perf",
        "# nThread 1 nGpus 1 minBytes 4294967296",
        "#",
        "# Using devices",
    ]
    return "\n".join([*head, *ranks, "# Reducing maxBytes to 26549638485 due to memory limitation", COLUMNS, *rows, *last]) + "\n"


OLD = """# nThread 1 nGpus 8 minBytes 1 maxBytes 8589934592 step: 2(factor) warmup iters: 5 iters: 20 validation: 0
#   Rank  0 Pid 12 on localhost device  0 [0x00] A100-SXM4-40GB
#   Rank  1 Pid 12 on localhost device  1 [0x00] A100-SXM4-40GB
#       size         count    type   redop     time   algbw   busbw  error     time   algbw   busbw  error
localhost:3442:3442 [0] NCCL INFO Launch mode Parallel
           0             0   float              1.63    0.00    0.00    N/A     1.38    0.00    0.00    N/A
     8388608        262144   float             121.1   69.28   60.00    N/A    120.6   69.56   62.00    N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 10.5
"""


def imported(folder: Path, *files: Path, **settings: Any) -> dict[str, int]:
    with TraceWriter(folder) as writer:
        counts: dict[str, int] = plugins.collector("nccltests", files, **{"start": START, **settings}).write(writer)
    return counts


def test_a_pair_is_a_path_with_one_column_per_test_and_width(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(log() + "\n" + log("sendrecv", busbw=20))
    counts = imported(tmp_path / "t", tmp_path / "a.log")
    assert counts == {"files": 1, "tests": 2, "rows": 1, "roster": 1, "events": 0}
    (row,) = pl.read_parquet(tmp_path / "t" / "path.parquet").to_dicts()
    assert row["subject"] == "n1>n2"
    assert row['path_bandwidth_bytes_per_second{gpus="1",op="alltoall"}'] == pytest.approx(41e9)
    assert row['path_bandwidth_bytes_per_second{gpus="1",op="sendrecv"}'] == pytest.approx(21e9)
    assert pl.read_parquet(tmp_path / "t" / "roster.parquet")["crosses"].to_list() == [["n1", "n2"]]


def test_an_old_log_is_named_after_its_file_and_its_node_after_the_option(tmp_path: Path) -> None:
    (tmp_path / "nccl_allreduce.log").write_text(OLD)
    imported(tmp_path / "t", tmp_path / "nccl_allreduce.log", node="n7")
    (row,) = pl.read_parquet(tmp_path / "t" / "node.parquet").to_dicts()
    assert row["subject"] == "n7"
    assert row['node_collective_bandwidth_bytes_per_second{gpus="2",op="all_reduce"}'] == pytest.approx(61e9)


def test_more_than_two_nodes_are_a_communicator_and_a_second_run_is_a_later_row(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "b.log.gz", "wt") as file:
        file.write(log(nodes=("n1", "n2", "n3")) * 2)
    imported(tmp_path / "t", tmp_path)
    rows = pl.read_parquet(tmp_path / "t" / "comm.parquet")
    assert rows["subject"].to_list() == ["comm:n1..n3x3"] * 2
    assert rows["time"].dt.epoch("us").to_list() == [START, START + 60_000_000]


def test_what_failed_broke_off_or_was_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(log(nodes=("n1", "n2")))
    (tmp_path / "b.log").write_text(log(nodes=("n1", "n3"), end=False)[:-30])
    (tmp_path / "c.log").write_text(log(nodes=("n1", "n4"), sizes=0, end=False) + "n4: Test NCCL failure common.cu:958 'unhandled system error'\n")
    (tmp_path / "d.log").write_text(log(nodes=("n1", "n5"), wrong="7"))
    (tmp_path / "e.log").write_text("nothing\n")
    counts = imported(tmp_path / "t", tmp_path)
    assert counts == {"files": 5, "tests": 4, "rows": 2, "roster": 4, "events": 3,
                      "rejected: cut_row": 1, "rejected: no_result": 1, "rejected: no_test": 1, "rejected: stopped_early": 1}  # fmt: skip
    events = {e["subject"]: (e["code"], e["text"]) for e in pl.read_parquet(tmp_path / "t" / "events.parquet").to_dicts()}
    assert events["n1>n3"] == ("test_failed", "alltoall: the log breaks off")
    assert events["n1>n4"][0] == "test_failed"
    assert "unhandled system error" in events["n1>n4"][1]
    assert events["n1>n5"] == ("wrong_results", "alltoall: 21 elements are wrong")


def test_a_log_cut_anywhere_gives_no_number_that_is_not_in_it() -> None:
    whole = log()
    sizes = {4294967296 << i: pytest.approx(41e9) for i in range(3)}
    for end in range(0, len(whole), 7):
        for test in text.read(whole[:end].splitlines(), "a.log", {}):
            assert all(sizes[size] == value for size, value in test.bandwidth.items()), end


@pytest.mark.parametrize(("paths", "error", "said"), [((), UsageError, "at least one"), (("none.log",), InputError, "none.log"), ((".",), InputError, "log")])
def test_no_logs_are_one_clear_error(paths: tuple[str, ...], error: type[Exception], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said):
        imported(tmp_path / "t", *(tmp_path / p for p in paths))


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(log())
    run = CliRunner().invoke(plugins.load("pipelines", "import"), ["nccltests", str(tmp_path / "a.log"), "--out", str(tmp_path / "t"), "--json"])
    assert (run.exit_code, run.stdout.strip()) == (0, '{"files": 1, "tests": 1, "rows": 1, "roster": 1, "events": 0}')


def test_logs_that_only_failed_keep_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "c.log").write_text(log(nodes=("n1", "n4"), sizes=0, end=False) + "n4: Test NCCL failure common.cu:958 'unhandled system error'\n")
    run = CliRunner().invoke(plugins.load("pipelines", "import"), ["nccltests", str(tmp_path / "c.log"), "--out", str(tmp_path / "t"), "--json"])
    assert run.exit_code == 0, run.output
    assert pl.read_parquet(tmp_path / "t" / "events.parquet")["code"].to_list() == ["test_failed"]


def test_real_pairs_give_every_test_and_no_page(shared: Path, tmp_path: Path) -> None:
    counts = imported(tmp_path / "t", shared / "data" / "nccl_pairs")
    assert (counts["files"], counts["tests"], counts["events"]) == (205, 482, 0)
    assert pl.read_parquet(tmp_path / "t" / "path.parquet").filter(pl.col("subject") == "cnode3-002>cnode3-003").width == 2 + 9
    assert [i for i in replay(tmp_path / "t").found if i.severity == "page"] == []


def test_real_logs_of_an_older_layout(shared: Path, tmp_path: Path) -> None:
    counts = imported(tmp_path / "t", *sorted((shared / "data" / "fixtures" / "superbench" / "tests" / "data").glob("nccl_*.log")))
    assert (counts["files"], counts["tests"], counts["events"], counts["rows"]) == (6, 6, 0, 1)


@MANY
@given(mutated(log().encode(), OLD.encode()))
def test_any_log_is_read_without_an_error(data: bytes) -> None:
    for test in text.read(data.decode("utf-8", "replace").splitlines(), "a.log", {}):
        assert all(0 < size < 1 << 62 and 0 <= value < 1e25 for size, value in test.bandwidth.items())
        assert test.wrong >= 0
