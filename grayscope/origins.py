"""Origins: which ranks hold up a job that stands still, from all ranks' Flight Recorder dumps.

A rank waits in its oldest unfinished operation: for the members that never entered it, else for those that entered and are
held up by something older. Who is waited for and waits for nobody is the origin, however many nested groups lie between.
No clock is compared, so none need agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from grayscope.recorder import Dump, Operation, Pending


class Suspect(NamedTuple):
    """Ranks that hold up the others: one, or several that wait for each other and cannot be told apart.

    Parameters
    ----------
    ranks : tuple of int
    operation : Operation
        What they did not enter, or hold up, that most others wait in.
    name, group : str
        What it is called, and what its group is for.
    waiting : tuple of int
        Ranks that wait for them directly.
    entered : bool
        False: never entered (the usual case); True: entered, and held up by another operation that they wait in.
    dumped : bool
        False: they left no dump either.
    """

    ranks: tuple[int, ...]
    operation: Operation
    name: str
    group: str
    waiting: tuple[int, ...]
    entered: bool
    dumped: bool


class Wait(NamedTuple):
    """One rank waits for another in an operation that the other never entered, or entered with something older in its way."""

    by: int
    on: int
    what: Pending
    entered: bool


def suspects(dumps: Mapping[int, Dump]) -> list[Suspect]:
    """Return who holds up whom, by rank; nothing if nobody waits for anybody.

    Examples
    --------
    >>> from grayscope.recorder import read
    >>> def dump(rank, *sequences):
    ...     entries = [{"record_id": s, "process_group": ("0", "all"), "collective_seq_id": s, "state": "scheduled"} for s in sequences]
    ...     return read(rank, {"version": "2.9", "pg_config": {"0": {"ranks": "[0, 1, 2]"}}, "entries": entries}, rank)
    >>> [s.ranks for s in suspects({0: dump(0, 7, 8), 1: dump(1), 2: dump(2, 7)})]
    [(1,)]
    """
    waits = [wait for rank in sorted(dumps) for wait in _waits(dumps[rank], dumps)]
    return [_suspect(ranks, waits, dumps) for ranks in _sinks(waits)]


def _waits(dump: Dump, dumps: Mapping[int, Dump]) -> Iterator[Wait]:
    if not dump.pending:
        return
    first = dump.pending[0]
    others = [r for r in members(first, dump) if r != dump.rank]
    absent = [r for r in others if not entered(dumps.get(r), first.operation)]
    if absent:
        yield from (Wait(dump.rank, r, first, False) for r in absent)
        return
    for r in others:
        older = dumps[r].pending
        if older and older[0].operation != first.operation and any(p.operation == first.operation for p in older):
            yield Wait(dump.rank, r, first, True)


def members(pending: Pending, dump: Dump) -> tuple[int, ...]:
    """Return the ranks that take part: the whole group, or the two ends."""
    if pending.operation.p2p:
        return (dump.rank, pending.peer) if pending.peer is not None else (dump.rank,)
    return dump.members.get(pending.operation.group, ())


def entered(dump: Dump | None, operation: Operation) -> bool:
    """Say whether a rank has enqueued an operation; one without a dump, or without a trace of the group, has not."""
    return dump is not None and dump.reached.get((operation.group, operation.p2p), -1) >= operation.sequence


def _sinks(waits: list[Wait]) -> list[tuple[int, ...]]:
    """Return the sets of ranks that are waited for and wait for nobody outside themselves, by rank."""
    after: dict[int, set[int]] = {}
    for wait in waits:
        after.setdefault(wait.by, set()).add(wait.on)
        after.setdefault(wait.on, set())
    waited = {w.on for w in waits}
    found = {c for c in _components(after) if not any(after[r] - set(c) for r in c) and waited & set(c)}
    return sorted(found)


def _components(after: Mapping[int, set[int]]) -> Iterator[tuple[int, ...]]:
    """Yield the strongly connected sets of a graph (Tarjan 1972), without recursion: ranks come in tens of thousands."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in sorted(after):
        work = [(root, iter(sorted(after[root])))] if root not in index else []
        while work:
            node, rest = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
            child = next(rest, None)
            if child is None:
                work.pop()
                low[node] = min([low[node], *(low[c] for c in after[node] if c in on_stack)])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    component, stack[cut:] = stack[cut:], []
                    on_stack -= set(component)
                    yield tuple(sorted(component))
            elif child not in index:
                work.append((child, iter(sorted(after[child]))))


def _suspect(ranks: tuple[int, ...], waits: list[Wait], dumps: Mapping[int, Dump]) -> Suspect:
    inside = set(ranks)
    felt = [w for w in waits if w.on in inside and w.by not in inside] or [w for w in waits if w.on in inside]
    counted: dict[Operation, int] = {}
    for wait in felt:
        counted[wait.what.operation] = counted.get(wait.what.operation, 0) + 1
    operation = max(sorted(counted), key=lambda o: (counted[o], not o.p2p))
    shown = next(w for w in felt if w.what.operation == operation)
    group = dumps[shown.by].described.get(operation.group, "")
    return Suspect(ranks, operation, shown.what.name, group, tuple(sorted({w.by for w in felt})), all(w.entered for w in felt), any(r in dumps for r in ranks))
