"""Slower: a component that is worse than its role-matched peers, however long it has been so.

Born-slow parts count, and go by a name of their own where that is known. Where a metric contains waiting for peers the order turns round: whoever
waits least is late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from grayscope.born import WORK, Born
from grayscope.evidence import Evidence, Finding
from grayscope.horizons import Horizons
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import why
from grayscope.worth import worth

#: What a part is called that has been slow for as long as it is known.
BORN = "slow_silicon"


class Slower:
    """Accumulate each cell's distance from its peers' median over several horizons.

    Not for: changes smaller than the offsets that healthy parts keep for ever (`became` sees those), groups of fewer
    than four, groups of which half is bad.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0) -> None:
        self.horizons, self.born = Horizons("slower", false_pages), Born()

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the cells that stand out from their peers."""
        self.born.look(tick, standing)
        return self.horizons.step(tick, standing, standing.residual, standing.scale, self._explain)

    def _explain(self, tick: Tick, standing: Standing, m: int, s: int, level: float, horizon: int) -> Finding | None:
        metric = standing.metrics[m]
        assert metric is not None
        scale = float(standing.scale[m, s])
        distance = scale * self.horizons.shown(tick, m, s, horizon, float(standing.residual[m, s]) / scale)
        ever = tick.metrics[m] == WORK and self.born.slow(tick, s)
        found = Finding(
            tick.time, tick.subjects[s], metric.side, "slower", round(level, 4), BORN if ever else metric.mode or "slow_component", metric.mechanism or "",
            tick.metrics[m], standing.effect(m, s, distance), standing.expected(m, s), standing.peers(m, s),
        )  # fmt: skip
        text = f"{why(found, metric.unit, 'its peers')}{', ever since it was first seen' if ever else ''}"
        return found._replace(why=text) if worth(found, metric, tick, standing, m, s) else None

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return {**self.horizons.snapshot(), **{f"born#{key}": array for key, array in self.born.snapshot().items()}}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.horizons.restore({key: array for key, array in state.items() if not key.startswith("born#")})
        self.born.restore({key.removeprefix("born#"): array for key, array in state.items() if key.startswith("born#")})
