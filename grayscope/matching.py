"""Matching: which incident is about which row of truth, and when it first was: the rules of the trace format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

HOUR = 3600 * 1_000_000
FOREVER = 2**62
COUNTED = ("page", "ticket")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of truth that is not benign; times in microseconds, `ended` far away where it is open."""

    subject: str
    mode: str
    state: str
    began: int
    ended: int
    also: tuple[str, ...] = ()
    mechanism: str | None = None
    exhausted_at: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One incident as far as scoring looks at it."""

    id: str
    subject: str
    severity: str
    mode: str
    rivals: tuple[str, ...]
    history: tuple[tuple[int, str, str], ...]
    ended: int


@dataclass(frozen=True, slots=True)
class Find:
    """A row of truth with the incident that found it first, if any; `delay` in microseconds."""

    row: Row
    incident: Said | None = None
    moment: int = 0
    right: bool = False

    @property
    def delay(self) -> int:
        """Return the time from onset to being found, 0 if it was known before."""
        return max(self.moment - self.row.began, 0)

    @property
    def exact(self) -> bool:
        """Say whether the incident's first suspect is the culprit."""
        return self.incident is not None and self.incident.subject in (self.row.subject, *self.row.also)


def settle(rows: Sequence[Row], said: Sequence[Said]) -> tuple[list[Find], list[tuple[Said, Row]], list[Said]]:
    """Return the find of every row, the repeats with the row they repeat, and the false incidents."""
    matches = [(row, incident, at) for row in rows for incident in said if (at := moment(row, incident)) is not None]
    finds = []
    for row in rows:
        mine = [(at[0], not at[1], n, incident) for n, (r, incident, at) in enumerate(matches) if r is row]
        when, wrong, _, incident = min(mine, key=lambda m: m[:3]) if mine else (0, True, 0, None)
        finds.append(Find(row, incident, when, not wrong))
    first = {id(f.incident) for f in finds}
    repeats = {id(i): (i, row) for row, i, _ in reversed(matches) if id(i) not in first}
    matched = {id(i) for _, i, _ in matches}
    return finds, [r for i in said if (r := repeats.get(id(i)))], [i for i in said if id(i) not in matched]


def moment(row: Row, incident: Said) -> tuple[int, bool] | None:
    """Return when an incident matches a row first, and whether its state is right then; None if it never does.

    Examples
    --------
    >>> row = Row("n1/gpu0", "slow_rank", "gray", 100, 200)
    >>> moment(row, Said("a", "n1/gpu0", "page", "", (), ((50, "gray", "page"),), 150))
    (100, True)
    >>> moment(row, Said("a", "n1/gpu1", "page", "", (), ((120, "gray", "page"),), 150)) is None
    True
    """
    if not any(_names(row, name) for name in (incident.subject, *incident.rivals[:3])):
        return None
    found = [(t, state == row.state) for t, state, severity in incident.history if severity in COUNTED and row.began <= t <= row.ended + HOUR]
    ends = [t for t, _, _ in incident.history[1:]] + [incident.ended]
    for (start, state, _), end in zip(incident.history, ends, strict=True):
        if state == row.state and start <= row.ended and end >= row.began:
            found.append((max(start, row.began), True))
    return min(found, key=lambda f: (f[0], not f[1])) if found else None


def _names(row: Row, name: str) -> bool:
    """Say whether a name is the row's subject or other name, its parent or its direct child."""
    return bool(name) and (name in (row.subject, *row.also) or name == row.subject.rpartition("/")[0] or name.rpartition("/")[0] == row.subject)


# -- reading --------------------------------------------------------------------------------------------------------


def rows_of(table: pa.Table | Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table, or the rows themselves."""
    yield from table.to_pylist() if isinstance(table, pa.Table) else table


def row_of(given: Mapping[str, Any]) -> Row | None:
    """Read a row of truth; None if it is benign."""
    if given["state"] == "benign":
        return None
    ended = micros(given.get("ended"))
    began = micros(given["began"])
    return Row(
        given["subject"], given["mode"], given["state"], -FOREVER if began is None else began, FOREVER if ended is None else ended,
        tuple(given.get("also") or ()), given.get("mechanism"), micros(given.get("exhausted_at")),
    )  # fmt: skip


def said_of(given: Mapping[str, Any], last: int) -> Said:
    """Read an incident as it stood at `last`: severity is the gravest that its history had reached."""
    steps = [tuple(h[k] for k in ("time", "state", "severity")) if isinstance(h, Mapping) else tuple(h) for h in given["history"]]
    history = tuple((when, s, v) for t, s, v in steps if (when := micros(t)) is not None and when <= last)
    severities = {v for _, _, v in history}
    cut = len(history) < len(steps)
    severity = next((s for s in COUNTED if s in severities), "notice") if cut else given["severity"]
    rivals = tuple(r["subject"] if isinstance(r, Mapping) else r[0] for r in given.get("rivals") or ())
    ended = micros(given.get("ended"))
    ended = FOREVER if ended is None else ended
    return Said(given["id"], given["subject"], severity, given.get("mode") or "", rivals, history, min(ended, last))


def micros(value: Any) -> int | None:
    """Return microseconds.

    Examples
    --------
    >>> micros("1970-01-01T00:00:01Z"), micros(5), micros(datetime(1970, 1, 1, 0, 0, 2))
    (1000000, 5, 2000000)
    """
    if value is None or isinstance(value, int):
        return value
    moment = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return int(whole.days * 86_400_000_000 + whole.seconds * 1_000_000 + whole.microseconds)
