"""Born: whether a GPU has been slow ever since it was first seen at work, or has become so.

Its rank's first looks in a job say it, if they lie as far from the peers as all looks since do; what is known of the part from other jobs must not
gainsay it. Source: reference on algorithms, mode 19: a constant offset from the first day on, told by a static test and by the history across jobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.standing import Standing
from grayscope.tick import Tick

#: What a rank's own work takes: the other times of a rank contain what others do.
WORK = "compute_seconds"
#: The first looks in a job, and those of them that show who became slow within a minute of its beginning.
FIRST, VERY_FIRST = 16, 4
#: Looks before which nobody knows whether it lasts: a job warms up, and who became slow in them did not begin so.
KNOWN = 64
#: Share of the distance that the first looks and all looks must have, and other jobs: these strain a part more or less.
STEADY, ELSEWHERE = 0.75, 0.5
#: The same share for who is called so already: nobody's name goes to and fro with the load. Who has lost it does not get it back in that job.
STAYS, YES, LOST = 0.5, 1, -1
#: Looks over which what it does now is averaged.
LATELY = 16
#: Parts that are remembered for each that is at work, and at least.
REMEMBERED, FEW = 8, 1024


class Born:
    """Remember the first looks at each rank in its job, and of each part how far it was from its peers in other jobs."""

    def __init__(self) -> None:
        distances = {name: Field(np.float32, 0.0, lead, per_metric=False) for name, lead in (("first", (FIRST,)), ("mean", ()), ("lately", ()))}
        self.memory = Memory({**distances, "looks": Field(np.int32, 0, per_metric=False), "called": Field(np.int8, 0, per_metric=False)})
        self.parts: dict[str, str] = {}  # rank -> part that it was on when last seen
        self.before: dict[str, float] = {}  # part -> the least distance that it had in a job, oldest first
        self._known: tuple[object, object] | None = None

    def look(self, tick: Tick, standing: Standing) -> None:
        """Take the ranks of a tick."""
        if tick.table != "rank" or WORK not in tick.metrics:
            return
        m = tick.metrics.index(WORK)
        moved = standing.moved[standing.layout[m]]
        if self._known is None or self._known[0] is not tick.roster or self._known[1] is not tick.subjects or moved.any():
            self._settle(tick, moved)
        a, residual = self.memory.of(tick).arrays, standing.residual[m]
        there = np.isfinite(residual)
        early = np.flatnonzero(there & (a["looks"] < FIRST))
        a["first"][a["looks"][early], early] = residual[early]
        a["looks"] += there
        for name, most in (("mean", None), ("lately", LATELY)):
            rate = 1 / np.clip(a["looks"], 1, most).astype(np.float32)
            a[name] += np.where(there, (residual - a[name]) * rate, np.float32(0))

    def slow(self, tick: Tick, s: int) -> bool:
        """Say whether the part of the rank at place `s` has been slower than its peers for as long as it is known; not while it is too young to tell."""
        part, a = self.parts.get(tick.subjects[s], ""), self.memory.tables[tick.table].arrays
        now = float(a["lately"][s])
        if not part or a["looks"][s] < KNOWN:
            return False
        ever = (float(np.median(a["first"][:VERY_FIRST, s])), float(np.median(a["first"][:, s])), float(a["mean"][s]))
        share = {YES: STAYS, LOST: np.inf}.get(int(a["called"][s]), STEADY)
        born = now > 0 and all(share * now <= x <= now / share for x in ever) and self.before.get(part, now) >= ELSEWHERE * now
        a["called"][s] = YES if born else LOST if a["called"][s] else 0
        return born

    def _settle(self, tick: Tick, moved: NDArray[np.bool_]) -> None:
        """Remember the parts whose ranks have gone, or have other peers or another part now, and begin anew with those ranks."""
        parts = _parts(tick)
        others = {s for s, other in zip(tick.subjects, moved, strict=True) if other}
        old = self.memory.tables.get(tick.table)
        if old is not None:
            a, subjects = old.arrays, old.subjects
            gone = np.array([s for s, name in enumerate(subjects) if name in others or parts.get(name) != self.parts.get(name, "")], np.intp)
            known = gone[a["looks"][gone] >= KNOWN]
            distances = np.minimum(a["mean"][known], np.median(a["first"][:, known], axis=0))
            for s, least in zip(known.tolist(), distances.tolist(), strict=True):
                if part := self.parts.get(subjects[s], ""):
                    self.before[part] = min(least, self.before.pop(part, least))
            for array in a.values():
                array[..., gone] = 0
        for part in [*self.before][: max(len(self.before) - max(REMEMBERED * len(parts), FEW), 0)]:
            del self.before[part]
        self.parts, self._known = parts, (tick.roster, tick.subjects)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the whole state."""
        return {**self.memory.snapshot(), "parts": np.array(json.dumps([self.parts, self.before]))}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned."""
        self.parts, self.before = json.loads(str(state["parts"]))
        self.memory.restore({key: array for key, array in state.items() if key != "parts"})
        self._known = None


def _parts(tick: Tick) -> dict[str, str]:
    """Return what each rank runs on: the serial number of its GPU, else its name; nothing where the roster does not say."""
    gpus = tick.roster.column(tick.subjects, "gpu")
    return {rank: (tick.roster.serial(gpu) or gpu) if gpu else "" for rank, gpu in zip(tick.subjects, gpus, strict=True)}
