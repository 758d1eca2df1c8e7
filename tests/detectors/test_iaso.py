"""Iaso: the score grows with the excess, falls off slowly, and only who stands alone with it is slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]


def latency(ticks: int, subjects: int = 8) -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).normal(1e-3, 1e-5, (ticks, subjects))


DRIVES = [f"n0/nvme{i}" for i in range(8)]


def drives(run: Run, values: np.ndarray[Any, Any], **settings: Any) -> Any:
    return run("iaso", "drive", {"drive_latency_seconds": values}, subjects=DRIVES[: values.shape[1]], keys=lambda s: {"node": "n0"}, **settings)


def test_twice_the_median_is_found_within_minutes(run: Run, accused: Accused) -> None:
    values = latency(200)
    values[60:, 2] *= 2
    said = drives(run, values)
    assert accused(said) == {"n0/nvme2"}
    # The score doubles with every tick, but the 30th percentile of ten minutes needs seven of them.
    assert 60 + 40 <= next(t for t, f in enumerate(said) if f) <= 60 + 54


def test_a_spike_decays_and_is_forgotten(run: Run) -> None:
    values = latency(200)
    values[60:63, 2] *= 3
    assert not any(drives(run, values))


def test_two_alike_are_a_cluster_of_their_own(run: Run) -> None:
    values = latency(300)
    values[:, 2:4] *= 2
    assert not any(drives(run, values)[70:])


def test_a_small_excess_for_ever_ends_at_the_same_score(run: Run, accused: Accused) -> None:
    values = latency(400)
    values[:, 5] *= 1.1
    assert accused(drives(run, values)) == {"n0/nvme5"}
    assert not any(drives(run, values, excess=100.0))


def test_recovery_ends_the_alarm(run: Run) -> None:
    values = latency(400)
    values[20:120, 2] *= 2
    said = drives(run, values)
    assert any(said)
    assert not said[-1]


def test_three_are_no_crowd(run: Run) -> None:
    values = latency(200, 3)
    values[:, 0] *= 3
    assert not any(drives(run, values))


NODES = [f"n{i}/nic{k}" for i in range(6) for k in range(2)]
TIMEOUT, ORDER = (f'nic_port_retransmits_total{{cause="{cause}"}}' for cause in ("ack_timeout", "out_of_sequence"))


def ports(run: Run, metric: str, values: np.ndarray[Any, Any]) -> Any:
    return run("iaso", "nic", {metric: values}, subjects=NODES, keys=lambda s: {"rail": "r", "job": "j"})


def test_a_node_that_peers_time_out_on_is_found(run: Run, accused: Accused) -> None:
    values = np.zeros((150, len(NODES)))
    values[30:, 5] = 1
    assert accused(ports(run, TIMEOUT, values)) == {"n2"}
    assert not any(ports(run, ORDER, values))  # out of order is not unanswered


def test_one_slow_rank_makes_its_node_slow(run: Run, accused: Accused) -> None:
    values = latency(200, 48)
    values[:, 17] *= 2
    names = sorted(f"job:1/r{i:02d}" for i in range(48))
    said = run("iaso", "rank", {"compute_seconds": values}, subjects=names, keys=lambda s: {"job": "job:1", "role": "a", "node": f"n{int(s[-2:]) // 8}"})
    assert "n2" in accused(said)
    assert all(name in {f"n{i}" for i in range(6)} for name in accused(said))
