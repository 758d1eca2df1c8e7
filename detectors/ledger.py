"""Ledger: what is left of every redundancy, how fast it goes and when it will be used up.

Mechanisms are data (``mechanisms.toml``), counted in six ways: stocks that go step by step, levels that are there or lost,
shares that others carry, banks, margins that shrink, and rates that nobody limits. Every change becomes a row of the ledger; a finding is made only
of what lies beyond a budget or a knee, is lost, or ends soon where no peer's does. A rule, not an estimate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from grayscope import mechanisms
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.ledger import DAY, Entry
from grayscope.ledgerlevel import Banks, Levels
from grayscope.ledgermargin import Margins
from grayscope.ledgerpage import Keeper, Note, Page, pages
from grayscope.ledgerrate import Flows
from grayscope.ledgershare import Shares
from grayscope.ledgerstock import Stocks
from grayscope.standing import Standing
from grayscope.tick import Tick

#: What was found is said again every so many ticks, for the judge forgets.
AGAIN = 8


class Ledger:
    """Keep the books of all redundancy.

    Parameters
    ----------
    false_pages : float
        Unused: its findings are rules.
    horizon : float
        Days within which the end of a redundancy is near.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0, horizon: float = 14.0) -> None:
        del false_pages
        self.accounts = mechanisms.load()
        self.watched = frozenset(name for a in self.accounts for name in (a.busy, a.moving) if name)
        within = round(horizon * DAY)
        self.levels = Levels()
        kept: dict[str, Keeper] = {"level": self.levels, "bank": Banks(), "stock": Stocks(within), "share": Shares()}
        self.kinds = {**kept, "margin": Margins(within), "rate": Flows()}
        self.holding: dict[str, dict[str, dict[str, Finding]]] = {}  # table -> account -> subject
        self._pages: dict[str, tuple[tuple[object, ...], list[Page]]] = {}

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return what is lost or ends soon, with the rows of the ledger that changed."""
        self.levels.hear(tick, self.watched)
        holding = self.holding.setdefault(tick.table, {})
        if tick.fresh.any():
            self._forget(holding, {tick.subjects[s] for s in np.flatnonzero(tick.fresh).tolist()})
        entries: list[Entry] = []
        new: list[Finding] = []
        for note in self._notes(tick, standing):
            found = holding.setdefault(note.key, {})
            found.pop(note.subject, None)
            if note.entry is not None:
                entries.append(note.entry)
            if note.finding is not None:
                found[note.subject] = note.finding
                new.append(note.finding)
        if (tick.time // tick.period) % AGAIN == 0:
            known = set(tick.subjects)
            new = [f._replace(time=tick.time) for _, of in sorted(holding.items()) for s, f in sorted(of.items()) if s in known]
        return Evidence(new, entries) if new or entries else NOTHING

    def _notes(self, tick: Tick, standing: Standing) -> Iterator[Note]:
        for page in self._laid_out(tick, standing):
            yield from self.kinds[page.account.kind].step(page, tick)

    def _laid_out(self, tick: Tick, standing: Standing) -> list[Page]:
        last = self._pages.get(tick.table)
        layout = (tick.subjects, tick.metrics, tick.roster)
        if last is not None and all(old is new for old, new in zip(last[0], layout, strict=True)):
            return last[1]
        found = pages(tick, standing, mechanisms.of_table(self.accounts, tick.table))
        self._pages[tick.table] = (layout, found)
        return found

    @staticmethod
    def _forget(holding: dict[str, dict[str, Finding]], subjects: set[str]) -> None:
        for found in holding.values():
            for subject in subjects & found.keys():
                del found[subject]

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        out: dict[str, np.ndarray[Any, Any]] = {}
        for kind in self.kinds.values():
            out |= kind.snapshot()
        holding = {t: {k: {s: list(f) for s, f in of.items()} for k, of in accounts.items()} for t, accounts in self.holding.items()}
        return {**out, "holding": np.frombuffer(json.dumps(holding).encode(), np.uint8)}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        for kind in self.kinds.values():
            kind.restore(state)
        told = json.loads(np.asarray(state["holding"], np.uint8).tobytes())
        self.holding = {t: {k: {s: Finding(*f) for s, f in of.items()} for k, of in accounts.items()} for t, accounts in told.items()}
        self._pages = {}
