"""Spending: redundancy that is used up more often than the peers explain: remapped rows, replays, corrected errors.

Counts are zero nearly everywhere, so distances in sigmas mean nothing, and they come in bursts: one bad row gives
thousands of corrected errors. So not the errors are counted but the ticks in which there were any, over a short and a
long past, and compared with a negative binomial law whose mean and spread are those of all the others. Where healthy
parts differ much among each other the law is wide by itself, and one that differs as they do is nothing special. A
tick counts for what was moved in it, where that is told: errors come with traffic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope import traffic
from grayscope.begun import Past, begun
from grayscope.columns import Columns, Field, Memory
from grayscope.counting import count_on
from grayscope.evidence import NOTHING, Crowd, Evidence, Finding
from grayscope.horizons import ENOUGH, MARGIN, known_by, looks, peers, threshold
from grayscope.medians import CROWD
from grayscope.spendwords import ANY, BESIDE, MUCH, OWN, WORDS, Best, crowd, finding
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.unlikely import unlikely
from grayscope.weighing import SPANS

Floats = NDArray[np.float64]
#: Ticks over which the past fades. Most pasts count that a counter rose at all. Where rows are minutes apart a worn part rises in many of them and
#: a broken one cannot in more than all, so rows in which much came (`MUCH`) are counted in the last past: if the row before had as much, for one
#: burst is one event however large.
PASTS = (*SPANS, 256)
#: What is left of each a tick later.
LEFT = np.array([1 - 1 / past for past in PASTS])
#: Ticks between two looks.
LOOK = 4
#: Events that make a series at all: one is chance.
LEAST = 3.0
#: Events that are left of a past when it is over, and the next one begins anew.
OVER = 0.5


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
        # What each does by itself begins anew with its job: an idle part may spend nothing, and a busy one always.
        own = {"since": Field(np.float64, 0.0, per_metric=False), "own_events": Field(np.float64, 0.0, pasts), "own_ticks": Field(np.float64, 0.0, pasts)}
        # Of those that began, events and ticks of their own past until then; of all, the most events that the shorter past has held.
        kept = {"before": Field(np.float64, math.nan), "there": Field(np.float64, math.nan), "most": Field(np.float64, 0.0), "last": Field(np.float64, 0.0)}
        counted = {"events": Field(np.float64, 0.0, pasts), "ticks": Field(np.float64, 0.0, pasts), "usual": Field(np.bool_, False, pasts)}
        self.memory = Memory({**counted, "first": Field(np.float64, 0.0), **own, **kept})
        self.flows = Memory(traffic.FIELDS)  # of the tables that tell what is moved: most do not, and hold most parts
        self._since: dict[str, tuple[object, object, Floats]] = {}
        self._carriers: dict[str, tuple[tuple[str, ...], dict[int, list[int]]]] = {}

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the subjects that spend more often than the others explain."""
        columns, flow = self.memory.of(tick), self._flow(tick)
        rows = [m for m, metric in enumerate(standing.metrics) if metric and metric.type == "counter" and metric.side == "redundancy" and standing.sign[m]]
        if not rows:
            return NOTHING
        self._forget(tick, standing, columns, flow)
        self._count(tick, standing, columns, flow, rows)
        if columns.ticks % LOOK:
            return NOTHING
        tests, found, crowds = len(rows) * len(PASTS), list[Finding](), list[Crowd]()
        for m in rows:
            best, together = self._best(tick, standing, columns, flow, m, tests)
            found += self._told(tick, standing, columns, flow, m, best)
            crowds += [crowd(self._told(tick, standing, columns, flow, m, together), len(tick.subjects))] if together else []
        return Evidence([*found, *(c.finding for c in crowds)], crowds=crowds) if found or crowds else NOTHING

    def _forget(self, tick: Tick, standing: Standing, columns: Columns, flow: traffic.Arrays | None) -> None:
        """Begin anew where the peers, or the work, are others."""
        a, moved, anew = columns.arrays, standing.moved_cells(), self._anew(tick, columns)
        if moved is not None:  # among new peers, what was counted beside the old ones says nothing
            a["events"][..., moved], a["ticks"][..., moved], a["usual"][..., moved] = 0, 0, False
        if anew.any():
            for name in ("own_events", "own_ticks", "before", "most"):
                a[name][..., anew] = math.nan if name == "before" else 0.0
        if flow:
            traffic.forget(flow, moved, anew)

    def _flow(self, tick: Tick) -> traffic.Arrays | None:
        """Return what is kept of the traffic of this table; None where no counter has anything that tells of it."""
        known = self._carriers.get(tick.table)
        if known is None or known[0] is not tick.metrics:
            known = self._carriers[tick.table] = (tick.metrics, traffic.carriers(tick.table, tick.metrics))
        return self.flows.of(tick).arrays if known[1] else None

    def _count(self, tick: Tick, standing: Standing, columns: Columns, flow: traffic.Arrays | None, rows: list[int]) -> None:
        """Take the tick into the pasts; where the account of a counter says what it is exposed to, it counts for what was moved of that."""
        a, carriers, subjects = columns.arrays, self._carriers[tick.table][1], len(tick.subjects)
        exposed = [m for m in rows if m in carriers]
        large, much = np.ones((1 + len(exposed), subjects)), np.full((1 + len(exposed), subjects), MUCH)
        for i, m in enumerate(exposed, 1):
            assert flow is not None
            group = traffic.grouped(standing.label[standing.layout[m]], ~standing.doubted, a["events"][1, m], a["ticks"][1, m])
            large[i] = traffic.weighed(tick, flow, m, carriers[m], group)
            much[i] *= traffic.beside(large[i], group.label)
        seat = np.array([1 + exposed.index(m) if m in carriers else 0 for m in rows])
        reported = flow["reported"] if flow else np.empty((0, 0, 0))
        count_on(
            np.array(rows), tick.values[rows].astype(np.float64), seat, large, much, float(tick.time - tick.period), OVER, LEFT,
            a["first"], a["last"], a["usual"], a["events"], a["ticks"], a["own_events"], a["own_ticks"], reported,
        )  # fmt: skip

    def _anew(self, tick: Tick, columns: Columns) -> NDArray[np.bool_]:
        """Return who [S] has been given other work, or is another part, since the last tick: the roster has a new row."""
        known = self._since.get(tick.table)
        if known is None or known[0] is not tick.roster or known[1] is not tick.subjects:
            rows = (tick.roster.rows.get(s) for s in tick.subjects)
            since = np.array([float(row.since or 0) if row is not None else 0.0 for row in rows])
            known = self._since[tick.table] = (tick.roster, tick.subjects, since)
        anew = columns.arrays["since"] != known[2]
        columns.arrays["since"][:] = known[2]
        return np.asarray(anew)

    def _best(
        self, tick: Tick, standing: Standing, columns: Columns, flow: traffic.Arrays | None, m: int, tests: int
    ) -> tuple[dict[int, Best], dict[int, Best]]:
        """Return who is accused for a metric, and the members of a crowd, too many to be accused each."""
        label, trusted = standing.label[standing.layout[m]], ~standing.doubted
        best, together = dict[int, Best](), dict[int, Best]()
        for h, past in enumerate(PASTS):
            # A fading past is a new look with every event: twice as many as a running mean has.
            chances = math.log(2 * tests * looks(past, tick.period))
            counted, usual = (columns.arrays["events"][h, m], columns.arrays["ticks"][h, m]), columns.arrays["usual"][h, m]
            suspects = np.flatnonzero((counted[0] >= LEAST) & ~usual)
            room = traffic.room(flow["reported"][h % 2, m, suspects], counted[1][suspects]) if flow else None
            usual[suspects] = True  # and so it stays until there is another event
            needed = (self.level + chances, self.level * ENOUGH / (CROWD - 1) + chances)
            for s, tail, expected, lent in unlikely(suspects, *counted, label, trusted, *needed, room):
                if -tail - chances < self.level or ((others := peers(label, counted[1] > 0, s)) < CROWD - 1 and not lent):
                    continue  # or nothing is known of other groups
                strength = known_by(max(others, min(others + lent, CROWD - 1)), -tail - chances)
                usual[s] = strength < self.level
                self._better(best, s, Best(strength, float(counted[0][s]), expected, float(counted[1][s]), f"{WORDS[h]}, {BESIDE}", h))
            if h == 0:
                self._began(columns, flow, m, suspects, label, trusted, chances + math.log(2), (best, together))
        return best, together

    def _began(
        self, columns: Columns, flow: traffic.Arrays | None, m: int, suspects: NDArray[np.intp], label: NDArray[np.int32], trusted: NDArray[np.bool_],
        chances: float, told: tuple[dict[int, Best], dict[int, Best]],
    ) -> None:  # fmt: skip
        """Add to those told, and to the crowd, who begins to spend together with others."""
        a = columns.arrays
        events, ticks, before, there, most = a["own_events"][:, m], a["own_ticks"][:, m], a["before"][m], a["there"][m], a["most"][m]
        before[events[0] < LEAST] = math.nan
        most *= 1 - LOOK / PASTS[1]  # what was long ago is forgotten
        if not len(suspects):
            np.maximum(most, events[0], out=most)
            return
        own = np.isnan(before)
        past = Past(np.where(own, np.maximum(events[1] - events[0], 0.0), before), np.where(own, np.maximum(ticks[1] - ticks[0], 0.0), there), most)
        room = traffic.room(flow["reported"][0, m], a["ticks"][0, m]) if flow else 1.0
        began = begun(suspects, events[0], ticks[0] * room, past, label, trusted)
        np.maximum(most, events[0], out=most)
        for s, tail, expected in zip(began.subjects, began.tails, began.usual, strict=True):
            strength = known_by(peers(label, ticks[0] > 0, s), -tail - chances)
            if strength >= self.level:  # what it does from now on is no part of its past
                a["usual"][0, m, s], before[s], there[s] = False, past.events[s], past.ticks[s]
            of = Best(strength, float(events[0, s]), expected, float(ticks[0, s]), f"{ANY}, {OWN}", 0)
            self._better(told[0 if began.few else 1], s, of)

    def _better(self, best: dict[int, Best], s: int, of: Best) -> None:
        if of.strength >= self.level and of.strength > best.get(s, Best()).strength:
            best[s] = of

    def _told(self, tick: Tick, standing: Standing, columns: Columns, flow: traffic.Arrays | None, m: int, best: dict[int, Best]) -> list[Finding]:
        carriers, first = self._carriers[tick.table][1].get(m, []), columns.arrays["first"][m]
        return [finding(tick, standing, m, s, of, int(first[s]), flow, carriers) for s, of in sorted(best.items())]

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot() | {f"flow|{key}": array for key, array in self.flows.snapshot().items()}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore({key: array for key, array in state.items() if not key.startswith("flow|")})
        self.flows.restore({key.removeprefix("flow|"): array for key, array in state.items() if key.startswith("flow|")})
