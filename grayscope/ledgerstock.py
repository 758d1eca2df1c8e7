"""Ledgerstock: redundancy that goes step by step and never comes back: remapped rows, retired pages, bad addresses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from grayscope.cohorts import Cohorts
from grayscope.evenness import NOTHING, learned, spell
from grayscope.evidence import Finding
from grayscope.exhaustion import Forecast, foresee
from grayscope.ledger import Entry, moment, verdict
from grayscope.ledgerpage import CERTAIN, Book, Floats, Note, Page, field
from grayscope.ledgerwords import end_in_words, left_in_words, pace_in_words
from grayscope.tick import Tick
from grayscope.wording import number

#: Steps that are kept of one part: the latest, for what comes next is foreseen from them.
KEEP = 64
#: Steps of a spell below which a short time to exhaustion may still be chance.
SPELL = 3
#: Forecasts grow old without a step: they are made anew after twice the usual gap, then whenever the silence has doubled.
#: Looked at every so many ticks.
LOOK = 16

Step = tuple[float, float]


class Stocks:
    """Follow counters with a budget.

    Where the source's total is known (`Rates` shows it beside the increments) it is the measure: what was spent before we
    looked counts, and a counter that is read as 0 for a while and then as before has spent nothing. Else the increments
    are added up, and what is spent is "at least" that.
    """

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon
        fields = {name: field(np.float64, 0.0) for name in ("spent", "hours", "count", "due", "banked")} | {"known": field(np.bool_, False)}
        self.book = Book(fields)
        self.steps: dict[str, dict[str, list[Step]]] = {}
        #: account -> part -> hour of its last step, and what its steps tell of the fleet: follows from the steps.
        self._messages: dict[str, dict[str, tuple[float, Floats]]] = {}

    def step(self, page: Page, tick: Tick) -> Iterator[Note]:
        """Yield what changed."""
        a = self.book.of(page, tick)
        steps = self.steps.setdefault(page.account.key, {})
        for s in np.flatnonzero(tick.fresh).tolist():
            steps.pop(tick.subjects[s], None)
            self._messages.get(page.account.key, {}).pop(tick.subjects[s], None)
        met, gain = self._spend(page, tick, a)
        for s in np.flatnonzero(gain > 0).tolist():
            a["count"][s] += 1
            mine = steps.setdefault(tick.subjects[s], [])
            mine.append((float(a["hours"][s]), float(gain[s])))
            del mine[:-KEEP]
        due = np.flatnonzero(met | (gain > 0)).tolist()
        due += self._aged(tick, a, steps, set(due)) if steps and (tick.time // tick.period) % LOOK == 0 else []
        if due:
            others = Cohorts(a["count"], a["hours"], page.label), self._fleet(page.account.key)
            for s in due:
                yield self._note(page, tick, a, s, others)

    @staticmethod
    def _spend(page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]]) -> tuple[np.ndarray[Any, Any], Floats]:
        """Add up; return who is met for the first time with something spent already [S], and the gain [S]."""
        nothing = np.full(len(tick.subjects), np.nan)
        total = page.total(tick, "shown") if page.rows["shown"] else nothing
        added = page.total(tick, "counters") if page.rows["counters"] else nothing
        assert total is not None
        assert added is not None
        told = np.isfinite(total)
        a["hours"] += (told | np.isfinite(added)) * (tick.period / 3.6e9)
        met = told & ~a["known"] & (total > 0)
        beyond = np.where(told & a["known"], np.fmax(total - a["spent"], 0.0), 0.0)
        gain = np.where(a["known"], beyond, np.where(told, 0.0, np.where(added > 0, added, 0.0)))
        a["spent"] = np.where(told & ~a["known"], np.fmax(total, a["spent"]), a["spent"] + gain)
        a["known"] = a["known"] | told
        if page.account.banked:
            Stocks._bank(page, tick, a)
        return met, gain

    @staticmethod
    def _bank(page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]]) -> None:
        """Count what also uses up the spares of a bank: the total where it is shown, else what was added."""
        for name in ("shown", "counters"):
            rows = [m for m in page.rows[name] if page.account.banked in tick.metrics[m]]
            if rows:
                values = np.nan_to_num(tick.values[rows].astype(np.float64)).sum(axis=0)
                a["banked"] = np.fmax(a["banked"], values) if name == "shown" else a["banked"] + values
                return

    @staticmethod
    def _aged(tick: Tick, a: dict[str, np.ndarray[Any, Any]], steps: dict[str, list[Step]], told: set[int]) -> list[int]:
        """Return whose forecast has grown old."""
        where = {s: i for i, s in enumerate(tick.subjects)}
        there = ((where[subject], steps[subject][-1][0]) for subject in sorted(steps) if subject in where)
        return [s for s, last in there if s not in told and a["hours"][s] - last >= a["due"][s]]

    def _note(self, page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]], s: int, others: tuple[Cohorts, Floats]) -> Note:
        account, subject, spent = page.account, tick.subjects[s], float(a["spent"][s])
        steps = self.steps[account.key].get(subject, [])
        budget = account.budget or math.nan
        left = max(budget - spent, 0.0)
        size = sum(n for _, n in steps) / len(steps) if steps else 1.0
        remain = min(left / size, self._spares(page, tick, a, s))
        even = self._even(account.key, subject, others[1]) if len(steps) > 1 else NOTHING
        seen = foresee([h for h, _ in steps], float(a["hours"][s]), remain, others[0].without(s), even)
        if left > 0 >= remain:  # its bank is used up, which the account of banks tells
            seen = Forecast(seen.rate, math.inf, math.inf, math.inf)
        silence = float(a["hours"][s]) - steps[-1][0] if steps else 0.0
        a["due"][s] = 2 * max(silence, 1 / seen.rate if seen.rate > 0 else math.inf)
        ends = [moment(tick.time, h) for h in (seen.low, seen.at, seen.high)]
        entry = Entry(tick.time, subject, account.mechanism, budget, spent, left, account.unit, seen.rate * size, *ends)
        return Note(account.key, subject, entry, self._finding(page, entry, seen, len(steps), bool(a["known"][s])))

    @staticmethod
    def _spares(page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]], s: int) -> float:
        """Return the steps until the worst bank has no spare left, at its share of all steps; infinite where that is not known.

        Of the banks that were used we know how many there are: one of them holds at least its share, and all if it is alone.
        """
        banked = float(a["banked"][s])
        names = [m for m in page.rows["gauge"] if 'availability="max"' not in tick.metrics[m]]
        used = float(np.nan_to_num(tick.values[names, s]).sum()) if names else 0.0
        if page.account.bank is None or used < 1 or banked < 2:
            return math.inf
        worst = math.ceil(banked / used)
        return max(page.account.bank - worst, 0.0) * float(a["spent"][s]) / worst if worst > 1 else math.inf

    def _fleet(self, account: str) -> Floats:
        """Return what all parts with steps, of any rate, tell of how regularly they come."""
        steps, known = self.steps.get(account, {}), self._messages.setdefault(account, {})
        for other in [o for o in known if o not in steps]:
            del known[other]
        for other, of in steps.items():
            if len(of) > 2 and (other not in known or known[other][0] != of[-1][0]):
                known[other] = of[-1][0], spell(tuple(h for h, _ in of))
        return np.asarray(sum((known[o][1] for o in sorted(known)), np.zeros_like(NOTHING)))

    def _even(self, account: str, subject: str, fleet: Floats) -> Floats:
        """Return what the other parts with steps let expect of how regularly they come."""
        mine = self._messages[account].get(subject)
        return learned([fleet if mine is None else fleet - mine[1]])

    def _finding(self, page: Page, entry: Entry, seen: Forecast, steps: int, known: bool) -> Finding | None:
        """Return what is to be said: it is used up, beyond the knee, or will be soon and no peer does as it does."""
        account = page.account
        state = verdict(entry, self.horizon)
        beyond = account.knee is not None and entry.spent > account.knee
        soon = state == "short" and seen.refuted and steps >= SPELL
        if not (state == "spent" or beyond or soon):
            return None
        spent = f"{'' if known else 'at least '}{number(entry.spent)} {account.unit} used, left {left_in_words(entry)}"
        why = f"{spent}; {account.says}" if beyond and account.says else spent
        if pace := pace_in_words(entry):
            why += f"; spent at {pace}"
        if entry.exhausted_at:
            why += f"; used up {end_in_words(entry)}"
        metric = account.counters[0]
        found = Finding(entry.time, entry.subject, "redundancy", "ledger", CERTAIN, page.mode, account.mechanism, metric, entry.spent, entry.budget, why=why)
        return found._replace(since=entry.time, left=entry.left, exhausted_low=entry.exhausted_low, exhausted_at=entry.exhausted_at,
                              exhausted_high=entry.exhausted_high)  # fmt: skip

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return {**self.book.snapshot("stock"), "steps": np.frombuffer(json.dumps(self.steps).encode(), np.uint8)}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.book.restore("stock", state)
        told = json.loads(np.asarray(state["steps"], np.uint8).tobytes())
        self._messages = {}
        self.steps = {key: {s: [(h, n) for h, n in steps] for s, steps in of.items()} for key, of in told.items()}
