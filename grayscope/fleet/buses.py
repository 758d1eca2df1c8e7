"""Buses: what else PCIe links would print in the full simulation: narrow counters that wrap, and a GPU that is not there any more."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.counters import Total
from grayscope.fleet.devices import Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.topology import LINKS, Topology


class Buses:
    """The second half of table pcie, of the widths that the catalogue has: 16 and 8 bits, wrapping; two counters are about to.

    Parameters
    ----------
    topology : Topology
    lottery : Lottery
    seed : int
    period : float
    """

    def __init__(self, topology: Topology, lottery: Lottery, seed: int, period: float) -> None:
        n = len(topology.gpu_names)
        self.lottery, self.period = lottery, period
        self.rng = stream(seed, "buses")
        packets, fatal = np.floor(self.rng.uniform(0, 5000, n)), np.zeros(n)
        if len(topology.rank_gpu):
            packets[topology.rank_gpu[np.argmax(lottery.replays[topology.rank_gpu])]] = 2.0**16 - 15
        fatal[:] = 2.0**8 - 1  # the next one makes it 0: whoever reads levels sees a part get well
        self.lost = np.zeros(n)
        self.packets, self.fatal = Total(packets, bits=16), Total(fatal, bits=8)

    def hour(self, now: Moment, wrong: Effects) -> Columns:
        """Return further columns [T, G]."""
        shape = now.busy.shape
        lost = wrong.whole("lost")
        first = np.diff(lost, axis=0, prepend=self.lost[None]) > 0
        self.lost = lost[-1]
        packets = self.rng.poisson(0.5 * self.lottery.replays * self.period / 60 * now.working, shape) + wrong["link_errors"]
        return {
            'pcie_correctable_errors_total{type="bad_tlp"}': self.packets.next(packets, now.resets),
            "pcie_uncorrectable_errors_total": self.fatal.next(first.astype(np.float64), now.boots),
        }


def off(columns: Columns, lost: Floats) -> None:
    """Take away what a GPU off the bus [T, G] cannot tell, but for that it is not there."""
    for name, column in columns.items():
        if name != "gpu_present":
            columns[name] = np.where(lost > 0, np.nan, column)


def links(lost: Floats) -> Floats:
    """Return the same of the NVLinks of each GPU, shape [T, L]."""
    return np.repeat(lost, LINKS, axis=1)
