"""Register: the roster of the generated fleet: who exists, what belongs together, and how that changes when jobs and parts move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from grayscope.fleet.fabric import Fabric
from grayscope.fleet.moment import stamp
from grayscope.fleet.seats import ALWAYS, Seat
from grayscope.fleet.skus import KINDS
from grayscope.fleet.topology import DRIVES, LINKS, NODES_PER_RACK, Topology
from grayscope.roster import RosterRow

#: From, until, and who sits there then.
Era = tuple[float, float, Seat | None]


class Register:
    """Makes the rows of the roster.

    Parameters
    ----------
    topology : Topology
    complete : bool
        With drives, communicators, production lots and the site.
    swaps : mapping
        Index of a GPU to the second at which another part took its place.
    fabric : Fabric, optional
        With its spines and the paths that are probed.
    """

    def __init__(self, topology: Topology, *, complete: bool = False, swaps: Mapping[int, float] | None = None, fabric: Fabric | None = None) -> None:
        self.topology, self.complete, self.swaps, self.fabric = topology, complete, swaps or {}, fabric
        seats: dict[int, list[Seat]] = {}
        for seat in sorted(topology.seating, key=lambda s: s.since):
            seats.setdefault(seat.node, []).append(seat)
        self.eras = [tuple(_eras(seats.get(n, []))) for n in range(topology.nodes)]

    def rows(self) -> list[RosterRow]:
        """Return every row."""
        out = [*self._hosts(), *self._parts(), *self._ranks(), *self._fabric(), *self._paths()]
        return [*out, *self._drives(), *self._comms(), RosterRow("site", "site")] if self.complete else out

    # -- machines ---------------------------------------------------------------------------------------------------

    def _keys(self, node: int, seat: Seat | None) -> dict[str, str]:
        keys = {"node": self.topology.node_names[node], "rack": f"rack{node // NODES_PER_RACK + 1:02d}"}
        return {**keys, "job": seat.job} if seat else keys

    def _hosts(self) -> Iterator[RosterRow]:
        for i, name in enumerate(self.topology.node_names):
            sku = KINDS[int(self.topology.kind_of_node[i])].node
            for since, until, seat in self.eras[i]:
                yield _row(name, "node", since, until, {**self._keys(i, seat), "sku": sku, "serial": self.topology.serial(name)})

    def _parts(self) -> Iterator[RosterRow]:
        top = self.topology
        for g, name in enumerate(top.gpu_names):
            node, slot = divmod(g, top.gpus)
            part = {"slot": str(slot), "sku": KINDS[int(top.kind_of_node[node])].gpu}
            lot = {"lot": top.lot(g)} if self.complete else {}
            wired = {**part, "sku": "ConnectX-7", "serial": top.serial(top.nic_names[g]), "rail": f"rail:{slot}", "leaf": top.leaf_names[top.leaf_of_gpu[g]]}
            for since, until, seat, serial in self._owned(g):
                keys = {**self._keys(node, seat), **part, **lot, "serial": serial}
                yield _row(name, "gpu", since, until, keys)
                yield _row(top.pcie_names[g], "pcie", since, until, keys)
                for link in top.nvlink_names[g * LINKS : (g + 1) * LINKS]:
                    yield _row(link, "nvlink", since, until, keys)
            for since, until, seat in self.eras[node]:
                yield _row(top.nic_names[g], "nic", since, until, {**self._keys(node, seat), **wired})

    def _owned(self, g: int) -> Iterator[tuple[float, float, Seat | None, str]]:
        """Yield the eras of a GPU's place, cut where another part took it."""
        name, swap = self.topology.gpu_names[g], self.swaps.get(g, ALWAYS)
        for since, until, seat in self.eras[g // self.topology.gpus]:
            if since < swap:
                yield since, min(until, swap), seat, self.topology.serial(name)
            if swap < until:
                yield max(since, swap), until, seat, self.topology.serial(f"{name} again")

    def _drives(self) -> Iterator[RosterRow]:
        for d, name in enumerate(self.topology.drive_names):
            node = self.topology.node_names[d // DRIVES]
            yield RosterRow(name, "drive", keys={"node": node, "slot": str(d % DRIVES), "sku": "NVMe 3.84 TB", "serial": self.topology.serial(name)})

    # -- work and wires ---------------------------------------------------------------------------------------------

    def _ranks(self) -> Iterator[RosterRow]:
        top = self.topology
        for r, name in enumerate(top.rank_names):
            g, seat = int(top.rank_gpu[r]), top.seating[top.rank_seat[r]]
            node, slot = divmod(g, top.gpus)
            leaf = top.leaf_names[top.leaf_of_gpu[g]]
            keys = {**self._keys(node, seat), "role": f"stage{top.rank_stage[r]}", "gpu": top.gpu_names[g], "rail": f"rail:{slot}", "leaf": leaf}
            crosses = (top.gpu_names[g], top.pcie_names[g], top.nic_names[g], leaf, *self._spines(seat.job, slot))
            yield _row(name, "rank", seat.since, seat.until, keys, crosses)

    def _spines(self, job: str, slot: int) -> tuple[str, ...]:
        """Return the spine that a job's traffic on a rail crosses, if it does."""
        wide = self.fabric is not None and job in self.fabric.wide
        return (self.fabric.names[self.fabric.spine_of(job, slot)],) if self.fabric is not None and wide else ()

    def _fabric(self) -> Iterator[RosterRow]:
        for number, leaf in enumerate(self.topology.leaf_names):
            yield RosterRow(leaf, "leaf", keys={"rail": f"rail:{number % self.topology.gpus}"})
        for slot in range(self.topology.gpus):
            yield RosterRow(f"rail:{slot}", "rail")
        for job in self.topology.jobs:
            seats = [s for s in self.topology.seating if s.job == job]
            yield _row(job, "job", min(s.since for s in seats), max(s.until for s in seats), {})

    def _paths(self) -> Iterator[RosterRow]:
        if self.fabric is None:
            return
        for spine in self.fabric.names:
            yield RosterRow(spine, "spine")
        for name, path in zip(self.fabric.path_names, self.fabric.paths, strict=True):
            source, target = name.split(">")
            keys = {"source": source, "target": target, "rail": f"rail:{self.topology.slot[path.source]}", "spine": self.fabric.names[path.spine]}
            yield RosterRow(name, "path", keys=keys, crosses=self.fabric.crosses(path))

    def _comms(self) -> Iterator[RosterRow]:
        """Yield one communicator per node and rail of each job, as long as its seats are the same."""
        top = self.topology
        for seat in top.seating:
            node = top.node_names[seat.node]
            crosses = tuple(f"{node}/gpu{k}" for k in range(top.gpus))
            yield _row(inside(seat), "comm", seat.since, seat.until, {"job": seat.job, "node": node, "role": "inside the node"}, crosses)
        for job in top.jobs:
            seats = [s for s in top.seating if s.job == job]
            for slot in range(top.gpus):
                ports = [s.node * top.gpus + slot for s in seats]
                leaves = sorted({top.leaf_names[top.leaf_of_gpu[p]] for p in ports})
                crosses = (*(top.nic_names[p] for p in ports), *leaves, *self._spines(job, slot))
                span = min(s.since for s in seats), max(s.until for s in seats)
                yield _row(across(job, slot), "comm", *span, {"job": job, "rail": f"rail:{slot}", "role": "along the rail"}, crosses)


def inside(seat: Seat) -> str:
    """Return the communicator of one node of a job.

    Examples
    --------
    >>> inside(Seat("job:7", 2, 0)), across("job:7", 3)
    ('comm:7-node2', 'comm:7-rail3')
    """
    return f"comm:{seat.job.partition(':')[2]}-node{seat.place}"


def across(job: str, slot: int) -> str:
    """Return the communicator of one rail of a job."""
    return f"comm:{job.partition(':')[2]}-rail{slot}"


def _eras(seats: list[Seat]) -> Iterator[Era]:
    edges = sorted({-ALWAYS, ALWAYS, *(x for s in seats for x in (s.since, s.until))})
    for since, until in pairwise(edges):
        yield since, until, next((s for s in seats if s.since <= since and until <= s.until), None)


def _row(name: str, table: str, since: float, until: float, keys: Mapping[str, str], crosses: tuple[str, ...] = ()) -> RosterRow:
    begins, ends = (None if abs(x) == ALWAYS else stamp(x) for x in (since, until))
    return RosterRow(name, table, begins, ends, keys, crosses)
