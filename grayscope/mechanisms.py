"""Mechanisms: how each kind of redundancy is counted, as data: what tells, how much there is, where it ends."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from typing import Any

from grayscope.errors import InputError
from grayscope.modes import Modes
from grayscope.plugins import nearest

KINDS = ("stock", "bank", "level", "share", "margin", "rate")


@dataclass(frozen=True, slots=True)
class Account:
    """One way in which a mechanism is counted; see the head of ``mechanisms.toml``.

    Parameters
    ----------
    mechanism, table, kind, unit : str
    counters : tuple of str
        Metrics that spend; one without labels stands for all its labels, which are added up.
    gauge, also, expected, busy, moving, explained, per : str
        Metrics: what is there (and its other name), how much there should be (of a margin: where the part itself puts the cliff), what must be
        busy and must move for it to count, what explains it, what it is exposed to.
    budget, full, knee, limit, limit_per_lane, top, bank : float or None
        As published; None where it must be seen from the subject, its peers or its SKU.
    reserve, cliff, resolution : float
    sku : mapping of str to float
        What the SKU should have; keys are words of its name.
    missing, own, shared, decades, abrupt : bool
    sum, mode, says, banked : str
    """

    mechanism: str
    table: str
    kind: str
    unit: str
    counters: tuple[str, ...] = ()
    gauge: str = ""
    also: str = ""
    expected: str = ""
    busy: str = ""
    moving: str = ""
    explained: str = ""
    per: str = ""
    budget: float | None = None
    full: float | None = None
    knee: float | None = None
    limit: float | None = None
    limit_per_lane: float | None = None
    top: float | None = None
    bank: float | None = None
    banked: str = ""
    reserve: float = 0.0
    cliff: float = 0.0
    resolution: float = 0.0
    sku: Mapping[str, float] = field(default_factory=dict)
    missing: bool = False
    own: bool = False
    shared: bool = False
    decades: bool = False
    abrupt: bool = False
    sum: str = ""
    mode: str = ""
    says: str = ""

    @property
    def unlimited(self) -> bool:
        """Say whether only what is gone is counted and nobody says of how much: what the like parts show is the measure."""
        return self.missing and self.full is None

    @property
    def key(self) -> str:
        """Return what tells this account from all others."""
        return f"{self.mechanism}/{self.table}/{self.unit}"

    def rows(self, names: tuple[str, ...], metric: str) -> list[int]:
        """Return where a metric stands among `names`: itself, or all its labels if it names none.

        Examples
        --------
        >>> Account("m", "t", "rate", "1").rows(("a", 'b{x="1"}', 'b{x="2"}'), "b")
        [1, 2]
        """
        return [i for i, name in enumerate(names) if metric and (name == metric or ("{" not in metric and name.partition("{")[0] == metric))]

    def published(self, sku: str) -> float:
        """Return what a part of this SKU should have, NaN if nobody says."""
        words = set(sku.replace("-", " ").split())
        return next((float(v) for word, v in self.sku.items() if word in words), float("nan"))


@cache
def load() -> tuple[Account, ...]:
    """Return the packaged accounts; parsed once."""
    return parse(resources.files("grayscope").joinpath("mechanisms.toml").read_text("utf-8"))


def parse(text: str, where: str = "mechanisms") -> tuple[Account, ...]:
    """Read accounts from TOML.

    Raises
    ------
    InputError
        Names the mechanism and the key.
    """
    found = [_account(name, entry, where) for name, entries in tomllib.loads(text).items() for entry in entries]
    for name in sorted({a.key for a in found}):
        if sum(a.key == name for a in found) > 1:
            raise InputError(f"{where}: two accounts are called {name}")
    return tuple(found)


@cache
def limited() -> frozenset[str]:
    """Return the mechanisms of which there is a countable amount, so that a ledger says more than any comparison of rates.

    Examples
    --------
    >>> "hbm_row_spares" in limited(), "pcie_replay" in limited()
    (True, False)
    """
    return frozenset(a.mechanism for a in load() if a.kind != "rate")


def of_table(accounts: Iterable[Account], table: str) -> list[Account]:
    """Return the accounts that a table tells of."""
    return [a for a in accounts if a.table == table]


def _account(name: str, entry: Mapping[str, Any], where: str) -> Account:
    label = f"{where}: {name}"
    known = [f.name for f in fields(Account)]
    if name not in Modes.load().mechanisms:
        raise InputError(f"{label}: unknown mechanism: {nearest(name, Modes.load().mechanisms)}")
    for key in entry:
        if key not in known:
            raise InputError(f"{label}: unknown key {key!r}: {nearest(key, known)}")
    for key in ("table", "kind", "unit"):
        if not isinstance(entry.get(key), str):
            raise InputError.at(label, key, "a word", entry.get(key))
    if entry["kind"] not in KINDS:
        raise InputError.at(label, "kind", f"one of {', '.join(KINDS)}", entry["kind"])
    return Account(name, **{**entry, "counters": tuple(entry.get("counters", ()))})
