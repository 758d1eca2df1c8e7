"""Spending: redundancy that is used up more often than the peers explain: remapped rows, replays, corrected errors.

Counts are zero nearly everywhere, so distances in sigmas mean nothing, and they come in bursts: one bad row gives
thousands of corrected errors. So not the errors are counted but the ticks in which there were any, over a short and a
long past, and compared with a negative binomial law whose mean and spread are those of all the others. Where healthy
parts differ much among each other the law is wide by itself, and one that differs as they do is nothing special. A
tick counts for what was moved in it, where that is told: errors come with traffic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope import traffic
from grayscope.begun import Past, begun
from grayscope.binomial import log_tail
from grayscope.catalogue import Metric
from grayscope.columns import Columns, Field, Memory
from grayscope.evidence import NOTHING, Crowd, Evidence, Finding
from grayscope.horizons import ENOUGH, MARGIN, known_by, looks, peers, threshold
from grayscope.medians import CROWD
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.uneven import ALONE, alike, between, within

Floats = NDArray[np.float64]
#: Ticks over which the past fades, and by how much a counter rises at least to be counted in it: most count that it rose at all. Where rows are
#: minutes apart a worn part rises in many of them and a broken one cannot in more than all, so rows in which much came are counted, too: if
#: the row before had as much, for one burst is one event however large.
PASTS, MUCH = (*traffic.SPANS, 256), 8.0
#: What each past counts, in words: rows with a rise, and of those with a large one all but the first.
ANY, MANY = "in {} of the last {} ticks", f"by {MUCH:.0f} and more in {{}} of the last {{}} ticks, row after row"
WORDS = (ANY, ANY, MANY)
BESIDE, OWN = "{} would be usual among its {} peers", "{} would be usual by its own past; it has {} peers"
#: Of one that moves more than is usual so many ticks' worth are counted, which are no ticks.
WORTH = "as often as {} of {} ticks of usual traffic"
#: Ticks between two looks.
LOOK = 4
#: Events that make a series at all: one is chance.
LEAST = 3.0
#: Events that are left of a past when it is over, and the next one begins anew.
OVER = 0.5
#: Strength, ticks with events, what would be usual, all ticks, what makes that usual, and which past.
Best = tuple[float, float, float, float, str, int]
NONE: Best = (-math.inf, 0.0, 0.0, 0.0, "", 0)


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
        self.memory = Memory(
            {
                "events": Field(np.float64, 0.0, pasts),
                "ticks": Field(np.float64, 0.0, pasts),
                "usual": Field(np.bool_, False, pasts),
                "first": Field(np.float64, 0.0),
                **own,
                **kept,
            }
        )
        self.flows = Memory(traffic.FIELDS)  # of the tables that tell what is moved: most do not, and hold most parts
        self._since: dict[str, tuple[object, object, Floats]] = {}
        self._carriers: dict[str, tuple[tuple[str, ...], dict[int, list[int]]]] = {}

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the subjects that spend more often than the others explain."""
        columns, flow = self.memory.of(tick), self._flow(tick)
        rows = [m for m, metric in enumerate(standing.metrics) if metric and metric.type == "counter" and metric.side == "redundancy" and standing.sign[m]]
        if not rows:
            return NOTHING
        events, ticks, usual = (columns.arrays[name] for name in ("events", "ticks", "usual"))
        moved = standing.moved_cells()
        if moved is not None:  # among new peers, what was counted beside the old ones says nothing
            events[..., moved], ticks[..., moved], usual[..., moved] = 0, 0, False
        anew = self._anew(tick, columns)
        if anew.any():
            for name in ("own_events", "own_ticks", "before", "most"):
                columns.arrays[name][..., anew] = math.nan if name == "before" else 0.0
        if flow:
            traffic.forget(flow, moved, anew)
        count, last, first = tick.values[rows].astype(np.float64), columns.arrays["last"], columns.arrays["first"]
        came, rose = np.isfinite(count), count > 0
        large, much = self._weighed(tick, standing, columns, flow, rows)
        first[rows] = np.where(rose & (events[0, rows] < OVER), tick.time - tick.period, first[rows])
        some = traffic.filled(count, last[rows], large)
        events_now = [some, some, (count >= much) & (last[rows] >= much)]
        last[rows] = np.where(came, count, last[rows])
        for h, (past, event) in enumerate(zip(PASTS, events_now, strict=True)):
            usual[h, rows] &= event == 0
            there = np.where(came, large, 0.0)
            for name, new in (("events", np.asarray(event)), ("ticks", there), ("own_events", np.asarray(event)), ("own_ticks", there)):
                columns.arrays[name][h, rows] = columns.arrays[name][h, rows] * (1 - 1 / past) + new
            if flow and h < len(traffic.SPANS):
                flow["reported"][h, rows] = flow["reported"][h, rows] * (1 - 1 / past) + came
        if columns.ticks % LOOK:
            return NOTHING
        tests, found, crowds = len(rows) * len(PASTS), list[Finding](), list[Crowd]()
        for m in rows:
            best, crowd = self._best(tick, standing, columns, flow, m, tests)
            found += [self._finding(tick, standing, m, s, of, columns, flow) for s, of in sorted(best.items())]
            crowds += [_crowd([self._finding(tick, standing, m, s, of, columns, flow) for s, of in sorted(crowd.items())], len(tick.subjects))] if crowd else []
        return Evidence([*found, *(c.finding for c in crowds)], crowds=crowds) if found or crowds else NOTHING

    def _flow(self, tick: Tick) -> traffic.Arrays | None:
        """Return what is kept of the traffic of this table; None where no counter has anything that tells of it."""
        known = self._carriers.get(tick.table)
        if known is None or known[0] is not tick.metrics:
            known = self._carriers[tick.table] = (tick.metrics, traffic.carriers(tick.table, tick.metrics))
        return self.flows.of(tick).arrays if known[1] else None

    def _weighed(self, tick: Tick, standing: Standing, columns: Columns, flow: traffic.Arrays | None, rows: list[int]) -> tuple[Floats, Floats]:
        """Return for how many ticks this one counts, and how many errors are many in it, [rows, S] each.

        By what was moved, where the account of a counter says what it is exposed to.
        """
        shape = (len(rows), len(tick.subjects))
        large, much = np.ones(shape), np.full(shape, MUCH)
        if flow is None:
            return large, much
        events, ticks, carriers = columns.arrays["events"][1], columns.arrays["ticks"][1], self._carriers[tick.table][1]
        for i, m in enumerate(rows):
            if m in carriers:
                group = traffic.grouped(standing.label[standing.layout[m]], ~standing.doubted, events[m], ticks[m])
                large[i] = traffic.weighed(tick, flow, m, carriers[m], group)
                much[i] *= traffic.beside(large[i], group.label)
        return large, much

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
        best, crowd = dict[int, Best](), dict[int, Best]()
        for h, past in enumerate(PASTS):
            # A fading past is a new look with every event: twice as many as a running mean has.
            chances = math.log(2 * tests * looks(past, tick.period))
            counted, usual = (columns.arrays["events"][h, m], columns.arrays["ticks"][h, m]), columns.arrays["usual"][h, m]
            room = traffic.room(flow["reported"][h % 2, m], counted[1]) if flow else np.ones(len(counted[1]))
            suspects = np.flatnonzero((counted[0] >= LEAST) & ~usual)
            usual[suspects] = True  # and so it stays until there is another event
            needed = (self.level + chances, self.level * ENOUGH / (CROWD - 1) + chances)
            for s, tail, expected, lent in _unlikely(suspects, *counted, label, trusted, *needed, room):
                if -tail - chances < self.level or ((others := peers(label, counted[1] > 0, s)) < CROWD - 1 and not lent):
                    continue  # or nothing is known of other groups
                strength = known_by(max(others, min(others + lent, CROWD - 1)), -tail - chances)
                usual[s] = strength < self.level
                self._better(best, s, (strength, float(counted[0][s]), expected, float(counted[1][s]), f"{WORDS[h]}, {BESIDE}", h))
            if h == 0:
                self._began(columns, m, suspects, room, label, trusted, chances + math.log(2), (best, crowd))
        return best, crowd

    def _began(
        self, columns: Columns, m: int, suspects: NDArray[np.intp], room: Floats, label: NDArray[np.int32], trusted: NDArray[np.bool_], chances: float,
        told: tuple[dict[int, Best], dict[int, Best]],
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
        began = begun(suspects, events[0], ticks[0] * room, past, label, trusted)
        np.maximum(most, events[0], out=most)
        for s, tail, expected in zip(began.subjects, began.tails, began.usual, strict=True):
            strength = known_by(peers(label, ticks[0] > 0, s), -tail - chances)
            if strength >= self.level:  # what it does from now on is no part of its past
                a["usual"][0, m, s], before[s], there[s] = False, past.events[s], past.ticks[s]
            of = (strength, float(events[0, s]), expected, float(ticks[0, s]), f"{ANY}, {OWN}", 0)
            self._better(told[0 if began.few else 1], s, of)

    def _better(self, best: dict[int, Best], s: int, of: Best) -> None:
        if of[0] >= self.level and of[0] > best.get(s, NONE)[0]:
            best[s] = of

    def _unit(self, tick: Tick, standing: Standing, m: int) -> Metric | None:
        """Return the metric of what a counter is exposed to."""
        rows = self._carriers[tick.table][1].get(m)
        return standing.metrics[rows[0]] if rows else None

    def _finding(self, tick: Tick, standing: Standing, m: int, s: int, best: Best, columns: Columns, flow: traffic.Arrays | None) -> Finding:
        metric = standing.metrics[m]
        assert metric is not None
        strength, seen, expected, ticks, words, h = best
        n = max(standing.peers(m, s), 1)  # nobody is alone, but the only peer may not report at this moment
        # A tick in which more or less was moved than is usual counts for more or less than one.
        span = h % 2
        if flow and flow["moved"][span, m, s] > 0:
            reported = float(flow["reported"][span, m, s])
            words, ticks = (words, reported) if seen <= reported else (words.replace(WORDS[h], WORTH), ticks)
        text = f"{tick.metrics[m]} rose {words.format(f'{seen:.0f}', f'{ticks:.0f}', f'{expected:.2g}', n)}"
        if flow:
            text += traffic.rates(flow, m, s, span, standing.label[standing.layout[m]], self._unit(tick, standing, m))
        mode, mechanism = metric.mode or "", metric.mechanism or ""
        since = int(columns.arrays["first"][m, s])
        found = Finding(tick.time, tick.subjects[s], "redundancy", "spending", round(strength, 4), mode, mechanism, tick.metrics[m], seen, expected, n, since)
        return found._replace(why=text)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot() | {f"flow|{key}": array for key, array in self.flows.snapshot().items()}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore({key: array for key, array in state.items() if not key.startswith("flow|")})
        self.flows.restore({key.removeprefix("flow|"): array for key, array in state.items() if key.startswith("flow|")})


def _crowd(members: list[Finding], parts: int) -> Crowd:
    """Return what is told of parts that began at once: a notice, unless what they share is accused."""
    first = max(members, key=lambda f: f.strength)
    text = f"{len(members)} of {parts} began at once, first {members[0].subject}: {first.why}"
    return Crowd(first._replace(subject="site", mode="group_shift", mechanism="", why=text), tuple(members), sure=False)


def _unlikely(
    suspects: NDArray[np.intp], events: Floats, ticks: Floats, label: NDArray[np.int32], trusted: NDArray[np.bool_], needed: float, few: float | None = None,
    room: Floats | None = None,
) -> Iterator[tuple[int, float, float, float]]:  # fmt: skip
    """Yield (subject, ln of the tail probability, expected events, lent) for those of the `suspects` that may reach -`needed`, against their own groups.

    The law is the predictive one: it knows that the group's rate was itself estimated from few events, and that healthy
    parts differ, by as much as all others that are `trusted` do within their groups. Before a group has seen much, its
    rate is that of all groups, for as many events as groups differ little: that is worth as many peers more (`lent`) as it
    takes to watch so long. They make one of two worth what one of four is, not more, and nobody who is alone.
    By how much more than that there may be, because traffic does not tell all, is `room`.
    """
    if not len(suspects):
        return
    seen, watched = (np.bincount(label, weights=np.where(trusted, x, 0.0), minlength=int(label.max()) + 1) for x in (events, ticks))
    members = np.bincount(label, weights=ticks > 0)
    g, own = label[suspects], trusted[suspects]
    among, exposed = seen[g] - own * events[suspects], np.maximum(watched[g] - own * ticks[suspects], 1.0)
    # Half an event more than was seen: none so far is not impossible. Cheap first, with a mean that what follows does not fall below.
    rest = (seen.sum() - own * events[suspects] + ALONE) / np.maximum(watched.sum() - own * ticks[suspects], 1.0)
    room = np.ones(len(events)) if room is None else room
    n, mean = np.floor(events[suspects]), room[suspects] * ticks[suspects] / (exposed / (among + ALONE) + 1.0 / rest)
    # No law with this mean has a thinner tail than Poisson's, and that one is not thin enough.
    far = (members[g] >= 2) & (n > mean) & (n * np.log(n / mean) - (n - mean) + 3.0 >= np.where(members[g] < CROWD, needed if few is None else few, needed))
    if not far.any():
        return
    of = alike(events, ticks, label, trusted, len(seen))
    for s, count, others, there in zip(suspects[far].tolist(), n[far].tolist(), among[far].tolist(), exposed[far].tolist(), strict=True):
        leaving = float(events[s]), int(of.row[s])
        inside = within(of, *leaving)
        known, over = between(of, inside, *leaving)
        usual = (others + known) / (there + over) * float(ticks[s] * room[s])
        size = 1.0 / (1.0 / (others + known) + inside)
        yield s, log_tail(int(count), usual, usual + usual * usual / size), usual, over / float(ticks[s])
