"""Ledgerlevel: redundancy that is there or lost at once: links, lanes, rails, members, supplies, fans, flags, banks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Finding
from grayscope.ledger import NAN, Entry
from grayscope.ledgerfull import full, measure
from grayscope.ledgerpage import CERTAIN, Book, Floats, Note, Page, field, usual
from grayscope.ledgerwords import left_in_words, unbudgeted
from grayscope.tick import Tick
from grayscope.wording import number

#: A value counts once it was seen in so many reports in a row: a link that trains is no lost link.
PATIENCE = 3
#: Share by which a level must fall short.
SHORT = 1e-3
#: Ticks between two looks at what peers show.
LOOK = 64
#: A part is busy above this share of its time, and moves nothing below that share of what its memory can: it waits and spins, as in a hang.
BUSY, STILL = 0.1, 0.01
#: Spare rows of the worst bank, best first: what the histogram says of a bank in each class is at least this.
BANKS = {"max": 8.0, "high": 7.0, "partial": 2.0, "low": 1.0, "none": 0.0}


class Levels:
    """Follow gauges of what is there, against what should be there."""

    def __init__(self) -> None:
        fields = {
            "best": field(np.float64, np.nan), "usual": field(np.float64, np.nan), "said": field(np.float64, np.nan),
            "down": field(np.int32, 0), "up": field(np.int32, 0), "lost": field(np.bool_, False), "age": field(np.int32, 0),
        }  # fmt: skip
        self.book = Book(fields)
        self.load: dict[str, tuple[tuple[str, ...], Floats]] = {}
        self._parents: tuple[tuple[str, ...], tuple[str, ...], NDArray[np.intp]] | None = None

    def hear(self, tick: Tick, names: frozenset[str]) -> None:
        """Keep the gauges that say who is busy: they come with another table."""
        for m, name in enumerate(tick.metrics):
            if name in names:
                self.load[name] = (tick.subjects, tick.values[m].astype(np.float64))

    def step(self, page: Page, tick: Tick) -> Iterator[Note]:
        """Yield what changed."""
        a = self.book.of(page, tick)
        value = self._value(page, tick)
        should = self._full(page, tick, a, value)
        came = np.isfinite(value)
        bad = came & (value < should - SHORT * np.abs(should))
        a["down"] = np.where(bad, a["down"] + 1, np.where(came, 0, a["down"])).astype(np.int32)
        a["up"] = np.where(came & ~bad, a["up"] + 1, np.where(bad, 0, a["up"])).astype(np.int32)
        before = a["lost"]
        a["lost"] = (before | (a["down"] >= PATIENCE)) & ~(a["up"] >= PATIENCE)
        changed = (a["lost"] != before) | (a["lost"] & bad & (value != a["said"]))
        for s in np.flatnonzero(changed).tolist():
            a["said"][s] = value[s] if came[s] else a["said"][s]
            yield self._note(page, tick, a, s, float(should[s]), value)

    def _value(self, page: Page, tick: Tick) -> Floats:
        value = page.column(tick, "gauge")
        assert value is not None
        if page.account.missing:
            value = (page.account.full or 0.0) - value  # what nobody limits is counted downwards from nothing
        return np.where(self._busy(page), value, np.nan) if page.account.busy else value

    def _busy(self, page: Page) -> NDArray[np.bool_]:
        return np.asarray((self._of_parent(page, page.account.busy) > BUSY) & ~(self._of_parent(page, page.account.moving) < STILL))

    def _of_parent(self, page: Page, name: str) -> Floats:
        subjects, load = self.load.get(name, ((), np.empty(0)))
        if self._parents is None or self._parents[0] is not page.subjects or self._parents[1] is not subjects:
            where = {s: i for i, s in enumerate(subjects)}
            self._parents = page.subjects, subjects, np.array([where.get(s.rpartition("/")[0], -1) for s in page.subjects], np.intp)
        # Whoever has no parent there is met by the NaN at the end.
        return np.asarray(np.append(load, np.nan)[self._parents[2]])

    @staticmethod
    def _full(page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]], value: Floats) -> Floats:
        """Return how much there should be, shape [S]: a flag's one, the most it ever showed, or what `ledgerfull` knows."""
        if page.account.missing and not page.account.shared and not page.account.unlimited:
            return page.published
        # Before anybody is told to have lost something, it is asked once more whether all its peers have: a job that hangs rests all its links.
        if (a["age"] % LOOK == 0).any() or (a["down"] == PATIENCE - 1).any():
            a["usual"] = usual(value, page.label)
        a["age"] += 1
        a["best"] = np.fmax(a["best"], np.where(a["up"] >= PATIENCE, value, np.where(np.isnan(a["best"]), value, np.nan)))
        if page.account.own:
            return a["best"]
        return full(page, tick, a)

    @staticmethod
    def _note(page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]], s: int, should: float, value: Floats) -> Note:
        account, subject, there = page.account, tick.subjects[s], float(a["said"][s])
        whose = subject
        if account.sum:
            of, names = page.home
            mine = (of == of[s]) & (a["best"] > 0)  # a port that was never up is no rail
            whose, should, there = names[of[s]][0], float(mine.sum()), float(np.count_nonzero(mine & ~a["lost"]))
        left, budget, spent = max(there - account.reserve, 0.0), should - account.reserve, should - there
        if account.unlimited:
            left, budget, spent = NAN, NAN, -there
        entry = Entry(tick.time, whose, account.mechanism, budget, spent, left, account.unit)
        if not a["lost"][s] or (account.sum and should < 2):
            return Note(account.key, subject, entry, None)
        metric = tick.metrics[page.rows["gauge"][0]]
        shown = (account.full or 0.0) - value[s] if account.missing else value[s]
        unit = account.unit if account.unit == "By/s" else ""
        peers, by = measure(page, tick, a, s, should)
        gone = f": {number(should - there, unit)} of {number(should, unit)}{'' if unit else f' {account.unit}'} lost"
        if account.unlimited or account.unit.endswith("flag"):
            gone = "" if account.unlimited else ": raised"
        rest = unbudgeted(account.mechanism) if math.isnan(entry.left) else f"left {left_in_words(entry)}"
        why = f"{metric} is {number(float(shown), unit)}{gone}, {rest}" + "".join(f"; {text}" for text in (by, account.says) if text)
        since = tick.time - (int(a["down"][s]) - 1) * tick.period
        found = Finding(tick.time, subject, "redundancy", "ledger", CERTAIN, page.mode, account.mechanism, metric, float(shown), abs(should), peers, since)
        return Note(account.key, subject, entry, found._replace(left=left, why=why))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        out = self.book.snapshot("level")
        for name, (subjects, load) in self.load.items():
            out |= {f"busy|{name}|#who": np.array(subjects, dtype=np.str_), f"busy|{name}|load": load.copy()}
        return out

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.book.restore("level", state)
        names = [k.split("|")[1] for k in state if k.startswith("busy|") and k.endswith("|#who")]
        self.load = {n: (tuple(state[f"busy|{n}|#who"].tolist()), np.array(state[f"busy|{n}|load"], np.float64)) for n in names}


class Banks:
    """Follow the histogram of memory banks by what is left of their spare rows: the worst bank ends first."""

    def __init__(self) -> None:
        self.book = Book({"said": field(np.float64, np.nan)})

    def step(self, page: Page, tick: Tick) -> Iterator[Note]:
        """Yield what changed; at first sight only banks that have been used."""
        said = self.book.of(page, tick)["said"]
        worst = np.full(len(tick.subjects), np.nan)
        for m in page.rows["gauge"]:
            for name, spares in BANKS.items():
                if f'availability="{name}"' in tick.metrics[m]:
                    worst = np.where(tick.values[m] > 0, np.fmin(worst, spares), worst)
        changed = np.isfinite(worst) & (worst != said) & ~(np.isnan(said) & (worst == BANKS["max"]))
        for s in np.flatnonzero(changed).tolist():
            said[s] = worst[s]
            yield self._note(page, tick, s, float(worst[s]))

    @staticmethod
    def _note(page: Page, tick: Tick, s: int, left: float) -> Note:
        account, subject = page.account, tick.subjects[s]
        budget = account.budget or BANKS["max"]
        entry = Entry(tick.time, subject, account.mechanism, budget, budget - left, left, account.unit)
        if left > 1:
            return Note(account.key, subject, entry, None)
        why = f"a memory bank has {left:g} of {budget:g} spare rows left: {account.says}"
        found = Finding(tick.time, subject, "redundancy", "ledger", CERTAIN, page.mode, account.mechanism, account.gauge, left, budget, left=left, why=why)
        return Note(account.key, subject, entry, found._replace(since=tick.time))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.book.snapshot("bank")

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.book.restore("bank", state)
