"""Topology: who exists: nodes, their parts, the fabric between them, and the jobs that run on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from grayscope.errors import UsageError
from grayscope.roster import RosterRow

SKU = "NVIDIA H100 80GB HBM3"
#: NVLinks of one GPU of that kind.
LINKS = 18
NODES_PER_RACK = 4
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Topology:
    """A cluster with rails: NIC k of every node goes to leaf k. Two jobs share the nodes; from four nodes on one is spare.

    Parameters
    ----------
    nodes, gpus : int
        Nodes, and GPUs (as well as NICs) per node.
    seed : int
        Decides serial numbers.

    Examples
    --------
    >>> t = Topology(4, 2)
    >>> t.gpu_names[:3], t.rank_names[0], t.job_of_node
    (('n001/gpu0', 'n001/gpu1', 'n002/gpu0'), 'job:1/r0', ('job:1', 'job:1', 'job:2', ''))
    """

    nodes: int
    gpus: int
    seed: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.nodes <= 999 and 1 <= self.gpus <= 16):
            raise UsageError(f"a fleet has 1 to 999 nodes of 1 to 16 GPUs, not {self.nodes} of {self.gpus}")

    @cached_property
    def node_names(self) -> tuple[str, ...]:
        """Return the nodes."""
        return tuple(f"n{i + 1:03d}" for i in range(self.nodes))

    @cached_property
    def gpu_names(self) -> tuple[str, ...]:
        """Return the GPUs, node by node."""
        return tuple(f"{n}/gpu{k}" for n in self.node_names for k in range(self.gpus))

    @cached_property
    def pcie_names(self) -> tuple[str, ...]:
        """Return the GPUs' PCIe links, in the order of the GPUs."""
        return tuple(f"{g}/pcie" for g in self.gpu_names)

    @cached_property
    def nvlink_names(self) -> tuple[str, ...]:
        """Return the NVLinks, GPU by GPU."""
        return tuple(f"{g}/nvlink{k}" for g in self.gpu_names for k in range(LINKS))

    @cached_property
    def nic_names(self) -> tuple[str, ...]:
        """Return the NICs, node by node; NIC k serves GPU k."""
        return tuple(f"{n}/nic{k}" for n in self.node_names for k in range(self.gpus))

    @cached_property
    def job_of_node(self) -> tuple[str, ...]:
        """Return the job of each node, empty for the spare one."""
        spare = 1 if self.nodes >= 4 else 0
        first = (self.nodes - spare + 1) // 2
        return tuple("job:1" if i < first else "job:2" if i < self.nodes - spare else "" for i in range(self.nodes))

    @cached_property
    def jobs(self) -> tuple[str, ...]:
        """Return the jobs."""
        return tuple(sorted({j for j in self.job_of_node if j}))

    @cached_property
    def node_of_gpu(self) -> Ints:
        """Return the node of each GPU (and NIC, and PCIe link), shape [G]."""
        return np.repeat(np.arange(self.nodes), self.gpus)

    @cached_property
    def slot(self) -> Ints:
        """Return the place of each GPU in its node, shape [G]."""
        return np.tile(np.arange(self.gpus), self.nodes)

    @cached_property
    def rank_gpu(self) -> Ints:
        """Return the GPU of each rank, shape [R]; ranks come job by job."""
        return np.array([g for job in self.jobs for g in range(len(self.gpu_names)) if self.job_of_node[g // self.gpus] == job], np.intp)

    @cached_property
    def rank_job(self) -> Ints:
        """Return the job (as index into `jobs`) of each rank, shape [R]."""
        return np.array([self.jobs.index(self.job_of_node[g // self.gpus]) for g in self.rank_gpu], np.intp)

    @cached_property
    def rank_stage(self) -> Ints:
        """Return the pipeline stage of each rank, shape [R]: `job:1` has one, `job:2` two."""
        stage = np.zeros(len(self.rank_gpu), np.intp)
        second = np.flatnonzero(self.rank_job == 1)
        stage[second[len(second) // 2 :]] = 1
        return stage

    @cached_property
    def rank_names(self) -> tuple[str, ...]:
        """Return the ranks."""
        within = np.arange(len(self.rank_job)) - np.searchsorted(self.rank_job, self.rank_job)
        return tuple(f"{self.jobs[j]}/r{k}" for j, k in zip(self.rank_job.tolist(), within.tolist(), strict=True))

    def serial(self, subject: str) -> str:
        """Return the serial number of a part."""
        return hashlib.blake2b(f"{self.seed}/{subject}".encode(), digest_size=6).hexdigest().upper()

    def roster_rows(self) -> list[RosterRow]:
        """Return who exists, valid for ever."""
        return [*self._hosts(), *self._parts(), *self._ranks(), *self._fabric()]

    # -- rows -------------------------------------------------------------------------------------------------------

    def _keys(self, node: int) -> dict[str, str]:
        rack = f"rack{node // NODES_PER_RACK + 1:02d}"
        keys = {"node": self.node_names[node], "rack": rack, "job": self.job_of_node[node]}
        return {k: v for k, v in keys.items() if v}

    def _hosts(self) -> Iterator[RosterRow]:
        for i, name in enumerate(self.node_names):
            yield RosterRow(name, "node", keys={**self._keys(i), "sku": "HGX H100", "serial": self.serial(name)})

    def _parts(self) -> Iterator[RosterRow]:
        for g, name in enumerate(self.gpu_names):
            node, slot = divmod(g, self.gpus)
            keys = {**self._keys(node), "slot": str(slot), "sku": SKU, "serial": self.serial(name)}
            yield RosterRow(name, "gpu", keys=keys)
            yield RosterRow(self.pcie_names[g], "pcie", keys=keys)
            for link in self.nvlink_names[g * LINKS : (g + 1) * LINKS]:
                yield RosterRow(link, "nvlink", keys=keys)
            nic = self.nic_names[g]
            wired = {"sku": "ConnectX-7", "serial": self.serial(nic), "rail": f"rail:{slot}", "leaf": leaf_name(slot)}
            yield RosterRow(nic, "nic", keys={**keys, **wired})

    def _ranks(self) -> Iterator[RosterRow]:
        for r, name in enumerate(self.rank_names):
            gpu = int(self.rank_gpu[r])
            node, slot = divmod(gpu, self.gpus)
            keys = {**self._keys(node), "role": f"stage{self.rank_stage[r]}", "gpu": self.gpu_names[gpu], "rail": f"rail:{slot}", "leaf": leaf_name(slot)}
            yield RosterRow(name, "rank", keys=keys, crosses=(self.gpu_names[gpu], self.pcie_names[gpu], self.nic_names[gpu], leaf_name(slot)))

    def _fabric(self) -> Iterator[RosterRow]:
        for slot in range(self.gpus):
            yield RosterRow(leaf_name(slot), "leaf", keys={"rail": f"rail:{slot}"})
            yield RosterRow(f"rail:{slot}", "rail")
        for job in self.jobs:
            yield RosterRow(job, "job")


def leaf_name(rail: int) -> str:
    """Return the leaf switch of a rail.

    Examples
    --------
    >>> leaf_name(0)
    'leaf01'
    """
    return f"leaf{rail + 1:02d}"
