"""The fake NVML keeps to what is published: names, arguments, codes, error classes; and a fake node through the whole line."""

from __future__ import annotations

import inspect
from typing import Any

import pynvml
import pytest

from grayscope import assembly, plugins
from grayscope.alert import Alert
from grayscope.event import heartbeat
from grayscope.settings import Settings
from tests.fake_nvml import FI, LOST, Code, FakeNvml, h100


def test_every_function_of_the_fake_has_the_arguments_of_the_real_one() -> None:
    made = {n: f for n, f in vars(FakeNvml).items() if n.startswith("nvml")}
    assert len(made) > 15
    for name, function in made.items():
        real = inspect.signature(getattr(pynvml, name)).parameters.values()
        needed = [p for p in real if p.default is inspect.Parameter.empty]
        assert len(inspect.signature(function).parameters) - 1 == len(needed), name


def test_every_function_that_is_called_exists() -> None:
    calls: Any = __import__("grayscope.collectors._nvmlcalls", fromlist=["CALLS"])
    for call in calls.CALLS:
        assert inspect.isfunction(getattr(pynvml, call.function)), call.function
    for constant in ("NVML_MEMORY_LOCATION_SRAM", "NVML_CLOCK_SM", "NVML_CLOCK_MEM", "NVML_NVLINK_MAX_LINKS", "nvmlEventTypeXidCriticalError"):
        assert isinstance(getattr(pynvml, constant), int)


def test_refusals_are_the_published_classes() -> None:
    gpu = h100(0)
    gpu.calls["TemperatureV"] = Code(3)
    nvml = FakeNvml([gpu])
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        nvml.nvmlDeviceGetTemperatureV(None, 0)
    nvml.nvmlInit()
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        nvml.nvmlDeviceGetTemperatureV(handle, 0)
    gpu.lost = LOST
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        nvml.nvmlDeviceGetFieldValues(handle, [(FI["MEMORY_TEMP"], 0)])
    assert nvml.NVML_FI_DEV_MEMORY_TEMP == 82


def line(fault: Any, ticks: int = 90) -> list[Alert]:
    """Run a node of eight like GPUs through the engine; from the middle on `fault` is done to number 3."""
    nvml = FakeNvml([h100(i) for i in range(8)])
    now = [1_700_000_000.0]
    source = plugins.collector("nvml", "n1", nvml=nvml, clock=lambda: now[0])
    engine = assembly.engine(Settings(), periods=dict.fromkeys(("gpu", "pcie", "nvlink"), 10_000_000), eager=True)
    alerts: list[Alert] = []
    for tick in range(ticks):
        now[0] += 10
        for gpu in nvml.gpus:
            for name, step in {"TOTAL_ENERGY_CONSUMPTION": 6_000_000, "PCIE_COUNT_TX_BYTES": 10**9, "PCIE_COUNT_RX_BYTES": 10**9}.items():
                gpu.set(name, gpu.fields[FI[name]] + step + (gpu.index * 7919 + tick * 104729) % 9973)
            gpu.set("POWER_AVERAGE", 600_000 + (gpu.index * 31 + tick * 17) % 9000)
        if tick > ticks // 2:
            fault(nvml.gpus[3])
        for message in [*source.collect(), heartbeat(int(now[0] * 1e6))]:
            alerts += engine.step(message).alerts
    return alerts


@pytest.mark.parametrize(
    ("fault", "subject", "words"),
    [
        (lambda gpu: None, "", ""),
        (lambda gpu: setattr(gpu, "lost", LOST), "n1/gpu3", "failed"),
        (lambda gpu: gpu.set("NVLINK_GET_STATE", 0, 7), "n1/gpu3/nvlink7", "failed"),
        (lambda gpu: gpu.set("REMAPPED_PENDING", 1), "n1/gpu3", "masked"),
        (lambda gpu: gpu.calls.update(CurrPcieLinkWidth=8), "n1/gpu3/pcie", "8 of 16 lanes"),
    ],
)
def test_what_the_line_says_of_a_fake_node(fault: Any, subject: str, words: str) -> None:
    told = [alert.annotations["summary"] for alert in line(fault)]
    assert all(text.startswith(f"{subject} is ") and words in text for text in told)
    assert bool(told) == bool(subject)
