"""Evidence: what detectors found in one tick, as columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from grayscope.ledger import Entry

NAN = float("nan")


class Finding(NamedTuple):
    """One row of evidence.

    `strength` is ln(subject-weeks between false alarms this strong): 0 is a false alarm per subject and week,
    6.9 one in a thousand subject-weeks. `side` is the catalogue's side. Times are microseconds, 0 for unknown.
    `felt` is the share of a job's step that the subject costs, NaN where that cannot be told; `rivals` a JSON list of
    [subject, probability] of those that the data cannot tell from the subject, ``""`` for none.
    """

    time: int
    subject: str
    side: str
    detector: str
    strength: float
    mode: str = ""
    mechanism: str = ""
    metric: str = ""
    value: float = NAN
    expected: float = NAN
    n_peers: int = 0
    since: int = 0
    left: float = NAN
    exhausted_low: int = 0
    exhausted_at: int = 0
    exhausted_high: int = 0
    why: str = ""
    felt: float = NAN
    rivals: str = ""


class Crowd(NamedTuple):
    """Members of a peer group that stand out at once: what is to be told of the group, and what each of them would be accused of.

    Not `sure` where they are few machines: those may be culprits, unless other groups say the same of what they share. Members that are `weak`
    stand out only together: by itself none of them would be accused.
    """

    finding: Finding
    members: tuple[Finding, ...]
    sure: bool = True
    weak: frozenset[str] = frozenset()


def distance(finding: Finding) -> float:
    """Return how far a value is from what was expected: the logarithm of the ratio without its sign, 0 where there is none.

    Examples
    --------
    >>> round(distance(Finding(5, "n1/gpu0", "service", "slower", 7.5, value=1.0, expected=2.0)), 3), distance(Finding(5, "n1", "service", "slower", 7.5))
    (0.693, 0.0)
    """
    return abs(math.log(finding.value / finding.expected)) if finding.value > 0 and finding.expected > 0 else 0.0


#: What a row is made of.
TYPES = (int, str, str, str, float, str, str, str, float, float, int, int, float, int, int, int, str, float, str)
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", "UTC")), ("subject", pa.string()), ("side", pa.string()), ("detector", pa.string()),
        ("strength", pa.float64()), ("mode", pa.string()), ("mechanism", pa.string()), ("metric", pa.string()),
        ("value", pa.float64()), ("expected", pa.float64()), ("n_peers", pa.int64()), ("since", pa.timestamp("us", "UTC")),
        ("left", pa.float64()), ("exhausted_low", pa.timestamp("us", "UTC")), ("exhausted_at", pa.timestamp("us", "UTC")),
        ("exhausted_high", pa.timestamp("us", "UTC")), ("why", pa.string()), ("felt", pa.float64()), ("rivals", pa.string()),
    ]
)  # fmt: skip


class Evidence:
    """A columnar table of findings, usually empty; `ledger` holds the rows of the redundancy ledger that changed with it.

    `crowds` holds, for findings about divided groups, who the members are: blame may know what those share.

    Examples
    --------
    >>> e = Evidence([Finding(5, "n1/gpu0", "service", "slower", 7.5)])
    >>> len(e), e.column("strength").tolist(), next(iter(e)).subject
    (1, [7.5], 'n1/gpu0')
    >>> len(Evidence.join([e, NOTHING, e]))
    2
    """

    __slots__ = ("_rows", "crowds", "ledger")

    def __init__(self, findings: Iterable[Finding] = (), ledger: Iterable[Entry] = (), crowds: Iterable[Crowd] = ()) -> None:
        rows = list(findings)
        self._rows = rows if all(tuple(map(type, row)) == TYPES for row in rows) else _plain(rows)
        self.ledger, self.crowds = tuple(ledger), tuple(crowds)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._rows)

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """Return one column, shape [rows]."""
        return _array([getattr(row, name) for row in self._rows])

    @classmethod
    def join(cls, parts: Iterable[Evidence]) -> Evidence:
        """Return all rows in order."""
        full = [p for p in parts if len(p) or p.crowds]
        if len(full) == 1:
            return full[0]
        return cls((row for p in full for row in p), crowds=(c for p in full for c in p.crowds)) if full else NOTHING

    def to_arrow(self) -> pa.Table:
        """Return an Arrow table of `SCHEMA` (unknown times and empty names become null)."""
        rows = [f._asdict() for f in self]
        for row in rows:
            for name in ("since", "exhausted_low", "exhausted_at", "exhausted_high"):
                row[name] = row[name] or None
            for name in ("mode", "mechanism", "metric", "rivals"):
                row[name] = row[name] or None
        return pa.Table.from_pylist(rows, schema=SCHEMA)


def _array(column: Sequence[Any]) -> np.ndarray[Any, Any]:
    return np.array(column, object if column and isinstance(column[0], str) else None)


def _plain(rows: list[Finding]) -> list[Finding]:
    """Return rows that hold numpy's numbers, or whole ones for real ones, with Python's own: what is kept as JSON must know no others."""
    return [Finding(*row) for row in zip(*(_array(column).tolist() for column in zip(*rows, strict=True)), strict=True)]


#: The empty table, shared.
NOTHING = Evidence()
