"""Shifted: a whole peer group that left its own past: a matter of the job, the leaf or the batch, and nobody's in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from grayscope.crowd import place
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.standing import Standing, unscale
from grayscope.tick import Tick
from grayscope.wording import why

#: Spreads of the group's own median that are worth a notice. A rule: what it finds is never paged.
FAR = 8.0
#: Strength of a finding by rule, and the least of it: so that it also fades.
CERTAIN = 50.0


class Shifted:
    """Name the groups whose median moved to the worse side.

    All groups of a metric together are the site's. Leads to a notice (`group_shift`), never to an accusation.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0) -> None:
        del false_pages

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the groups that have shifted."""
        if not (standing.shift > FAR).any():
            return NOTHING
        return Evidence(self._findings(tick, standing))

    def _findings(self, tick: Tick, standing: Standing) -> Iterator[Finding]:
        for m in np.flatnonzero((standing.shift > FAR).any(axis=1)).tolist():
            metric = standing.metrics[m]
            if metric is None:
                continue
            full = np.flatnonzero(standing.count[m] >= 4).tolist()
            moved = [g for g in full if standing.shift[m, g] > FAR]
            if len(moved) == len(full) > 1:
                yield self._finding(tick, standing, m, moved[0], "site")
                continue
            for g in moved:
                yield self._finding(tick, standing, m, g, place(metric.peers, standing.called[standing.layout[m]][g]))

    @staticmethod
    def _finding(tick: Tick, standing: Standing, m: int, g: int, subject: str) -> Finding:
        metric = standing.metrics[m]
        assert metric is not None
        value, usual = (unscale(int(standing.kind[m]), float(x[m, g])) for x in (standing.centre, standing.before))
        members = int(standing.count[m, g])
        found = Finding(tick.time, subject, metric.side, "shifted", CERTAIN, "group_shift", "", tick.metrics[m], value, usual)
        return found._replace(why=f"the median of {members} members moved: {why(found, metric.unit, 'its own past')}")

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the (empty) state: groups are followed by stand."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Nothing to restore."""
