"""Rivals: a pause in the middle of an alarm changes nothing, on the ticks that each was made for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grayscope import plugins

Run = Callable[..., Any]
rng = np.random.default_rng(12)
NOISE = rng.lognormal(0, 0.01, (400, 8))
SLOW = NOISE * np.where((np.arange(8) == 5) & (np.arange(400) >= 150)[:, None], 1.6, 1.0)
LOAD = rng.uniform(1e8, 1e9, (400, 8))
STEP = np.repeat(SLOW.max(axis=1, keepdims=True), 8, axis=1)
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], float]] = {
    "ecdf": ("rank", {"compute_seconds": SLOW}, {}, 10),
    "eroica": ("rank", {"compute_seconds": SLOW, "step_seconds": STEP * 1.2}, {"differ": 0.2}, 10),
    "greyhound": ("rank", {"compute_seconds": SLOW, "step_seconds": STEP}, {}, 10),
    "iaso": ("drive", {"drive_latency_seconds": SLOW}, {}, 10),
    "minder": ("gpu", {"gpu_power_watts": 500 * SLOW}, {}, 10),
    "nvrx": ("rank", {"compute_seconds": SLOW}, {}, 10),
    "perseus": ("drive", {"drive_throughput_bytes_per_second": LOAD, "drive_latency_seconds": LOAD * 1e-12 * SLOW}, {"cut": 5.0}, 60),
    "static": ("pcie", {"pcie_replays_total": np.where(SLOW > 1.3, 7.0, 0.0)}, {}, 10),
    "votes007": ("path", {"path_rtt_seconds": SLOW}, {}, 10),
}


def test_every_rival_has_a_case() -> None:
    assert set(CASES) == {name for name in plugins.names("detectors") if plugins.is_rival(name)}


@pytest.mark.parametrize("name", CASES)
def test_a_pause_changes_nothing(run: Run, name: str) -> None:
    table, values, settings, period = CASES[name]

    def part(detector: Any, first: int, last: int) -> Any:
        cut = {m: v[first:last] for m, v in values.items()}
        names = [f"n{i}/gpu0" for i in range(8)] if name == "minder" else None
        return run(
            name, table, cut, subjects=names, detector=detector, start=first * period, period=period, crosses=lambda s: (s.replace("gpu", "nic"), "leaf0")
        )

    whole = plugins.detector(name, **settings)
    said, theirs = part(whole, 0, 400), whole.snapshot()
    assert {f.subject for findings in said for f in findings} == {{"votes007": "n0/nic5", "minder": "n5"}.get(name, "n0/gpu5")}
    for half in (147, 263, 301):
        first, second = (plugins.detector(name, **settings) for _ in range(2))
        before = part(first, 0, half)
        second.restore({k: v.copy() for k, v in first.snapshot().items()})
        assert repr([*before, *part(second, half, 400)]) == repr(said), half
        ours = second.snapshot()
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[k], theirs[k], equal_nan=ours[k].dtype.kind == "f") for k in ours)
