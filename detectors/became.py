"""Became: a component that left its own past while its peers did not.

The residual against the peers, less its usual value: offsets that never change are invisible here, and a change that
all peers share is nobody's fault. Small lasting changes become visible that `slower` must let pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from grayscope.evidence import Evidence, Finding
from grayscope.horizons import Horizons
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import why
from grayscope.worth import worth


class Became:
    """Accumulate each cell's distance from its own usual residual over several horizons.

    Not for: the first 64 ticks of a part, and drifts so slow that they become the usual value (`slower` sees those).

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0) -> None:
        # Beyond 256 ticks the usual value itself follows.
        self.horizons = Horizons("became", false_pages, longest=256, lasting=False)

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the cells that stand out from their own past."""
        return self.horizons.step(tick, standing, standing.past, standing.noise, self._explain)

    def _explain(self, tick: Tick, standing: Standing, m: int, s: int, level: float, horizon: int) -> Finding | None:
        metric = standing.metrics[m]
        assert metric is not None
        noise = float(standing.noise[m, s])
        shift = noise * self.horizons.shown(tick, m, s, horizon, float(standing.past[m, s]) / noise)
        usual = float(standing.residual[m, s]) - float(standing.past[m, s])
        usual = usual if np.isfinite(usual) else 0.0
        side, beside = ("condition", "its own past, with no peers beside it") if standing.alone(m, s) else (metric.side, "its own past beside the same peers")
        found = Finding(
            tick.time, tick.subjects[s], side, "became", round(level, 4), metric.mode or "became_slower", metric.mechanism or "",
            tick.metrics[m], standing.effect(m, s, usual + shift), standing.effect(m, s, usual), standing.peers(m, s),
        )  # fmt: skip
        return found._replace(why=why(found, metric.unit, beside)) if worth(found, metric, tick, standing, m, s) else None

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.horizons.snapshot()

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.horizons.restore(dict(state))
