"""Nvlinks5: what NVLinks of the second kind of GPU would print instead of flit errors and replays: bit errors, codewords, blocks sent again.

Names and meanings: telemetry reference, section 1.6. Of the sixteen bins of codewords six are written, to keep the table small.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.counters import Total
from grayscope.fleet.devices import Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Drift, Floats, Streams, stream
from grayscope.fleet.topology import LINKS, Topology
from grayscope.fleet.wires import sampled, sums

#: Symbols corrected in a codeword: the bins that are written.
BINS = (0, 1, 2, 3, 7, 15)
BIN = 'nvlink_fec_codewords_total{{corrected_symbols="{}"}}'
#: Codewords and blocks per second of a link of 53 GB/s (RS(544,514) of ten-bit symbols; blocks of 256 bytes, assumed), and bits of a codeword.
CODEWORDS, BLOCKS, BITS = 7.8e7, 2.0e8, 5440.0


class Nvlinks5:
    """Further columns of table nvlink; no column at all in a fleet of the first kind only.

    Raw errors are normal: 1e-9 to 1e-7, log-normal over lanes. Effective errors stay below what a float can hold.

    Parameters
    ----------
    topology : Topology
    seed : int
    period : float
    every : int
        Ticks between samples.
    """

    def __init__(self, topology: Topology, seed: int, period: float, every: int) -> None:
        gpu = np.repeat(np.arange(len(topology.gpu_names)), LINKS)
        self.mine = np.flatnonzero(topology.kind_of_node[topology.node_of_gpu[gpu]] == 1)
        self.gpu, self.size, self.period = gpu[self.mine], len(gpu), period * every
        n, self.rng = len(self.mine), Streams(seed, "codewords", split=True)
        self.raw = stream(seed, "lanes").normal(-8.0, 0.5, n)
        self.wander = Drift(stream(seed, "lanes' errors"), n, 0.04, 900 / self.period)
        self.words = [Total(np.zeros(n)) for _ in BINS]
        self.symbols, self.sent, self.again, self.mended, self.broken = (Total(np.zeros(n)) for _ in range(5))
        self.late: list[NDArray[np.intp]] = []

    def hour(self, at: NDArray[np.intp], now: Moment, wrong: Effects) -> Columns:
        """Return the columns [t, L] at the ticks `at`; NaN for links of the other kind."""
        if not len(self.mine):
            return {}
        resets, self.late = sampled(at, self.gpu, now.resets, self.late)
        raw = self.raw + self.wander.next(len(at)) + self._of(wrong, "decades", wrong["decades"][at] if wrong.touched("decades") else None)
        ratio = np.minimum(np.exp(math.log(10.0) * raw), 1e-3)
        blocks = np.full(raw.shape, BLOCKS * self.period)
        again = self.rng("blocks").poisson(1e-10 * blocks) + self._of(wrong, "retried", sums(wrong, "retried", at))
        found = {
            'nvlink_bit_error_ratio{stage="raw"}': ratio,
            'nvlink_bit_error_ratio{stage="effective"}': np.zeros_like(ratio),
            **{BIN.format(k): total.next(words, resets) for k, total, words in zip(BINS, self.words, self._words(ratio), strict=True)},
            "nvlink_symbol_errors_total": self.symbols.next(np.zeros_like(raw) + self._of(wrong, "crc", sums(wrong, "crc", at)), resets),
            'nvlink_plr_blocks_total{kind="sent"}': self.sent.next(blocks + again, resets),
            'nvlink_plr_blocks_total{kind="retried"}': self.again.next(again, resets),
            'nvlink_recoveries_total{outcome="success"}': self.mended.next(np.zeros_like(raw) + self._of(wrong, "mended", sums(wrong, "mended", at)), resets),
            'nvlink_recoveries_total{outcome="failed"}': self.broken.next(np.zeros_like(raw), resets),
        }
        return {name: self._whole(column) for name, column in found.items()}

    def _words(self, ratio: Floats) -> list[Floats]:
        """Return codewords by the symbols that had to be corrected: errors fall independently."""
        mean, total = BITS * ratio, CODEWORDS * self.period
        some = [self.rng(str(k)).poisson(total * np.exp(-mean) * mean**k / math.factorial(k)).astype(np.float64) for k in BINS[1:]]
        return [np.floor(total * np.exp(-mean)), *some]

    def _of(self, wrong: Effects, field: str, whole: Floats | None) -> Floats:
        return np.zeros((1, 1)) if whole is None or not wrong.touched(field) else whole[:, self.mine]

    def _whole(self, column: Floats) -> Floats:
        out = np.full((len(column), self.size), np.nan)
        out[:, self.mine] = column
        return out
