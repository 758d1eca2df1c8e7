"""Hostbusy: machines whose processors are busier than those of other machines at work: their ranks are slow, and no part is to blame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.commblame import FOREVER, patience, recent
from grayscope.evidence import Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

CONTENTION = "cpu_contention"
#: Share of all processors, or of the time, above the median of machines at work that is more than chance, and machines that make a median.
MORE, MACHINES = 0.15, 4
#: Microseconds after which nobody asks, however slow the rows of any table are.
FORGOTTEN = 86_400_000_000


class Late(NamedTuple):
    """Since when a subject is said to be late and when last, microseconds; and whether its host was busy by then."""

    first: int
    last: int
    explained: bool


class HostBusy:
    """Remembers which machines were busy with something else, by the metrics whose mode says so; a cause does not come after its effect.

    Parameters
    ----------
    level : float
        Strength from which on a finding says for certain that something is late.
    """

    def __init__(self, level: float = 0.0) -> None:
        self.level = level
        self.last: dict[str, int] = {}
        self.since: dict[str, int] = {}  # machine -> since when it is, with pauses in between
        self.late: dict[str, Late] = {}
        self.gaps: dict[str, dict[str, int]] = {}  # counter -> machine -> ticks that its next increment will tell of, too

    def look(self, tick: Tick, standing: Standing) -> None:
        """Take note of the machines that stand out in this tick."""
        for m, metric in enumerate(standing.metrics):
            if metric is None or metric.mode != CONTENTION:
                continue
            seconds = self._seconds(tick, m) if metric.type == "counter" else np.full(len(tick.subjects), tick.period / 1e6, np.float32)
            share = tick.values[m] / seconds if metric.type == "counter" else tick.values[m]
            at_work = np.array([bool(job) for job in tick.roster.column(tick.subjects, "job")], bool) & np.isfinite(share)
            if int(at_work.sum()) >= MACHINES:
                usual = float(np.median(share[at_work]))
                for s in np.flatnonzero(at_work & (share > usual + MORE)).tolist():
                    self._busy(tick.subjects[s], tick, tick.time - round(float(seconds[s]) * 1e6))
        for name in [n for n, at in self.last.items() if tick.time - at > FORGOTTEN]:
            del self.last[name], self.since[name]

    def _busy(self, name: str, tick: Tick, began: int) -> None:
        goes_on = tick.time - self.last.get(name, -FOREVER) <= recent(tick)
        self.since[name] = min(self.since.get(name, began), began) if goes_on else began
        self.last[name] = tick.time

    def _seconds(self, tick: Tick, m: int) -> NDArray[np.float32]:
        """Return the seconds that an increment tells of [S], since the last row: a tenth of a second in half a minute is nothing."""
        before, seconds = self.gaps.get(tick.metrics[m], {}), np.full(len(tick.subjects), tick.period / 1e6, np.float32)
        if before:
            seconds *= np.array([1 + before.get(name, 0) for name in tick.subjects], np.float32)
        self.gaps[tick.metrics[m]] = {tick.subjects[s]: before.get(tick.subjects[s], 0) + 1 for s in np.flatnonzero(np.isnan(tick.values[m])).tolist()}
        return seconds

    def explained(self, findings: Iterable[Finding], tick: Tick) -> list[Finding]:
        """Return the findings, with late ranks of a machine that was busy lately (it comes and goes) called so; not those that were late before it was."""
        self.late = {name: late for name, late in self.late.items() if tick.time - late.last <= recent(tick)}
        return [self._explained(f, tick) if f.side == "service" else f for f in findings]

    def _explained(self, f: Finding, tick: Tick) -> Finding:
        node, late = tick.roster.key(f.subject, "node"), self.late.get(f.subject, Late(tick.time, tick.time, False))
        busy = tick.time - self.last.get(node, -FOREVER) <= recent(tick)
        # Who is late says so before its machine's own table ticks.
        cause = busy and (late.explained or self.since[node] <= late.first + patience(tick))
        if f.strength >= self.level:  # a hint by chance is no beginning
            self.late[f.subject] = Late(late.first, tick.time, late.explained or cause)
        return f._replace(mode=CONTENTION, why=f"the host is busy with something else: {f.why}") if cause else f

    def snapshot(self) -> list[Any]:
        """Return all of it for JSON."""
        return [self.last, self.since, self.late, self.gaps]

    def restore(self, told: list[Any]) -> None:
        """Become what `snapshot` returned."""
        self.last, self.since, late, self.gaps = told
        self.late = {name: Late(*fields) for name, fields in late.items()}
