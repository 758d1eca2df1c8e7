"""Nvml: this node's NVIDIA GPUs by the driver's own library: clocks, heat, power, memory errors, spares, PCIe and NVLink.

Reads: per GPU and look one batched field query (ECC per location, row remaps, retired pages, time in throttle, energy, power, PCIe and
NVLink counters, recovery action) and about a dozen calls (clocks, throttle reasons, temperature and margin, utilisation, memory, PCIe
width and generation); once a minute also what moves slowly or is long: NVLink 5 packets, FEC histogram and error ratios, the histogram of
spare rows, SRAM status, the fabric's state. On Hopper and later the activity between two looks (GPM).

Privileges: none for nearly all. Root adds the SRAM status. `support` says what was refused, and why.

Cost: benchmarks/agent_cost.py. NVML stays open, which also keeps the driver loaded: volatile ECC counts survive the end of a job.

Of a divided card (MIG) each GPU instance is a subject of table `mig` (``n017/gpu3/mig5``) with its memory and activity.

Cannot see: errors, heat and power of an instance, which are the card's; ranks; the host's end of PCIe.
Xids come from the kernel's log; where that cannot be read, ``xids=True`` takes them from NVML.

Names: nvidia-ml-py 13.615 (module pynvml), nvml.h of DCGM 4.6; which field means what is said in `grayscope/catalogue.toml`.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable
from typing import Any

from grayscope.catalogue import Catalogue
from grayscope.errors import MissingPackage, Unsupported
from grayscope.message import Message

from ._nvmlfields import known
from ._nvmlgpu import Layout
from ._nvmlgpus import Gpus
from ._nvmlmig import Mig
from ._nvmlrows import NvmlRows
from ._nvmlxids import Xids

#: After this long a refused field is asked again, seconds.
PROBE_S = 3600.0


class Nvml:
    """Looks at every GPU of this node per `collect`. Delivery: what the driver showed at that moment, nothing is repeated.

    A GPU that falls off the bus is an event and ``gpu_present`` 0, and the others go on; it is looked for again with each
    deep look. A GPU keeps the name under which it was first seen, whatever number the driver gives it later.

    Parameters
    ----------
    node : str
        Name of this node; the host's by default.
    nvml : module, optional
        ``pynvml``, or what behaves like it.
    clock : callable
        Seconds since 1970.
    deep_every : float
        Seconds between deep looks.
    xids : bool
        Take Xid events from NVML.

    Attributes
    ----------
    rejected : dict of str to int
        Looks and reads that failed, by reason.

    Raises
    ------
    Unsupported
        No library, no driver, or no GPU.
    """

    def __init__(
        self, node: str = "", *, nvml: Any = None, clock: Callable[[], float] = time.time, deep_every: float = 60.0, xids: bool = False,
        catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        self.nvml: Any = library() if nvml is None else nvml
        self.node, self.clock, self.deep_every = node or platform.node(), clock, deep_every
        self.rejected: dict[str, int] = {}
        self.live = NvmlRows(catalogue or Catalogue.load())
        self.fleet = Gpus(self.nvml, Layout(known(self.live.rates.catalogue)), self.node, self.rejected, Xids(self.nvml) if xids else None)
        self.mig = Mig(self.nvml, self.rejected)
        self._deep_at, self._probed_at = -math.inf, -math.inf
        missing = self.fleet.open()
        if missing:
            raise Unsupported(f"nvml: {missing}")

    @property
    def support(self) -> dict[str, dict[str, str]]:
        """``"ok"``, ``"unsupported"`` or ``"denied"`` per GPU and field or function."""
        return {gpu.subject: gpu.support for gpu in self.fleet.gpus}

    @property
    def read_seconds(self) -> float:
        """What the driver says that it spent on the last field queries of all GPUs."""
        return sum(gpu.query.latency for gpu in self.fleet.gpus if gpu.handle is not None)

    def collect(self) -> list[Message]:
        """Return roster rows where somebody is new or changed, one batch per table, and what happened to a GPU."""
        seconds = self.clock()
        now, deep = int(seconds * 1e6), seconds - self._deep_at >= self.deep_every
        if deep:
            self._deep_at = seconds
            self.fleet.seek()
        if not self.fleet.opened:
            self.rejected["driver"] = self.rejected.get("driver", 0) + 1
            return []
        if seconds - self._probed_at >= PROBE_S:
            self._probed_at = seconds
            self.fleet.forget()
        looked, events = self.fleet.look(now, deep)
        cards = [gpu for gpu, _ in looked if gpu.handle is not None and not gpu.lost]
        return self.live.messages(now, looked, events) + self.mig.messages(now, cards, deep)

    def close(self) -> None:
        """Let go of the library; safe to call twice."""
        self.mig.close()
        self.fleet.close()


def library() -> Any:
    """Return the module that speaks NVML."""
    try:
        import pynvml
    except ModuleNotFoundError as error:
        raise MissingPackage("collector nvml needs nvidia-ml-py: pip install nvidia-ml-py") from error
    return pynvml
