"""Collectives: from how long each member was inside a collective to who came late, and how long the transfer itself took.

A member that arrives last finds all others waiting: it alone waits for nobody, and is inside for the shortest time. So of one
collective, with D(r) the time member r was inside,

    transfer = min D        wait(r) = D(r) - min D        late(r) = max(0, median D - D(r))

which compares durations only, each from one GPU's own timer: no two clocks are ever compared. It holds for operations in which
every member needs every other's data; where a root may leave early (Broadcast, Reduce, Gather, Scatter) it does not.
Sources: NCCL RAS documentation on late ranks; Holmes (NSDI 2025); STRAGGLAR; reference telemetry 3.6 and 3.7.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Operations in which all members end together, by their names without case, underscores and additions.
SYNCHRONISING = frozenset({"allreduce", "allgather", "reducescatter", "alltoall"})
#: How others write the same operation.
SPELLED = {
    "allgatherbase": "allgather", "allgatherintotensor": "allgather", "allgatherv": "allgather", "allgathercoalesced": "allgather",
    "reducescatterbase": "reducescatter", "reducescattertensor": "reducescatter", "reducescattertensorcoalesced": "reducescatter",
    "allreducecoalesced": "allreduce", "alltoallbase": "alltoall", "alltoallv": "alltoall", "alltoallsingle": "alltoall", "barrier": "allreduce",
}  # fmt: skip
#: Collectives that wait for members to tell, per communicator; so many does the writer itself keep.
PENDING = 1024
COMMS = 4096


class Operation(NamedTuple):
    """One collective (or one end of a point-to-point transfer) as one member saw it.

    Parameters
    ----------
    comm : str
        Communicator; the same for all its members.
    sequence, member, size : int
        Number of the operation in the communicator, the member's position in it, and how many members there are.
    kind : str
        As `spelled` gives it.
    bytes : int
    seconds : float
        Time inside.
    start, stop : float
        Microseconds of one clock of this member, NaN where unknown: never to be compared with another member's.
    bandwidth : float
        Bus bandwidth in bytes/s, NaN where unknown.
    """

    comm: str
    sequence: int
    member: int
    size: int
    kind: str
    bytes: int
    seconds: float
    start: float = math.nan
    stop: float = math.nan
    bandwidth: float = math.nan


def spelled(name: str) -> str:
    """Return one spelling for an operation's many names.

    Examples
    --------
    >>> spelled("AllReduce"), spelled("nccl:_all_gather_base"), spelled("ReduceScatter"), spelled("Broadcast")
    ('allreduce', 'allgather', 'reducescatter', 'broadcast')
    """
    return _spelled(name[:80])


@lru_cache(1024)
def _spelled(name: str) -> str:
    bare = re.sub(r"[^a-z0-9]", "", name.lower().removeprefix("nccl:"))[:40]
    return SPELLED.get(bare, bare)


def bucket(size: int) -> str:
    """Return the power of two below a size in bytes, as text.

    Examples
    --------
    >>> bucket(268435456), bucket(300_000), bucket(0)
    ('256MiB', '256KiB', '0B')
    """
    power = max(size, 0).bit_length() - 1
    if power < 0:
        return "0B"
    unit = min(power // 10, 6)
    return f"{1 << (power - 10 * unit)}{('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')[unit]}"


class Lateness(NamedTuple):
    """What K collectives of R members say: arrays over members, seconds per collective; `transfer` is one number."""

    wait: Floats
    late: Floats
    ratio: Floats
    fastest: NDArray[np.bool_]
    transfer: float


def lateness(inside: Floats) -> Lateness:
    """Return who waited and who was late.

    Parameters
    ----------
    inside : ndarray of float64, shape [K, R]
        Seconds that each of R >= 2 members was inside each of K collectives.

    Returns
    -------
    Lateness
        `ratio` [R] is 1 for the member that is always the last to come, 0 for the first: one minus the share of the others
        that were inside for less, weighted by how much the collective's members differ. `fastest` [K, R] marks the member
        whose time is the transfer itself.

    Examples
    --------
    Of four, the third comes 0.8 ms late each time:

    >>> found = lateness(np.array([[2.0, 2.0, 1.2, 2.0]] * 3))
    >>> found.wait.round(2).tolist(), found.late.round(2).tolist(), found.ratio.round(2).tolist(), found.transfer
    ([0.8, 0.8, 0.0, 0.8], [0.0, 0.0, 0.8, 0.0], [0.33, 0.33, 1.0, 0.33], 1.2)
    """
    shortest = inside.min(axis=1, keepdims=True)
    middle = np.median(inside, axis=1, keepdims=True)
    behind = 1.0 - np.array([_less(row) for row in inside]) / (inside.shape[1] - 1)
    weight = ((inside.max(axis=1) - shortest[:, 0]) / np.maximum(shortest[:, 0], 1e-9))[:, None]
    total = float(weight.sum())
    ratio = (behind * weight).sum(axis=0) / total if total > 0 else np.full(inside.shape[1], 0.5)
    return Lateness((inside - shortest).mean(axis=0), np.maximum(middle - inside, 0).mean(axis=0), ratio, inside == shortest, float(shortest.mean()))


def _less(row: Floats) -> Floats:
    """Return for each member how many others were inside for less, ties by half."""
    ordered = np.sort(row)
    found: Floats = (np.searchsorted(ordered, row, "left") + np.searchsorted(ordered, row, "right") - 1) / 2
    return found


class Matching:
    """Brings together what the members tell of one collective; what stays incomplete is forgotten, oldest first, and counted.

    Members that are watched by somebody else (another node's agent) never tell here: their communicators stay incomplete.

    Examples
    --------
    >>> m = Matching()
    >>> for member, seconds in enumerate((0.002, 0.001)):
    ...     m.add(Operation("0x9f", 7, member, 2, "allreduce", 1 << 20, seconds))
    >>> [(comm, inside.tolist()) for comm, inside in m.complete()], m.incomplete
    ([('0x9f', [[0.002, 0.001]])], 0)
    """

    def __init__(self, most: int = PENDING) -> None:
        self.most = most
        self.incomplete = 0
        self._open: dict[str, dict[tuple[int, int, str, int], dict[int, float]]] = {}
        self._done: dict[str, list[list[float]]] = {}

    def add(self, op: Operation) -> None:
        """Take one member's record of a synchronising collective; others, and one of a communicator of one, are passed over."""
        if op.kind not in SYNCHRONISING or not 2 <= op.size <= 1 << 16 or not 0 <= op.member < op.size:
            return
        waiting = self._open.setdefault(op.comm, {})
        if len(self._open) > COMMS:
            self.incomplete += len(self._open.pop(next(iter(self._open))))
        told = waiting.setdefault((op.size, op.sequence, op.kind, op.bytes), {})
        told[op.member] = op.seconds
        if len(told) == op.size:
            del waiting[(op.size, op.sequence, op.kind, op.bytes)]
            done = self._done.setdefault(op.comm, [])
            if not done or len(done[0]) == op.size:
                done.append([told[m] for m in range(op.size)])
        elif len(waiting) > self.most:
            del waiting[next(iter(waiting))]
            self.incomplete += 1

    def complete(self) -> list[tuple[str, Floats]]:
        """Return per communicator the times inside [K, R] of the collectives that are complete since the last call."""
        done, self._done = self._done, {}
        return [(comm, np.array(rows)) for comm, rows in done.items()]
