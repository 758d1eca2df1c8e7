"""Machines: what else nodes and their drives would print in the full simulation."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.counters import Total
from grayscope.fleet.devices import DAY, Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Drift, Floats, stream
from grayscope.fleet.topology import DRIVES, Topology

#: Seconds between two checkpoints, and how long one is written: assumed.
EVERY, WRITING = 1800.0, 60.0
#: Members of a host's network bond: assumed.
MEMBERS = 2.0


class Machines:
    """The second half of table node.

    Parameters
    ----------
    topology : Topology
    seed : int
    period : float
    """

    def __init__(self, topology: Topology, seed: int, period: float) -> None:
        self.gpus, self.period = topology.gpus, period
        self.uncorrected = Total(np.zeros(topology.nodes), bits=32)
        self.up = Total(stream(seed, "uptimes").uniform(DAY, 200 * DAY, topology.nodes))

    def hour(self, now: Moment, wrong: Effects) -> Columns:
        """Return further columns [T, N]."""
        boots, shape = now.hosts(self.gpus), (len(now.seconds), len(self.up.last))
        return {
            "node_uptime_seconds": self.up.next(np.full(shape, self.period), boots),
            "psu_redundancy_intact": wrong.whole("supplies"),
            "fan_redundancy_intact": wrong.whole("fans"),
            "bond_members_active": MEMBERS - wrong.whole("bond_down"),
            "bond_members_expected": np.full(shape, MEMBERS),
            "bond_members_aggregated": MEMBERS - wrong.whole("bond_alone"),
            "raid_members_missing": wrong.whole("disks_lost"),
            "host_memory_uncorrected_errors_total": self.uncorrected.next(np.zeros(shape), boots),
        }


class Drives:
    """Table drive: reading all the time, writing at checkpoints; latency follows the load.

    Parameters
    ----------
    topology : Topology
    seed : int
    period : float
    """

    def __init__(self, topology: Topology, seed: int, period: float) -> None:
        n = len(topology.drive_names)
        self.rng = stream(seed, "drives")
        self.node = np.repeat(np.arange(topology.nodes), DRIVES)
        self.gpus = topology.gpus
        self.base = 9e-5 * np.exp(self.rng.normal(0, 0.06, n))
        self.age = wear(topology)
        self.load = Drift(stream(seed, "drives' load"), n, 0.1, 60 / period)

    def hour(self, now: Moment, wrong: Effects) -> Columns:
        """Return the columns [T, D]."""
        ticks = len(now.seconds)
        working = np.asarray(now.working.reshape(ticks, -1, self.gpus).any(axis=2))[:, self.node]
        writing = (now.seconds[:, None] % EVERY < WRITING) & working
        bytes_ = np.where(working, 1.5e8, 2e6) * np.exp(self.load.next(ticks)) + 2.2e9 * writing
        noise = np.exp(self.rng.normal(0, 0.04, bytes_.shape))
        return {
            "drive_throughput_bytes_per_second": bytes_,
            "drive_latency_seconds": self.base * (1 + bytes_ / 1.5e9) * noise * wrong["latency"],
            "drive_spare_ratio": np.round(np.broadcast_to(1 - self.age - wrong["spent"], bytes_.shape), 2).astype(np.float64),
        }


def wear(topology: Topology) -> Floats:
    """Return the share of spare blocks that each drive has used up before, shape [D]: up to a tenth, assumed."""
    return stream(topology.seed, "age of drives").uniform(0.0, 0.1, len(topology.drive_names))
