"""Glanceledger: what one look tells of every redundancy: how much there should be, how much is left; nothing that needs time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grayscope.batch import Batch

if TYPE_CHECKING:
    from grayscope.mechanisms import Account
    from grayscope.message import Message

#: Spare rows of a bank by its class in the histogram, worst first.
BANKS = {"none": 0.0, "low": 1.0, "partial": 2.0, "high": 7.0, "max": 8.0}
#: So many equal siblings tell how much a part should have, if so large a share of them agree.
LEAST, SHARE = 4, 0.8
#: A part is busy above this share of its time; below it links are allowed to slow down.
BUSY = 0.1
NAN = float("nan")
#: table -> subject -> metric -> latest value
Values = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Line:
    """One redundancy of one part: ``ok``, ``spending`` (some of it is gone), ``spent`` (nothing is left), or ``unsure`` (nobody says how much there is)."""

    subject: str
    mechanism: str
    unit: str
    budget: float
    left: float
    state: str
    says: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, unknown numbers as null."""
        numbers = {k: None if math.isnan(v) else v for k, v in (("budget", self.budget), ("left", self.left))}
        return {"subject": self.subject, "mechanism": self.mechanism, "unit": self.unit, **numbers, "state": self.state, "says": self.says}


def latest(messages: Iterable[Message]) -> Values:
    """Return the last finite value of every metric of every subject."""
    found: Values = {}
    for batch in (m for m in messages if isinstance(m, Batch)):
        table = found.setdefault(batch.table, {})
        for m, metric in enumerate(batch.metrics):
            for t in range(len(batch.times)):
                for subject, value in zip(batch.subjects, batch.values[t, m].tolist(), strict=True):
                    if math.isfinite(value):
                        table.setdefault(subject, {})[metric] = value
    return found


def ledger(values: Values, sku: Mapping[str, str]) -> list[Line]:
    """Return all redundancies that a look can tell; `sku` names what each subject is."""
    from grayscope import mechanisms

    lines = [line for account in mechanisms.load() for line in _lines(account, values, sku)]
    return sorted(lines, key=lambda line: ({"spent": 0, "spending": 1}.get(line.state, 2), line.subject, line.mechanism, line.unit))


def _lines(account: Account, values: Values, sku: Mapping[str, str]) -> Iterator[Line]:
    parts = values.get(account.table, {})
    if account.kind == "stock":
        for subject, numbers in parts.items():
            names = [n for c in account.counters for n in account.rows(tuple(numbers), c.replace("_total", "", 1))]
            shown = [list(numbers.values())[i] for i in names]
            if shown and account.budget:
                yield _line(account, subject, account.budget, account.budget - sum(shown), dangerous=sum(shown) > (account.knee or math.inf))
    elif account.kind == "bank":
        for subject, numbers in parts.items():
            counts = {name: numbers[key] for name in BANKS if (key := f'{account.gauge}{{availability="{name}"}}') in numbers}
            if counts:
                yield _line(account, subject, account.budget or NAN, next((BANKS[n] for n, count in counts.items() if count > 0), NAN))
    elif account.kind == "level":
        yield from _levels(account, parts, values, sku)
    elif account.kind == "margin" and not account.decades and account.top is not None:
        for subject, numbers in parts.items():
            if account.gauge in numbers:
                yield _line(account, subject, account.top - account.cliff, numbers[account.gauge] - account.cliff)


def _levels(account: Account, parts: Mapping[str, Mapping[str, float]], values: Values, sku: Mapping[str, str]) -> Iterator[Line]:
    there = {s: n.get(account.gauge, n.get(account.also, NAN)) for s, n in parts.items() if not {account.gauge, account.also}.isdisjoint(n)}
    if account.busy:
        load = {s: n.get(account.busy, 0.0) for table in values.values() for s, n in table.items()}
        there = {s: v for s, v in there.items() if load.get(s.rpartition("/")[0], 0.0) > BUSY}
    if account.sum:
        nodes = Counter(s.partition("/")[0] for s in there)
        for node, count in ((n, c) for n, c in nodes.items() if account.sum == "node" and c > account.reserve):
            up = sum(v > 0 for s, v in there.items() if s.partition("/")[0] == node)
            # A port that was never cabled is no rail: one look cannot tell it from one that is lost.
            yield Line(
                node, account.mechanism, account.unit, count - account.reserve, max(up - account.reserve, 0.0), "ok" if up == count else "unsure", account.says
            )
        return
    usual = _usual(list(there.values()))
    for subject, value in there.items():
        if account.missing:
            yield _line(account, subject, account.full or 1.0, (account.full or 1.0) - value)
            continue
        told = parts[subject].get(account.expected, NAN) if account.expected else _most(account, subject, parts[subject])
        full = next((f for f in (told, account.published(sku.get(subject, "")), account.full or NAN, usual) if not math.isnan(f)), NAN)
        yield _line(account, subject, full - account.reserve, value - account.reserve, spent=value < full)


def _most(account: Account, subject: str, numbers: Mapping[str, float]) -> float:
    """Return what a GPU's own link can do at most; bridges and small cards often sit in wider slots than they need."""
    return numbers.get(f'{account.gauge}{{bound="max"}}', NAN) if "/gpu" in subject else NAN


def _usual(found: list[float]) -> float:
    value, count = Counter(found).most_common(1)[0] if len(found) >= LEAST else (NAN, 0)
    return value if count >= SHARE * len(found) else NAN


def _line(account: Account, subject: str, budget: float, left: float, *, spent: bool = False, dangerous: bool = False) -> Line:
    left = max(left, 0.0) if not math.isnan(left) else left
    state = "unsure" if math.isnan(budget) or math.isnan(left) else "spent" if left <= 0 or spent or dangerous else "spending" if left < budget else "ok"
    return Line(subject, account.mechanism, account.unit, budget, left, state, account.says if state in ("spent", "spending") else "")
