"""Ports: what else NICs would print in the full simulation: bit errors, losses of the link, marks of congestion; and leaf switches."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.counters import Total
from grayscope.fleet.devices import Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.fabric import UPLINKS
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Drift, Floats, Streams, stream
from grayscope.fleet.topology import Topology
from grayscope.fleet.wires import OUTSIDE, RATE


class Ports:
    """The second half of table nic.

    Parameters
    ----------
    topology : Topology
    lottery : Lottery
    seed : int
    period : float
    """

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float) -> None:
        n = len(topology.nic_names)
        self.topology, self.lottery, self.period = topology, lottery, period
        self.rng = Streams(seed, "ports", split=True)
        self.wander = Drift(stream(seed, "bit errors"), n, 0.05, 900 / period)
        self.warm = Drift(stream(seed, "optics' temperature"), n, 1.0, 900 / period)
        self.order = self.rng("order").gamma(0.6, 2.0, n) / 60.0  # adaptive routing reorders packets all the time
        old = self.rng("old downs").poisson(1.0, n).astype(np.float64)
        self.downs, self.recoveries = Total(old, bits=8, clamped=True), Total(old.copy(), bits=8, clamped=True)
        self.corrected, self.received = Total(self.rng("old corrected").uniform(0, 1e12, n)), Total(self.rng("old received").uniform(0, 1e18, n))
        self.spoilt, self.sequence, self.handled, self.marked, self.paused = (Total(np.zeros(n)) for _ in range(5))

    def hour(self, now: Moment, wrong: Effects) -> Columns:
        """Return further columns [T, N * G]."""
        shape = now.traffic.shape
        bits = np.asarray(8 * (0.02 * RATE + OUTSIDE * now.traffic) * self.period, np.float64)
        ratio = np.exp(np.log(10.0) * (self.lottery.errors + self.wander.next(shape[0]) + wrong["margin"])).astype(np.float64)
        marks = self.rng("marks").poisson(0.5 * self.period * now.working, shape) + wrong["marks"]
        order = _drawn(self.rng("sequence"), self.order * self.period * now.working)
        return {
            "nic_port_up": wrong.whole("up"),
            "nic_port_bit_error_ratio": ratio,
            "nic_port_fec_corrected_bits_total": self.corrected.next(np.floor(np.asarray(bits * ratio, np.float64)), now.boots),
            "nic_port_received_bits_total": self.received.next(bits, now.boots),
            "nic_port_link_downs_total": self.downs.next(wrong.whole("downs"), now.boots),
            "nic_port_link_recoveries_total": self.recoveries.next(wrong.whole("recoveries"), now.boots),
            'nic_port_receive_errors_total{class="crc"}': self.spoilt.next(wrong.whole("spoilt"), now.boots),
            'nic_port_retransmits_total{cause="out_of_sequence"}': self.sequence.next(order, now.boots),
            'nic_port_congestion_total{event="cnp_handled"}': self.handled.next(marks, now.boots),
            'nic_port_congestion_total{event="ecn_marked"}': self.marked.next(_drawn(self.rng("marked"), np.minimum(marks, 1e6) * 1.1), now.boots),
            "nic_port_pause_seconds_total": self.paused.next(wrong.whole("pause"), now.boots),
            "nic_port_transceiver_temperature_celsius": np.round(48.0 + self.warm.next(shape[0]) + 0.3 * self.lottery.place, 1),
        }


def leaves(wrong: Effects) -> Columns:
    """Return the columns [T, leaves] of table leaf."""
    return {"leaf_uplinks_active": np.maximum(UPLINKS - wrong.whole("uplinks"), 0.0)}


def _drawn(rng: np.random.Generator, mean: Floats) -> Floats:
    return rng.poisson(mean).astype(np.float64)
