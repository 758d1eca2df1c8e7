"""Mesh: what a mesh of probes between NICs of a rail would print: round trips of small packets, and the bandwidth of large ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.devices import Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.fabric import Fabric
from grayscope.fleet.noise import Drift, stream
from grayscope.fleet.wires import RATE

#: Seconds of a quiet round trip over a spine, and how much longer it takes per share of bandwidth that queues: assumed.
ROUND, QUEUE = 9e-6, 4.0
#: Share of a port's rate that one probe of large packets reaches: assumed.
PROBE = 0.9


class Mesh:
    """Table path, sampled every `every` ticks.

    Small packets wait in queues (of leaves and spines) and see nothing else; large ones also see what a port loses to
    corruption, retransmission or a lower rate. A path with a dead end has no row.

    Parameters
    ----------
    fabric : Fabric
    seed : int
    period : float
    every : int
    """

    def __init__(self, fabric: Fabric, seed: int, period: float, every: int) -> None:
        self.fabric, self.every = fabric, every
        n = len(fabric.paths)
        self.rng, self.offset = stream(seed, "probes"), np.exp(stream(seed, "paths").normal(0, 0.03, n))
        self.wander = Drift(stream(seed, "probes' round trips"), n, 0.02, 600 / (period * every))
        ends = np.array([(p.source, p.target) for p in fabric.paths], np.intp).reshape(-1, 2)
        self.ends, self.leaves = ends, fabric.topology.leaf_of_gpu[ends]
        self.spine = np.array([p.spine for p in fabric.paths], np.intp)

    def hour(self, first: int, wrong: Effects) -> tuple[NDArray[np.intp], Columns, NDArray[np.bool_]]:
        """Return which ticks are sampled, the columns [t, P], and where there is no answer; `first` is the number of the first tick."""
        at = np.flatnonzero((first + np.arange(len(wrong.seconds))) % self.every == 0)
        queue, crowd, port = wrong.whole("queue")[at], wrong.whole("crowd")[at], wrong.whole("network")[at]
        waiting = queue[:, self.leaves].sum(axis=2) + crowd[:, self.spine]
        noise = np.exp(self.rng.normal(0, 0.02, (len(at), len(self.spine))))
        rtt = ROUND * self.offset * (1 + self.wander.next(len(at))) * noise * (1 + QUEUE * np.minimum(waiting, 4.0))
        wide = PROBE * RATE / self.offset * np.clip(1 - crowd[:, self.spine], 0.05, 1) / port[:, self.ends].max(axis=2) / noise
        dead = wrong.whole("up")[at][:, self.ends].min(axis=2) <= 0
        return at, {"path_rtt_seconds": rtt, "path_bandwidth_bytes_per_second": wide}, np.asarray(dead)
