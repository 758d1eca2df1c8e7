"""Topology: who exists: nodes, their parts, the fabric between them, and the jobs that run on them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from grayscope.errors import UsageError
from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.seats import Seat, job_number, two_jobs
from grayscope.fleet.skus import H100, KINDS

SKU = H100.gpu
#: NVLinks of one GPU of either kind (telemetry reference, section 1.5); nodes per rack: assumed.
LINKS, NODES_PER_RACK = 18, 4
#: A leaf switch serves one rail of so many nodes (NVIDIA's scalable unit); drives per node and spine switches: assumed.
NODES_PER_LEAF, DRIVES, SPINES = 32, 2, 4
#: Seconds that a rank of each of the first two jobs computes per step: assumed.
BASE = (1.6, 2.3)
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
    seats : tuple of Seat
        Who works where and when, instead of two jobs for ever.
    second : int
        How many of the last nodes are of the second kind.
    per_leaf : int
        Nodes that one leaf switch serves.

    Examples
    --------
    >>> t = Topology(4, 2)
    >>> t.gpu_names[:3], t.rank_names[0], t.job_of_node
    (('n001/gpu0', 'n001/gpu1', 'n002/gpu0'), 'job:1/r0', ('job:1', 'job:1', 'job:2', ''))
    """

    nodes: int
    gpus: int
    seed: int = 1
    seats: tuple[Seat, ...] = ()
    second: int = 0
    per_leaf: int = NODES_PER_LEAF

    def __post_init__(self) -> None:
        if not (1 <= self.nodes <= 9999 and 1 <= self.gpus <= 16):
            raise UsageError(f"a fleet has 1 to 9999 nodes of 1 to 16 GPUs, not {self.nodes} of {self.gpus}")

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
    def seating(self) -> tuple[Seat, ...]:
        """Return all seats, job by job and place by place."""
        return tuple(sorted(self.seats or two_jobs(self.nodes), key=lambda s: (job_number(s.job), s.place, s.since)))

    @cached_property
    def job_of_node(self) -> tuple[str, ...]:
        """Return the first job of each node, empty for a spare one."""
        first = {s.node: s.job for s in sorted(self.seating, key=lambda s: -s.since)}
        return tuple(first.get(i, "") for i in range(self.nodes))

    @cached_property
    def jobs(self) -> tuple[str, ...]:
        """Return the jobs."""
        return tuple(sorted({s.job for s in self.seating}, key=job_number))

    @cached_property
    def job_base(self) -> Floats:
        """Return the seconds that a rank of each job computes per step, shape [J]; 1 to 4 s are assumed."""
        drawn = stream(self.seed, "kinds of jobs").uniform(1.0, 4.0, max(len(self.jobs) - len(BASE), 0))
        return np.concatenate([BASE[: len(self.jobs)], drawn])

    @cached_property
    def kind_of_node(self) -> Ints:
        """Return which of the kinds of GPU each node has, shape [N]."""
        return (np.arange(self.nodes) >= self.nodes - self.second).astype(np.intp)

    def of_kind(self, what: str) -> Floats:
        """Return a number of each GPU's kind, shape [G]."""
        return np.array([float(getattr(k, what)) for k in KINDS])[self.kind_of_node[self.node_of_gpu]]

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
        """Return the GPU of each rank, shape [R]; ranks come job by job, one that moves comes once per seat."""
        nodes = np.array([s.node for s in self.seating], np.intp)
        return (nodes[:, None] * self.gpus + np.arange(self.gpus)).ravel()

    @cached_property
    def rank_job(self) -> Ints:
        """Return the job (as index into `jobs`) of each rank, shape [R]."""
        number = {job: j for j, job in enumerate(self.jobs)}
        return np.repeat(np.array([number[s.job] for s in self.seating], np.intp), self.gpus)

    @cached_property
    def rank_seat(self) -> Ints:
        """Return the seat (as index into `seating`) of each rank, shape [R]."""
        return np.repeat(np.arange(len(self.seating)), self.gpus)

    @cached_property
    def rank_stage(self) -> Ints:
        """Return the pipeline stage of each rank, shape [R]: without seats of its own `job:1` has one, `job:2` two."""
        stage = np.repeat(np.array([s.stage for s in self.seating], np.intp), self.gpus)
        if not self.seats:
            second = np.flatnonzero(self.rank_job == 1)
            stage[second[len(second) // 2 :]] = 1
        return stage

    @cached_property
    def rank_names(self) -> tuple[str, ...]:
        """Return the ranks."""
        return tuple(f"{s.job}/r{s.place * self.gpus + k}" for s in self.seating for k in range(self.gpus))

    def working(self, seconds: Floats) -> NDArray[np.bool_]:
        """Say which ranks are there at `seconds` [T], shape [T, R]."""
        since, until = (np.repeat([getattr(s, x) for s in self.seating], self.gpus) for x in ("since", "until"))
        return np.asarray((seconds[:, None] >= since) & (seconds[:, None] < until))

    def serial(self, subject: str) -> str:
        """Return the serial number of a part."""
        return hashlib.blake2b(f"{self.seed}/{subject}".encode(), digest_size=6).hexdigest().upper()

    @cached_property
    def drive_names(self) -> tuple[str, ...]:
        """Return the drives, node by node."""
        return tuple(f"{n}/nvme{k}" for n in self.node_names for k in range(DRIVES))

    @cached_property
    def leaf_of_gpu(self) -> Ints:
        """Return the leaf switch that the NIC beside each GPU is plugged into, shape [G]: one per rail and group of nodes."""
        return np.asarray(self.node_of_gpu // self.per_leaf * self.gpus + self.slot)

    @cached_property
    def leaf_names(self) -> tuple[str, ...]:
        """Return the leaf switches."""
        return tuple(leaf_name(k) for k in range(int(self.leaf_of_gpu.max()) + 1))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Return how many parts of each kind there are."""
        n, g = self.nodes, len(self.gpu_names)
        leaves, jobs = len(self.leaf_names), len(self.jobs)
        return {"node": n, "gpu": g, "nic": g, "nvlink": g * LINKS, "drive": n * DRIVES, "leaf": leaves, "spine": SPINES, "job": jobs}

    def lot(self, g: int) -> str:
        """Return the production lot of a GPU: neighbours in the racks mostly come from one; 32 nodes per lot are assumed."""
        return f"lot{g // self.gpus // 32 + 1:02d}"


def leaf_name(number: int) -> str:
    """Return the name of a leaf switch.

    Examples
    --------
    >>> leaf_name(0)
    'leaf01'
    """
    return f"leaf{number + 1:02d}"
