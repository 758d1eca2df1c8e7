"""Nvmlcalls: what NVML tells by functions of its own rather than by fields, one line of table for each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from ctypes import byref
from typing import Any, NamedTuple

from ._nvmlfields import DENIED, GONE, NEVER, Floats

NAN = float("nan")
#: Clock event reasons by their bits (NVML header, nvmlClocksEventReasons).
REASONS = ("idle", "application_clocks", "power", "hardware", "sync_boost", "thermal_software", "thermal_hardware", "power_brake", "display")
#: Parts of the fabric's health mask: shift, width in bits, and the values that are good; 0 is not supported, all others are bad.
FABRIC = {
    "degraded_bandwidth": (0, 2, 2), "route_recovery": (2, 2, 2), "route_unhealthy": (4, 2, 2), "access_timeout_recovery": (6, 2, 2),
    "incorrect_configuration": (8, 4, 1), "partition_unassigned": (12, 2, 1), "manager_disconnected": (14, 2, 1),
}  # fmt: skip
REPAIR = ('gpu_repair_pending{kind="channel"}', 'gpu_repair_pending{kind="tpc"}')
BANKS = ("max", "high", "partial", "low", "none")
SRAM = tuple(f'gpu_ecc_{kind}_errors_total{{location="sram",retention="{kept}"}}' for kind in ("corrected", "uncorrected") for kept in ("volatile", "lifetime"))

UNIQUE = tuple(f'gpu_sram_unique_uncorrected_errors_total{{kind="{kind}"}}' for kind in ("parity", "secded"))


class Call(NamedTuple):
    """One function: what it tells, how to call it, and whether once a minute is enough."""

    function: str
    metrics: tuple[str, ...]
    read: Callable[[Any, Any], tuple[float, ...]]
    deep: bool = False


def _clocks(nvml: Any, gpu: Any) -> tuple[float, ...]:
    return nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM) * 1e6, nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM) * 1e6


def _reasons(nvml: Any, gpu: Any) -> tuple[float, ...]:
    return reasons(nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu))


def _older_reasons(nvml: Any, gpu: Any) -> tuple[float, ...]:
    return reasons(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))


def _memory(nvml: Any, gpu: Any) -> tuple[float, ...]:
    # Of the second kind: the first counts what the driver keeps for itself as used (0.5 GB on an idle H100), other tools do not.
    return (float(nvml.nvmlDeviceGetMemoryInfo(gpu, nvml.nvmlMemory_v2).used),)


def _sram_counts(nvml: Any, gpu: Any) -> tuple[float, ...]:
    place = nvml.NVML_MEMORY_LOCATION_SRAM
    return tuple(float(nvml.nvmlDeviceGetMemoryErrorCounter(gpu, kind, kept, place)) for kind in (0, 1) for kept in (0, 1))


def _sram_status(nvml: Any, gpu: Any) -> tuple[float, ...]:
    status = nvml.c_nvmlEccSramErrorStatus_v1_t()
    nvml.nvmlDeviceGetSramEccErrorStatus(gpu, byref(status))
    return float(status.aggregateUncParity), float(status.aggregateUncSecDed), float(status.bThresholdExceeded)


def _histogram(nvml: Any, gpu: Any) -> tuple[float, ...]:
    banks = nvml.nvmlDeviceGetRowRemapperHistogram(gpu)
    return tuple(float(getattr(banks, name)) for name in BANKS)


def _fabric(nvml: Any, gpu: Any) -> tuple[float, ...]:
    info = nvml.c_nvmlGpuFabricInfo_v3_t()
    nvml.nvmlDeviceGetGpuFabricInfoV(gpu, byref(info))
    return fabric(info.state, info.healthMask, info.healthSummary)


def fabric(state: int, mask: int, summary: int) -> tuple[float, ...]:
    """Return registered, healthy, limited capacity and the conditions of `FABRIC`; NaN for what the GPU does not support.

    Source: nvml.h, nvmlGpuFabricState_t and NVML_GPU_FABRIC_HEALTH_MASK: the polarity differs from part to part, and a healthy mask
    is not 0.

    Examples
    --------
    >>> fabric(3, 0x51AA, 1)[:4], sum(fabric(3, 0x51AA, 1)[3:])
    ((1.0, 1.0, 0.0, 0.0), 0.0)
    >>> fabric(2, 0x51A9, 3)[:4]
    (0.0, 1.0, 1.0, 1.0)
    """
    if not state:
        return (NAN,) * (3 + len(FABRIC))
    healthy, limited = (NAN, NAN) if not summary else (float(summary != 2), float(summary == 3))
    found = [(mask >> shift & ((1 << width) - 1), good) for shift, width, good in FABRIC.values()]
    return float(state == 3), healthy, limited, *(NAN if not value else float(value != good) for value, good in found)


def reasons(mask: int) -> tuple[float, ...]:
    """Return the mask of clock event reasons and each of its bits.

    Examples
    --------
    >>> dict(zip(REASONS, reasons(0x44)[1:]))["thermal_hardware"]
    1.0
    """
    return float(mask), *(float(mask >> bit & 1) for bit in range(len(REASONS)))


REASON_METRICS = ("gpu_clock_event_reasons", *(f'gpu_clock_event_active{{reason="{r}"}}' for r in REASONS))
FABRIC_METRICS = (
    "gpu_fabric_registered", "gpu_fabric_healthy", *(f'gpu_fabric_condition{{condition="{c}"}}' for c in ("limited_capacity", *FABRIC)),
)  # fmt: skip
#: In this order; one that tells only what is told already is not made.
CALLS = (
    Call("nvmlDeviceGetClockInfo", ('gpu_clock_hertz{domain="sm"}', 'gpu_clock_hertz{domain="memory"}'), _clocks),
    Call("nvmlDeviceGetCurrentClocksEventReasons", REASON_METRICS, _reasons),
    Call("nvmlDeviceGetCurrentClocksThrottleReasons", REASON_METRICS, _older_reasons),
    Call("nvmlDeviceGetTemperatureV", ('gpu_temperature_celsius{sensor="gpu"}',), lambda nvml, gpu: (nvml.nvmlDeviceGetTemperatureV(gpu, 0),)),
    Call("nvmlDeviceGetTemperature", ('gpu_temperature_celsius{sensor="gpu"}',), lambda nvml, gpu: (nvml.nvmlDeviceGetTemperature(gpu, 0),)),
    Call("nvmlDeviceGetMarginTemperature", ("gpu_temperature_margin_celsius",), lambda nvml, gpu: (nvml.nvmlDeviceGetMarginTemperature(gpu),)),
    Call("nvmlDeviceGetPowerUsage", ("gpu_power_watts",), lambda nvml, gpu: (nvml.nvmlDeviceGetPowerUsage(gpu) * 1e-3,)),
    Call("nvmlDeviceGetEnforcedPowerLimit", ("gpu_power_limit_watts",), lambda nvml, gpu: (nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) * 1e-3,)),
    Call("nvmlDeviceGetUtilizationRates", ("gpu_active_ratio",), lambda nvml, gpu: (nvml.nvmlDeviceGetUtilizationRates(gpu).gpu * 0.01,)),
    Call("nvmlDeviceGetMemoryInfo", ("gpu_memory_used_bytes",), _memory),
    Call("nvmlDeviceGetCurrPcieLinkWidth", ("pcie_link_width_lanes",), lambda nvml, gpu: (nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu),)),
    Call("nvmlDeviceGetCurrPcieLinkGeneration", ("pcie_link_generation",), lambda nvml, gpu: (nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu),)),
    Call("nvmlDeviceGetPcieReplayCounter", ("pcie_replays_total",), lambda nvml, gpu: (nvml.nvmlDeviceGetPcieReplayCounter(gpu),)),
    Call("nvmlDeviceGetMemoryErrorCounter", SRAM, _sram_counts),
    Call("nvmlDeviceGetMaxPcieLinkWidth", ('pcie_link_width_lanes{bound="max"}',), lambda nvml, gpu: (nvml.nvmlDeviceGetMaxPcieLinkWidth(gpu),), True),
    Call("nvmlDeviceGetMaxPcieLinkGeneration", ('pcie_link_generation{bound="max"}',), lambda nvml, gpu: (nvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu),), True),
    Call("nvmlDeviceGetRowRemapperHistogram", tuple(f'gpu_row_remap_banks{{availability="{name}"}}' for name in BANKS), _histogram, True),
    Call("nvmlDeviceGetSramEccErrorStatus", (*UNIQUE, "gpu_sram_threshold_exceeded"), _sram_status, True),
    Call("nvmlDeviceGetRepairStatus", REPAIR, lambda nvml, gpu: tuple(nvml.nvmlDeviceGetRepairStatus(gpu)), True),
    Call("nvmlDeviceGetUnrepairableMemoryFlag_v1", ("gpu_memory_unrepairable",), lambda nvml, gpu: (nvml.nvmlDeviceGetUnrepairableMemoryFlag_v1(gpu),), True),
    Call("nvmlDeviceGetGpuFabricInfoV", FABRIC_METRICS, _fabric, True),
)  # fmt: skip


class Calls:
    """The functions that one GPU answers.

    Parameters
    ----------
    nvml : module
    columns : mapping of str to (matrix, column)
        Where each metric goes.

    Attributes
    ----------
    support : dict of str to str
        ``"ok"``, ``"unsupported"`` or ``"denied"`` for every function that was called.
    errors : int
        Calls that failed for another reason.
    """

    def __init__(self, nvml: Any, columns: dict[str, tuple[str, int]]) -> None:
        self.nvml, self.columns = nvml, columns
        self.support: dict[str, str] = {}
        self.errors = 0

    def forget(self) -> None:
        """Call again what was refused."""
        self.support = {}

    def read(self, handle: Any, deep: bool, out: dict[str, Floats], told: Collection[str]) -> None:
        """Fill the GPU's cells in the first column of each matrix; raise where the GPU is gone.

        Parameters
        ----------
        told : collection of str
            Metrics that need no call.
        """
        known = set(told)
        for call in CALLS:
            if (call.deep and not deep) or self.support.get(call.function, "ok") != "ok" or known.issuperset(call.metrics):
                continue
            values = self._call(call, handle)
            if values is not None:
                known.update(call.metrics)
                for name, value in zip(call.metrics, values, strict=True):
                    table, column = self.columns[name]
                    out[table][column, 0] = value

    def _call(self, call: Call, handle: Any) -> tuple[float, ...] | None:
        try:
            values = call.read(self.nvml, handle)
        except self.nvml.NVMLError as error:
            if error.value in GONE:
                raise
            self._failed(call.function, error.value)
            return None
        self.support[call.function] = "ok"
        return values

    def _failed(self, function: str, code: int) -> None:
        if code in NEVER or code == DENIED:
            self.support[function] = "denied" if code == DENIED else "unsupported"
        else:
            self.errors += 1
