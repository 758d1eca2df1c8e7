"""Nvmlgpu: one GPU as NVML shows it: who it is, what it tells, and whether it is still there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import byref
from typing import Any

import numpy as np

from grayscope.roster import RosterRow

from ._nvmlcalls import CALLS, Calls
from ._nvmlfields import GONE, TABLES, Floats, Known, Query
from ._nvmlgpm import METRICS, Gpm

#: Metrics that are made here, of what the links say.
LINKS = ("nvlink_links_active", "nvlink_links_expected")
UP = (1.0, 2.0)  # active, or asleep to save power


class Layout:
    """Where each metric goes: a matrix per table, a row per metric, the same for all GPUs.

    Attributes
    ----------
    metrics : dict of str to tuple of str
        Names of the rows of each table.
    columns : dict of str to (table, row)
    """

    def __init__(self, known: Sequence[Known]) -> None:
        table = {k.metric: k.table for k in known}
        table |= {m: "pcie" if m.startswith("pcie") else "gpu" for call in CALLS for m in call.metrics}
        table |= dict.fromkeys(("gpu_present", *METRICS, *LINKS), "gpu")
        self.known = known
        self.metrics = {t: tuple(m for m, where in table.items() if where == t) for t in TABLES}
        self.columns = {m: (t, i) for t, names in self.metrics.items() for i, m in enumerate(names)}

    def empty(self, links: int) -> dict[str, Floats]:
        """Return matrices without any value: shape [M, 1], and [M, links] for the links."""
        return {t: np.full((len(names), links if t == "nvlink" else 1), np.nan) for t, names in self.metrics.items()}


class Gpu:
    """One GPU under the name it was given when it was first seen.

    Parameters
    ----------
    nvml : module
    layout : Layout
    subject : str
    wired : set of int
        Links that were seen up on any part of this kind on the node; the others lead nowhere.
    """

    def __init__(self, nvml: Any, layout: Layout, subject: str, wired: set[int]) -> None:
        self.nvml, self.layout, self.subject, self.wired = nvml, layout, subject, wired
        self.handle: Any = None
        self.keys: dict[str, str] = {}
        self.links, self.divided, self.lost = 0, False, False
        self._up: set[int] | None = None
        self._open = False

    def attach(self, handle: Any, keys: dict[str, str]) -> None:
        """Take a handle; what the part supports is asked anew."""
        nvml = self.nvml
        self.handle, self.keys = handle, keys
        self.divided = ask(nvml, lambda: nvml.nvmlDeviceGetMigMode(handle)[0], 0) == 1
        self.links = 0 if self.divided else _links(nvml, handle)
        self.query, self.calls, self.gpm = Query(nvml, self.layout.known, self.links), Calls(nvml, self.layout.columns), Gpm(nvml)
        self._up, self._open = None, True

    def detach(self) -> None:
        """Let go of what the driver holds for us."""
        if self._open:
            self.gpm.close()
        self.handle, self._open = None, False

    def read(self, deep: bool) -> dict[str, Floats]:
        """Return the matrices of one look.

        Raises
        ------
        nvml.NVMLError
            The GPU is gone.
        """
        out = self.layout.empty(self.links)
        self.query.read(self.handle, deep, out)
        self.calls.read(self.handle, deep, out, [m for m in SHARED if np.isfinite(self._at(out, m))])
        if not self.divided:
            for name, value in self.gpm.read(self.handle).items():
                self._put(out, name, value)
        self._put(out, "gpu_present", 1.0)
        if self.links:
            self._read_links(out)
        return out

    def gone(self) -> dict[str, Floats]:
        """Return the matrices of a GPU that is not there."""
        out = self.layout.empty(self.links)
        self._put(out, "gpu_present", 0.0)
        return out

    def silent(self) -> dict[str, Floats]:
        """Return the matrices of a GPU of which nothing is known at this moment."""
        return self.layout.empty(self.links)

    def forget(self) -> None:
        """Ask again for what was refused."""
        if not self._open:
            return
        self.query.forget()
        self.calls.forget()

    @property
    def errors(self) -> int:
        """Reads that failed although they are supported."""
        return self.query.errors + self.calls.errors + self.gpm.errors if self._open else 0

    @property
    def support(self) -> dict[str, str]:
        """``"ok"``, ``"unsupported"`` or ``"denied"`` for everything that was asked."""
        return {**self.query.support, **self.calls.support, "nvmlGpmMetricsGet": self.gpm.support or "unsupported"} if self._open else {}

    def rows(self, since: int | None) -> list[RosterRow]:
        """Return the roster rows of the GPU, its end of PCIe and its wired links."""
        link = (RosterRow(f"{self.subject}/nvlink{n}", "nvlink", since, None, {**self.keys, "slot": f"{self.keys['slot']}/{n}"}) for n in self.ports())
        return [RosterRow(self.subject, "gpu", since, None, self.keys), RosterRow(f"{self.subject}/pcie", "pcie", since, None, self.keys), *link]

    def ports(self) -> list[int]:
        """Return the numbers of the links that lead somewhere."""
        return [n for n in sorted(self.wired) if n < self.links]

    def expect(self, out: dict[str, Floats]) -> None:
        """Say how many links there should be, once all parts were looked at."""
        if self.wired and np.isfinite(self._at(out, "nvlink_links_active")):
            self._put(out, "nvlink_links_expected", float(len(self.wired)))

    def _read_links(self, out: dict[str, Floats]) -> None:
        """Turn states of links into up or not; what was never up is not wired."""
        state = out["nvlink"][self.layout.columns["nvlink_up"][1]]
        known = np.isfinite(state)
        if known.any():
            up = np.isin(state, UP)
            links = set(np.flatnonzero(up).tolist())
            if self._up is not None and links - self._up:
                self.query.forget()  # what a link refused while it was down it may tell now
            self._up = links
            self.wired |= links
            state[known] = up[known]
            self._put(out, "nvlink_links_active", float(up.sum()))

    def _at(self, out: dict[str, Floats], metric: str) -> float:
        table, column = self.layout.columns[metric]
        return float(out[table][column, 0])

    def _put(self, out: dict[str, Floats], metric: str, value: float) -> None:
        table, column = self.layout.columns[metric]
        out[table][column, 0] = value


#: Told by a field on newer parts and by a function on older ones.
SHARED = ("gpu_power_watts", "gpu_power_limit_watts", "pcie_replays_total")


def identity(nvml: Any, handle: Any, node: str, slot: str, driver: str) -> dict[str, str]:
    """Return the roster keys of a GPU; what it does not tell is left out."""
    told = {
        "node": node,
        "slot": slot,
        "module": ask(nvml, lambda: nvml.nvmlDeviceGetModuleId(handle)),
        "sku": ask(nvml, lambda: nvml.nvmlDeviceGetName(handle)),
        "serial": ask(nvml, lambda: nvml.nvmlDeviceGetSerial(handle)),
        "uuid": ask(nvml, lambda: nvml.nvmlDeviceGetUUID(handle)),
        "pci": ask(nvml, lambda: nvml.nvmlDeviceGetPciInfo(handle).busId),
        "vbios": ask(nvml, lambda: nvml.nvmlDeviceGetVbiosVersion(handle)),
        "driver": driver,
        "clique": ask(nvml, lambda: _clique(nvml, handle)),
        "mig": "on" if ask(nvml, lambda: nvml.nvmlDeviceGetMigMode(handle)[0], 0) else "",
    }
    return {key: clean for key, value in told.items() if (clean := text(value))}


def ask(nvml: Any, what: Callable[[], Any], otherwise: Any = "") -> Any:
    """Return an answer, `otherwise` where the part has none; raise where it is gone."""
    try:
        return what()
    except nvml.NVMLError as error:
        if error.value in GONE:
            raise
        return otherwise


def _clique(nvml: Any, handle: Any) -> str:
    info = nvml.c_nvmlGpuFabricInfo_v3_t()
    nvml.nvmlDeviceGetGpuFabricInfoV(handle, byref(info))
    return f"{bytes(info.clusterUuid).hex()}.{info.cliqueId}" if info.state else ""


def _links(nvml: Any, handle: Any) -> int:
    """Return how many NVLinks the part may have."""
    answer = ask(nvml, lambda: nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_NVLINK_LINK_COUNT]), None)
    found = int(answer[0].value.uiVal) if answer and not answer[0].nvmlReturn else 0
    return min(found, int(nvml.NVML_NVLINK_MAX_LINKS))


def text(value: object) -> str:
    """Return what a structure or a function calls something, fit for a name."""
    found = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() else "_" for c in found.strip())[:128]
