"""Shifted: a whole peer group that left its own past: a matter of the job, the leaf or the batch, and nobody's in it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.crowd import place
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.standing import Standing, unscale
from grayscope.tick import Tick
from grayscope.wording import why

#: Spreads of the group's own median that are worth a notice. A rule: what it finds is never paged.
FAR = 8.0
#: Groups that make a site, spreads beyond which a group moved with the others, the share of all groups that must have, and the chance of that.
GROUPS, WITH, MOST, CHANCE = 4, 2.0, 0.5, 1e-6
MANY = 128
#: Units of what the building gives to everybody: heat and power.
BUILDING = frozenset({"Cel", "W"})
#: Strength of a finding by rule, and the least of it: so that it also fades.
CERTAIN = 50.0


class Shifted:
    """Name the groups whose median moved to the worse side.

    All groups of a metric together are the site's, and most of them, where so many at once are beyond chance: what moves all moves the quiet
    groups by more of their own spread than the restless ones. Leads to a notice, never to an accusation: `group_shift`, or `site_change` where it is
    everybody's temperature or power; why everybody does something else, nobody knows.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0) -> None:
        del false_pages
        self.site: dict[str, list[str]] = {}  # table and metric -> groups whose move is the site's, as long as they are far away

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the groups that have shifted."""
        far: NDArray[np.bool_] = np.asarray((standing.shift > FAR).any(axis=1))
        for key in [k for k in self.site if k.startswith(f"{tick.table}|") and not _still(k, far, tick)]:
            del self.site[key]
        return Evidence(self._findings(tick, standing, far)) if far.any() else NOTHING

    def _findings(self, tick: Tick, standing: Standing, far: NDArray[np.bool_]) -> Iterator[Finding]:
        for m in np.flatnonzero(far).tolist():
            metric = standing.metrics[m]
            if metric is None:
                continue
            full, key = np.flatnonzero(standing.count[m] >= 4).tolist(), f"{tick.table}|{tick.metrics[m]}"
            far_ones = int(np.count_nonzero(standing.shift[m, full] > FAR))
            moved = {place(metric.peers, standing.called[standing.layout[m]][g]): g for g in full if standing.shift[m, g] > FAR}
            known = set(self.site.pop(key, ()))
            shared = far_ones == len(full) > 1 or _together(standing.shift[m, full])
            ours = [name for name in moved if shared or name in known]
            if ours:
                self.site[key] = ours
                yield self._finding(tick, standing, m, max((moved[name] for name in ours), key=lambda g: float(standing.shift[m, g])), "site")
            for name, g in moved.items():
                if name not in ours:
                    yield self._finding(tick, standing, m, g, name)

    @staticmethod
    def _finding(tick: Tick, standing: Standing, m: int, g: int, subject: str) -> Finding:
        metric = standing.metrics[m]
        assert metric is not None
        value, usual = (unscale(int(standing.kind[m]), float(x[m, g])) for x in (standing.centre, standing.before))
        members = int(standing.count[m, g])
        mode = "site_change" if subject == "site" and metric.side == "condition" and metric.unit in BUILDING else "group_shift"
        found = Finding(tick.time, subject, metric.side, "shifted", CERTAIN, mode, "", tick.metrics[m], value, usual)
        return found._replace(why=f"the median of {members} members{_whose(subject, metric, standing, m, g)} moved: {why(found, metric.unit, 'its own past')}")

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return whose moves are the site's; groups are followed by stand."""
        return {"site": np.array(json.dumps(self.site))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.site = json.loads(str(state["site"]))


def _still(key: str, far: NDArray[np.bool_], tick: Tick) -> bool:
    name = key.partition("|")[2]
    return name in tick.metrics and bool(far[tick.metrics.index(name)])


def _together(shift: NDArray[np.float32]) -> bool:
    """Say whether most groups moved to the worse side at once, and more than would by chance: each alone as a normal value would.

    Examples
    --------
    >>> _together(np.float32([30, 12, 9, 4, 3, 2.5, 1, 0])), _together(np.float32([30, 12, 9, 1, 0, 2.5, 1, 0])), _together(np.float32([30, 12, 9]))
    (True, False, False)
    """
    n, k = len(shift), int((shift > WITH).sum())
    if n < GROUPS or k <= MOST * n:
        return False
    p = 1.0 - NormalDist().cdf(WITH)
    # Most of so many are beyond any chance, and the numbers of the law beyond any float.
    return n > MANY or sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)) < CHANCE


def _whose(subject: str, metric: Metric, standing: Standing, m: int, g: int) -> str:
    """Return which group a finding about the site tells of."""
    return f" of {place(metric.peers, standing.called[standing.layout[m]][g])}, and of most groups besides," if subject == "site" else ""
