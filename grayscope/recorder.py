"""Recorder: what one rank's Flight Recorder dump says, checked and joined by the names that all ranks share.

A dump lists the operations that a rank has enqueued and not finished, and per process group how far it has come. Numbers
of groups (`pg_id`) are local to the process, names are not; the ranks of a group are a text. Source: PyTorch
FlightRecorder.hpp, dump versions 2.4 to 2.10.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from grayscope.errors import InputError, shorten

#: Operations and groups of one dump, ranks of one group.
ENTRIES, GROUPS, MEMBERS = 200_000, 20_000, 1_000_000


class Operation(NamedTuple):
    """One operation of a group as all its members know it; point-to-point ones count apart, per pair."""

    group: str
    p2p: bool
    sequence: int


@dataclass(frozen=True, slots=True)
class Pending:
    """One operation that a rank has enqueued and not finished; times in microseconds of that host's own clock, 0 for unknown."""

    operation: Operation
    order: int
    name: str
    created: int = 0
    timeout: int = 0
    peer: int | None = None


@dataclass(frozen=True, slots=True)
class Dump:
    """One rank: what it has enqueued and not finished, oldest first, and how far it has come in each group.

    Parameters
    ----------
    rank : int
    members : mapping of str to tuple of int
        Global ranks of each group that this rank knows.
    described : mapping of str to str
        What each group is for.
    pending : tuple of Pending
    reached : mapping of (str, bool) to int
        Highest sequence number enqueued, by group and whether point-to-point.
    """

    rank: int
    members: Mapping[str, tuple[int, ...]]
    described: Mapping[str, str]
    pending: tuple[Pending, ...] = ()
    reached: Mapping[tuple[str, bool], int] = field(default_factory=dict)

    @property
    def enqueued(self) -> int:
        """How many operations the rank has enqueued in all groups of which it tells."""
        return sum(n for n in self.reached.values() if n > 0)


def read(rank: int, document: Any, where: object) -> Dump:
    """Return the dump of `rank` from plain data, as a pickle or JSON holds it.

    Raises
    ------
    InputError
        It is no dump, or a field has the wrong type: names file, field and entry.

    Examples
    --------
    >>> entry = {"pg_id": 3, "process_group": ("7", "TP"), "collective_seq_id": 5, "profiling_name": "nccl:all_reduce", "state": "scheduled"}
    >>> dump = read(0, {"version": "2.9", "pg_config": {"7": {"ranks": "[0, 4]"}}, "entries": [entry]}, "dump_0")
    >>> dump.members, dump.pending[0].operation, dump.reached
    ({'7': (0, 4)}, Operation(group='7', p2p=False, sequence=5), {('7', False): 5})
    """
    if not isinstance(document, Mapping) or "version" not in document:
        raise InputError.at(where, "dump", "a dict with a version", type(document).__name__)
    entries = _listed(document.get("entries") or [], f"{where}: entries")
    members, described = _groups(document.get("pg_config") or {}, where)
    known = [_known(entry, members, f"{where}: entry {i}") for i, entry in enumerate(entries)]
    pending = sorted((p for p, entry in zip(known, entries, strict=True) if entry.get("state") != "completed"), key=lambda p: p.order)
    return Dump(rank, members, described, tuple(pending), _reached(document.get("pg_status") or {}, entries, known, where))


def _groups(config: Any, where: object) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    if not isinstance(config, Mapping) or len(config) > GROUPS:
        raise InputError.at(where, "pg_config", f"a dict of at most {GROUPS} groups", type(config).__name__)
    members, described = {}, {}
    for name, entry in config.items():
        if not isinstance(entry, Mapping):
            raise InputError.at(where, f"pg_config {shorten(name, 40)}", "a dict", type(entry).__name__)
        members[str(name)], described[str(name)] = _ranks(entry.get("ranks"), f"{where}: pg_config {shorten(name, 40)}"), str(entry.get("desc", ""))
    return members, described


def _ranks(text: Any, where: str) -> tuple[int, ...]:
    try:
        ranks = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        ranks = None
    if not isinstance(ranks, (list, tuple)) or len(ranks) > MEMBERS or not all(isinstance(r, int) for r in ranks):
        raise InputError.at(where, "ranks", 'a list of numbers such as "[0, 4]"', text)
    return tuple(ranks)


def _listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) > ENTRIES:
        raise InputError.at(where, "value", f"a list of at most {ENTRIES}", f"{type(value).__name__} of {len(value) if hasattr(value, '__len__') else 1}")
    return list(value)


def _known(entry: Any, members: Mapping[str, tuple[int, ...]], where: str) -> Pending:
    if not isinstance(entry, Mapping):
        raise InputError.at(where, "value", "a dict", type(entry).__name__)
    name, p2p = str(entry.get("profiling_name", "")), bool(entry.get("is_p2p", False))
    group = _group(entry, where)
    operation = Operation(group, p2p, _number(entry, "p2p_seq_id" if p2p else "collective_seq_id", where))
    created, timeout = (_number(entry, key, where, 0) for key in ("time_created_ns", "timeout_ms"))
    peer = _peer(name, members.get(group, ())) if p2p else None
    return Pending(operation, _number(entry, "record_id", where, 0), name, created // 1000, timeout * 1000, peer)


def _group(entry: Mapping[str, Any], where: str) -> str:
    group = entry.get("process_group")
    if not isinstance(group, (list, tuple)) or not group:
        raise InputError.at(where, "process_group", "(name, description)", group)
    return str(group[0])


def _number(entry: Mapping[str, Any], key: str, where: str, otherwise: int | None = None) -> int:
    value = entry.get(key, otherwise)
    value = otherwise if value is None else value
    try:
        if isinstance(value, (str, int)) and abs(int(value)) < 1 << 63:
            return int(value)
    except ValueError:
        pass
    raise InputError.at(where, key, "a whole number", value)


def _peer(name: str, members: tuple[int, ...]) -> int | None:
    """Return the other end's global rank: the text has positions within the group.

    Examples
    --------
    >>> _peer("nccl:send 0->1", (5, 13)), _peer("nccl:recv 1<-0", (5, 13)), _peer("nccl:barrier", (5, 13))
    (13, 5, None)
    """
    end = name.replace("<-", "->").rpartition("->")[2].strip()
    return members[int(end)] if end.isdecimal() and len(end) < 9 and int(end) < len(members) else None


def _reached(status: Any, entries: list[Mapping[str, Any]], known: list[Pending], where: object) -> dict[tuple[str, bool], int]:
    """Return how far the rank came: by its entries, and by the status of the groups whose local number an entry gives away."""
    reached: dict[tuple[str, bool], int] = {}
    for p in known:
        key = (p.operation.group, p.operation.p2p)
        reached[key] = max(reached.get(key, -1), p.operation.sequence)
    local = {str(entry.get("pg_id")): p.operation.group for entry, p in zip(entries, known, strict=True)}
    if not isinstance(status, Mapping):
        raise InputError.at(where, "pg_status", "a dict", type(status).__name__)
    for number, said in status.items():
        kinds = {p2p for group, p2p in reached if group == local.get(str(number))}
        # A group counts one kind or the other in its status: with both at hand it cannot be told which.
        if isinstance(said, Mapping) and len(kinds) == 1:
            key = (local[str(number)], kinds.pop())
            reached[key] = max(reached[key], _number(said, "last_enqueued_collective", f"{where}: pg_status {number}", -1))
    return reached
