"""Rolling: one trace after another, each with the roster, the oldest deleted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from grayscope.batch import Batch
from grayscope.brokers.rolling import Rolling
from grayscope.errors import UsageError
from grayscope.roster import RosterRow
from grayscope.tracecheck import validate


def batch(time: float) -> Batch:
    return Batch("gpu", np.array([int(time * 1e6)]), ("n1/gpu0",), ("gpu_power_watts",), np.full((1, 1, 1), time, np.float32))


def test_every_trace_stands_alone_and_old_ones_go(tmp_path: Path) -> None:
    now = [1000.0]
    broker = Rolling(tmp_path / "t", every=100.0, keep=2, clock=lambda: now[0])
    broker.send((RosterRow("n1/gpu0", "gpu", keys={"sku": "H100"}),))
    for second in range(1000, 1400, 10):
        now[0] = float(second)
        broker.send(batch(second))
    broker.close()
    traces = sorted((tmp_path / "t").iterdir())
    assert [p.name for p in traces] == ["19700101T002000000000Z", "19700101T002140000000Z"]
    received = list(Rolling(tmp_path / "t").receive())
    assert [float(m.values[0, 0, 0]) for m in received if isinstance(m, Batch)] == [float(s) for s in range(1200, 1400, 10)]
    assert [m for m in received if isinstance(m, tuple)] == [(RosterRow("n1/gpu0", "gpu", keys={"sku": "H100"}),)] * 2


def test_what_a_killed_process_left_goes_too_but_not_what_is_being_written(tmp_path: Path) -> None:
    now = [1e9]
    old, young = (tmp_path / f".{name}Z.partial" for name in ("20010101T000000000000", "20010909T014639000000"))
    for path, at in ((old, 1e9 - 900), (young, 1e9 - 100)):
        path.mkdir()
        os.utime(path, (at, at))
    broker = Rolling(tmp_path, every=100.0, clock=lambda: now[0])
    broker.send(batch(1e9))
    broker.close()
    assert (old.exists(), young.exists()) == (False, True)


def test_a_folder_of_no_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected traces of more than 0 s"):
        Rolling(tmp_path, every=0)


def test_sources_that_take_turns_in_a_table_share_one_file_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    broker = Rolling(tmp_path / "r", every=1000, clock=lambda: 100.0)
    sent = [Batch("node", np.array([t * 1_000_000 + 1]), ("n1",), (f"m{t % 3}",), np.full((1, 1, 1), t, np.float32)) for t in range(60)]
    for batch in sent:
        broker.send(batch)
    broker.close()
    (trace,) = (tmp_path / "r").iterdir()
    assert (trace / "node.parquet").is_file()
    assert validate(trace) == []
    told = [m.values[np.isfinite(m.values)].tolist() for m in broker.receive() if isinstance(m, Batch)]
    assert told == [[float(t)] for t in range(60)]
