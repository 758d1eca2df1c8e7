"""Steps: from the training loop's one line to the table of ranks; the job never waits and never fails."""

from __future__ import annotations

import inspect
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import grayscope.collectors.steps as reading  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from tests.mutations import MANY, mutated

LINE = {"rank": 3, "seconds": 0.5, "tokens": 4096, "compute": 0.3, "n": 7, "dropped": 0, "pid": 42, "job": "9", "local": "1", "visible": None}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "proc").mkdir()
    collector = plugins.collector("steps", tmp_path / "s.sock", root=tmp_path, node="n017", clock=lambda: 1000.0)
    yield collector
    collector.close()


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    import grayscope.hook as module

    for name in ("SLURM_JOB_ID", "LOCAL_RANK", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("AT", str(tmp_path / "s.sock")), ("_steps", 0), ("_dropped", 0)):
        monkeypatch.setattr(module, name, value)
    return module


def cells(messages: list[Any]) -> dict[tuple[str, str], float]:
    batches = [m for m in messages if isinstance(m, Batch)]
    return {(s, m): float(b.values[0, i, j]) for b in batches for i, m in enumerate(b.metrics) for j, s in enumerate(b.subjects)}


def send(collector: Any, **more: Any) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.sendto(json.dumps({**LINE, **more}).encode(), str(collector.at))


def test_what_the_hook_says_arrives_as_means(made: Any, hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "5")
    for seconds in (0.4, 0.6):
        hook.step(13, seconds, 1000, seconds / 2, job="77")
    (rows, batch) = made.collect()
    assert [(r.subject, r.table, r.keys) for r in rows] == [
        ("job:77/r13", "rank", {"job": "77", "node": "n017", "role": "rank", "gpu": "n017/gpu5"})
    ]  # fmt: skip
    assert cells([batch]) == {
        ("job:77/r13", "step_seconds"): pytest.approx(0.5), ("job:77/r13", "step_tokens"): 1000, ("job:77/r13", "compute_seconds"): pytest.approx(0.25),
    }  # fmt: skip
    assert batch.times.tolist() == [1_000_000_000]
    assert all(Catalogue.load().get(m) is not None for m in (*batch.metrics, "steps_total", "steps_dropped_total"))
    hook.step(13, 0.5, job="77")
    assert cells(made.collect())[("job:77/r13", "steps_total")] == 1


def test_the_hook_neither_fails_nor_waits_without_a_receiver_and_says_what_it_lost(made: Any, hook: ModuleType) -> None:
    made.close()
    for _ in range(3):
        hook.step(0, 0.5)
    assert hook._dropped == 3
    hook.step("no rank", object())
    again = plugins.collector("steps", made.at, root=made.at.parent, node="n017")
    hook.step(0, 0.5)
    again.collect()
    again.close()
    third = plugins.collector("steps", made.at, root=made.at.parent, node="n017")
    hook.step(0, 0.5)  # the first one after a restart is not lost
    third.collect()
    assert third._totals["job:unknown/r0"] == {"steps_total": 6, "steps_dropped_total": 4}
    third.close()


@pytest.mark.parametrize("patience", [None, 3600.0])  # of all sockets of the job, which may set one: it would wait that long
def test_a_full_receiver_drops_at_once(tmp_path: Path, hook: ModuleType, patience: float | None, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: socket.setdefaulttimeout(None))
    socket.setdefaulttimeout(patience)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(hook.AT)
        for _ in range(100_000):
            hook.step(0, 0.5)
            if hook._dropped:
                break
    assert hook._dropped == 1


def test_numbers_of_other_kinds_are_told_as_numbers(made: Any, hook: ModuleType) -> None:
    hook.step(np.int64(7), np.float32(0.5), np.int32(9))
    assert cells(made.collect()) == {("job:unknown/r7", "step_seconds"): 0.5, ("job:unknown/r7", "step_tokens"): 9}


def test_ten_lines_do_it(hook: ModuleType) -> None:
    code = [line for function in (hook.step, hook._send) for line in inspect.getsource(function).splitlines()]
    assert len([line for line in code if line.strip() and not line.strip().startswith('"""')]) == 10


def test_steps_leave_no_open_files_behind(made: Any, hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for at in (hook.AT, str(tmp_path / "nobody.sock"), str(tmp_path / "steps.jsonl"), str(tmp_path / "no" / "steps.jsonl")):
        monkeypatch.setattr(hook, "AT", at)
        hook.step(0, 0.5)
    assert hook._dropped == 2
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_serves_as_well_and_stays_bounded(tmp_path: Path, hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "steps.jsonl"
    monkeypatch.setattr(hook, "AT", str(path))
    made = plugins.collector("steps", path, root=tmp_path, node="n017")
    assert made.collect() == []
    hook.step(1, 0.25)
    hook.step(1, 0.75)
    assert cells(made.collect()) == {("job:unknown/r1", "step_seconds"): 0.5}
    os.truncate(path, (64 << 20) + 1)
    hook.step(1, 0.5)
    assert hook._dropped == 1
    assert path.stat().st_size == (64 << 20) + 1


def test_the_hook_works_alone_as_a_copy(made: Any, hook: ModuleType, tmp_path: Path) -> None:
    assert hook.__file__ is not None
    (tmp_path / "copied.py").write_text(Path(hook.__file__).read_text())
    program = "import sys; import copied; copied.step(2, 0.5); print(sorted(m for m in sys.modules if m in ('numpy', 'grayscope', 'pyarrow')))"
    environ = {"GRAYSCOPE_STEPS": str(made.at), "PYTHONPATH": str(tmp_path), "SLURM_JOB_ID": "88"}
    done = subprocess.run([sys.executable, "-S", "-c", program], env=environ, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
    assert cells(made.collect()) == {("job:88/r2", "step_seconds"): 0.5}


def test_a_rank_that_stands_still_is_told_of_until_its_process_ends(made: Any, tmp_path: Path) -> None:
    (tmp_path / "proc" / "42").mkdir()
    send(made)
    made.collect()
    assert cells(made.collect()) == {("job:9/r3", "steps_total"): 0, ("job:9/r3", "steps_dropped_total"): 0}
    (tmp_path / "proc" / "42").rmdir()
    ((ended,),) = made.collect()
    assert (ended.subject, ended.until) == ("job:9/r3", 1_000_000_000)
    send(made, n=2, pid=43)
    again = made.collect()
    assert (again[0][0].since, again[0][0].until) == (1_000_000_000, None)
    # A new process begins again: no burst, no negative step.
    assert cells(again).get(("job:9/r3", "steps_total"), 0) in (0, 2)


def test_jobs_that_are_gone_make_room(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RANKS", 1)
    send(made, rank=1)
    made.collect()
    made.clock = lambda: 5000.0
    send(made, rank=2)
    rows = made.collect()[0]
    assert [(r.subject, r.until) for r in rows] == [("job:9/r1", 5_000_000_000), ("job:9/r2", None)]
    assert made.rejected == {}


def test_a_rank_that_moved_is_told_again_from_now(made: Any) -> None:
    send(made)
    made.collect()
    send(made, local="2")
    ((row,), *_) = made.collect()
    assert (row.since, row.keys["gpu"]) == (1_000_000_000, "n017/gpu2")


def test_names_cannot_leave_their_place_and_ranks_are_bounded(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RANKS", 2)
    for rank, job in enumerate(("../x", "a\nb", "c")):
        send(made, rank=rank, job=job)
    rows = made.collect()[0]
    assert [r.subject for r in rows] == ["job:.._x/r0", "job:a_b/r1"]
    assert made.rejected == {"too_many": 1}


@pytest.mark.parametrize(
    "more",
    [{"seconds": 0}, {"seconds": -1}, {"seconds": 1e9}, {"seconds": "x"}, {"seconds": None}, {"rank": -1}, {"rank": 1 << 30}, {"tokens": float("nan")},
     {"compute": 0.6}, {"n": -1}, {"pid": 1 << 40}, {"dropped": 1e300}],
)  # fmt: skip
def test_what_is_no_step_is_counted(made: Any, more: dict[str, Any]) -> None:
    send(made, **more)
    assert made.collect() == []
    assert made.rejected == {"no_step": 1}


@MANY
@given(mutated(json.dumps(LINE).encode(), json.dumps({**LINE, "visible": "GPU-5,7", "local": ""}).encode()))
def test_any_line_is_a_step_or_an_error_that_is_counted(data: bytes) -> None:
    try:
        step = reading.read(data.decode("utf-8", "replace"))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return
    assert 0 < step.seconds < 1e6
    assert 0 <= step.rank < 1 << 24
    assert "/" not in step.job
    assert step.gpu == "" or (step.gpu.isdecimal() and step.gpu.isascii())
