"""Spending: redundancy that is used up more often than the peers explain: remapped rows, replays, corrected errors.

Counts are zero nearly everywhere, so distances in sigmas mean nothing, and they come in bursts: one bad row gives
thousands of corrected errors. So not the errors are counted but the ticks in which there were any, over a short and a
long past, and compared with a negative binomial law whose mean and spread are those of all the others. Where healthy
parts differ much among each other the law is wide by itself, and one that differs as they do is nothing special.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.begun import begun
from grayscope.binomial import log_tail
from grayscope.columns import Columns, Field, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.horizons import MARGIN, known_by, looks, peers, threshold
from grayscope.medians import CROWD
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.uneven import ALONE, between, within

Floats = NDArray[np.float64]
#: Ticks over which the past fades.
PASTS = (256, 4096)
#: Events that make a series at all: one is chance.
LEAST = 3.0
#: Strength, ticks with events, what would be usual, all ticks, and what makes that usual.
Best = tuple[float, float, float, float, str]
NONE: Best = (-math.inf, 0.0, 0.0, 0.0, "")


class Spending:
    """Watch the counters of side ``redundancy``.

    Not for: gauges and states (`slower` sees those), and parts that all spend alike (a ledger of what is left does).

    Parameters
    ----------
    false_pages : float
        Accepted false alarms per 1,000 subject-weeks.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0) -> None:
        self.level = threshold(false_pages) - MARGIN
        pasts = (len(PASTS),)
        self.memory = Memory({"events": Field(np.float64, 0.0, pasts), "ticks": Field(np.float64, 0.0, pasts), "usual": Field(np.bool_, False, pasts)})

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the subjects that spend more often than the others explain."""
        columns = self.memory.of(tick)
        rows = [m for m, metric in enumerate(standing.metrics) if metric and metric.type == "counter" and metric.side == "redundancy" and standing.sign[m]]
        if not rows:
            return NOTHING
        events, ticks, usual = columns.arrays["events"], columns.arrays["ticks"], columns.arrays["usual"]
        moved = standing.moved_cells()
        if moved is not None:  # among new peers, what was counted beside the old ones says nothing
            events[..., moved], ticks[..., moved], usual[..., moved] = 0, 0, False
        values = tick.values[rows]
        usual[:, rows] &= ~(values > 0)
        for h, past in enumerate(PASTS):
            events[h, rows] = events[h, rows] * (1 - 1 / past) + (values > 0)
            ticks[h, rows] = ticks[h, rows] * (1 - 1 / past) + np.isfinite(values)
        if columns.ticks % 4:
            return NOTHING
        findings = list(self._findings(tick, standing, columns, rows))
        return Evidence(findings) if findings else NOTHING

    def _findings(self, tick: Tick, standing: Standing, columns: Columns, rows: list[int]) -> Iterator[Finding]:
        tests = len(rows) * len(PASTS)
        for m in rows:
            label = standing.label[standing.layout[m]]
            best: dict[int, Best] = {}
            pasts = columns.arrays["events"][:, m], columns.arrays["ticks"][:, m]
            for h, past in enumerate(PASTS):
                # A fading past is a new look with every event: twice as many as a running mean has.
                chances = math.log(2 * tests * looks(past, tick.period))
                counted, usual = (columns.arrays["events"][h, m], columns.arrays["ticks"][h, m]), columns.arrays["usual"][h, m]
                suspects = np.flatnonzero((counted[0] >= LEAST) & ~usual)
                usual[suspects] = True  # and so it stays until there is another event
                for s, tail, expected, lent in _unlikely(suspects, *counted, label, ~standing.doubted, self.level + chances):
                    others = peers(label, counted[1] > 0, s)
                    strength = known_by(max(others, min(others + lent, CROWD - 1)), -tail - chances)
                    usual[s] = strength < self.level
                    if strength >= self.level and strength > best.get(s, NONE)[0]:
                        best[s] = (strength, float(counted[0][s]), expected, float(counted[1][s]), "usual among its {} peers")
                for s, tail, expected in begun(suspects, *pasts, label, ~standing.doubted) if h == 0 else ():
                    strength = known_by(peers(label, counted[1] > 0, s), -tail - chances - math.log(2))
                    usual[s] &= strength < self.level
                    if strength >= self.level and strength > best.get(s, NONE)[0]:
                        best[s] = (strength, float(counted[0][s]), expected, float(counted[1][s]), "usual by its own past; it has {} peers")
            for s, found in sorted(best.items()):
                yield self._finding(tick, standing, m, s, found)

    @staticmethod
    def _finding(tick: Tick, standing: Standing, m: int, s: int, best: Best) -> Finding:
        metric = standing.metrics[m]
        assert metric is not None
        strength, seen, expected, ticks, words = best
        n = max(standing.peers(m, s), 1)  # nobody is alone, but the only peer may not report at this moment
        text = f"{tick.metrics[m]} rose in {seen:.0f} of the last {ticks:.0f} ticks, {expected:.2g} would be {words.format(n)}"
        mode, mechanism = metric.mode or "", metric.mechanism or ""
        return Finding(tick.time, tick.subjects[s], "redundancy", "spending", round(strength, 4), mode, mechanism, tick.metrics[m], seen, expected, n, why=text)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot()

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore(state)


def _unlikely(
    suspects: NDArray[np.intp], events: Floats, ticks: Floats, label: NDArray[np.int32], trusted: NDArray[np.bool_], needed: float
) -> Iterator[tuple[int, float, float, float]]:
    """Yield (subject, ln of the tail probability, expected events, lent) for those of the `suspects` that may reach -`needed`, against their own groups.

    The law is the predictive one: it knows that the group's rate was itself estimated from few events, and that healthy
    parts differ, by as much as all others that are `trusted` do within their groups. Before a group has seen much, its
    rate is that of all groups, for as many events as groups differ little: that is worth as many peers more (`lent`) as it
    takes to watch so long. They make one of two worth what one of four is, not more, and nobody who is alone.
    """
    if not len(suspects):
        return
    seen, watched = (np.bincount(label, weights=np.where(trusted, x, 0.0), minlength=int(label.max()) + 1) for x in (events, ticks))
    members = np.bincount(label, weights=ticks > 0)
    g, own = label[suspects], trusted[suspects]
    among, exposed = seen[g] - own * events[suspects], np.maximum(watched[g] - own * ticks[suspects], 1.0)
    # Half an event more than was seen: none so far is not impossible. Cheap first, with a mean that what follows does not fall below.
    rest = (seen.sum() - own * events[suspects] + ALONE) / np.maximum(watched.sum() - own * ticks[suspects], 1.0)
    n, mean = np.floor(events[suspects]), ticks[suspects] / (exposed / (among + ALONE) + 1.0 / rest)
    # No law with this mean has a thinner tail than Poisson's, and that one is not thin enough.
    far = (members[g] >= 2) & (n > mean) & (n * np.log(n / mean) - (n - mean) + 3.0 >= needed)
    for s, count, others, there in zip(suspects[far].tolist(), n[far].tolist(), among[far].tolist(), exposed[far].tolist(), strict=True):
        inside = within(events, ticks, label, trusted, s, len(seen))
        known, over = between(events, ticks, label, trusted, s, len(seen), inside)
        usual = (others + known) / (there + over) * float(ticks[s])
        size = 1.0 / (1.0 / (others + known) + inside)
        yield s, log_tail(int(count), usual, usual + usual * usual / size), usual, over / float(ticks[s])
