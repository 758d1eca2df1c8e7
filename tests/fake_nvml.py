"""A fake of NVML: made-up GPUs behind pynvml's function names, structures, return codes and error classes. No library is loaded.

What it does is what nvml.h promises: a batched query succeeds if any field does and tells a code for each, functions raise the class of
their code, and what a GPU was not given answers "not supported".
"""

from __future__ import annotations

import inspect
from ctypes import addressof, c_void_p, cast
from typing import Any

import pynvml

NOT_SUPPORTED, DENIED, LOST, RESET, TIMEOUT, UNKNOWN = 3, 4, 15, 16, 10, 999
FI = {name.removeprefix("NVML_FI_DEV_"): number for name, number in vars(pynvml).items() if name.startswith("NVML_FI_DEV_")}
#: Fields that the driver tells as 32 bits; the others have 64.
NARROW = {FI[n] for n in ("ECC_CURRENT", "MEMORY_TEMP", "PCIE_REPLAY_COUNTER", "REMAPPED_COR", "REMAPPED_UNC", "NVLINK_LINK_COUNT", "NVLINK_GET_STATE")}


class Code(int):
    """A return code in the place of a value."""


class FakeGpu:
    """One GPU: `fields` by number, or (number, link); `calls` by function name; a `Code` stands for a refusal."""

    def __init__(self, index: int, name: str = "NVIDIA H100 80GB HBM3", links: int = 18) -> None:
        self.index, self.links = index, links
        self.lost: int = 0
        self.fields: dict[Any, float] = {}
        self.xids: list[int] = []
        self.gpm: dict[int, float] = {}
        self.asked: list[int] = []
        self.instances: dict[int, FakeGpu] = {}
        self.calls: dict[Any, Any] = {
            "Name": name,
            "UUID": f"GPU-{index:08x}-0000-0000-0000-000000000000",
            "Serial": f"16503{index:08d}",
            "VbiosVersion": "96.00.74.00.01",
            "ModuleId": index + 1,
            "MigMode": [0, 0],
        }
        self.busid = f"00000000:{0x18 + 8 * index:02X}:00.0"

    def set(self, name: str, value: float, link: int | None = None) -> None:
        """Give a field a value, by pynvml's name without its beginning."""
        self.fields[FI[name] if link is None else (FI[name], link)] = value


class FakeNvml:
    """Stands for the module ``pynvml``: constants and structures are the real ones, every function is here or not found."""

    def __init__(self, gpus: list[FakeGpu], driver: str = "580.65.06") -> None:
        self.gpus, self.driver = gpus, driver
        self.down = 0
        self.opened = 0
        self.queries, self.longest = 0, 1 << 20
        self._heard: list[tuple[FakeGpu, int]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(pynvml, name)
        if not (name.startswith("nvml") and inspect.isfunction(found)):
            return found
        short = name.removeprefix("nvmlDeviceGet").removeprefix("nvml")

        def call(handle: Any = None, *arguments: Any) -> Any:
            gpu = self._gpu(handle)
            value = gpu.calls.get((short, *arguments), gpu.calls.get(short, Code(NOT_SUPPORTED)))
            if isinstance(value, Code):
                raise pynvml.NVMLError(int(value))
            return value

        return call

    def _gpu(self, handle: Any) -> FakeGpu:
        if not self.opened:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        known = [g for gpu in self.gpus for g in (gpu, *gpu.instances.values())]
        gpu = next((g for g in known if handle is not None and g.index + 1 == _number(handle)), None)
        if gpu is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        if gpu.lost:
            raise pynvml.NVMLError(gpu.lost)
        return gpu

    def nvmlInit(self) -> None:  # noqa: N802
        if self.down:
            raise pynvml.NVMLError(self.down)
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        if not self.opened:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        self.opened -= 1

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return self.driver

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        gpu = self.gpus[index]
        if gpu.lost:
            raise pynvml.NVMLError(gpu.lost)
        return cast(gpu.index + 1, pynvml.c_nvmlDevice_t)

    def nvmlDeviceGetPciInfo(self, handle: Any) -> Any:  # noqa: N802
        info = pynvml.nvmlPciInfo_t()
        info.busId = self._gpu(handle).busid.encode()
        return info

    def nvmlDeviceGetFieldValues(self, handle: Any, ids: list[Any]) -> Any:  # noqa: N802
        values = (pynvml.c_nvmlFieldValue_t * len(ids))()
        for value, asked in zip(values, ids, strict=True):
            value.fieldId, value.scopeId = asked if isinstance(asked, tuple) else (asked, 0)
        code = self._field_values(handle, len(ids), addressof(values))
        if code:
            raise pynvml.NVMLError(code)
        return values

    def _nvmlGetFunctionPointer(self, name: str) -> Any:  # noqa: N802
        assert name == "nvmlDeviceGetFieldValues"
        return lambda handle, count, at: self._field_values(handle, count.value, at.value)

    def _field_values(self, handle: Any, count: int, at: int) -> int:
        """The library's function itself: fills the structures that lie at an address, returns a code."""
        try:
            gpu = self._gpu(handle)
        except pynvml.NVMLError as error:
            return int(error.value)
        self.queries += 1
        gpu.asked.append(count)
        values = (pynvml.c_nvmlFieldValue_t * count).from_address(at)
        for value in values:
            asked = (value.fieldId, value.scopeId)
            value.nvmlReturn = 0
            plain = gpu.fields.get(value.fieldId, Code(NOT_SUPPORTED)) if not value.scopeId else Code(NOT_SUPPORTED)
            _fill(value, gpu.fields.get(asked, plain))
            value.latencyUsec = 3
        if count > self.longest:
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return int(values[0].nvmlReturn) if all(value.nvmlReturn for value in values) else 0

    def nvmlDeviceGetGpuFabricInfoV(self, handle: Any, reference: Any) -> int:  # noqa: N802
        return self._structure(handle, "FabricInfo", reference)

    def nvmlDeviceGetSramEccErrorStatus(self, handle: Any, reference: Any) -> int:  # noqa: N802
        return self._structure(handle, "SramStatus", reference)

    def _structure(self, handle: Any, name: str, reference: Any) -> int:
        told = self._gpu(handle).calls.get(name, Code(NOT_SUPPORTED))
        if isinstance(told, Code):
            raise pynvml.NVMLError(int(told))
        for key, value in told.items():
            setattr(reference._obj, key, value)
        return 0

    def nvmlGpmQueryDeviceSupport(self, handle: Any) -> Any:  # noqa: N802
        support = pynvml.c_nvmlGpmSupport_t()
        support.isSupportedDevice = int(bool(self._gpu(handle).gpm))
        return support

    def nvmlGpmSampleAlloc(self) -> Any:  # noqa: N802
        return pynvml.c_nvmlGpmSample_t()

    def nvmlGpmSampleGet(self, handle: Any, sample: Any) -> Any:  # noqa: N802
        self._sampled = self._gpu(handle)
        return sample

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: int) -> Any:  # noqa: N802
        found = self._gpu(handle).instances.get(index)
        if found is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return cast(found.index + 1, pynvml.c_nvmlDevice_t)

    def nvmlGpmMigSampleGet(self, handle: Any, number: int, sample: Any) -> Any:  # noqa: N802
        self._sampled = next(i for i in self._gpu(handle).instances.values() if i.calls["GpuInstanceId"] == number)
        return sample

    def nvmlGpmMetricsGet(self, asked: Any) -> Any:  # noqa: N802
        for metric in asked.metrics[: asked.numMetrics]:
            metric.nvmlReturn = 0 if metric.metricId in self._sampled.gpm else NOT_SUPPORTED
            metric.value = self._sampled.gpm.get(metric.metricId, 0.0)
        return asked

    def nvmlGpmSampleFree(self, sample: Any) -> None:  # noqa: N802
        pass

    def nvmlEventSetCreate(self) -> Any:  # noqa: N802
        return pynvml.c_nvmlEventSet_t()

    def nvmlEventSetFree(self, events: Any) -> None:  # noqa: N802
        pass

    def nvmlDeviceRegisterEvents(self, handle: Any, kinds: int, events: Any) -> None:  # noqa: N802
        if kinds & ~self.nvmlDeviceGetSupportedEventTypes(handle):
            raise pynvml.NVMLError(NOT_SUPPORTED)

    def nvmlEventSetWait_v2(self, events: Any, milliseconds: int) -> Any:  # noqa: N802
        gpu = next((g for g in self.gpus if g.xids), None)
        if gpu is None:
            raise pynvml.NVMLError(TIMEOUT)
        data = pynvml.c_nvmlEventData_t()
        data.device, data.eventType, data.eventData = cast(gpu.index + 1, pynvml.c_nvmlDevice_t), 8, gpu.xids.pop(0)
        return data


def divided(gpu: FakeGpu, **sizes: int) -> None:
    """Make of a GPU a divided card: ``at2_gi5=9`` is an instance of number 5 at place 2 that uses 9 bytes."""
    gpu.calls |= {"MigMode": [1, 1], "MaxMigDeviceCount": 7, "UtilizationRates": Code(NOT_SUPPORTED)}
    gpu.gpm = {2: 99.0}
    gpu.instances = {}
    for name, used in sizes.items():
        place, number = (int(part.strip("atgi")) for part in name.split("_"))
        one = gpu.instances[place] = FakeGpu(1000 * (gpu.index + 1) + place, f"{gpu.calls['Name']} MIG 1g.10gb")
        one.gpm = {2: 10.0 + number, 10: 5.0}
        one.calls |= {"GpuInstanceId": number, "UUID": f"MIG-{gpu.index}-{number}-{used}", "MemoryInfo": pynvml.c_nvmlMemory_v2_t(used=used)}


def _number(handle: Any) -> int:
    return cast(handle, c_void_p).value or 0


def _fill(value: Any, told: float) -> None:
    if isinstance(told, Code):
        value.nvmlReturn = int(told)
    elif isinstance(told, float):
        value.valueType, value.value.dVal = pynvml.NVML_VALUE_TYPE_DOUBLE, told
    elif told < 0:
        value.valueType, value.value.siVal = pynvml.NVML_VALUE_TYPE_SIGNED_INT, told
    elif value.fieldId in NARROW:
        # What lies beside a narrow number is not part of it.
        value.value.ullVal = 0xDEADBEEF00000000
        value.valueType, value.value.uiVal = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, told
    else:
        value.valueType, value.value.ullVal = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, told


def h100(index: int, links: int = 18) -> FakeGpu:
    """Return a made-up healthy H100 of an HGX board: what such a part supports, with plain values."""
    gpu = FakeGpu(index, links=links)
    for name in ("ECC_CURRENT", "PCIE_COUNT_TX_BYTES", "PCIE_COUNT_RX_BYTES"):
        gpu.set(name, 1)
    for kept in ("VOL", "AGG"):
        for kind in ("SBE", "DBE"):
            gpu.set(f"ECC_{kind}_{kept}_TOTAL", 0)
    for name in ("REMAPPED_COR", "REMAPPED_UNC", "REMAPPED_PENDING", "REMAPPED_FAILURE", "GET_GPU_RECOVERY_ACTION", "PCIE_REPLAY_COUNTER",
                 "PCIE_REPLAY_ROLLOVER_COUNTER", "PCIE_L0_TO_RECOVERY_COUNTER", "PCIE_COUNT_CORRECTABLE_ERRORS", "PCIE_COUNT_NAKS_RECEIVED",
                 "PCIE_COUNT_RECEIVER_ERROR", "PCIE_COUNT_BAD_TLP", "PCIE_COUNT_NAKS_SENT", "PCIE_COUNT_BAD_DLLP", "PCIE_COUNT_NON_FATAL_ERROR",
                 "PCIE_COUNT_FATAL_ERROR", "PCIE_COUNT_UNSUPPORTED_REQ", "PCIE_COUNT_LCRC_ERROR", "PCIE_COUNT_LANE_ERROR", "PERF_POLICY_POWER",
                 "PERF_POLICY_THERMAL", "PERF_POLICY_SYNC_BOOST", "PERF_POLICY_BOARD_LIMIT", "PERF_POLICY_LOW_UTILIZATION", "PERF_POLICY_RELIABILITY",
                 "PERF_POLICY_TOTAL_APP_CLOCKS", "PERF_POLICY_TOTAL_BASE_CLOCKS", "CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN",
                 "CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN", "CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN"):  # fmt: skip
        gpu.set(name, 0)
    for name, value in {"MEMORY_TEMP": 48, "POWER_AVERAGE": 420_000, "POWER_INSTANT": 431_000, "POWER_CURRENT_LIMIT": 700_000,
                        "TOTAL_ENERGY_CONSUMPTION": 9_000_000_000, "NVLINK_LINK_COUNT": links}.items():  # fmt: skip
        gpu.set(name, value)
    for link in range(links):
        for name, value in {"NVLINK_GET_STATE": 1, "NVLINK_GET_SPEED": 26_562, "NVLINK_ERROR_DL_REPLAY": 0, "NVLINK_ERROR_DL_RECOVERY": 0,
                            "NVLINK_ERROR_DL_CRC": 0, "NVLINK_THROUGHPUT_DATA_TX": 1000, "NVLINK_THROUGHPUT_DATA_RX": 1000}.items():  # fmt: skip
            gpu.set(name, value, link)
    gpu.gpm = {2: 91.0, 3: 40.0, 5: 55.0, 10: 30.0}
    banks = pynvml.c_nvmlRowRemapperHistogramValues(640, 0, 0, 0, 0)
    gpu.calls |= {
        ("ClockInfo", pynvml.NVML_CLOCK_SM): 1980, ("ClockInfo", pynvml.NVML_CLOCK_MEM): 2619, "CurrentClocksEventReasons": 0x4, "TemperatureV": 52,
        "MarginTemperature": 35, "UtilizationRates": pynvml.c_nvmlUtilization_t(100, 40),
        "MemoryInfo": pynvml.c_nvmlMemory_v2_t(total=80 << 30, reserved=1 << 29, free=10 << 30, used=(69 << 30) + (1 << 29)),
        "CurrPcieLinkWidth": 16, "CurrPcieLinkGeneration": 5, "MaxPcieLinkWidth": 16, "MaxPcieLinkGeneration": 5, "MemoryErrorCounter": 0,
        "RowRemapperHistogram": banks, "RepairStatus": [0, 0], "UnrepairableMemoryFlag_v1": 0, "SupportedEventTypes": 0x18, "SramStatus": Code(DENIED),
        "FabricInfo": {"state": 3, "cliqueId": 7, "healthMask": 0x51AA, "healthSummary": 1, "clusterUuid": (pynvml.c_uint8 * 16)(*range(16))},
    }  # fmt: skip
    return gpu
