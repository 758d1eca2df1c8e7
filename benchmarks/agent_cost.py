"""What one look of an 8-GPU node costs the node: CPU time, memory, bytes on the wire.

The driver is a fake that answers at once (real call latencies count as zero): what is measured is our own work and that of the binding.
The host's sources read a made tree of a real node's size (files in memory, as sysfs is; what firmware takes to answer counts as zero).
`make bench` does not run it; `python benchmarks/agent_cost.py [--ticks N]` does, in some seconds.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

import grayscope
from grayscope.batch import Batch
from tests.collectors.test_drive import page
from tests.fake_nvml import FakeGpu, FakeNvml, h100
from tests.nodetree import grown, planted

grayscope.__path__.append(str(Path(__file__).parents[1]))
GPUS, PERIOD_S = 8, 10.0
LONG, FIELD_BYTES = 3, 40  # NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, sizeof(nvmlFieldValue_t)
#: Host sources, and what the agent gives them: slow readings once a minute.
HOST: dict[str, dict[str, Any]] = {
    "drive": {"slow": 60.0, "page": lambda _: page()},
    "fabric": {},
    "host": {"slow": 60.0},
    "kernel": {},
    "memory": {"slow": 60.0},
    "pcie": {"slow": 60.0},
}
#: Goals of one look at the GPUs: CPU milliseconds, resident megabytes, share of a core at one look in ten seconds.
CPU_MS, RSS_MB, SHARE = 5.0, 120.0, 0.001


class Recorded(FakeNvml):
    """The fake with answers made in advance: the library's own call is a copy."""

    def __init__(self, gpus: list[FakeGpu]) -> None:
        super().__init__(gpus)
        self._answers: dict[tuple[int, int], Any] = {}
        self._functions: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self._functions:
            found = super().__getattr__(name)
            if not name.startswith("nvmlDeviceGet"):
                return found
            kept: dict[Any, Any] = {}

            def call(handle: Any, *arguments: Any) -> Any:
                ctypes.byref(ctypes.c_uint())  # as the binding makes room for the answer
                key = (ctypes.cast(handle, ctypes.c_void_p).value, arguments)
                if key not in kept:
                    kept[key] = found(handle, *arguments)
                return kept[key]

            self._functions[name] = call
        return self._functions[name]

    def _field_values(self, handle: Any, count: int, at: int) -> int:
        key = (ctypes.cast(handle, ctypes.c_void_p).value or 0, count)
        if key not in self._answers:
            code = super()._field_values(handle, count, at)
            answer = (ctypes.c_char * (FIELD_BYTES * count)).from_buffer_copy(ctypes.string_at(at, FIELD_BYTES * count))
            self._answers[key] = code, answer
        code, answer = self._answers[key]
        ctypes.memmove(at, answer, FIELD_BYTES * count)
        step(answer)
        return int(code)


def step(answer: Any) -> None:
    """Let every counter of an answer grow, so that nothing is constant."""
    fields = np.frombuffer(answer, np.dtype([("head", "V24"), ("type", "<u4"), ("code", "<u4"), ("bits", "<u8")]))
    fields["bits"][fields["type"] == LONG] += np.uint64(1)


def blackwell(index: int) -> FakeGpu:
    """A made-up part with NVLink 5: packets, FEC histogram and error ratios on each of 18 links."""
    gpu = h100(index)
    gpu.calls["Name"] = "NVIDIA B200"
    names = ["XMIT_BYTES", "RCV_BYTES", "MALFORMED_PACKET_ERRORS", "BUFFER_OVERRUN_ERRORS", "RCV_ERRORS", "RCV_REMOTE_ERRORS", "RCV_GENERAL_ERRORS",
             "LOCAL_LINK_INTEGRITY_ERRORS", "XMIT_DISCARDS", "LINK_RECOVERY_SUCCESSFUL_EVENTS", "LINK_RECOVERY_FAILED_EVENTS", "LINK_RECOVERY_EVENTS",
             "EFFECTIVE_BER", "SYMBOL_ERRORS", "SYMBOL_BER", "RAW_BER_V2", *(f"FEC_HISTORY_{n}" for n in range(16))]  # fmt: skip
    for link in range(gpu.links):
        for name in names:
            gpu.set(f"NVLINK_COUNT_{name}", 0x508, link)
        for name in ("PLR_XMIT_BLOCKS", "PLR_XMIT_RETRY_BLOCKS"):
            gpu.set(f"NVLINK_{name}", 9, link)
    return gpu


def wire(batch: Batch) -> int:
    """Bytes of a batch as Arrow IPC: a column per metric, subjects and time as they are."""
    columns = {name: pa.array(batch.values[0, m]) for m, name in enumerate(batch.metrics)}
    table = pa.table({"subject": pa.array(batch.subjects), "time": pa.array(np.repeat(batch.times, len(batch.subjects))), **columns})
    with io.BytesIO() as sink:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return len(sink.getvalue())


def measure(name: str, make: Callable[[int], FakeGpu], ticks: int) -> tuple[bool, float]:
    """Measure looks at eight GPUs; return whether the goals are met, and the mean in milliseconds."""
    from grayscope import plugins

    now = [1_700_000_000.0]
    source = plugins.collector("nvml", "n1", nvml=Recorded([make(i) for i in range(GPUS)]), clock=lambda: now[0])
    samples = 0
    for _ in range(13):  # refusals are learned, tuples and memory settle
        now[0] += PERIOD_S
        source.collect()
    costs = []
    for _ in range(ticks):
        now[0] += PERIOD_S
        began = time.process_time_ns()
        messages = source.collect()
        costs.append((time.process_time_ns() - began) / 1e6)
        samples = sum(m.values.size for m in messages if isinstance(m, Batch))
    mean, worst = sum(costs) / ticks, max(costs)
    sent = sum(wire(m) for m in messages if isinstance(m, Batch))
    rss = resident()
    good = mean < CPU_MS and rss < RSS_MB and mean / 1e3 / PERIOD_S < SHARE
    share = mean / 1e3 / PERIOD_S
    print(
        f"{name:<12}{samples:>9,}{mean:>11.2f}{np.median(costs):>9.2f}{worst:>9.2f}{share:>11.4%}{rss:>9.0f}{sent:>10,}",
        "  within" if good else "  MISSED",
    )
    return good, mean


def measure_host(ticks: int) -> float:
    """Measure the host's sources over a made tree; return the mean of all together in milliseconds."""
    from grayscope import plugins

    now, costs, last = [1_700_000_000.0], {name: list[float]() for name in HOST}, dict[str, list[Any]]()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        root = planted(Path(folder))
        sources = {name: plugins.collector(name, root, clock=lambda: now[0], **more) for name, more in HOST.items()}
        for tick in grown(root, ticks + 3):
            now[0] += PERIOD_S
            for name, source in sources.items():
                began = time.process_time_ns()
                last[name] = list(source.collect())
                if tick > 3:  # names and tuples have settled
                    costs[name].append((time.process_time_ns() - began) / 1e6)
    for name, spent in costs.items():
        batches = [m for m in last[name] if isinstance(m, Batch)]
        samples, mean = sum(m.values.size for m in batches), sum(spent) / len(spent)
        print(f"{name:<12}{samples:>9,}{mean:>11.2f}{np.median(spent):>9.2f}{max(spent):>9.2f}{mean / 1e3 / PERIOD_S:>11.4%}{resident():>9.0f}"
              f"{sum(wire(m) for m in batches):>10,}")  # fmt: skip
    return sum(sum(spent) for spent in costs.values()) / ticks


def resident() -> float:
    """Resident memory of this process now, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=300)
    arguments = parser.parse_args()
    print(f"one look of {GPUS} GPUs, driver answers at once; goal {CPU_MS:g} ms CPU, {RSS_MB:g} MB, {SHARE:.1%} of a core at {PERIOD_S:g} s")
    print(f"{'part':<12}{'samples':>9}{'CPU ms':>11}{'median':>9}{'worst':>9}{'of a core':>11}{'RSS MB':>9}{'bytes':>10}")
    good, gpus = zip(*(measure(name, make, arguments.ticks) for name, make in (("H100", h100), ("B200", blackwell))), strict=True)
    whole = measure_host(arguments.ticks) + gpus[0]
    share = whole / 1e3 / PERIOD_S
    fits = share < SHARE and resident() < RSS_MB
    print(f"{'all + H100':<12}{'':>9}{whole:>11.2f}{'':>18}{share:>11.4%}{resident():>9.0f}{'':>10}{'  within' if fits else '  MISSED'}")
    sys.exit(0 if all(good) and fits else 1)


if __name__ == "__main__":
    main()
