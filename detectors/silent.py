"""Silent: what stopped reporting, froze or lost a metric; leads to a coverage notice, never to an accusation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Columns, Field, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Rules, not estimates: certain enough for a notice at any configured rate.
CERTAIN = 50.0
#: A value stands still from so many equal ticks on; only one that used to change this often can freeze: a clock at its
#: limit or a rounded temperature stays the same for hours in health.
STILL, LIVELY = 3, 0.8
#: Share of a table that is silent at once to be one gap in the monitoring rather than many silent parts.
SITE = 0.5


class Silent:
    """Watch who used to report in nearly every tick and does not any more.

    A whole node that falls silent is one finding about the node, more than half of a table one about the site. A metric
    that never changes any bit for `frozen_after` ticks while most of its peers change is reported as frozen.

    Parameters
    ----------
    false_pages : float
        Unused: silence never pages.
    silent_after : int
        Ticks without a row before a regular reporter counts as silent.
    hole_after : int
        Ticks without one metric of a subject that reports others.
    frozen_after : int
        Ticks without any change.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0, silent_after: int = 5, hole_after: int = 60, frozen_after: int = 240) -> None:
        del false_pages
        self.silent_after, self.hole_after, self.frozen_after = silent_after, hole_after, frozen_after
        self.memory = Memory(
            {
                "habit": Field(np.float32, 0.0),  # running share of ticks in which the cell was reported
                "absent": Field(np.int32, 0),  # ticks without the cell in which others of the table did report
                "gap": Field(np.int32, 0, per_metric=False),  # ticks in which most of the table was silent, for all alike
                "last": Field(np.float32, np.nan),
                "still": Field(np.int32, 0),
                "lively": Field(np.float32, 0.0),  # running share of ticks with a change, before it stood still
            }
        )

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return who is silent, frozen or half-reporting."""
        columns = self.memory.of(tick)
        a = columns.arrays
        came = np.isfinite(tick.values)
        regular = a["habit"] > 0.5
        usual: NDArray[np.bool_] = np.asarray(regular.any(axis=0))
        mute: NDArray[np.bool_] = usual & ~np.asarray(came.any(axis=0))
        if int(mute.sum()) > max(SITE * int(usual.sum()), 1):
            # Those that were silent before go on being so.
            return Evidence([*self._missing(tick, columns, regular, usual), *self._gap(tick, columns, usual, mute)])
        a["gap"][:] = 0
        a["absent"] = np.where(came, 0, a["absent"] + 1).astype(np.int32)
        a["habit"] += (came - a["habit"]) * np.float32(0.05)
        a["habit"][regular & ~came] = np.maximum(a["habit"][regular & ~came], 0.51)  # a habit survives the silence itself
        self._watch_change(tick, a, came)
        findings = [*self._missing(tick, columns, regular, usual), *self._frozen(tick, a, standing)]
        return Evidence(findings) if findings else NOTHING

    def _gap(self, tick: Tick, columns: Columns, usual: NDArray[np.bool_], mute: NDArray[np.bool_]) -> Iterator[Finding]:
        """Count a tick in which most are silent: nobody's silence, and no time for anybody's absence or habit."""
        columns.arrays["gap"] += 1
        ticks = int(columns.arrays["gap"].max())
        if ticks < self.silent_after:
            return
        share = f"{int(mute.sum())} of {int(usual.sum())} subjects of table {tick.table} stopped reporting together"
        yield _finding(tick, "site", "monitoring_gap", tick.time - ticks * tick.period, share)

    # -- missing ----------------------------------------------------------------------------------------------------

    def _missing(self, tick: Tick, columns: Columns, regular: NDArray[np.bool_], usual: NDArray[np.bool_]) -> Iterator[Finding]:
        absent = columns.arrays["absent"]
        silent = usual & (np.where(regular, absent, self.silent_after).min(axis=0, initial=self.silent_after) >= self.silent_after)
        if silent.any():
            since = tick.time - int(absent[:, silent].max(initial=0)) * tick.period
            yield from self._silent_places(tick, silent, usual, since)
        for m, s in np.argwhere((absent >= self.hole_after) & regular & ~silent).tolist():
            text = f"{tick.metrics[m]} is no longer reported, other metrics are"
            since = tick.time - int(absent[m, s]) * tick.period
            yield _finding(tick, tick.subjects[s], "coverage_hole", since, text)._replace(metric=tick.metrics[m])

    def _silent_places(self, tick: Tick, silent: NDArray[np.bool_], usual: NDArray[np.bool_], since: int) -> Iterator[Finding]:
        members: dict[str, list[int]] = {}
        for s in np.flatnonzero(usual).tolist():
            # A rank lives on the node of its GPU, whatever its name begins with.
            place = tick.roster.key(tick.subjects[s], "gpu") or tick.subjects[s]
            members.setdefault(place.split("/", 1)[0], []).append(s)
        for node, all_of_it in sorted(members.items()):
            mute = [s for s in all_of_it if silent[s]]
            if len(mute) == len(all_of_it) > 1:
                yield _finding(tick, node, "silent", since, f"all {len(mute)} subjects of table {tick.table} on it stopped reporting")
            else:
                for s in mute:
                    yield _finding(tick, tick.subjects[s], "silent", since, f"no row of table {tick.table}, its peers report")

    # -- frozen -----------------------------------------------------------------------------------------------------

    def _watch_change(self, tick: Tick, a: dict[str, np.ndarray[Any, Any]], came: NDArray[np.bool_]) -> None:
        changed = came & (tick.values != a["last"])
        awake = came & (a["still"] < STILL)
        a["lively"] += np.where(awake, (changed & np.isfinite(a["last"])) - a["lively"], np.float32(0)) * np.float32(0.05)
        a["still"] = np.where(changed, 0, a["still"] + came).astype(np.int32)
        a["last"] = np.where(came, tick.values, a["last"])

    def _frozen(self, tick: Tick, a: dict[str, np.ndarray[Any, Any]], standing: Standing) -> Iterator[Finding]:
        stuck = (a["still"] >= self.frozen_after) & (a["lively"] > LIVELY)
        for m in np.flatnonzero(stuck.any(axis=1)).tolist():
            metric = standing.metrics[m]
            if metric is None or metric.type != "gauge" or metric.waits or 2 * int(stuck[m].sum()) > int(np.isfinite(tick.values[m]).sum()):
                continue  # many that stand still together are idle, not broken
            for s in np.flatnonzero(stuck[m]).tolist():
                since = tick.time - int(a["still"][m, s]) * tick.period
                text = f"{tick.metrics[m]} has not changed in any bit for {int(a['still'][m, s])} ticks, its peers change"
                yield _finding(tick, tick.subjects[s], "frozen", since, text)._replace(metric=tick.metrics[m])

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot()

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore(state)


def _finding(tick: Tick, subject: str, mode: str, since: int, text: str) -> Finding:
    return Finding(tick.time, subject, "coverage", "silent", CERTAIN, mode, since=since, why=text)
