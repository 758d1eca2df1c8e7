"""Fabric: leaves and spines: which jobs' traffic crosses which spine, and the paths that are probed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grayscope.fleet.seats import Seat
from grayscope.fleet.topology import SPINES, Ints, Topology

#: Uplinks of a leaf switch, spread evenly over the spines: assumed.
UPLINKS = 16
#: Paths that are probed at most, however large the fleet: assumed.
PATHS = 384


@dataclass(frozen=True, slots=True)
class Path:
    """One probed way between two NICs of a rail: indices of both, and the spine that it is hashed to."""

    source: int
    target: int
    spine: int


@dataclass(frozen=True)
class Fabric:
    """What connects the leaves: every leaf has uplinks to every spine, and each flow is hashed to one spine (ECMP).

    Parameters
    ----------
    topology : Topology

    Examples
    --------
    >>> fabric = Fabric(Topology(8, 2, per_leaf=2))
    >>> fabric.names, len(fabric.paths), fabric.path_names[0]
    (('spine01', 'spine02', 'spine03', 'spine04'), 16, 'n001/nic0>n003/nic0')
    """

    topology: Topology

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the spine switches."""
        return tuple(f"spine{k + 1:02d}" for k in range(SPINES))

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """Return what is probed: from each NIC one way to its rail's NIC under another leaf; every few NICs only in a large fleet."""
        top = self.topology
        groups = -(-top.nodes // top.per_leaf)
        if groups < 2:
            return ()
        stride = -(-len(top.nic_names) // PATHS)
        found = []
        for node in range(top.nodes):
            group = node // top.per_leaf
            other = (group + 1 + node % (groups - 1)) % groups
            mate = min(other * top.per_leaf + node % top.per_leaf, top.nodes - 1)
            for slot in range(top.gpus):
                if (node + slot) % stride == 0:
                    source, target = node * top.gpus + slot, mate * top.gpus + slot
                    found.append(Path(source, target, self._hashed(top.nic_names[source], top.nic_names[target])))
        return tuple(found)

    @cached_property
    def path_names(self) -> tuple[str, ...]:
        """Return the names of the paths."""
        names = self.topology.nic_names
        return tuple(f"{names[p.source]}>{names[p.target]}" for p in self.paths)

    def crosses(self, path: Path) -> tuple[str, ...]:
        """Return the components on a path, end to end."""
        top = self.topology
        up, down = (top.leaf_names[top.leaf_of_gpu[k]] for k in (path.source, path.target))
        return (top.nic_names[path.source], up, self.names[path.spine], down, top.nic_names[path.target])

    # -- jobs -------------------------------------------------------------------------------------------------------

    @cached_property
    def wide(self) -> tuple[str, ...]:
        """Return the jobs that sit under more than one leaf of a rail: only their traffic crosses spines."""
        groups: dict[str, set[int]] = {}
        for seat in self.topology.seating:
            groups.setdefault(seat.job, set()).add(seat.node // self.topology.per_leaf)
        return tuple(job for job in self.topology.jobs if len(groups[job]) > 1)

    @cached_property
    def jobs_over(self) -> tuple[tuple[str, ...], ...]:
        """Return the jobs whose traffic crosses each spine."""
        slots = range(self.topology.gpus)
        spines = {job: {self.spine_of(job, k) for k in slots} for job in self.wide}
        return tuple(tuple(job for job, mine in spines.items() if k in mine) for k in range(SPINES))

    def spine_of(self, job: str, slot: int) -> int:
        """Return the spine that a job's traffic on one rail is hashed to."""
        return self._hashed(job, str(slot))

    def over(self, spine: int) -> Iterator[tuple[Seat, Ints]]:
        """Yield every seat of a wide job with those of its ports whose traffic crosses a spine."""
        for seat in self._wide_seats():
            slots = [k for k in range(self.topology.gpus) if self.spine_of(seat.job, k) == spine]
            if slots:
                yield seat, seat.node * self.topology.gpus + np.array(slots, np.intp)

    def up(self, leaf: int) -> Iterator[tuple[Seat, Ints]]:
        """Yield every seat of a wide job with its port below a leaf."""
        for seat in self._wide_seats():
            ports = seat.node * self.topology.gpus + np.arange(self.topology.gpus)
            below = ports[self.topology.leaf_of_gpu[ports] == leaf]
            if len(below):
                yield seat, below

    def _wide_seats(self) -> Iterator[Seat]:
        wide = set(self.wide)
        return (s for s in self.topology.seating if s.job in wide)

    def _hashed(self, *flow: str) -> int:
        key = hashlib.blake2b(f"{self.topology.seed}/{'/'.join(flow)}".encode(), digest_size=4).digest()
        return int.from_bytes(key, "little") % SPINES
