"""Devices: what the GPUs and their PCIe links would print."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.counters import Total
from grayscope.fleet.effects import Effects
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Drift, Floats, Lag, Streams, stream, wave
from grayscope.fleet.topology import Topology

#: Hertz of an idle GPU, and of one step of its clock: assumed.
IDLE_CLOCK, CLOCK_STEP = 345e6, 15e6
DAY = 86_400.0
Columns = dict[str, Floats]


class Gpus:
    """Table gpu: clocks, heat, power, memory errors; equal parts differ for ever, and one driver reload starts counters again."""

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float) -> None:
        n = len(topology.gpu_names)
        self.topology, self.lottery, self.period = topology, lottery, period
        self.top, self.memory_clock, self.idle, self.busy, self.limit = (topology.of_kind(x) for x in ("clock", "memory_clock", "idle", "busy", "limit"))
        self.clock = Drift(stream(seed, "clock"), n, 0.004, 300 / period)
        self.power = Drift(stream(seed, "power"), n, 0.015, 60 / period)
        self.sensor = Drift(stream(seed, "sensor"), n, 0.4, 30 / period)
        self.capped = Drift(stream(seed, "capped"), n, 0.03, 200 / period)
        self.air = Drift(stream(seed, "air"), topology.nodes, 0.5, 1800 / period)
        self.lag = Lag(60 / period)
        self.upset = stream(seed, "upsets")
        old = stream(seed, "history of GPUs")
        hours = old.uniform(100, 2000, n)
        self.totals = {
            "energy": Total(hours * 3600 * 500),
            "power": Total(hours * 3600 * lottery.capped),
            "thermal": Total(old.exponential(30.0, n)),
            "corrected": Total(np.floor(lottery.corrected * hours / 24)),
            "rows": Total((old.random(n) < 0.03).astype(np.float64), lasting=True),
            "rows_uncorrected": Total(np.zeros(n), lasting=True),
        }

    def inlet(self, seconds: Floats, wrong: Effects) -> Floats:
        """Return the air's temperature at each node, shape [T, N]; call once per hour in order."""
        return np.asarray(24.0 + 1.5 * wave(seconds, DAY, 0.1)[:, None] + self.air.next(len(seconds)) + wrong["inlet"])

    def hour(self, now: Moment, wrong: Effects, inlet: Floats) -> Columns:
        """Return the columns [T, G] of table gpu, counters as totals."""
        lot, busy, working = self.lottery, now.busy, now.working
        ticks = len(busy)
        held = 1 + self.clock.next(ticks)
        loaded = np.round(self.top * lot.clock * wrong["clock"] * held / CLOCK_STEP) * CLOCK_STEP
        watts = self.idle + np.where(working, (0.25 + 0.75 * busy) * self.busy * lot.power * wrong["clock"] ** 1.5, 0.0)
        watts = np.minimum(watts * (1 + self.power.next(ticks)), self.limit * wrong["limit"])
        heat = self.lag.next(inlet[:, self.topology.node_of_gpu] + 14 + lot.place + lot.heat * watts + wrong["heat"])
        heat = heat + self.sensor.next(ticks)
        capped = np.clip(lot.capped + self.capped.next(ticks), 0, 1) * busy * working * (1 - wrong["hot"]) * self.period
        corrected = self.upset.poisson(lot.corrected * self.period / DAY, busy.shape) + wrong["corrected"]
        hot = wrong.whole("hot") * working * self.period
        return {
            'gpu_clock_hertz{domain="sm"}': np.where(working, loaded, IDLE_CLOCK),
            'gpu_clock_hertz{domain="memory"}': np.broadcast_to(self.memory_clock, watts.shape),
            'gpu_temperature_celsius{sensor="gpu"}': np.round(heat),
            'gpu_temperature_celsius{sensor="memory"}': np.round(heat + 6 + 0.008 * watts),
            "gpu_power_watts": watts,
            "gpu_active_ratio": _looks(now, np.where(working, 0.90 + 0.10 * busy, 0.0)),
            "gpu_tensor_active_ratio": np.where(working, 0.55 * busy / held, 0.0),
            'gpu_clock_limit_seconds_total{reason="power"}': self.totals["power"].next(capped, now.resets),
            'gpu_clock_limit_seconds_total{reason="thermal_software"}': self.totals["thermal"].next(hot, now.resets),
            'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}': self.totals["corrected"].next(corrected, now.resets),
            'gpu_rows_remapped_total{cause="corrected"}': self.totals["rows"].next(wrong.whole("rows"), born=now.born),
            'gpu_rows_remapped_total{cause="uncorrected"}': self.totals["rows_uncorrected"].next(wrong.whole("rows_uncorrected"), born=now.born),
            "gpu_row_remap_pending": wrong.whole("pending"),
            "gpu_row_remap_failed": wrong.whole("failed"),
            "gpu_energy_joules_total": self.totals["energy"].next(watts * self.period, now.resets),
        }


def _looks(now: Moment, active: Floats) -> Floats:
    """Return what the coarse activity says: a kernel that waits for ever counts as busy."""
    return active if now.spinning is None else np.where(now.spinning, 1.0, active)


class Links:
    """Table pcie: width, generation (an idle link falls to 1) and errors; one replay counter is about to wrap at 32 bits."""

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float, *, split: bool = False) -> None:
        n = len(topology.gpu_names)
        self.lottery, self.period = lottery, period
        self.generation = topology.of_kind("generation")
        self.rng = Streams(seed, "pcie", split=split)
        old = stream(seed, "history of links")
        start = np.floor(lottery.replays * old.uniform(0, 100_000, n))
        # The one that replays most of all working links is sure to get there.
        self.wraps = int(topology.rank_gpu[np.argmax(lottery.replays[topology.rank_gpu])])
        start[self.wraps] = 2.0**32 - 15
        self.replays, self.corrected = Total(start, bits=32), Total(np.floor(start % 97), bits=32)

    def hour(self, now: Moment, wrong: Effects) -> Columns:
        """Return the columns [T, G] of table pcie, counters as totals."""
        shape = now.busy.shape
        replays = self.rng("replays").poisson(self.lottery.replays * self.period / 60 * now.working, shape) + wrong["link_errors"]
        corrected = self.rng("corrected").poisson(2e-6 * self.period, shape) + wrong["link_errors"]
        return {
            "pcie_link_width_lanes": wrong.whole("lanes"),
            "pcie_link_generation": np.where(now.working, self.generation, 1.0),
            "pcie_replays_total": self.replays.next(replays, now.resets),
            "pcie_correctable_errors_total": self.corrected.next(corrected, now.resets),
        }
