"""Place: finds the parts that a fault names, and the jobs that sit on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grayscope.errors import UsageError
from grayscope.fleet.fabric import Fabric
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.noise import Floats
from grayscope.fleet.seats import Seat
from grayscope.fleet.topology import LINKS, Ints, Topology
from grayscope.plugins import nearest


@dataclass(frozen=True)
class Place:
    """Index of parts by name.

    Parameters
    ----------
    topology : Topology
    lottery : Lottery

    Examples
    --------
    >>> t = Topology(4, 2)
    >>> place = Place(t, Lottery.draw(t, 1))
    >>> place.gpu("n002/gpu1/pcie"), place.nic("n002/nic1"), place.node("n003"), place.nvlink("n001/gpu1/nvlink2")
    (3, 3, 2, 20)
    """

    topology: Topology
    lottery: Lottery

    def gpu(self, subject: str) -> int:
        """Return the GPU that a name lies in."""
        return _find("/".join(subject.split("/")[:2]), self._gpus, "GPU", subject)

    def nic(self, subject: str) -> int:
        """Return a NIC."""
        return _find(subject, self._nics, "NIC", subject)

    def node(self, subject: str) -> int:
        """Return the node that a name lies in."""
        return _find(subject.split("/")[0], self._nodes, "node", subject)

    def nvlink(self, subject: str) -> int:
        """Return an NVLink."""
        tail = subject.rpartition("nvlink")[2]
        if not tail.isdigit() or int(tail) >= LINKS:
            raise UsageError(f"no NVLink is called {subject!r}: a GPU has nvlink0 to nvlink{LINKS - 1}")
        return self.gpu(subject) * LINKS + int(tail)

    def drive(self, subject: str) -> int:
        """Return a drive."""
        return _find(subject, {n: i for i, n in enumerate(self.topology.drive_names)}, "drive", subject)

    def leaf(self, subject: str) -> int:
        """Return a leaf switch."""
        return _find(subject, {n: i for i, n in enumerate(self.topology.leaf_names)}, "leaf", subject)

    def spine(self, subject: str) -> int:
        """Return a spine switch."""
        return _find(subject, {n: i for i, n in enumerate(self.fabric.names)}, "spine", subject)

    def job(self, subject: str) -> int:
        """Return a job."""
        return _find(subject, {n: i for i, n in enumerate(self.topology.jobs)}, "job", subject)

    def gpus(self, node: int) -> Ints:
        """Return the GPUs (and NICs) of a node."""
        return np.arange(node * self.topology.gpus, (node + 1) * self.topology.gpus)

    def under(self, leaf: int) -> Ints:
        """Return the NICs that are plugged into a leaf switch."""
        return np.flatnonzero(self.topology.leaf_of_gpu == leaf)

    def jobs_on(self, node: int, seconds: Floats) -> Iterator[tuple[int, Floats]]:
        """Yield (job, 1 where it sits on the node else 0) for every job that does at some time."""
        for seat in self._seats.get(node, ()):
            there = (seconds >= seat.since) & (seconds < seat.until)
            if there.any():
                yield self.topology.jobs.index(seat.job), there.astype(np.float64)

    def seats_of(self, job: str) -> Sequence[Seat]:
        """Return all seats of a job."""
        return [s for s in self.topology.seating if s.job == job]

    @cached_property
    def fabric(self) -> Fabric:
        """Return what connects the leaves."""
        return Fabric(self.topology)

    # -- indices ----------------------------------------------------------------------------------------------------

    @cached_property
    def _gpus(self) -> dict[str, int]:
        return {n: i for i, n in enumerate(self.topology.gpu_names)}

    @cached_property
    def _nics(self) -> dict[str, int]:
        return {n: i for i, n in enumerate(self.topology.nic_names)}

    @cached_property
    def _nodes(self) -> dict[str, int]:
        return {n: i for i, n in enumerate(self.topology.node_names)}

    @cached_property
    def _seats(self) -> dict[int, list[Seat]]:
        found: dict[int, list[Seat]] = {}
        for seat in self.topology.seating:
            found.setdefault(seat.node, []).append(seat)
        return found


def _find(name: str, known: dict[str, int], kind: str, said: str) -> int:
    if name not in known:
        raise UsageError(f"no {kind} is called {said!r}: {nearest(name, known)}")
    return known[name]
