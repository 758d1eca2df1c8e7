"""What anybody could find among ranks that became slower: the filter is as good as can be, and told rows are counted right."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="module")
def limit() -> Any:
    with mock.patch.object(sys, "path", [str(Path(__file__).parents[1] / "benchmarks"), *sys.path]):
        return importlib.import_module("rank_limit")


def wandering(seed: int, ticks: int, width: int) -> Any:
    rng, out = np.random.default_rng(seed), np.zeros((ticks, width))
    out[0] = rng.normal(0, 1, width)
    for t in range(1, ticks):
        out[t] = 0.98 * out[t - 1] + rng.normal(0, np.sqrt(1 - 0.98**2), width)
    return out + rng.normal(0, 0.5, (ticks, width))


def test_the_noise_is_weighed_as_it_is(limit: Any) -> None:
    noise, slow = wandering(1, 300, 100), (np.arange(300) >= 240).astype(float)
    covariance = limit.together(wandering(2, 3000, 60), 200)
    z = np.array([limit.matched(own, slow, covariance)[1] for own in noise.T])
    assert abs(z.mean()) < 0.3
    assert 0.8 < z.std() < 1.2
    share, strong = limit.matched(noise[:, 0] + 4 * slow, slow, covariance)
    plain = 4 / (np.std(noise[:240].mean(axis=0) - noise[240:].mean(axis=0)))
    assert abs(share - 4) < 1.5
    assert strong > 1.5 * plain  # the jump itself says more than the means


def test_values_that_did_not_come_are_left_out(limit: Any) -> None:
    own = np.array([0.0, np.nan, 0.0, 1.0, np.nan, 1.0])
    assert limit.matched(own, np.array([0.0, 0, 0, 1, 1, 1]), np.array([0.25, 0.0])) == (pytest.approx(1.0), pytest.approx(2.0))


def test_the_shorter_the_more_is_needed(limit: Any) -> None:
    levels = [limit.needed(n, 10.0) for n in (720, 60, 6, 1)]
    assert levels == sorted(levels)
    assert levels[0] > 4.5
    assert levels[-1] < 6.5


def test_rows_of_a_simulated_fleet(limit: Any, tmp_path: Path) -> None:
    limit.Simulation(limit.load("weak").but(nodes=4, hours=2.0, seed=117, acceleration=6000)).write(tmp_path / "trace")
    limit.replay(tmp_path / "trace", out=tmp_path / "results")
    rows = list(limit.weighed(tmp_path / "trace", tmp_path / "results" / "incidents.parquet"))
    truth = [r for r in pq.read_table(tmp_path / "trace" / "truth.parquet").to_pylist() if r["mode"] in limit.MODES]
    assert 0 < len(rows) <= len(truth)
    told = limit.counts(rows)
    assert told["rows"] == len(rows)
    assert 0 < told["findable"] <= told["rows"]
    assert told["found"] == told["findable and found"] + told["found though not findable"]
    assert all(r.share < 0.2 for r in rows)
    named = {(r["mode"], name) for r in truth for name in (r["subject"], *(r["also"] or ()))}
    assert {(r.mode, r.subject) for r in rows} <= named
    assert all(("/gpu" in r.subject) is (r.mode in limit.ALONE) for r in rows)
    assert limit.delays(rows) == sorted(r.delay for r in rows if r.step >= 3 and r.delay is not None)
    assert 0 < sum(r.delay is not None for r in rows) <= told["found"]


def test_only_the_onset_of_a_clear_step_has_a_delay_that_counts(limit: Any) -> None:
    shown = ((5.0, 40.0), (2.0, 9.0), (5.0, None))
    clear, weak, later = (limit.Weighed("slow_rank", "n1/gpu0", "gray", 0, 60.0, 0.1, 9.0, 5.0, True, step, delay) for step, delay in shown)
    assert limit.delays([clear, weak, later]) == [40.0]


def test_a_machine_is_weighed_by_the_mean_of_its_ranks(limit: Any, tmp_path: Path) -> None:
    from grayscope.fleet.faults import Fault

    hour = 3600.0
    fault = Fault("n003", "power_cap", "gray", 1.0 * hour, 1.5 * hour, 0.3)
    limit.Simulation(limit.load("null").but(nodes=4, hours=2.0, seed=117), faults=(fault,)).write(tmp_path / "trace")
    ranks, alone = limit.Ranks(limit.Trace.open(tmp_path / "trace"), whole=True), limit.Ranks(limit.Trace.open(tmp_path / "trace"))
    assert list(ranks.gpus) == ["n001", "n002", "n003", "n004"]
    where = [i for gpu, i in alone.gpus.items() if gpu.startswith("n003/")]
    assert len(where) == 8
    assert np.allclose(ranks.away[:, 2], alone.away[:, where].mean(axis=1), equal_nan=True)
    assert ranks.spread({"n003"}) < alone.spread({"n003"})
