"""Seats: who works where and when: each place of a job sits on a node for a while; a moved job takes another seat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

ALWAYS = float("inf")


@dataclass(frozen=True, slots=True)
class Seat:
    """One place (all GPUs of one node) of one job.

    Parameters
    ----------
    job : str
    place : int
        Number of the node within the job; its ranks follow from it.
    node : int
    since, until : float
        Seconds.
    stage : int
        Pipeline stage of its ranks.
    """

    job: str
    place: int
    node: int
    since: float = -ALWAYS
    until: float = ALWAYS
    stage: int = 0


def two_jobs(nodes: int) -> tuple[Seat, ...]:
    """Return two jobs that share the nodes for ever; from four nodes on the last one is spare.

    Examples
    --------
    >>> [(s.job, s.place, s.node) for s in two_jobs(4)]
    [('job:1', 0, 0), ('job:1', 1, 1), ('job:2', 0, 2)]
    """
    used = nodes - 1 if nodes >= 4 else nodes
    first = (used + 1) // 2
    return tuple(Seat("job:1", i, i) if i < first else Seat("job:2", i - first, i) for i in range(used))


def moved(seats: Sequence[Seat], node: int, at: float, to: int) -> list[Seat]:
    """Return the seats after whoever sits on `node` at a moment has moved to another node for the rest of its time.

    Examples
    --------
    >>> [(s.node, s.since, s.until) for s in moved([Seat("job:1", 0, 3, 0.0, 90.0)], 3, 50.0, 7)]
    [(3, 0.0, 50.0), (7, 50.0, 90.0)]
    """
    out: list[Seat] = []
    for seat in seats:
        if seat.node == node and seat.since < at < seat.until:
            out += [replace(seat, until=at), replace(seat, node=to, since=at)]
        else:
            out.append(seat)
    return out


def job_number(job: str) -> tuple[int, str]:
    """Return what jobs are sorted by: their number, then their name.

    Examples
    --------
    >>> sorted(["job:10", "job:2"], key=job_number)
    ['job:2', 'job:10']
    """
    tail = job.rpartition(":")[2]
    return (int(tail) if tail.isdigit() else 0, job)
