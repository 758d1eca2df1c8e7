"""Telemetry: one hour of all tables as their sources would print it, with what is missing left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet import decoys as looks
from grayscope.fleet.devices import Columns, Gpus, Links
from grayscope.fleet.effects import Effects, Said
from grayscope.fleet.faults import Fault
from grayscope.fleet.hosts import Hosts
from grayscope.fleet.ills import effects
from grayscope.fleet.illsbus import boots
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Floats, stream, ticking
from grayscope.fleet.place import Place
from grayscope.fleet.topology import LINKS, Topology
from grayscope.fleet.wires import Nics, Nvlinks
from grayscope.fleet.work import Steps, Work

#: Share of scrapes of a node that fail for no reason: assumed.
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
    """All tables in one hour, and what the logs tell."""

    seconds: Floats
    sheets: tuple[Sheet, ...]
    said: tuple[Said, ...]


@dataclass(slots=True)
class Part:
    """One table before it is put together: who reports, columns [T, S], where nothing arrives [T, S], and at which ticks (None: all)."""

    subjects: tuple[str, ...]
    columns: Columns
    gone: Bools
    at: NDArray[np.intp] | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One hour behind the scenes: `alone` [T, K, R] and `phases` [T, R] as `Work` takes them, who sits and who steps [T, R], who is silent [T, N]."""

    now: Moment
    wrong: Effects
    steps: Steps
    stepping: Bools
    gone: Bools
    alone: Floats
    phases: Floats
    sitting: Bools
    parts: dict[str, Part]


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
    every : int
        NVLinks are read so many times less often.
    more : callable, optional
        Given the `Scene` of each hour, adds to its parts.
    missed : float
        Share of scrapes of a node that fail for no reason.
    swaps : mapping, optional
        Index of a GPU to the second at which another part took its place.
    """

    def __init__(
        self, topology: Topology, lottery: Lottery, faults: Sequence[Fault], seed: int, period: float, every: int = SELDOM,
        more: Callable[[Scene], None] | None = None, missed: float = MISSED, swaps: Mapping[int, float] | None = None,
    ) -> None:  # fmt: skip
        self.topology, self.faults, self.seed, self.period = topology, faults, seed, period
        self.place = Place(topology, lottery)
        split = more is not None  # the demo's numbers are older than the streams of each array
        self.work = Work(topology, lottery, seed, period, split=split)
        self.gpus, self.links = Gpus(topology, lottery, seed, period), Links(topology, lottery, seed, period, split=split)
        self.nvlinks, self.nics = Nvlinks(topology, seed, period, every), Nics(topology, seed, period, split=split)
        self.hosts = Hosts(topology, seed, period)
        self.lottery, self.again, self.swaps = lottery, Lottery.draw(topology, seed + 1_000_003), swaps or {}
        self.missed, self.share, self.more = stream(seed, "missed scrapes"), missed, more

    def hour(self, first: int, ticks: int) -> Hour:
        """Return the next `ticks` ticks, of which the first has number `first`; call in order."""
        seconds = ticking(first, ticks, self.period)
        self.work.lottery = self.gpus.lottery = self.links.lottery = self.lottery.renewed(self.again, self.swaps, seconds)
        wrong = effects(self.faults, self.place, seconds, self.period, self.seed)
        phases, sitting = looks.phases(self.faults, self.topology, seconds), self.topology.working(seconds)
        factor = wrong["compute"][:, self.topology.rank_gpu % wrong["compute"].shape[1]] * phases
        alone = self.work.alone(seconds)
        steps = self.work.hour(alone, factor, wrong, sitting)
        stepping = sitting & ~_still(wrong, self.topology)
        now, gone = self._moment(seconds, steps, stepping, wrong), self._gone(seconds, wrong)
        inlet = self.gpus.inlet(seconds, wrong)
        gpu = self.gpus.hour(now, wrong, inlet)
        at, nvlink = self.nvlinks.hour(now, first, wrong)
        names, node = self.topology, self.topology.node_of_gpu
        deaf = gone | looks.mute_devices(self.faults, self.topology, seconds)
        hosts = self.hosts.hour(now, wrong, inlet, gpu['gpu_temperature_celsius{sensor="gpu"}'])
        there = {
            "gpu": Part(names.gpu_names, gpu, deaf[:, node]),
            "nic": Part(names.nic_names, self.nics.hour(now, wrong), gone[:, node]),
            "node": Part(names.node_names, hosts, gone),
            "nvlink": Part(names.nvlink_names, nvlink, deaf[at][:, np.repeat(node, LINKS)], at),
            "pcie": Part(names.pcie_names, self.links.hour(now, wrong), deaf[:, node]),
            "rank": Part(names.rank_names, _ranks(steps), gone[:, node[names.rank_gpu]] | ~stepping),
        }
        if self.more is not None:
            self.more(Scene(now, wrong, steps, stepping, gone, alone, phases, sitting, there))
        sheets = tuple(_sheet(table, np.arange(ticks), part) for table, part in there.items())
        heard = [s for s in wrong.said if not gone[int((s.seconds - seconds[0]) // self.period), self.place.node(s.subject)]]
        return Hour(seconds, sheets, tuple(sorted(heard, key=lambda s: (s.seconds, s.subject))))

    def _moment(self, seconds: Floats, steps: Steps, stepping: Bools, wrong: Effects) -> Moment:
        shape = (len(seconds), len(self.topology.gpu_names))
        working, busy, traffic = np.zeros(shape, bool), np.zeros(shape), np.zeros(shape)
        share = np.where(stepping, steps.compute / steps.step * looks.idle(self.faults, self.topology, seconds), 0.0)
        for seat, gpus in enumerate(self.topology.rank_gpu.reshape(-1, self.topology.gpus)):
            ranks = slice(seat * len(gpus), (seat + 1) * len(gpus))
            mine = slice(int(gpus[0]), int(gpus[-1]) + 1)
            working[:, mine] |= stepping[:, ranks]
            busy[:, mine] += share[:, ranks]
            traffic[:, mine] += np.where(stepping[:, ranks], 1 / steps.step[:, ranks], 0.0)
        spinning = wrong["spin"] > 0 if wrong.touched("spin") else None
        starts = tuple(self._starts(seconds, boots(self.faults)))
        return Moment(seconds, working, busy, traffic, tuple(self._resets(seconds)), spinning, tuple(self._born(seconds)), starts)

    def _resets(self, seconds: Floats) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield the GPUs whose driver came back: it was loaded again, or its node was."""
        names = self.topology.node_names
        loaded = [(names[node], back) for node, back in looks.reloads(self.faults, self.topology)]
        yield from self._starts(seconds, {*loaded, *boots(self.faults)})

    def _starts(self, seconds: Floats, moments: Iterable[tuple[str, float]]) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield (tick, GPUs of the node) of those (node, second) that fall into the hour."""
        for node, back in sorted(moments, key=lambda m: (m[1], m[0])):
            if seconds[0] - self.period < back <= seconds[-1]:
                yield int(np.searchsorted(seconds, back)), self.place.gpus(self.place.node(node))

    def _born(self, seconds: Floats) -> Iterator[tuple[int, NDArray[np.intp]]]:
        for gpu, at in self.swaps.items():
            if seconds[0] - self.period < at <= seconds[-1]:
                yield int(np.searchsorted(seconds, at)), np.array([gpu])

    def _gone(self, seconds: Floats, wrong: Effects) -> Bools:
        """Say which nodes [T, N] send nothing: the decoys, and now and then a scrape that fails."""
        failed = self.missed.random((len(seconds), self.topology.nodes)) < self.share
        return np.asarray(failed | looks.silent(self.faults, self.topology, seconds) | (wrong["dark"] > 0))


def _still(wrong: Effects, topology: Topology) -> Bools:
    """Say whose job stands still, shape [T, R] or [1, 1]."""
    return np.asarray(wrong["stop"][:, topology.rank_job] > 0) if wrong.touched("stop") else np.zeros((1, 1), bool)


def _ranks(steps: Steps) -> Columns:
    return {
        "step_seconds": steps.step,
        "compute_seconds": steps.compute,
        "collective_wait_seconds": steps.wait,
        "collective_duration_seconds": steps.duration,
    }


def _sheet(table: str, every: NDArray[np.intp], part: Part) -> Sheet:
    values = np.stack(list(part.columns.values()), axis=1)
    values.transpose(0, 2, 1)[part.gone] = np.nan
    return Sheet(table, every if part.at is None else part.at, part.subjects, tuple(part.columns), values)
