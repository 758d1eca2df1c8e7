"""Nvmlgpm: how busy a GPU's parts were between two looks, by its own activity counters (GPM, Hopper and later)."""

from __future__ import annotations

from typing import Any

from ._nvmlfields import DENIED, GONE, NEVER

#: Metric and GPM's number for it; GPM tells percent.
METRICS = {"gpu_sm_active_ratio": 2, "gpu_sm_occupancy_ratio": 3, "gpu_tensor_active_ratio": 5, "gpu_dram_active_ratio": 10}


class Gpm:
    """Two samples of one GPU, the older of which is overwritten at each look: the first look tells nothing.

    Source: nvml.h, section GPM. An instance of a divided card has samples of its own, so a divided card is not read.

    Parameters
    ----------
    nvml : module
    instance : int, optional
        Number of a GPU instance of a divided card; the whole card by default.

    Attributes
    ----------
    support : str
        ``"ok"``, ``"unsupported"`` or ``"denied"``; ``""`` before the first look.
    """

    def __init__(self, nvml: Any, instance: int | None = None) -> None:
        self.nvml, self.instance = nvml, instance
        self.support = ""
        self.errors = 0
        self._samples: list[Any] = []
        self._asked: Any = None
        self._fresh = False

    def read(self, handle: Any) -> dict[str, float]:
        """Return the ratios since the last look; nothing at the first, or where GPM is not there."""
        if self.support in ("unsupported", "denied"):
            return {}
        try:
            return self._read(handle)
        except self.nvml.NVMLError as error:
            if error.value in GONE:
                raise
            self._fresh = False
            if error.value in NEVER or error.value == DENIED:
                self.support = "denied" if error.value == DENIED else "unsupported"
            else:
                self.errors += 1
            return {}

    def close(self) -> None:
        """Give the samples back."""
        for sample in self._samples:
            try:
                self.nvml.nvmlGpmSampleFree(sample)
            except self.nvml.NVMLError:
                self.errors += 1
        self._samples = []

    def _read(self, handle: Any) -> dict[str, float]:
        if not self._samples:
            if not self.nvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice:
                self.support = "unsupported"
                return {}
            self._samples = [self.nvml.nvmlGpmSampleAlloc(), self.nvml.nvmlGpmSampleAlloc()]
            self._asked = self._question()
        before, now = self._samples
        if self.instance is None:
            self.nvml.nvmlGpmSampleGet(handle, before)
        else:
            self.nvml.nvmlGpmMigSampleGet(handle, self.instance, before)
        self._samples = before, now = [now, before]
        self.support = "ok"
        if not self._fresh:
            self._fresh = True
            return {}
        self._asked.sample1, self._asked.sample2 = before, now
        self.nvml.nvmlGpmMetricsGet(self._asked)
        told = {name: self._asked.metrics[i] for i, name in enumerate(METRICS)}
        return {name: m.value * 0.01 for name, m in told.items() if not m.nvmlReturn and 0 <= m.value <= 100}

    def _question(self) -> Any:
        asked = self.nvml.c_nvmlGpmMetricsGet_t()
        asked.version, asked.numMetrics = self.nvml.NVML_GPM_METRICS_GET_VERSION, len(METRICS)
        for i, number in enumerate(METRICS.values()):
            asked.metrics[i].metricId = number
        return asked
