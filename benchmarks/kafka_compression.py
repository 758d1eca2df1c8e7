"""Size and CPU of telemetry frames under lz4 and zstd, by frame size; prints a table. One core, no broker: what the clients call per batch.

Usage: python benchmarks/kafka_compression.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import lz4.frame
import numpy as np
import zstandard

from grayscope.batch import Batch
from grayscope.frames import frames

METRICS, BYTES = 50, 20_000_000


def batch(subjects: int, seed: int) -> Batch:
    """Gauges about a level per metric, half of them whole numbers, half hundredths."""
    random = np.random.default_rng(seed)
    values = random.uniform(20, 90, (1, METRICS, 1)) + random.normal(0, 1, (1, METRICS, subjects))
    whole = (np.arange(METRICS) % 2 == 0)[None, :, None]
    names = tuple(f"node{i // 8:04d}/gpu{i % 8}" for i in range(subjects))
    kept = np.where(whole, np.round(values), np.round(values, 2)).astype(np.float32)
    return Batch("gpu", np.array([seed * 1_000_000], np.int64), names, tuple(f"m{i}" for i in range(METRICS)), kept)


def measured(compress: Callable[[bytes], bytes], told: list[bytes]) -> tuple[float, float]:
    """Return (share of the size that is left, nanoseconds of CPU per byte)."""
    size = sum(map(len, told))
    times = max(1, BYTES // size)
    begin = time.process_time()
    for _ in range(times):
        left = sum(len(compress(frame)) for frame in told)
    return left / size, (time.process_time() - begin) / (times * size) * 1e9


def main() -> None:
    print("| frame | subjects | lz4: of size | ns/byte | zstd: of size | ns/byte |\n|---|---|---|---|---|---|")
    for subjects in (8, 64, 512, 4000):
        told = [frame for seed in range(101, 106) for frame in frames(batch(subjects, seed), 900_000)]
        cells = [f"{share:.0%} | {cost:.1f}" for share, cost in (measured(lz4.frame.compress, told), measured(zstandard.ZstdCompressor().compress, told))]
        print(f"| {sum(map(len, told)) / len(told) / 1000:.1f} KB | {subjects} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
