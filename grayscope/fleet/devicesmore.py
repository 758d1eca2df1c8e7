"""Devicesmore: what else GPUs would print in the full simulation: limits, margins, spare banks, sums over NVLinks."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.counters import Total
from grayscope.fleet.devices import Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Floats, Streams
from grayscope.fleet.topology import LINKS, Topology

#: Banks of memory, and spare rows of each (telemetry reference, section 6: 8 per bank, 512 in all; 64 of 640 hold them, assumed).
BANKS, SPARES = 640, 8
#: Degrees at which clocks give way: assumed for H100.
SLOWDOWN = 87.0


class MoreGpus:
    """The second half of table gpu.

    Parameters
    ----------
    topology : Topology
    seed : int
    period : float
    """

    def __init__(self, topology: Topology, seed: int, period: float) -> None:
        n = len(topology.gpu_names)
        self.period, self.limit = period, topology.of_kind("limit")
        self.rng = Streams(seed, "more of GPUs", split=True)
        self.used = self.rng("memory").uniform(5.5e10, 7.4e10, n)
        self.totals = {name: Total(np.zeros(n)) for name in ("uncorrected", "hardware", "brake", "replays", "flit", "data")}
        self.rows = Total(np.zeros(n), lasting=True)

    def hour(self, now: Moment, wrong: Effects, gpu: Columns) -> Columns:
        """Return further columns [T, G]; `gpu` are those there already."""
        working, total = now.working, self.totals
        hardware = wrong.whole("hot") * (wrong["clock"] < 0.7) * self.period
        banks = self._banks(now, wrong)
        return {
            'gpu_ecc_uncorrected_errors_total{location="total",retention="volatile"}': total["uncorrected"].next(wrong.whole("uncorrected"), now.resets),
            "gpu_present": 1.0 - wrong.whole("lost"),
            "gpu_power_limit_watts": np.broadcast_to(self.limit * wrong["limit"], working.shape),
            'gpu_clock_limit_seconds_total{reason="thermal_hardware"}': total["hardware"].next(hardware, now.resets),
            'gpu_clock_limit_seconds_total{reason="power_brake"}': total["brake"].next(wrong.whole("brake") * self.period, now.resets),
            "gpu_sm_active_ratio": np.where(working, np.clip(0.8 * now.busy + 0.02 * self.rng("sm").standard_normal(working.shape), 0, 1), 0.0),
            "gpu_dram_active_ratio": np.where(working, np.clip(0.35 * now.busy + 0.01 * self.rng("dram").standard_normal(working.shape), 0, 1), 0.0),
            "nvlink_links_active": LINKS - wrong.whole("links_lost"),
            "gpu_memory_used_bytes": np.where(working, self.used, 5e8),
            "gpu_temperature_margin_celsius": SLOWDOWN - gpu['gpu_temperature_celsius{sensor="gpu"}'],
            "gpu_nvlink_replays_total": total["replays"].next(self._over_links(wrong, "replays"), now.resets),
            'gpu_nvlink_crc_errors_total{class="flit"}': total["flit"].next(self._over_links(wrong, "crc"), now.resets),
            'gpu_nvlink_crc_errors_total{class="data"}': total["data"].next(np.zeros(working.shape), now.resets),
            **{f'gpu_row_remap_banks{{availability="{name}"}}': banks[name] for name in ("max", "high", "partial", "low", "none")},
        }

    def _banks(self, now: Moment, wrong: Effects) -> dict[str, Floats]:
        """Return how many banks have how many spares left; rows go in one bank after another."""
        gone = self.rows.next(wrong.whole("rows") + wrong.whole("rows_uncorrected"), born=now.born)
        full, part = np.divmod(gone, SPARES)
        low, partial, high = part >= 5, (part >= 2) & (part < 5), part == 1
        return {
            "none": full, "low": low.astype(float), "partial": partial.astype(float), "high": high.astype(float),
            "max": BANKS - full - (part > 0),
        }  # fmt: skip

    def _over_links(self, wrong: Effects, field: str) -> Floats:
        ticks, links = len(wrong.seconds), wrong.sizes["nvlink"]
        if not wrong.touched(field):
            return np.zeros((ticks, links // LINKS))
        return np.asarray(wrong[field].reshape(ticks, -1, LINKS).sum(axis=2))
