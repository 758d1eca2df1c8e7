"""Wires: what NVLinks and NICs would print."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.counters import Resets, Total
from grayscope.fleet.devices import Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Floats, Streams, stream
from grayscope.fleet.topology import LINKS, Topology

Indices = NDArray[np.intp]
#: Bytes that a GPU sends per step within the node (over all its links) and to other nodes: assumed.
INSIDE, OUTSIDE = 6.0e11, 2.4e10
#: NICs of 400 Gb/s.
RATE = 5.0e10


class Nvlinks:
    """Table nvlink, sampled every `every` ticks: healthy links are all but silent; now and then one has a CRC error."""

    def __init__(self, topology: Topology, seed: int, period: float, every: int) -> None:
        n = len(topology.nvlink_names)
        self.every, self.period = every, period * every
        self.gpu = np.repeat(np.arange(len(topology.gpu_names)), LINKS)
        self.rng = stream(seed, "nvlink")
        self.share = np.exp(self.rng.normal(0, 0.01, n)) / LINKS
        self.totals = [Total(np.floor(self.rng.exponential(3.0, n))) for _ in range(3)]
        self.bytes = Total(self.rng.uniform(0, 1e15, n))
        self.late: list[Indices] = []  # resets after the last sample of an hour

    def hour(self, now: Moment, first: int, wrong: Effects) -> tuple[Indices, Columns]:
        """Return which ticks of the hour are sampled, and the columns [t, L]; `first` is the number of the hour's first tick."""
        at = np.flatnonzero((first + np.arange(len(now.seconds))) % self.every == 0)
        traffic = np.add.reduceat(now.traffic, at, axis=0)[:, self.gpu] * (self.period / self.every)
        resets, self.late = sampled(at, self.gpu, now.resets, self.late)
        quiet = self.rng.poisson(5e-7 * self.period, (len(at), len(self.gpu))).astype(np.float64)
        return at, {
            "nvlink_replays_total": self.totals[0].next(quiet + sums(wrong, "replays", at), resets),
            'nvlink_crc_errors_total{class="data"}': self.totals[1].next(np.zeros_like(quiet) + sums(wrong, "crc", at), resets),
            'nvlink_crc_errors_total{class="flit"}': self.totals[2].next(quiet + sums(wrong, "crc", at), resets),
            'nvlink_transferred_bytes_total{direction="transmit"}': self.bytes.next(INSIDE * self.share * traffic, resets),
        }


class Nics:
    """Table nic: bytes follow the steps of the job; symbol errors and retransmits are rare and do not."""

    def __init__(self, topology: Topology, seed: int, period: float, *, split: bool = False) -> None:
        n = len(topology.nic_names)
        self.period = period
        self.rng = Streams(seed, "nic", split=split)
        self.share = np.exp(self.rng("share").normal(0, 0.01, n))
        self.rate = np.minimum(self.rng("rate").gamma(0.5, 1.0, n), 1.0) / 3600  # up to one retransmit an hour is healthy
        self.symbols = Total(self.rng("old symbols").poisson(20.0, n).astype(np.float64), bits=16, clamped=True)
        self.retransmits = Total(self.rng("old retransmits").poisson(5.0, n).astype(np.float64))
        self.sent = Total(self.rng("old bytes").uniform(0, 1e16, n))

    def hour(self, now: Moment, wrong: Effects) -> Columns:
        """Return the columns [T, N * G] of table nic; a GPU's driver does not touch them, a reboot does."""
        shape = now.traffic.shape
        sent = OUTSIDE * self.share * now.traffic * self.period * (1 + self.rng("bytes").normal(0, 0.005, shape)) * wrong["bytes"]
        again = self.rng("retransmits").poisson(self.rate * self.period * now.working, shape) + wrong["retransmits"]
        return {
            "nic_port_symbol_errors_total": self.symbols.next(self.rng("symbols").poisson(2e-6 * self.period, shape) + wrong["symbols"], now.boots),
            'nic_port_transferred_bytes_total{direction="transmit"}': self.sent.next(sent, now.boots),
            'nic_port_retransmits_total{cause="ack_timeout"}': self.retransmits.next(again, now.boots),
            "nic_port_rate_bytes_per_second": np.broadcast_to(RATE * wrong["rate"], shape),
        }


def sums(wrong: Effects, field: str, at: Indices) -> Floats:
    """Return what faults add between samples, shape [t, L], or nothing."""
    return np.asarray(np.add.reduceat(wrong[field], at, axis=0)) if wrong.touched(field) else np.zeros((1, 1))


def sampled(at: Indices, gpu: Indices, resets: Resets, late: list[Indices]) -> tuple[list[tuple[int, Indices]], list[Indices]]:
    """Return resets as seen at the ticks `at` only, and those that fall behind the last of them, for the next hour.

    Parameters
    ----------
    gpu : ndarray, shape [L]
        Of each link.
    late : list
        What was left over from the hour before.
    """
    found = [(0, links) for links in late]
    found += [(int(np.searchsorted(at, tick)), np.flatnonzero(np.isin(gpu, gpus))) for tick, gpus in resets]
    return [r for r in found if r[0] < len(at)], [links for tick, links in found if tick >= len(at)]
