"""Lottery: what parts of one kind keep different for ever; none of it is a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.topology import NODES_PER_RACK, Topology


@dataclass(frozen=True, slots=True)
class Lottery:
    """What each GPU drew when it was made and built in; all of shape [G], factors around 1 unless said.

    Parameters
    ----------
    clock, compute, power : ndarray
        SM clock under load, time for the same work (a slower clock included), power for the same work.
    heat : ndarray
        Degrees per watt.
    place : ndarray
        Degrees that slot and rack add.
    capped : ndarray
        Share of busy time under the power cap: normal for a busy part of this kind.
    replays : ndarray
        PCIe replays per minute.
    corrected : ndarray
        Corrected memory errors per day: none for nine in ten.
    errors : ndarray
        Of the NIC beside it: log10 of the bit error ratio before correction.
    """

    clock: Floats
    compute: Floats
    power: Floats
    heat: Floats
    place: Floats
    capped: Floats
    replays: Floats
    corrected: Floats
    errors: Floats

    @classmethod
    def draw(cls, topology: Topology, seed: int) -> Lottery:
        """Draw for every GPU of a cluster."""
        rng = stream(seed, "lottery")
        n = len(topology.gpu_names)
        clock = np.exp(rng.normal(0, 0.015, n))
        compute = clock**-0.8 * np.exp(rng.normal(0, 0.022, n))
        rack = rng.normal(0, 1.5, topology.nodes // NODES_PER_RACK + 1)[topology.node_of_gpu // NODES_PER_RACK]
        slot = 4.0 * (topology.slot / max(topology.gpus - 1, 1) - 0.5)
        return cls(
            clock=clock,
            compute=compute,
            power=np.exp(rng.normal(0, 0.03, n)),
            heat=0.065 * np.exp(rng.normal(0, 0.05, n)),
            place=rack + slot,
            capped=rng.beta(2, 6, n),
            replays=np.minimum(rng.gamma(0.5, 0.4, n), 2.0),
            corrected=np.where(rng.random(n) < 0.1, np.exp(rng.uniform(np.log(0.1), np.log(5.0), n)), 0.0),
            errors=stream(seed, "optics").normal(-7.0, 0.4, n),
        )

    def renewed(self, other: Lottery, swaps: Mapping[int, float], seconds: Floats) -> Lottery:
        """Return what is true at `seconds` [T] when some GPUs have been replaced: fields of shape [T, G], once that has happened.

        Parameters
        ----------
        other : Lottery
            What the new parts drew; place and NIC stay.
        swaps : mapping
            Index of a GPU to the second at which a new part took its place.
        """
        if not swaps or seconds[-1] < min(swaps.values()):
            return self
        since = np.full(len(self.clock), np.inf)
        since[list(swaps)] = list(swaps.values())
        new = seconds[:, None] >= since
        names = [f.name for f in fields(self) if f.name not in ("place", "errors")]
        return replace(self, **{n: np.where(new, getattr(other, n), getattr(self, n)) for n in names})
