"""What the whole line promises: the same rows give the same verdicts, however they travel and wherever it is stopped."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.brokers.memory import Memory
from grayscope.brokers.parquet import Parquet
from grayscope.engine import Engine
from grayscope.event import heartbeat
from grayscope.message import Message
from grayscope.replaying import Collected, replay
from grayscope.settings import Settings

PERIODS = {"gpu": 10_000_000}
Fleet = Callable[..., Iterator[Message]]


def collected(messages: Iterable[Message], *, eager: bool = True) -> Collected:
    """Everything that an engine says about a stream."""
    engine, outputs = assembly.engine(Settings(), periods=PERIODS, eager=eager), Collected()
    for message in messages:
        outputs.add(engine.step(message))
    outputs.add(engine.flush())
    return outputs


def told(messages: Iterable[Message], *, eager: bool = True) -> list[Any]:
    """The same in words."""
    outputs = collected(messages, eager=eager)
    return [repr(outputs.verdicts), repr(outputs.latest())]


@pytest.fixture(scope="session")
def outputs(make_fleet: Fleet) -> Collected:
    return collected(make_fleet())


@pytest.fixture(scope="session")
def spoken(outputs: Collected) -> list[Any]:
    return [repr(outputs.verdicts), repr(outputs.latest())]


def test_the_planted_troubles_are_told_apart(outputs: Collected) -> None:
    states = {i.subject: (i.state, i.severity) for i in outputs.latest()}
    assert states["n0/gpu3"] == ("masked", "ticket")  # the clock is 10 % low: throttled, and nobody suffers in this stream
    assert states["n0/gpu4"] == ("masked", "ticket")  # rows are remapped
    assert states["n0/gpu2"] == ("failed", "ticket")  # an uncorrected error
    assert states["n2/gpu7"] == ("unknown", "notice")  # silent
    assert set(states) <= {"n0/gpu2", "n0/gpu3", "n0/gpu4", "n0/gpu5", "n0/gpu6", "n2/gpu7", "job:j1"}
    assert states["job:j1"] == ("unknown", "notice")  # all clocks fell together: nobody's fault


def test_closing_early_changes_nothing(make_fleet: Fleet, spoken: list[Any]) -> None:
    assert told(make_fleet(), eager=False) == spoken


@pytest.mark.parametrize("seed", range(3))
def test_split_shuffled_and_doubled_rows_change_nothing(make_fleet: Fleet, spoken: list[Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    messages = list(make_fleet())
    pieces: list[tuple[float, int, Batch]] = []
    for message in messages[1:]:
        assert isinstance(message, Batch)
        for part in _split(message, rng):
            pieces.append((int(message.times[0]) + rng.uniform(0, 25e6), len(pieces), part))
            if rng.random() < 0.1:
                pieces.append((int(message.times[0]) + rng.uniform(0, 25e6), len(pieces), part))
    assert told([messages[0], *(part for _, _, part in sorted(pieces, key=lambda p: p[:2]))]) == spoken


def _split(batch: Batch, rng: np.random.Generator) -> Iterator[Batch]:
    """Cut a batch by subjects and by metrics, in any order."""
    order = rng.permutation(len(batch.subjects))
    for some in np.array_split(order, rng.integers(1, 4)):
        rows = rng.permutation(len(batch.metrics))
        for part in np.array_split(rows, rng.integers(1, 3)):
            values = batch.values[:, part][:, :, some]
            yield Batch(batch.table, batch.times, tuple(batch.subjects[i] for i in some), tuple(batch.metrics[i] for i in part), np.ascontiguousarray(values))


def test_many_ticks_in_one_batch_change_nothing(make_fleet: Fleet, spoken: list[Any]) -> None:
    first, *batches = make_fleet()
    together = []
    for start in range(0, len(batches), 50):
        some = [b for b in batches[start : start + 50] if isinstance(b, Batch)]
        together.append(Batch("gpu", np.concatenate([b.times for b in some]), some[0].subjects, some[0].metrics, np.concatenate([b.values for b in some])))
    assert told([first, *together]) == spoken


def test_what_was_recorded_replays_to_the_same_verdicts(make_fleet: Fleet, tmp_path: Path) -> None:
    """Live through the memory broker, with late rows and heartbeats, recorded on the way; then replayed from disk."""
    engine, outputs, broker, record = assembly.engine(Settings(), periods=PERIODS), Collected(), Memory(), Parquet(tmp_path / "trace")
    for i, message in enumerate(make_fleet()):
        broker.send(message)
        if isinstance(message, Batch) and i % 50 == 0:
            broker.send(heartbeat(int(message.times[0]) + 65_000_000))  # makes the next three ticks late
        for carried in broker.receive():
            record.send(carried)
            outputs.add(engine.step(carried))
    outputs.add(engine.flush())
    assert record.writer is not None
    record.writer.describe(tables={"gpu": {"period_s": 10}})
    record.close()
    run = replay(tmp_path / "trace", settings=Settings(cluster="cluster"))
    assert engine.counts["late"] > 0
    assert run.counts["late"] == engine.counts["late"]
    assert repr(run.found) == repr(outputs.latest())
    live = [(v.time, v.subject, v.state, v.strength, v.why) for v in sorted(outputs.verdicts, key=lambda v: (v.time, v.table, v.subject))]
    again = run.verdicts.select("time", "subject", "state", "strength", "why").rows()
    assert [(round(t.timestamp() * 1e6), *rest) for t, *rest in again] == live


def test_a_restored_detector_has_its_own_state_whatever_others_are_on(make_fleet: Fleet) -> None:
    def engine(*detectors: str) -> Engine:
        return assembly.engine(Settings(detectors=detectors), periods=PERIODS, eager=False)

    before, after = engine("became", "slower"), engine("events", "slower")
    for message in list(make_fleet())[:400]:
        before.step(message)
    after.restore(before.snapshot())
    was, now = (e.detectors[1].snapshot() for e in (before, after))
    assert len(was) > 3
    assert was.keys() == now.keys()
    assert all(np.array_equal(was[k], now[k], equal_nan=was[k].dtype.kind == "f") for k in was)
    assert {k: v.size for k, v in after.detectors[0].snapshot().items()} == {k: v.size for k, v in engine("events").detectors[0].snapshot().items()}


def test_a_restored_engine_goes_on_bit_for_bit(make_fleet: Fleet) -> None:
    messages = list(make_fleet())
    engine = assembly.engine(Settings(), periods=PERIODS, eager=False)
    for message in messages[:400]:
        engine.step(message)
    closed = engine.align.tables["gpu"].last
    assert closed is not None
    state = {k: v.copy() for k, v in engine.snapshot().items()}
    other = assembly.engine(Settings(), periods=PERIODS, eager=False)
    other.restore(state)
    other.step(messages[0])
    for message in messages[1:400]:
        if isinstance(message, Batch) and int(message.times[0]) > closed:
            other.step(message)
    ours, theirs = Collected(scores=True), Collected(scores=True)
    for message in messages[400:]:
        ours.add(engine.step(message))
        theirs.add(other.step(message))
    ours.add(engine.flush())
    theirs.add(other.flush())
    assert repr(ours.verdicts) == repr(theirs.verdicts)
    assert repr([list(e) for e in ours.evidence]) == repr([list(e) for e in theirs.evidence])
    assert repr(ours.latest()) == repr(theirs.latest())


@pytest.mark.slow
def test_another_processor_gives_the_same_bits(make_fleet: Fleet, tmp_path: Path) -> None:
    """Replay with kernels compiled for the plainest processor and numpy's fast paths off."""
    record = Parquet(tmp_path / "trace")
    for message in make_fleet():
        record.send(message)
    record.close()
    plain = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NPY_DISABLE_CPU_FEATURES": _numpy_features()}
    for out, environment in (("a", dict(os.environ)), ("b", plain)):
        command = [sys.executable, "-m", "grayscope", "replay", str(tmp_path / "trace"), "--out", str(tmp_path / out), "--scores"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    for name in ("verdicts.parquet", "incidents.jsonl", "scores.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def _numpy_features() -> str:
    """Name what numpy found beyond its baseline, as its environment variable wants it."""
    inside: Any = importlib.import_module("numpy._core._multiarray_umath")
    return " ".join(name for name in inside.__cpu_dispatch__ if inside.__cpu_features__.get(name))
