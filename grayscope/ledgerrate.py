"""Ledgerrate: redundancy without a stock: errors corrected, packets sent again. How fast, beside peers and published limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from grayscope.evidence import Finding
from grayscope.ledger import HOUR, Entry
from grayscope.ledgerpage import CERTAIN, Book, Note, Page, field
from grayscope.ledgerwords import chance_in_words
from grayscope.tick import Tick
from grayscope.wording import number

#: A rate is told anew when it has changed by this factor, over blocks of so long (microseconds).
FACTOR, BLOCK = 4.0, HOUR // 6
#: Events of a block that make a rate.
LEAST = 3.0
#: Blocks without an event after which it is told that it stopped, and blocks above a limit that are no chance.
QUIET, ABOVE = 6, 2
#: Raw speed of a PCIe lane in GT/s by generation.
SPEED = np.array([np.nan, 2.5, 5.0, 8.0, 16.0, 32.0, 64.0])
MINUTES = 60.0


class Flows:
    """Follow counters that nobody limits: what a rate is worth is what the like parts show, and the row says no budget."""

    def __init__(self) -> None:
        fields = {name: field(np.float64, 0.0) for name in ("count", "hours", "total", "said", "bytes", "speed")}
        fields |= {name: field(np.int32, 0) for name in ("quiet", "above")} | {"over": field(np.bool_, False)}
        self.book = Book(fields)
        self.began: dict[str, int] = {}

    def step(self, page: Page, tick: Tick) -> Iterator[Note]:
        """Yield what changed, at the end of each block."""
        a = self.book.of(page, tick)
        gained, moved = page.total(tick, "counters"), page.total(tick, "per")
        assert gained is not None
        a["count"] += np.where(gained > 0, gained, 0.0)
        a["hours"] += np.isfinite(gained) * (tick.period / HOUR)
        if page.account.limit_per_lane is not None:
            a["speed"] = np.fmax(a["speed"], _speed(tick))
        if moved is not None:
            a["bytes"] += np.where(moved > 0, moved, 0.0)
        began = self.began.setdefault(page.account.key, tick.time - tick.period)
        if tick.time - began >= BLOCK:
            self.began[page.account.key] = tick.time
            yield from self._close(page, tick, a)

    def _close(self, page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]]) -> Iterator[Note]:
        count, hours = a["count"].copy(), a["hours"].copy()
        a["total"] += count
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = np.where(hours > 0, count / hours, np.nan)
            far = (count >= LEAST) & ((a["said"] == 0) | (rate > FACTOR * a["said"]) | (rate * FACTOR < a["said"]))
        a["quiet"] = np.where(count > 0, 0, a["quiet"] + (hours > 0)).astype(np.int32)
        stopped = (a["quiet"] >= QUIET) & (a["said"] > 0)
        limit = self._limit(page, tick, a)
        # One that holds its limit's rate shows more than this by chance once in a thousand blocks.
        usual = np.where(hours > 0, limit, 0.0) * hours
        high = count > usual + 3 * np.sqrt(usual) + LEAST
        a["above"] = np.where(high, a["above"] + 1, 0).astype(np.int32)
        over = a["above"] >= ABOVE
        for s in np.flatnonzero(far | stopped | (over != a["over"])).tolist():
            a["said"][s] = 0.0 if stopped[s] else rate[s]
            yield self._note(page, tick, a, s, rate, float(limit[s]), bool(over[s]))
        a["over"] = over
        for name in ("count", "hours", "bytes"):
            a[name][:] = 0.0

    @staticmethod
    def _limit(page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        """Return the published limit in events per hour [S], infinite where there is none."""
        account = page.account
        if account.limit_per_lane is None:
            return np.full(len(tick.subjects), np.inf if account.limit is None else account.limit * MINUTES)
        # By the fastest that the link was seen to go: what it trained down to while idle says nothing of the block before.
        return np.where(a["speed"] > 0, a["speed"] * account.limit_per_lane * MINUTES, np.inf)

    @staticmethod
    def _note(page: Page, tick: Tick, a: dict[str, np.ndarray[Any, Any]], s: int, rate: np.ndarray[Any, Any], limit: float, over: bool) -> Note:
        account, subject, now = page.account, tick.subjects[s], float(rate[s])
        budget = limit if math.isfinite(limit) else math.nan
        entry = Entry(tick.time, subject, account.mechanism, math.nan, float(a["total"][s]), math.nan, account.unit, now)
        if not over:
            return Note(account.key, subject, entry, None)
        like = rate[(page.label == page.label[s]) & np.isfinite(rate)]
        peers, n = float(np.median(like)), len(like) - 1
        per = f", {number(a['count'][s] / a['bytes'][s] * 1e12)} per TB moved" if a["bytes"][s] > 0 else ""
        pace = f"{number(now)} {account.unit} an hour ({chance_in_words(float(a['count'][s]), float(a['hours'][s]))})"
        why = f"{pace}{per}: above the published {number(budget)}; its {n} peers show {number(peers)}"
        found = Finding(tick.time, subject, "redundancy", "ledger", CERTAIN, page.mode, account.mechanism, account.counters[0], now, budget, n, why=why)
        return Note(account.key, subject, entry, found._replace(since=tick.time - BLOCK))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return {**self.book.snapshot("flow"), **{f"began|{key}": np.array(t, np.int64) for key, t in self.began.items()}}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.book.restore("flow", state)
        self.began = {k.removeprefix("began|"): int(v) for k, v in state.items() if k.startswith("began|")}


def _speed(tick: Tick) -> np.ndarray[Any, Any]:
    """Return the raw speed of every link, lanes times GT/s [S]; NaN where it is not told."""
    if "pcie_link_width_lanes" not in tick.metrics or "pcie_link_generation" not in tick.metrics:
        return np.full(len(tick.subjects), np.nan)
    lanes, generation = (tick.values[tick.metrics.index(name)] for name in ("pcie_link_width_lanes", "pcie_link_generation"))
    known = (generation >= 1) & (generation < len(SPEED))
    return np.asarray(SPEED[np.where(known, generation, 0).astype(np.intp)] * lanes)
