"""Silent: what stopped reporting, froze, lost a metric or changed its pace; leads to a coverage notice, never to an accusation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope import heard
from grayscope.columns import Columns, Field, Memory
from grayscope.crowds import owners
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.places import Places
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Rules, not estimates: certain enough for a notice at any configured rate.
CERTAIN = 50.0
#: A value stands still from so many equal ticks on; only one that used to change this often can freeze: a clock at its
#: limit or a rounded temperature stays the same for hours in health.
STILL, LIVELY = 3, 0.8
#: Ticks from which on a part of a job may have frozen, and by how many times longer it must stand still than any value of the metric did that moved
#: again (the second longest: one part may have frozen for a while); members of its job by which that is known.
SOON, LONGER, KNOWN = 60, 4, 4
#: Share of a table that is silent at once to be one gap in the monitoring rather than many silent parts.
SITE = 0.5
#: Rows that come so many times more seldom or often than the table's usual are a wrong rate, after so many of them and ticks.
PACE, ROWS, TICKS = 1.6, 24, 60
#: Where the steps from row to row usually differ from their mean by this share, most subjects keep no time: tasks, not samples.
FREE = 0.5
#: Ticks without what was never there.
NEVER = np.iinfo(np.int32).max
#: Share of a subject's metrics that are gone to be one finding about the subject.
HALF = 0.5


class Silent:
    """Watch who used to report in nearly every tick and does not any more.

    A whole rack, leaf or node that falls silent is one finding about it, all ranks or communicators of a job one about the job,
    more than half of a table one about the site; the same holds for whatever else is seen here. A metric that never changes
    any bit for `frozen_after` ticks while most of its peers change is reported as frozen; sooner where it stands still for far longer than
    any of them ever did, and most of its own job moves. Who reports much more seldom or
    often than the table's median subject has a wrong rate; rows lost here and there show themselves like this too. Ranks, communicators and
    jobs report as often as their job makes a step: their peers are those of their job.

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
        self.places = Places()
        self.memory = Memory(
            {
                "habit": Field(np.float32, 0.0),  # running share of ticks in which the cell was reported
                "absent": Field(np.int32, 0),  # ticks without the cell in which others of the table did report
                "gap": Field(np.int32, 0, per_metric=False),  # ticks in which most of the table was silent, for all alike
                "last": Field(np.float32, np.nan),
                "still": Field(np.int32, 0),
                "lively": Field(np.float32, 0.0),  # running share of ticks with a change, before it stood still
                "longest": Field(np.int32, 0),  # ticks for which it stood still before it moved again
                "quiet": Field(np.int32, 0, per_metric=False),  # ticks since the last row
                "before": Field(np.bool_, False, per_metric=False),  # whether it was silent at the tick before
                "pace": Field(np.float32, 1.0, per_metric=False),  # running ticks from row to row; one long gap moves it little
                "uneven": Field(np.float32, 0.0, per_metric=False),  # by what share of the pace a step usually differs from it
                "rows": Field(np.int32, 0, per_metric=False),
                "off": Field(np.int32, 0, per_metric=False),  # ticks with a pace unlike the others'
            }
        )

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return who is silent, frozen or half-reporting."""
        columns = self.memory.of(tick)
        a, (regular, came, usual) = columns.arrays, _present(tick, columns)
        mute: NDArray[np.bool_] = usual & ~came
        if int(mute.sum()) > max(SITE * int(usual.sum()), 1) and not self._ended(tick, mute, usual):
            # Those that were silent before go on being so.
            return Evidence([*self._missing(tick, columns, regular, usual), *self._gap(tick, columns, usual, mute)])
        a["gap"][:] = 0
        longest, stuck = heard.heed(
            tick.values, regular, a["habit"], a["absent"], a["last"], a["still"], a["lively"], a["longest"], STILL, min(SOON, self.frozen_after),
            np.float32(LIVELY),
        )  # fmt: skip
        missing: Iterator[Finding] = iter(())
        if longest >= min(self.silent_after, self.hole_after):
            missing = self._missing(tick, columns, regular, usual)
        else:
            a["before"][:] = False
        findings = [*missing, *(self._frozen(tick, columns, standing) if stuck else ()), *self._paced(tick, a, came)]
        return Evidence(findings) if findings else NOTHING

    def _gap(self, tick: Tick, columns: Columns, usual: NDArray[np.bool_], mute: NDArray[np.bool_]) -> Iterator[Finding]:
        """Count a tick in which most are silent: nobody's silence, and no time for anybody's absence or habit."""
        columns.arrays["gap"] += 1
        ticks = int(columns.arrays["gap"].max())
        if ticks < self.silent_after:
            return
        share = f"{int(mute.sum())} of {int(usual.sum())} subjects of table {tick.table} stopped reporting together"
        yield _finding(tick, "site", "monitoring_gap", tick.time - ticks * tick.period, share)

    def _ended(self, tick: Tick, mute: NDArray[np.bool_], usual: NDArray[np.bool_]) -> bool:
        """Say whether those who are silent are all there is of some jobs, and others go on: jobs end, monitoring does not."""
        job = self.places.of(tick).job
        go_on = np.unique(job[usual & ~mute])
        return bool((usual & ~mute).any() and (job[mute] >= 0).all() and not np.isin(job[mute], go_on).any())

    # -- missing ----------------------------------------------------------------------------------------------------

    def _missing(self, tick: Tick, columns: Columns, regular: NDArray[np.bool_], usual: NDArray[np.bool_]) -> Iterator[Finding]:
        absent = columns.arrays["absent"]
        silent = usual & (np.where(regular, absent, self.silent_after).min(axis=0, initial=self.silent_after) >= self.silent_after)
        if silent.any():
            # Silence begins with the last of what was regular to go; what was never reported says nothing.
            quiet = np.where(regular, absent, NEVER).min(axis=0)
            # Rows of one place fall into ticks beside each other: the last may fall silent when the first come again.
            almost = silent | columns.arrays["before"] | (usual & (quiet >= self.silent_after - 1))
            yield from self._silent_places(tick, silent, almost, usual, quiet)
        columns.arrays["before"][:] = silent
        yield from self._holes(tick, columns, (absent >= self.hole_after) & regular & ~silent, regular & ~silent)

    def _holes(self, tick: Tick, columns: Columns, gone: NDArray[np.bool_], regular: NDArray[np.bool_]) -> Iterator[Finding]:
        """Yield metrics that are gone; a subject that lost half of them is one finding."""
        lost, had = gone.sum(axis=0), regular.sum(axis=0)
        half = (lost > 1) & (lost >= HALF * had)
        absent = columns.arrays["absent"]
        for place, members in self._placed(tick, half, had > 0):
            since = tick.time - int(absent[:, members][gone[:, members]].max()) * tick.period
            text = f"{_number(members)}{lost[members[0]]} of {had[members[0]]} metrics are no longer reported, the others are"
            yield _finding(tick, place, "coverage_hole", since, text)
        for m in np.flatnonzero((gone & ~half).any(axis=1)).tolist():
            for place, members in self._placed(tick, gone[m] & ~half, regular[m]):
                since = tick.time - int(absent[m, members].max()) * tick.period
                text = f"{_number(members)}{tick.metrics[m]} is no longer reported, other metrics are"
                yield _finding(tick, place, "coverage_hole", since, text)._replace(metric=tick.metrics[m])

    def _silent_places(
        self, tick: Tick, silent: NDArray[np.bool_], almost: NDArray[np.bool_], usual: NDArray[np.bool_], quiet: NDArray[np.int32]
    ) -> Iterator[Finding]:
        left, others = silent.copy(), int((usual & ~silent).sum())
        on = f", {others} others go on" if others else ""
        places = self.places.of(tick)
        for number in np.unique(places.job[silent & (places.job >= 0)]).tolist():
            all_of_it, job = np.flatnonzero(usual & (places.job == number)), places.jobs[number]
            if len(all_of_it) > 1 and almost[all_of_it].all():
                left[all_of_it] = False
                since = tick.time - int(quiet[all_of_it].max()) * tick.period
                yield _finding(
                    tick, f"job:{job}", "silent", since, f"all {len(all_of_it)} subjects of table {tick.table} that belong to it stopped reporting{on}"
                )
        for name, who in places.shared if others else ():
            there = who[usual[who]]
            if left[there].all() and len(np.unique(places.node[there])) > 1:
                left[there] = False
                since = tick.time - int(quiet[there].max()) * tick.period
                yield _finding(tick, name, "silent", since, f"all {len(there)} subjects of table {tick.table} under it stopped reporting{on}")
        for place, members in self._placed(tick, left, usual, site=False):
            since = tick.time - int(quiet[members].max()) * tick.period
            text = f"all {len(members)} subjects of table {tick.table} on it stopped reporting{on}" if len(members) > 1 else ""
            yield _finding(tick, place, "silent", since, text or f"no row of table {tick.table}{on}")

    # -- frozen -----------------------------------------------------------------------------------------------------

    def _frozen(self, tick: Tick, columns: Columns, standing: Standing) -> Iterator[Finding]:
        a = columns.arrays
        stuck = (a["still"] >= self.frozen_after) & (a["lively"] > LIVELY)
        if columns.ticks >= self.frozen_after:  # until then nobody knows for how long healthy values stand still
            stuck |= self._soon(tick, a)
        for m in np.flatnonzero(stuck.any(axis=1)).tolist():
            metric = standing.metrics[m]
            if metric is None or metric.type != "gauge" or metric.waits or 2 * int(stuck[m].sum()) > int(np.isfinite(tick.values[m]).sum()):
                continue  # many that stand still together are idle, not broken
            if metric.side == "load":
                stuck[m] &= a["last"][m] != 0  # so is who does nothing
            for place, members in self._placed(tick, stuck[m], np.isfinite(tick.values[m]), site=False):
                ticks = int(a["still"][m, members].max())
                text = f"{_number(members)}{tick.metrics[m]} has not changed in any bit for {ticks} ticks, its peers change"
                yield _finding(tick, place, "frozen", tick.time - ticks * tick.period, text)._replace(metric=tick.metrics[m])

    def _soon(self, tick: Tick, a: dict[str, np.ndarray[Any, Any]]) -> NDArray[np.bool_]:
        """Return which cells [M, S] stand still for far longer than is known of healthy ones, and not because their job rests: most of it moves.

        What has no job may rest at any time, and a nought is what rests.
        """
        stuck: NDArray[np.bool_] = (a["still"] >= SOON) & (a["lively"] > LIVELY) & (a["last"] != 0)
        names, job = owners(tick.roster, tick.subjects, "job")
        stuck &= (names != "") & ~np.char.startswith(names, "node:")  # as who has no job is called
        for m in np.flatnonzero(stuck.any(axis=1)).tolist():
            there, known = np.isfinite(tick.values[m]), np.sort(a["longest"][m])[-2:]
            still, members = (np.bincount(job[who], minlength=int(job.max()) + 1) for who in (there & (a["still"][m] >= STILL), there))
            stuck[m] &= (a["still"][m] >= LONGER * int(known[0])) & ((2 * still <= members) & (members >= KNOWN))[job]
        return stuck

    # -- pace -------------------------------------------------------------------------------------------------------

    def _paced(self, tick: Tick, a: dict[str, np.ndarray[Any, Any]], came: NDArray[np.bool_]) -> Iterator[Finding]:
        """Learn from row to row how far apart they are; yield who differs from the median: of its job, where the job sets the pace."""
        places = self.places.of(tick)
        group, usual = places.job + 1, np.zeros(len(places.jobs) + 1, np.float32)
        heard.pace(came, a["pace"], a["uneven"], a["quiet"], a["rows"], a["off"], group, usual, ROWS, PACE, FREE)
        if int(a["off"].max(initial=0)) < TICKS:
            return
        settled = (a["rows"] >= ROWS) & (usual[group] > 0)
        for place, members in self._placed(tick, a["off"] >= TICKS, settled):
            own, others = (float(np.median(x)) * tick.period / 1e6 for x in (a["pace"][members], usual[group[members]]))
            text = f"{_number(members)}a row every {own:.3g} s, its peers every {others:.3g} s"
            yield _finding(tick, place, "wrong_rate", tick.time - int(a["off"][members].max()) * tick.period, text)

    def _placed(self, tick: Tick, hit: NDArray[np.bool_], usual: NDArray[np.bool_], *, site: bool = True) -> Iterator[tuple[str, list[int]]]:
        """Yield places and the subjects there: the site for most of a table, a node for all that it has, else each subject."""
        some = np.flatnonzero(hit)
        if site and len(some) > max(SITE * int(usual.sum()), 1):
            yield "site", some.tolist()
            return
        places = self.places.of(tick)
        total = np.bincount(places.node[usual | hit], minlength=len(places.nodes))
        for node in np.unique(places.node[some]).tolist():
            members = some[places.node[some] == node].tolist()
            if len(members) == int(total[node]) > 1:
                yield places.nodes[node], members
            else:
                yield from ((tick.subjects[s], [s]) for s in members)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot()

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore(state)


def _finding(tick: Tick, subject: str, mode: str, since: int, text: str) -> Finding:
    return Finding(tick.time, subject, "coverage", "silent", CERTAIN, mode, since=since, why=text)


def _present(tick: Tick, columns: Columns) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which cells are regular [M, S], and which subjects [S] report now and usually."""
    regular = np.empty(tick.values.shape, bool)
    came, usual = np.empty(len(tick.subjects), bool), np.empty(len(tick.subjects), bool)
    heard.present(tick.values, columns.arrays["habit"], regular, came, usual)
    return regular, came, usual


def _number(members: list[int]) -> str:
    return f"{len(members)} subjects alike: " if len(members) > 1 else ""
