"""Devices: what the GPUs and their PCIe links would print."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.counters import Total
from grayscope.fleet.faults import Effects
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Drift, Floats, Lag, stream, wave
from grayscope.fleet.topology import Topology

CLOCK, IDLE_CLOCK, MEMORY_CLOCK, CLOCK_STEP = 1.83e9, 345e6, 2.619e9, 15e6
IDLE_WATTS, BUSY_WATTS, LIMIT_WATTS = 75.0, 560.0, 700.0
DAY = 86_400.0
Columns = dict[str, Floats]


class Gpus:
    """Table gpu: clocks, heat, power, memory errors; equal parts differ for ever, and one driver reload starts counters again."""

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float) -> None:
        n = len(topology.gpu_names)
        self.topology, self.lottery, self.period, self.seed = topology, lottery, period, seed
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
        }

    def inlet(self, seconds: Floats) -> Floats:
        """Return the air's temperature at each node, shape [T, N]; call once per hour in order."""
        return 24.0 + 1.5 * wave(seconds, DAY, 0.1)[:, None] + self.air.next(len(seconds))

    def hour(self, now: Moment, wrong: Effects, inlet: Floats) -> Columns:
        """Return the columns [T, G] of table gpu, counters as totals."""
        lot, busy = self.lottery, now.busy
        ticks = len(busy)
        held = 1 + self.clock.next(ticks)
        loaded = np.round(CLOCK * lot.clock * wrong.clock * held / CLOCK_STEP) * CLOCK_STEP
        working = now.working
        watts = IDLE_WATTS + np.where(working, (0.25 + 0.75 * busy) * BUSY_WATTS * lot.power * wrong.clock**1.5, 0.0)
        watts = np.minimum(watts * (1 + self.power.next(ticks)), LIMIT_WATTS)
        heat = self.lag.next(inlet[:, self.topology.node_of_gpu] + 14 + lot.place + lot.heat * watts + wrong.heat)
        heat = heat + self.sensor.next(ticks)
        capped = np.clip(lot.capped + self.capped.next(ticks), 0, 1) * busy * working * (1 - wrong.hot) * self.period
        corrected = self.upset.poisson(lot.corrected * self.period / DAY, (ticks, len(lot.corrected))) + wrong.corrected
        return {
            'gpu_clock_hertz{domain="sm"}': np.where(working, loaded, IDLE_CLOCK),
            'gpu_clock_hertz{domain="memory"}': np.full_like(watts, MEMORY_CLOCK),
            'gpu_temperature_celsius{sensor="gpu"}': np.round(heat),
            'gpu_temperature_celsius{sensor="memory"}': np.round(heat + 6 + 0.008 * watts),
            "gpu_power_watts": watts,
            "gpu_active_ratio": np.where(working, 0.90 + 0.10 * busy, 0.0),
            "gpu_tensor_active_ratio": np.where(working, 0.55 * busy / held, 0.0),
            'gpu_clock_limit_seconds_total{reason="power"}': self.totals["power"].next(capped, now.resets),
            'gpu_clock_limit_seconds_total{reason="thermal_software"}': self.totals["thermal"].next(wrong.hot * self.period, now.resets),
            'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}': self.totals["corrected"].next(corrected, now.resets),
            'gpu_rows_remapped_total{cause="corrected"}': self.totals["rows"].next(wrong.rows, now.resets),
            'gpu_rows_remapped_total{cause="uncorrected"}': np.zeros_like(watts),
            "gpu_row_remap_pending": wrong.pending,
            "gpu_row_remap_failed": np.zeros_like(watts),
            "gpu_energy_joules_total": self.totals["energy"].next(watts * self.period, now.resets),
        }


class Links:
    """Table pcie: width, generation (an idle link falls to 1) and errors; one replay counter is about to wrap at 32 bits."""

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float) -> None:
        n = len(topology.gpu_names)
        self.lottery, self.period = lottery, period
        self.rng = stream(seed, "pcie")
        old = stream(seed, "history of links")
        start = np.floor(lottery.replays * old.uniform(0, 100_000, n))
        # The one that replays most of all working links is sure to get there.
        self.wraps = int(topology.rank_gpu[np.argmax(lottery.replays[topology.rank_gpu])])
        start[self.wraps] = 2.0**32 - 15
        self.replays, self.corrected = Total(start, bits=32), Total(np.floor(start % 97), bits=32)

    def hour(self, now: Moment, wrong: Effects) -> Columns:
        """Return the columns [T, G] of table pcie, counters as totals."""
        shape = now.busy.shape
        replays = self.rng.poisson(self.lottery.replays * self.period / 60 * now.working, shape) + wrong.link_errors
        corrected = self.rng.poisson(2e-6 * self.period, shape) + wrong.link_errors
        return {
            "pcie_link_width_lanes": wrong.lanes,
            "pcie_link_generation": np.where(now.working, 5.0, 1.0),
            "pcie_replays_total": self.replays.next(replays, now.resets),
            "pcie_correctable_errors_total": self.corrected.next(corrected, now.resets),
        }
