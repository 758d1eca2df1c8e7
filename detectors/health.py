"""Health: what the system itself says is broken; grayscope agrees and links it to the gray history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

CERTAIN = 50.0


class Health:
    """Read the metrics of side ``health``: a state that is not the healthy one, an error counter that moved.

    Healthy is 1 for a state whose lower value is worse, else 0; a number of which neither direction is worse is no verdict (Xids of any kind: what
    they mean, the policy of events says). Without memory: the judge decides how long it holds.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0) -> None:
        del false_pages

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return every cell with an unhealthy value."""
        findings = []
        for m, metric in enumerate(standing.metrics):
            if metric is None or metric.side != "health" or metric.type == "gauge" or metric.worse == "none":
                continue
            values = tick.values[m]
            bad = values < 1 if metric.worse == "lower" else values > 0
            for s in np.flatnonzero(bad).tolist():
                text = f"{tick.metrics[m]} is {values[s]:g}, healthy is {1 if metric.worse == 'lower' else 0}"
                findings.append(
                    Finding(tick.time, tick.subjects[s], "health", "health", CERTAIN, metric.mode or "", metric.mechanism or "",
                            tick.metrics[m], float(values[s]), 1.0 if metric.worse == "lower" else 0.0, since=tick.time, why=text)
                )  # fmt: skip
        return Evidence(findings) if findings else NOTHING

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the (empty) state."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Nothing to restore."""
        del state
