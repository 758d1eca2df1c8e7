"""Hostbusy: machines whose processors are busier than those of other machines at work: their ranks are slow, and no part is to blame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from grayscope.commblame import recent
from grayscope.evidence import Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

CONTENTION = "cpu_contention"
#: Share of all processors, or of the time, above the median of machines at work that is more than chance, and machines that make a median.
MORE, MACHINES = 0.15, 4
#: Microseconds after which nobody asks, however slow the rows of any table are.
FORGOTTEN = 86_400_000_000


class HostBusy:
    """Remembers which machines were busy with something else, by the metrics whose mode says so."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.gaps: dict[str, dict[str, int]] = {}  # counter -> machine -> ticks that its next increment will tell of, too

    def look(self, tick: Tick, standing: Standing) -> None:
        """Take note of the machines that stand out in this tick."""
        for m, metric in enumerate(standing.metrics):
            if metric is None or metric.mode != CONTENTION:
                continue
            share = self._share(tick, m) if metric.type == "counter" else tick.values[m]
            at_work = np.array([bool(tick.roster.key(s, "job")) for s in tick.subjects], bool) & np.isfinite(share)
            if int(at_work.sum()) >= MACHINES:
                usual = float(np.median(share[at_work]))
                self.last |= {tick.subjects[s]: tick.time for s in np.flatnonzero(at_work & (share > usual + MORE)).tolist()}
        for name in [n for n, at in self.last.items() if tick.time - at > FORGOTTEN]:
            del self.last[name]

    def _share(self, tick: Tick, m: int) -> NDArray[np.float32]:
        """Return seconds that passed since the last row as a share of the time since then [S]: a tenth of a second in half a minute is nothing."""
        before, seconds = self.gaps.get(tick.metrics[m], {}), np.full(len(tick.subjects), tick.period / 1e6, np.float32)
        if before:
            seconds *= np.array([1 + before.get(name, 0) for name in tick.subjects], np.float32)
        self.gaps[tick.metrics[m]] = {tick.subjects[s]: before.get(tick.subjects[s], 0) + 1 for s in np.flatnonzero(np.isnan(tick.values[m])).tolist()}
        return np.asarray(tick.values[m] / seconds)

    def explained(self, findings: Iterable[Finding], tick: Tick) -> list[Finding]:
        """Return the findings, with late ranks of a machine that was busy lately (it comes and goes) called so."""
        return [self._explained(f, tick) for f in findings]

    def _explained(self, f: Finding, tick: Tick) -> Finding:
        if f.side != "service" or tick.time - self.last.get(tick.roster.key(f.subject, "node"), -(2**60)) > recent(tick):
            return f
        return f._replace(mode=CONTENTION, why=f"the host is busy with something else: {f.why}")
