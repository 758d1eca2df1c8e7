"""Ledgerpage: one account of the ledger in one table, as that table is laid out now; and what is noted in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Columns, Field
from grayscope.evidence import Finding
from grayscope.ledger import Entry
from grayscope.mechanisms import Account
from grayscope.roster import View
from grayscope.standing import Standing
from grayscope.tick import Tick

Floats = NDArray[np.float64]
#: Strength of what is a rule and no estimate.
CERTAIN = 50.0
NAMED = ("gauge", "expected", "busy", "explained", "per")


class Note(NamedTuple):
    """A change in one account: the row to keep, and what there is to find now about `subject` (None: no longer anything)."""

    key: str
    subject: str
    entry: Entry | None
    finding: Finding | None


@dataclass(frozen=True, eq=False)
class Page:
    """An account, and where its metrics stand in the ticks of its table."""

    account: Account
    view: View
    subjects: tuple[str, ...]
    rows: Mapping[str, list[int]]
    mode: str

    @cached_property
    def label(self) -> NDArray[np.int32]:
        """Parts of one SKU share a label, shape [S]."""
        return self.view.labels(self.subjects, ("sku",))[0]

    @cached_property
    def published(self) -> Floats:
        """What the SKU should have, shape [S]; NaN where nobody says."""
        told = np.array([self.account.published(self.view.key(s, "sku")) for s in self.subjects])
        return told if self.account.full is None else np.where(np.isfinite(told), told, self.account.full)

    @cached_property
    def home(self) -> tuple[NDArray[np.int32], tuple[tuple[str, ...], ...]]:
        """Whose redundancy each subject is a unit of."""
        return self.view.labels(self.subjects, (self.account.sum,))

    def column(self, tick: Tick, name: str) -> Floats | None:
        """Return a gauge [S] in double precision, None where the table has none."""
        rows = self.rows.get(name)
        return tick.values[rows[0]].astype(np.float64) if rows else None

    def total(self, tick: Tick, name: str) -> Floats | None:
        """Return the sum [S] over all rows of a metric, NaN where none is reported; None where the table has none."""
        rows = self.rows.get(name)
        if not rows:
            return None
        values = tick.values[rows].astype(np.float64)
        if len(rows) == 1:
            return np.asarray(values[0])
        return np.where(np.isfinite(values).any(axis=0), np.nansum(values, axis=0), np.nan)


def pages(tick: Tick, standing: Standing, accounts: Iterable[Account]) -> list[Page]:
    """Return a page for each account that the table tells of."""
    found = [_page(tick, standing, a) for a in accounts]
    return [p for p in found if p.rows.get("counters") or p.rows.get("gauge")]


def _page(tick: Tick, standing: Standing, account: Account) -> Page:
    names = tick.metrics
    rows = {name: account.rows(names, getattr(account, name)) for name in NAMED}
    if account.kind in ("level", "margin"):
        rows["gauge"] = [names.index(g) for g in (account.gauge, account.also) if g in names][:1]
    told = [m for c in account.counters for m in account.rows(names, c)]
    rows["counters"] = [m for m in told if standing.metrics[m] is not None]
    rows["shown"] = [m for c in account.counters for m in account.rows(names, c.replace("_total", "", 1))] if account.kind == "stock" else []
    rows["gauge"] = [m for m in rows["gauge"] if standing.metrics[m] is not None]
    modes = (metric.mode for m in (*rows["gauge"], *rows["counters"]) if (metric := standing.metrics[m]) is not None)
    return Page(account, tick.roster, tick.subjects, rows, account.mode or next((m for m in modes if m), ""))


class Keeper(Protocol):
    """Keeps the accounts of one kind."""

    def step(self, page: Page, tick: Tick) -> Iterator[Note]:
        """Yield what changed in one account."""
        ...

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state as plain arrays."""
        ...

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        ...


class Book:
    """Arrays [S] of every account of one kind, following the roster; with snapshot and restore."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.fields = fields
        self.columns: dict[str, Columns] = {}

    def of(self, page: Page, tick: Tick) -> dict[str, np.ndarray[Any, Any]]:
        """Return the account's arrays, laid out as the tick is."""
        columns = self.columns.get(page.account.key)
        if columns is None:
            columns = self.columns[page.account.key] = Columns(self.fields)
        columns.follow(tick)
        return columns.arrays

    def snapshot(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Return everything as plain arrays."""
        out: dict[str, np.ndarray[Any, Any]] = {}
        for key, c in self.columns.items():
            out[f"{name}|{key}|#subjects"] = np.array(c.subjects, dtype=np.str_)
            out |= {f"{name}|{key}|{f}": array.copy() for f, array in c.arrays.items()}
        return out

    def restore(self, name: str, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.columns = {}
        for key in _keys(name, state):
            c = self.columns[key] = Columns(self.fields)
            c.subjects = tuple(state[f"{name}|{key}|#subjects"].tolist())
            c.arrays = {f: np.array(state[f"{name}|{key}|{f}"], field.dtype) for f, field in self.fields.items()}


def _keys(name: str, state: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[str]:
    for part in state:
        kind, _, rest = part.partition("|")
        if kind == name and rest.endswith("|#subjects"):
            yield rest.removesuffix("|#subjects")


def field(dtype: Any, fill: float, lead: tuple[int, ...] = ()) -> Field:
    """Return an array of the book: one value (or `lead` values) per subject."""
    return Field(dtype, fill, lead, per_metric=False)


def usual(values: Floats, label: NDArray[np.int32], share: float = 0.8, least: int = 4) -> Floats:
    """Return, for each part, the value that nearly all of its kind show; NaN where there is none.

    Examples
    --------
    >>> usual(np.array([18, 18, 18, 18, 16.0, 6]), np.array([0, 0, 0, 0, 0, 1], np.int32)).tolist()
    [18.0, 18.0, 18.0, 18.0, 18.0, nan]
    """
    out = np.full(len(values), np.nan)
    for group in range(int(label.max(initial=-1)) + 1):
        members = label == group
        there = values[members & np.isfinite(values)]
        if len(there) >= least:
            found, n = np.unique(there, return_counts=True)
            if n.max() >= share * len(there):
                out[members] = found[np.argmax(n)]
    return out
