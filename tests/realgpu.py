"""A real GPU, where there is one: what our collector reads beside what ``nvidia-smi`` says at the same moment."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.errors import GrayscopeError
from grayscope.tracewriter import TraceWriter

Values = dict[tuple[str, str], float]
#: How far a value may move between two looks that are a moment apart, beyond what both looks show: share of it, and in its unit.
ROOM = {
    "gpu_power_watts": (0.25, 30.0), "gpu_temperature_celsius": (0.0, 3.0), "gpu_temperature_margin_celsius": (0.0, 3.0),
    "gpu_clock_hertz": (0.15, 30e6), "gpu_active_ratio": (0.0, 1.0), "gpu_memory_used_bytes": (0.05, 64 << 20),
}  # fmt: skip


class Compared(NamedTuple):
    """One number that both tell: ours before and after, theirs between."""

    subject: str
    metric: str
    before: float
    after: float
    theirs: float

    @property
    def agrees(self) -> bool:
        """Whether theirs lies between ours, as far as such a number may move in a second."""
        share, room = ROOM.get(self.metric.partition("{")[0], (1e-6, 1e-9))
        room += share * max(abs(self.before), abs(self.after))
        return min(self.before, self.after) - room <= self.theirs <= max(self.before, self.after) + room


def missing() -> str:
    """Return why there is no real GPU here, ``""`` if there is."""
    if shutil.which("nvidia-smi") is None:
        return "no nvidia-smi here: needs a node with an NVIDIA GPU and its driver"
    try:
        plugins.collector("nvml", "n1").close()
    except GrayscopeError as error:
        return str(error)
    return ""


def shown(messages: Iterable[Any]) -> Values:
    """Return the last value of every subject and metric of some looks; counters, which are increments, are left out."""
    catalogue = Catalogue.load()
    found: Values = {}
    for batch in messages:
        if isinstance(batch, Batch):
            for m, metric in enumerate(batch.metrics):
                known = catalogue.get(metric)
                if known is not None and known.type != "counter":
                    found |= {(s, metric): float(v) for s, v in zip(batch.subjects, batch.values[-1, m], strict=True) if v == v}
    return found


def asked(node: str) -> Values:
    """Return what ``nvidia-smi -q -x`` says now, in our names and units."""
    with tempfile.TemporaryDirectory() as folder:
        file, trace = Path(folder) / f"{node}.xml", Path(folder) / "trace"
        file.write_bytes(subprocess.run(["nvidia-smi", "-q", "-x"], capture_output=True, check=True, timeout=60).stdout)
        with TraceWriter(trace, tables={"gpu": {"period_s": 10, "counters": "cumulative"}}) as writer:
            plugins.collector("nvidiasmi", [file], node=node).write(writer)
        return shown(plugins.broker("parquet", trace).receive())


def compared(before: Values, theirs: Values, after: Values) -> list[Compared]:
    """Return every number that all three hold."""
    return [Compared(*key, before[key], after[key], theirs[key]) for key in sorted(before.keys() & theirs.keys() & after.keys())]
