"""Matching: which incident is about which row of truth, and when it first was: the rules of the trace format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from grayscope.errors import InputError

HOUR = 3600 * 1_000_000
FOREVER = 2**62
COUNTED = ("page", "ticket")
STATES = ("masked", "gray", "failed", "benign")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of truth; times in microseconds, `ended` far away where it is open.

    `acceleration` says how many times more often than in real fleets such a row was planted, None where nobody says.
    """

    subject: str
    mode: str
    state: str
    began: int
    ended: int
    also: tuple[str, ...] = ()
    mechanism: str | None = None
    exhausted_at: int | None = None
    acceleration: float | None = None

    @property
    def weight(self) -> float:
        """Return how often such a row would be there at its real rate, for each time that it was planted."""
        return 1.0 / self.acceleration if self.acceleration else 1.0

    def is_culprit(self, name: str) -> bool:
        """Say whether it goes by a name."""
        return name == self.subject or name in self.also


@dataclass(frozen=True, slots=True)
class Said:
    """One incident as far as scoring looks at it; `weight` is that of the negative control that a false one fell for."""

    id: str
    subject: str
    severity: str
    mode: str
    rivals: tuple[str, ...]
    history: tuple[tuple[int, str, str], ...]
    ended: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Find:
    """A row of truth with the incident that found it first, if any; `delay` in microseconds.

    `named`: any of the incidents that match has the culprit as first suspect. The first may be of a neighbour's trouble that was there before.
    """

    row: Row
    incident: Said | None = None
    moment: int = 0
    right: bool = False
    named: bool = False

    @property
    def delay(self) -> int:
        """Return the time from onset to being found, 0 if it was known before."""
        return max(self.moment - self.row.began, 0)

    @property
    def exact(self) -> bool:
        """Say whether the incident's first suspect is the culprit."""
        return self.incident is not None and self.row.is_culprit(self.incident.subject)


def settle(rows: Sequence[Row], said: Sequence[Said]) -> tuple[list[Find], list[tuple[Said, Row]], list[Said]]:
    """Return the find of every row, the repeats with the row they repeat, and the false incidents.

    Of incidents that match a row at the same moment, the one whose state is right is the finder, then the first of `said`.
    """
    naming = _by_name(said)
    finds: list[Find] = []
    matches: dict[int, list[int]] = {}
    for k, row in enumerate(rows):
        found = [(at[0], not at[1], n) for n in _candidates(row, naming) if (at := moment(row, said[n])) is not None]
        for _, _, n in found:
            matches.setdefault(n, []).append(k)
        when, wrong, n = min(found, default=(0, True, -1))
        named = any(row.is_culprit(said[i].subject) for _, _, i in found)
        finds.append(Find(row, said[n] if n >= 0 else None, when, not wrong, named))
    first = {id(f.incident) for f in finds}
    repeats = [(said[n], rows[matches[n][0]]) for n in sorted(matches) if id(said[n]) not in first]
    return finds, repeats, [i for n, i in enumerate(said) if n not in matches]


def weighed(false: Sequence[Said], benign: Sequence[Row]) -> list[Said]:
    """Return false incidents, each with the weight of the benign row that it fell for (the largest; 1 if there is none)."""
    weights: dict[int, float] = {}
    naming = _by_name(false)
    for row in benign:
        for n in _candidates(row, naming):
            if moment(row, false[n]) is not None:
                weights[n] = max(weights.get(n, 0.0), row.weight)
    return [replace(i, weight=weights[n]) if n in weights else i for n, i in enumerate(false)]


def _by_name(said: Sequence[Said]) -> dict[str, list[int]]:
    """Return which incidents name a component, or a direct part of it, as a suspect that counts."""
    naming: dict[str, list[int]] = {}
    for n, incident in enumerate(said):
        suspects = {incident.subject, *incident.rivals[:3]}
        for name in suspects | {s.rpartition("/")[0] for s in suspects}:
            naming.setdefault(name, []).append(n)
    return naming


def _candidates(row: Row, naming: Mapping[str, list[int]]) -> list[int]:
    """Return a superset of the incidents that name a row, in order."""
    return sorted({n for name in (row.subject, *row.also, row.subject.rpartition("/")[0]) if name for n in naming.get(name, ())})


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
    found = [t for t, _, severity in incident.history if severity in COUNTED and row.began <= t <= row.ended + HOUR]
    ends = [*(t for t, _, _ in incident.history[1:]), incident.ended]
    for (start, state, _), end in zip(incident.history, ends, strict=True):
        when = max(start, row.began)
        if state == row.state and when <= row.ended and when < end:  # whoever ends or changes at a moment is no longer so then
            found.append(when)
    return (first, _state(incident, first) == row.state) if (first := min(found, default=None)) is not None else None


def _state(incident: Said, moment: int) -> str:
    """Return an incident's state at a moment; of several changes then, the last."""
    return [state for t, state, _ in incident.history if t <= moment][-1]


def _names(row: Row, name: str) -> bool:
    """Say whether a name is the row's subject or other name, its parent or its direct child."""
    return bool(name) and (name in (row.subject, *row.also) or name == row.subject.rpartition("/")[0] or name.rpartition("/")[0] == row.subject)


# -- reading --------------------------------------------------------------------------------------------------------


def rows_of(table: pa.Table | Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table, or the rows themselves."""
    yield from table.to_pylist() if isinstance(table, pa.Table) else table


def row_of(given: Mapping[str, Any]) -> Row:
    """Read a row of truth."""
    if given["state"] not in STATES:
        raise InputError.at("truth", f"state of {given['subject']}", f"one of {', '.join(STATES)}", str(given["state"]))
    ended = micros(given.get("ended"))
    began = micros(given["began"])
    return Row(
        given["subject"], given["mode"], given["state"], -FOREVER if began is None else began, FOREVER if ended is None else ended,
        tuple(given.get("also") or ()), given.get("mechanism"), micros(given.get("exhausted_at")), given.get("x-acceleration"),
    )  # fmt: skip


def said_of(given: Mapping[str, Any], last: int) -> Said:
    """Read an incident as it stood at `last`: while it was open, its severity was the last that its history had reached."""
    steps = [tuple(h[k] for k in ("time", "state", "severity")) if isinstance(h, Mapping) else tuple(h) for h in given["history"]]
    history = tuple((when, s, v) for t, s, v in steps if (when := micros(t)) is not None and when <= last)
    rivals = tuple(r["subject"] if isinstance(r, Mapping) else r[0] for r in given.get("rivals") or ())
    ended = micros(given.get("ended"))
    ended = FOREVER if ended is None else ended
    severity = history[-1][2] if history and (len(history) < len(steps) or ended > last) else given["severity"]
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
