"""Paces: how long the steps of a job would have taken: with all faults, without one of them, with it alone, and with none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.effects import SERVICE, Effects
from grayscope.fleet.noise import Floats
from grayscope.fleet.topology import Topology
from grayscope.fleet.work import members, pace

Bools = NDArray[np.bool_]


class Paces:
    """Mean step times of jobs in one hour; NaN without work.

    Parameters
    ----------
    topology : Topology
    wrong : Effects
    alone, phases, there : ndarray
        As in `grayscope.fleet.truth.Meter.add`.
    benign : set of int
        Numbers of the decoys, which are there in all cases.
    """

    def __init__(self, topology: Topology, wrong: Effects, alone: Floats, phases: Floats, there: Bools, benign: frozenset[int]) -> None:
        self.topology, self.wrong, self.alone, self.phases, self.there, self.benign = topology, wrong, alone, phases, there, benign
        self.whole = {f: wrong[f] for f in SERVICE}
        self.none = wrong.service(lambda n: n in benign)
        self.found: dict[int, Floats] = {}
        self.kept: tuple[int, tuple[Mapping[str, Floats], Mapping[str, Floats]]] | None = None

    def untouched(self, job: int) -> Floats:
        """Return paces [T, 4] of a job that a fault does not touch: with all, with all again, with none, with none again."""
        if job not in self.found:
            every, none = self._paced(job, self.whole), self._paced(job, self.none)
            self.found[job] = np.stack([every, every, none, none], axis=1)
        return self.found[job]

    def without(self, number: int, job: int) -> Floats:
        """Return paces [T, 4] of a job: with all, without a fault, with it alone, with none; decoys are there in all of them."""
        if self.kept is None or self.kept[0] != number:
            both = self.wrong.service(lambda n: n != number), self.wrong.service(lambda n: n == number or n in self.benign)
            self.kept = number, both
        out = self.untouched(job).copy()
        for k, service in enumerate(self.kept[1]):
            out[:, 1 + k] = self._paced(job, service)
        return out

    def _paced(self, job: int, service: Mapping[str, Floats]) -> Floats:
        mine, factor = members(self.topology)[job], service["compute"]
        touched = factor if factor.shape[1] == 1 else factor[:, self.topology.rank_gpu[mine]]
        return pace(self.topology, job, self.alone[:, :, mine], self.phases[:, mine] * touched, service, self.there)
