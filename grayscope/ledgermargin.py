"""Ledgermargin: redundancy that is a distance: decades to the cliff of an error-correcting code, spare blocks, wear."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.drifts import Line, fit
from grayscope.evidence import Finding
from grayscope.ledger import HOUR, Entry, moment
from grayscope.ledgerpage import CERTAIN, Book, Floats, Note, Page, field
from grayscope.ledgerwords import end_in_words, left_in_words, pace_in_words
from grayscope.mechanisms import Account
from grayscope.tick import Tick
from grayscope.wording import number

#: Points of the window, and the shortest and longest time that one of them stands for (microseconds).
POINTS, SHORTEST, LONGEST = 48, HOUR // 12, HOUR
#: A bit error ratio below this cannot be told from none.
FLOOR = 1e-15
#: The loss of margin of one that stands out from all others, in robust spreads of theirs, and as a share of what it has left.
STANDS_OUT, WORTH = 6.0, 0.05
#: Steps of a margin that is told in such, more than which are worth as much, however little of it they are: one may be rounding, and between them is no noise.
STEPS = 1.5
#: Others that make a comparison.
OTHERS = 8
#: Share of the budget by which a margin must move to be told again; so is an end that leaves the interval told last.
NEWS = 0.1
SIGMA = 1.4826
#: A forecast is told anew, too, when its interval has become so much narrower.
SHARPER = 0.5
#: Horizons beyond which the end of what was said to be near is far.
LEAVE = 2


class Margins:
    """Follow gauges towards a cliff, by means over blocks; a full window is thinned to half, until a block lasts an hour."""

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon
        fields = {name: field(np.float32, np.nan, (POINTS,)) for name in ("margin", "other")}
        fields |= {name: field(np.float64, 0.0) for name in ("sum", "cover", "n")}
        fields |= {name: field(np.float64, np.nan) for name in ("best", "said", "low", "high", "cliff")} | {"gone": field(np.bool_, False)}
        self.book = Book(fields)
        #: account -> length of a block, start of the open one (microseconds), points filled.
        self.clock: dict[str, tuple[int, int, int]] = {}

    def step(self, page: Page, tick: Tick) -> Iterator[Note]:
        """Yield what changed."""
        a = self.book.of(page, tick)
        length, began, filled = self.clock.get(page.account.key, (max(SHORTEST, tick.period), tick.time - tick.period, 0))
        left, other = self._left(page, tick, self._cliff(page, tick, a)), page.column(tick, "explained")
        came = np.isfinite(left)
        a["sum"] += np.where(came, left, 0.0)
        a["n"] += came
        a["cover"] += np.where(came, 0.0 if other is None else other, 0.0)  # one that is not reported makes its block unknown
        self.clock[page.account.key] = (length, began, filled)
        if tick.time - began >= length:
            yield from self._close(page, tick, a)

    @staticmethod
    def _cliff(page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]]) -> Floats:
        """Return where each part's margin ends [S]: where it last said itself, unless nothing could lie beyond that, else what is published."""
        told, account = page.column(tick, "expected"), page.account
        if told is not None:
            believed = (told >= 0) & (told < (math.inf if account.top is None else account.top))
            a["cliff"] = np.where(believed, told, a["cliff"])
        return np.where(np.isnan(a["cliff"]), account.cliff, a["cliff"])

    @staticmethod
    def _left(page: Page, tick: Tick, cliff: Floats) -> Floats:
        value, account = page.column(tick, "gauge"), page.account
        assert value is not None
        if account.decades:
            with np.errstate(invalid="ignore"):
                return np.asarray(np.log10(cliff) - np.log10(np.maximum(value, FLOOR)))
        return value - cliff

    def _close(self, page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]]) -> Iterator[Note]:
        """Add a point to every window, and look at those that lost more than the others."""
        length, _, filled = self.clock[page.account.key]
        if filled == POINTS:
            filled = _slide(a)
        with np.errstate(invalid="ignore", divide="ignore"):
            a["margin"][filled], a["other"][filled] = a["sum"] / a["n"], a["cover"] / a["n"]
        for name in ("sum", "cover", "n"):
            a[name][:] = 0.0
        self.clock[page.account.key] = (length, tick.time, filled + 1)
        a["best"] = np.fmax(a["best"], a["margin"][filled])
        window = a["margin"][: filled + 1]
        if page.account.abrupt:
            window = window[-2:]
        for s in np.flatnonzero(_outstanding(window, a["gone"], page.account.resolution)).tolist():
            note = self._look(page, tick, a, s, filled + 1, length)
            if note is not None:
                yield note
        if filled + 1 == POINTS and 2 * length <= max(LONGEST, tick.period):
            self.clock[page.account.key] = (2 * length, tick.time, _halve(a))

    def _look(self, page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]], s: int, n: int, length: int) -> Note | None:
        hours = np.arange(1 - n, 1, dtype=np.float64) * np.float64(length / HOUR)
        cover = a["other"][:n, s].astype(np.float64) if page.rows["explained"] else None
        now = float(a["margin"][n - 1, s])
        back = bool(a["gone"][s]) and a["said"][s] <= 0 and now > NEWS * a["best"][s]
        if back:  # what was used up is there again, and begins anew
            a["margin"][: n - 1, s] = np.nan
        line = None if page.account.abrupt else fit(hours, a["margin"][:n, s].astype(np.float64), cover, page.account.resolution)
        if math.isnan(now) or (now > 0 and not back and (line is None or line.lost <= float(_worth(np.full(1, now), page.account.resolution)[0]))):
            return None
        cliff = float(self._cliff(page, tick, a)[s])
        entry = self._entry(page, tick, _budget(page.account, float(a["best"][s]), cliff), now, s, line, length)
        if not _news(entry, float(a["said"][s]), float(a["low"][s]), float(a["high"][s])):
            return None
        a["said"][s], a["low"][s], a["high"][s] = now, entry.exhausted_low, entry.exhausted_high
        since = entry.time if line is None else tick.time - (n - 1 - line.since) * length
        finding = self._finding(page, tick, entry, line, bool(a["gone"][s]), since)
        if finding is not None:
            whose = "" if math.isnan(a["cliff"][s]) else f"; by its own threshold it ends at {number(cliff)}"
            finding = finding._replace(expected=cliff, why=finding.why + whose)
        a["gone"][s] = finding is not None
        return Note(page.account.key, entry.subject, entry, finding)

    @staticmethod
    def _entry(page: Page, tick: Tick, budget: float, now: float, s: int, line: Line | None, length: int) -> Entry:
        account = page.account
        entry = Entry(tick.time, tick.subjects[s], account.mechanism, budget, budget - now, max(now, 0.0), account.unit)
        if line is None or now <= 0:
            return entry
        # The last point stands for the middle of its block.
        low, at, high = (moment(tick.time - length // 2, h) for h in line.ends)
        return entry._replace(rate=-line.slope, exhausted_low=low, exhausted_at=at, exhausted_high=high)

    def _finding(self, page: Page, tick: Tick, entry: Entry, line: Line | None, held: bool, since: int) -> Finding | None:
        """Return what is to be said of a margin that began to shrink at a moment.

        What was said holds until it likelier grows than shrinks, or its end is far beyond the horizon.
        """
        within = self.horizon * (LEAVE if held else 1)
        sure = line is not None and (held or line.high < 0) and entry.exhausted_at and entry.exhausted_at - entry.time <= within
        if not (entry.left <= 0 or sure):
            return None
        metric = tick.metrics[page.rows["gauge"][0]]
        value = float(tick.values[page.rows["gauge"][0], tick.subjects.index(entry.subject)])
        pace = f", shrinking by {pace_in_words(entry) or 'nothing'}; used up {end_in_words(entry)}" if entry.left > 0 else ""
        why = f"{metric}: left {left_in_words(entry)}{pace}"
        found = Finding(entry.time, entry.subject, "redundancy", "ledger", CERTAIN, page.mode, entry.mechanism, metric, value, page.account.cliff, why=why)
        return found._replace(since=since, left=entry.left, exhausted_low=entry.exhausted_low, exhausted_at=entry.exhausted_at,
                              exhausted_high=entry.exhausted_high)  # fmt: skip

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return {**self.book.snapshot("margin"), **{f"clock|{key}": np.array(c, np.int64) for key, c in self.clock.items()}}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.book.restore("margin", state)
        told = {k.removeprefix("clock|"): v.tolist() for k, v in state.items() if k.startswith("clock|")}
        self.clock = {key: (length, began, filled) for key, (length, began, filled) in told.items()}


def _budget(account: Account, best: float, cliff: float) -> float:
    """Return how much there is: by what is published; what it had at best where nobody says."""
    if account.abrupt:
        return math.log10(cliff / FLOOR)
    return max(best, 0.0) if account.top is None else account.top - cliff


def _slide(a: dict[str, np.ndarray[Any, Any]]) -> int:
    """Let the oldest point go; return how many remain."""
    for name in ("margin", "other"):
        a[name][:-1] = a[name][1:]
    return POINTS - 1


def _halve(a: dict[str, np.ndarray[Any, Any]]) -> int:
    """Make one of every two points; return how many remain. Before the next block, so that all points are equally far apart."""
    for name in ("margin", "other"):
        early, late = a[name][0::2], a[name][1::2]
        pairs = np.where(np.isnan(early), late, np.where(np.isnan(late), early, (early + late) / 2))
        a[name][:] = np.nan
        a[name][: POINTS // 2] = pairs
    return POINTS // 2


def _worth(left: Floats, resolution: float) -> Floats:
    """Return the loss that is worth a look beside what is left, or more than one step where those are smaller.

    Examples
    --------
    >>> _worth(np.array([0.8, 0.2]), 0.01).round(3).tolist(), _worth(np.array([0.8]), 0.0).round(3).tolist()
    ([0.015, 0.01], [0.04])
    """
    worth = WORTH * np.maximum(left, 0.0)
    return np.minimum(worth, STEPS * resolution) if resolution else worth


def _outstanding(window: NDArray[np.float32], already: NDArray[np.bool_], resolution: float = 0.0) -> NDArray[np.bool_]:
    """Return who [S] has lost margin that the others have not, or is at the cliff; whoever was found stays under watch.

    Compared is the median of the last sixth with that of the first half: the noise of one point does not matter.
    """
    n = len(window)
    gone = np.asarray((window[-2:] <= 0).all(axis=0))
    if 2 * int(gone.sum()) > max(int(np.isfinite(window[-1]).sum()), OTHERS):
        gone[:] = False  # where most are beyond the cliff, the gauge does not mean what we think
    if n < 8:
        return gone | already
    with np.errstate(invalid="ignore"):
        late, early = _median(window[-max(n // 6, 2) :]), _median(window[: n // 2])
        loss = early - late
        there = np.isfinite(loss)
        if int(there.sum()) <= OTHERS:
            return gone | already
        middle = float(np.median(loss[there]))
        usual = SIGMA * float(np.median(np.abs(loss[there] - middle)))
        far = (loss - middle > STANDS_OUT * max(usual, 1e-3)) & (loss - middle > _worth(late, resolution))
    return gone | already | far


def _median(window: NDArray[np.float32]) -> Floats:
    """Return the median over time [S] of what is known; NaN where less than half is."""
    ordered = np.sort(window, axis=0)  # NaN last
    known = np.isfinite(window).sum(axis=0)
    middle = ordered[np.maximum(known - 1, 0) // 2, np.arange(window.shape[1])].astype(np.float64)
    return np.where(2 * known >= len(window), middle, np.nan)


def _news(entry: Entry, said: float, low: float, high: float) -> bool:
    """Say whether a row tells something new: the margin moved, or the likeliest end left the interval told last."""
    if math.isnan(said) or (entry.left <= 0 < said) or abs(entry.left - max(said, 0.0)) > NEWS * max(entry.budget, 1e-9):
        return True
    if bool(high) != bool(entry.exhausted_high):
        return True
    known = (entry.exhausted_high - entry.exhausted_low) < SHARPER * (high - low) if high else False
    return known or bool(entry.exhausted_at and not low <= entry.exhausted_at <= (high or math.inf))
