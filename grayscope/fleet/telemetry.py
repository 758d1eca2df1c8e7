"""Telemetry: one hour of all tables as their sources would print it, with what is missing left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet import decoys as looks
from grayscope.fleet.devices import Columns, Gpus, Links
from grayscope.fleet.faults import Fault, effects
from grayscope.fleet.hosts import Hosts
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Floats, stream, ticking
from grayscope.fleet.topology import LINKS, Topology
from grayscope.fleet.wires import Nics, Nvlinks
from grayscope.fleet.work import Steps, Work

#: Share of scrapes of a node that fail for no reason.
MISSED = 0.003
#: NVLinks are read so many times less often than the rest.
SELDOM = 6
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """One table in one hour.

    Parameters
    ----------
    table : str
    at : ndarray of int, shape [T]
        Which ticks of the hour.
    subjects, metrics : tuple of str
    values : ndarray of float64, shape [T, M, S]
        Counters are totals; NaN is not reported.
    """

    table: str
    at: NDArray[np.intp]
    subjects: tuple[str, ...]
    metrics: tuple[str, ...]
    values: Floats


@dataclass(frozen=True, slots=True)
class Hour:
    """All tables in one hour; `remaps` are the moments (seconds, GPU) at which the kernel log tells of a remapped row."""

    seconds: Floats
    sheets: tuple[Sheet, ...]
    remaps: tuple[tuple[float, str], ...]


class Telemetry:
    """The fleet's sources, hour by hour; everything follows from the arguments.

    Parameters
    ----------
    topology : Topology
    lottery : Lottery
    faults : sequence of Fault
        Decoys among them.
    seed : int
    period : float
        Seconds between rows.
    """

    def __init__(self, topology: Topology, lottery: Lottery, faults: Sequence[Fault], seed: int, period: float) -> None:
        self.topology, self.faults, self.seed, self.period = topology, faults, seed, period
        self.work = Work(topology, lottery, seed, period)
        self.gpus, self.links = Gpus(topology, lottery, seed, period), Links(topology, lottery, seed, period)
        self.nvlinks, self.nics = Nvlinks(topology, seed, period, SELDOM), Nics(topology, seed, period)
        self.hosts = Hosts(topology, seed, period)
        self.missed = stream(seed, "missed scrapes")

    def hour(self, first: int, ticks: int) -> Hour:
        """Return the next `ticks` ticks, of which the first has number `first`; call in order."""
        seconds = ticking(first, ticks, self.period)
        wrong = effects(self.faults, self.topology, seconds, self.period, self.seed)
        factor = wrong.compute[:, self.topology.rank_gpu] * looks.phases(self.faults, self.topology, seconds)
        steps = self.work.hour(self.work.alone(seconds), factor)
        now, gone = self._moment(seconds, steps), self._gone(seconds)
        inlet = self.gpus.inlet(seconds)
        gpu = self.gpus.hour(now, wrong, inlet)
        at, nvlink = self.nvlinks.hour(now, first)
        every, names, node = np.arange(ticks), self.topology, self.topology.node_of_gpu
        deaf = gone | looks.mute_devices(self.faults, self.topology, seconds)
        sheets = (
            _sheet("gpu", every, names.gpu_names, gpu, deaf[:, node]),
            _sheet("nic", every, names.nic_names, self.nics.hour(now), gone[:, node]),
            _sheet("node", every, names.node_names, self.hosts.hour(now, inlet, gpu['gpu_temperature_celsius{sensor="gpu"}']), gone),
            _sheet("nvlink", at, names.nvlink_names, nvlink, deaf[at][:, np.repeat(node, LINKS)]),
            _sheet("pcie", every, names.pcie_names, self.links.hour(now, wrong), deaf[:, node]),
            _sheet("rank", every, names.rank_names, _ranks(steps), gone[:, node[names.rank_gpu]]),
        )
        heard = [(s, f.subject) for s, f in wrong.moments if not gone[int((s - seconds[0]) // self.period), names.node_names.index(f.subject.split("/")[0])]]
        return Hour(seconds, sheets, tuple(sorted(heard)))

    def _moment(self, seconds: Floats, steps: Steps) -> Moment:
        shape, ranks = (len(seconds), len(self.topology.gpu_names)), self.topology.rank_gpu
        working, busy, traffic = np.zeros(shape, bool), np.zeros(shape), np.zeros(shape)
        working[:, ranks] = True
        busy[:, ranks] = steps.compute / steps.step * looks.idle(self.faults, self.topology, seconds)
        traffic[:, ranks] = 1 / steps.step
        return Moment(seconds, working, busy, traffic, tuple(self._resets(seconds)))

    def _resets(self, seconds: Floats) -> Iterator[tuple[int, NDArray[np.intp]]]:
        for node, back in looks.reloads(self.faults, self.topology):
            if seconds[0] - self.period < back <= seconds[-1]:
                yield int(np.searchsorted(seconds, back)), np.flatnonzero(self.topology.node_of_gpu == node)

    def _gone(self, seconds: Floats) -> Bools:
        """Say which nodes [T, N] send nothing: the decoys, and now and then a scrape that fails."""
        failed = self.missed.random((len(seconds), self.topology.nodes)) < MISSED
        return failed | looks.silent(self.faults, self.topology, seconds)


def _ranks(steps: Steps) -> Columns:
    return {
        "step_seconds": steps.step,
        "compute_seconds": steps.compute,
        "collective_wait_seconds": steps.wait,
        "collective_duration_seconds": steps.duration,
    }


def _sheet(table: str, at: NDArray[np.intp], subjects: tuple[str, ...], columns: Columns, gone: Bools) -> Sheet:
    values = np.stack(list(columns.values()), axis=1)
    values.transpose(0, 2, 1)[gone] = np.nan
    return Sheet(table, at, subjects, tuple(columns), values)
