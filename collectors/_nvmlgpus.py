"""Nvmlgpus: the GPUs of a node: each keeps its name, whoever falls off the bus is told about, the driver may come and go."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from grayscope.event import Event

from ._nvmlfields import DENIED, GONE, Floats
from ._nvmlgpu import Gpu, Layout, ask, identity, text
from ._nvmlxids import Xids

#: Answers after which only a new start helps: not initialised, driver not loaded, library and driver of two versions.
CLOSED = (1, 9, 18)
#: GPUs that a driver may list.
MOST = 256
Looked = list[tuple[Gpu, dict[str, Floats]]]


class _Who(NamedTuple):
    handle: Any
    uuid: str
    address: str


class Gpus:
    """Finds, names and looks at GPUs.

    Parameters
    ----------
    nvml : module
    layout : Layout
    node : str
    rejected : dict of str to int
        Where failures are counted.
    xids : Xids, optional
    """

    def __init__(self, nvml: Any, layout: Layout, node: str, rejected: dict[str, int], xids: Xids | None) -> None:
        self.nvml, self.layout, self.node, self.rejected, self.xids = nvml, layout, node, rejected, xids
        self.opened = False
        self._gpus: dict[str, Gpu] = {}
        self._wired: dict[str, set[int]] = {}

    @property
    def gpus(self) -> list[Gpu]:
        """All GPUs that were ever seen, by name."""
        return list(self._gpus.values())

    def open(self) -> str:
        """Open the library and find the GPUs; return what is missing, ``""`` if nothing is."""
        try:
            self.nvml.nvmlInit()
        except self.nvml.NVMLError as error:
            return f"{error}: needs the NVIDIA driver and its libnvidia-ml.so.1, loaded and of one version"
        self.opened = True
        try:
            self._find()
        except self.nvml.NVMLError as error:
            self.close()
            return f"the GPUs cannot be listed: {error}"
        if not self._gpus:
            self.close()
            return "the driver lists no GPU"
        return ""

    def close(self) -> None:
        """Let go of handles and library; safe to call twice."""
        for gpu in self.gpus:
            gpu.detach()
        if self.opened:
            if self.xids is not None:
                self.xids.close()
            with contextlib.suppress(self.nvml.NVMLError):
                self.nvml.nvmlShutdown()
        self.opened = False

    def seek(self) -> None:
        """Look for a driver that went, or for GPUs that are lost.

        The library is not shut down for that: with the last client the driver may unload and forget the volatile counts of the others.
        """
        if not self.opened:
            self.open()
        elif any(gpu.lost for gpu in self.gpus):
            with contextlib.suppress(self.nvml.NVMLError):
                self._find()

    def forget(self) -> None:
        """Ask again for what was refused."""
        for gpu in self.gpus:
            gpu.forget()

    def look(self, now: int, deep: bool) -> tuple[Looked, list[Event]]:
        """Return what every GPU shows, and events of those that went or came back."""
        looked: Looked = []
        events: list[Event] = []
        for gpu in self.gpus:
            out, reason = self._read(gpu, deep)
            if not self.opened:
                self.close()
                return [], []
            looked.append((gpu, out))
            if bool(reason) != gpu.lost and reason is not None:
                gpu.lost = bool(reason)
                code, text = ("unhealthy", f"NVML: {reason}") if reason else ("healthy", "NVML: answers again")
                events.append(Event(now, gpu.subject, "health", code, text))
        for gpu, out in looked:
            gpu.expect(out)
        return looked, events + (self.xids.heard(now) if self.xids is not None else [])

    def _read(self, gpu: Gpu, deep: bool) -> tuple[dict[str, Floats], str | None]:
        """Return what a GPU shows and why it is lost: ``""`` it is not, None it cannot be said."""
        if gpu.handle is None:
            return gpu.gone(), "the GPU is not listed any more" if gpu.keys else "the GPU does not answer"
        before = gpu.errors
        try:
            out = gpu.read(deep)
        except self.nvml.NVMLError as error:
            if error.value in GONE:
                return gpu.gone(), str(error)
            self.opened = self.opened and error.value not in CLOSED
            self._reject("unreadable")
            return gpu.silent(), None
        if gpu.errors > before:
            self.rejected["read"] = self.rejected.get("read", 0) + gpu.errors - before
        return out, ""

    # -- who is who -----------------------------------------------------------------------------------------------------

    def _find(self) -> None:
        driver = str(ask(self.nvml, self.nvml.nvmlSystemGetDriverVersion))
        found = [(i, who) for i in range(min(int(self.nvml.nvmlDeviceGetCount()), MOST)) if (who := self._who(i)) is not None]
        here = {who.uuid for _, who in found}
        for gpu in self.gpus:
            if gpu.keys.get("uuid") not in here:
                gpu.detach()
        for index, who in found:
            known = self._named(index, who)
            if known is not None and who.handle is not None and (known.lost or known.handle is None):
                self._attach(known, who.handle, driver)

    def _attach(self, gpu: Gpu, handle: Any, driver: str) -> None:
        try:
            keys = identity(self.nvml, handle, self.node, gpu.subject.rpartition("gpu")[2], driver)
            gpu.wired = self._wired.setdefault(keys.get("sku", ""), set())
            gpu.attach(handle, keys)
            if self.xids is not None:
                self.xids.watch(handle, gpu.subject)
        except self.nvml.NVMLError as error:
            self._reject("unreadable" if error.value not in GONE else "lost")
            gpu.handle = None

    def _who(self, index: int) -> _Who | None:
        """Return who has a number now, without a name if it is gone; None if it is not for us."""
        try:
            handle = self.nvml.nvmlDeviceGetHandleByIndex(index)
            address = ask(self.nvml, lambda: self.nvml.nvmlDeviceGetPciInfo(handle).busId)
            return _Who(handle, str(self.nvml.nvmlDeviceGetUUID(handle)), text(address))
        except self.nvml.NVMLError as error:
            if error.value in GONE:
                return _Who(None, "", "")
            self._reject("denied" if error.value == DENIED else "unreadable")
            return None

    def _named(self, index: int, who: _Who) -> Gpu | None:
        """Return the GPU that this is: the same as before, the successor in its socket, or one that was not known."""
        same = next((g for g in self.gpus if who.uuid and g.keys.get("uuid") == who.uuid), None)
        if same is not None or (not who.uuid and any(g.handle is None for g in self.gpus)):
            return same
        name = f"{self.node}/gpu{index}"
        holder = self._gpus.get(name)
        if holder is not None and holder.handle is None and holder.keys.get("pci", who.address) == who.address:
            return holder
        if holder is not None:
            name = next(n for n in (f"{self.node}/gpu{i}" for i in range(len(self._gpus) + 1)) if n not in self._gpus)
        self._gpus[name] = Gpu(self.nvml, self.layout, name, set())
        return self._gpus[name]

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
