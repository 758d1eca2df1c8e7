"""NVML against a fake library: values and units, support remembered, counters, GPUs that go, drivers that are loaded again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pynvml
import pytest

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.errors import Unsupported
from grayscope.event import Event
from tests.fake_nvml import DENIED, LOST, RESET, TIMEOUT, UNKNOWN, Code, FakeNvml, h100


class Looks:
    """A collector on a fake node with a clock that moves by ten seconds."""

    def __init__(self, gpus: int = 2, **settings: Any) -> None:
        self.nvml = FakeNvml([h100(i) for i in range(gpus)])
        self.now = 1000.0
        self.source = plugins.collector("nvml", "n1", nvml=self.nvml, clock=lambda: self.now, **settings)

    def look(self, seconds: float = 10.0) -> list[Any]:
        self.now += seconds
        return list(self.source.collect())


def value(messages: list[Any], metric: str, subject: str) -> float:
    for batch in messages:
        if isinstance(batch, Batch) and metric in batch.metrics and subject in batch.subjects:
            return float(batch.values[0, batch.metrics.index(metric), batch.subjects.index(subject)])
    return float("nan")


def events(messages: list[Any]) -> list[tuple[str, str, str]]:
    return [(m.subject, m.source, m.code) for m in messages if isinstance(m, Event)]


def test_a_look_tells_who_is_there_then_what_they_show_in_our_units() -> None:
    messages = Looks(2).look()
    rows = {r.subject: r for r in messages[0]}
    assert len(rows) == 2 * (1 + 1 + 18)
    assert rows["n1/gpu1"].keys == {
        "node": "n1", "slot": "1", "module": "2", "sku": "NVIDIA H100 80GB HBM3", "serial": "1650300000001", "pci": "00000000:20:00.0",
        "uuid": "GPU-00000001-0000-0000-0000-000000000000", "vbios": "96.00.74.00.01", "driver": "580.65.06",
        "clique": "000102030405060708090a0b0c0d0e0f.7",
    }  # fmt: skip
    assert rows["n1/gpu1/nvlink3"].table == "nvlink"
    assert rows["n1/gpu1/nvlink3"].keys["slot"] == "1/3"
    assert [m.table for m in messages[1:]] == ["gpu", "pcie", "nvlink"]
    told = {
        'gpu_clock_hertz{domain="sm"}': 1.98e9, "gpu_power_watts": 420.0, 'gpu_temperature_celsius{sensor="memory"}': 48.0,
        "gpu_temperature_margin_celsius": 35.0, "gpu_active_ratio": 1.0, "gpu_power_limit_watts": 700.0, "gpu_present": 1.0,
        'gpu_row_remap_banks{availability="max"}': 640.0, "gpu_fabric_healthy": 1.0, 'gpu_clock_event_active{reason="power"}': 1.0,
        "nvlink_links_active": 18.0, "nvlink_links_expected": 18.0, "gpu_ecc_mode_enabled": 1.0,
    }  # fmt: skip
    for metric, expected in told.items():
        assert value(messages, metric, "n1/gpu1") == pytest.approx(expected), metric
    assert value(messages, "pcie_link_width_lanes", "n1/gpu0/pcie") == 16
    assert value(messages, "nvlink_speed_bytes_per_second", "n1/gpu0/nvlink17") == pytest.approx(26.562e9)
    assert value(messages, "gpu_tensor_active_ratio", "n1/gpu0") != value(messages, "gpu_tensor_active_ratio", "n1/gpu0")  # needs two looks


def test_counters_travel_as_increments() -> None:
    looks = Looks(1)
    gpu = looks.nvml.gpus[0]
    gpu.set("ECC_SBE_VOL_DEV", 0)
    looks.look()
    gpu.set("TOTAL_ENERGY_CONSUMPTION", 9_000_000_000 + 4_200_000)
    gpu.set("PERF_POLICY_THERMAL", 2_500_000_000)
    gpu.set("ECC_SBE_VOL_DEV", 7)
    gpu.set("REMAPPED_UNC", 3)
    gpu.set("NVLINK_ERROR_DL_REPLAY", 5, 4)
    messages = looks.look()
    assert value(messages, "gpu_energy_joules_total", "n1/gpu0") == 4200.0
    assert value(messages, 'gpu_clock_limit_seconds_total{reason="thermal"}', "n1/gpu0") == 2.5
    assert value(messages, 'gpu_ecc_corrected_errors_total{location="dram",retention="volatile"}', "n1/gpu0") == 7
    assert value(messages, 'gpu_rows_remapped_total{cause="uncorrected"}', "n1/gpu0") == 3
    assert value(messages, 'gpu_rows_remapped{cause="uncorrected"}', "n1/gpu0") == 3
    assert value(messages, "nvlink_replays_total", "n1/gpu0/nvlink4") == 5
    assert value(messages, "nvlink_replays_total", "n1/gpu0/nvlink5") == 0
    assert value(messages, "gpu_tensor_active_ratio", "n1/gpu0") == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("name", "metric", "before", "after", "expected"),
    [
        ("PCIE_REPLAY_COUNTER", "pcie_replays_total", 2**32 - 3, 4, 7.0),  # 32 bits, wraps
        ("PCIE_COUNT_BAD_TLP", 'pcie_correctable_errors_total{type="bad_tlp"}', 65530, 4, 10.0),  # 16 bits, wraps
        ("PCIE_COUNT_BAD_TLP", 'pcie_correctable_errors_total{type="bad_tlp"}', 40, 0, 0.0),  # cleared by a stranger
        ("PCIE_COUNT_FATAL_ERROR", 'pcie_uncorrectable_errors_total{severity="fatal"}', 254, 1, 3.0),  # 8 bits, wraps
        ("ECC_SBE_VOL_TOTAL", 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}', 10**9, 0, 0.0),  # driver load
        ("ECC_SBE_VOL_TOTAL", 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}', 10**9, 50, float("nan")),
        ("ECC_SBE_AGG_TOTAL", 'gpu_ecc_corrected_errors_total{location="total",retention="lifetime"}', 54_700_000_000, 54_700_177_000, 177_000.0),
    ],
)
def test_counters_that_wrap_or_start_again(name: str, metric: str, before: int, after: int, expected: float) -> None:
    looks = Looks(1)
    for total in (before, before, after):
        looks.nvml.gpus[0].set(name, total)
        messages = looks.look()
    subject = "n1/gpu0/pcie" if metric.startswith("pcie") else "n1/gpu0"
    assert value(messages, metric, subject) == pytest.approx(expected, nan_ok=True)


def test_the_two_kinds_of_unique_sram_errors_are_told_apart() -> None:
    looks = Looks(1)
    looks.nvml.gpus[0].calls["SramStatus"] = {"aggregateUncParity": 3, "aggregateUncSecDed": 2, "bThresholdExceeded": 0}
    messages = looks.look()
    assert [value(messages, f'gpu_sram_unique_uncorrected_errors{{kind="{kind}"}}', "n1/gpu0") for kind in ("parity", "secded")] == [3, 2]


def test_one_query_per_gpu_and_what_was_refused_is_not_asked_again() -> None:
    looks = Looks(3, deep_every=60.0)
    looks.look()
    gpu = looks.nvml.gpus[0]
    first = max(gpu.asked)
    for _ in range(3):
        before = looks.nvml.queries
        looks.look()
        assert looks.nvml.queries == before + 3
    assert gpu.asked[-1] < first / 4
    support = looks.source.support["n1/gpu0"]
    assert support["NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY"] == "ok"
    assert support["NVML_FI_DEV_NVLINK_COUNT_FEC_HISTORY_0"] == "unsupported"
    assert support["nvmlDeviceGetSramEccErrorStatus"] == "denied"
    assert support["nvmlDeviceGetClockInfo"] == "ok"
    # An hour later it is asked again, and what has come is read.
    for link in range(18):
        gpu.set("NVLINK_COUNT_SYMBOL_ERRORS", 12, link)
    looks.look()
    assert looks.source.support["n1/gpu0"]["NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS"] == "unsupported"
    looks.look(3600)
    assert looks.source.support["n1/gpu0"]["NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS"] == "ok"


class Hasty(FakeNvml):
    """A fake driver whose first answer of all is 0 and success for two fields: one that the part has, one that it does not have (as an H100 did)."""

    hasty = True

    def nvmlDeviceGetFieldValues(self, handle: Any, ids: list[Any]) -> Any:  # noqa: N802
        values = super().nvmlDeviceGetFieldValues(handle, ids)
        for value in values if self.hasty else ():
            if value.fieldId in (pynvml.NVML_FI_DEV_POWER_CURRENT_LIMIT, pynvml.NVML_FI_PWR_SMOOTHING_HW_CIRCUITRY_PERCENT_LIFETIME_REMAINING):
                value.nvmlReturn, value.value.ullVal = 0, 0
        self.hasty = False
        return values


def test_what_a_driver_makes_up_beside_its_refusals_is_not_taken() -> None:
    source = plugins.collector("nvml", "n1", nvml=Hasty([h100(0)]), clock=lambda: 1000.0)
    messages = list(source.collect())
    assert value(messages, "gpu_power_limit_watts", "n1/gpu0") == 700
    assert np.isnan(value(messages, "gpu_power_smoothing_lifetime_ratio", "n1/gpu0"))
    assert source.support["n1/gpu0"]["NVML_FI_PWR_SMOOTHING_HW_CIRCUITRY_PERCENT_LIFETIME_REMAINING"] == "unsupported"


def test_zero_not_supported_and_failed_are_three_answers() -> None:
    looks = Looks(2)
    looks.nvml.gpus[1].set("MEMORY_TEMP", Code(TIMEOUT))
    looks.nvml.gpus[1].calls["TemperatureV"] = Code(UNKNOWN)
    messages = looks.look()
    assert value(messages, 'gpu_temperature_celsius{sensor="memory"}', "n1/gpu0") == 48
    assert np.isnan(value(messages, 'gpu_temperature_celsius{sensor="memory"}', "n1/gpu1"))
    # The field is asked twice in the very first look: beside what a part does not have the driver's first answer is not to be trusted.
    assert looks.source.rejected == {"read": 3}
    looks.nvml.gpus[1].set("MEMORY_TEMP", 51)
    looks.nvml.gpus[1].calls["TemperatureV"] = 60
    messages = looks.look()  # a failure is no refusal
    assert value(messages, 'gpu_temperature_celsius{sensor="memory"}', "n1/gpu1") == 51
    assert value(messages, 'gpu_temperature_celsius{sensor="gpu"}', "n1/gpu1") == 60


def test_an_older_part_is_read_by_functions_where_it_has_no_fields() -> None:
    looks = Looks(1)
    gpu = looks.nvml.gpus[0]
    gpu.fields = {}
    gpu.calls |= {"TemperatureV": Code(13), "Temperature": 41, "CurrentClocksEventReasons": Code(13), "CurrentClocksThrottleReasons": 1,
                  "PowerUsage": 30_500, "EnforcedPowerLimit": 250_000, "PcieReplayCounter": 6}  # fmt: skip
    looks.look(4000)
    gpu.calls["PcieReplayCounter"] = 9
    messages = looks.look()
    assert value(messages, 'gpu_temperature_celsius{sensor="gpu"}', "n1/gpu0") == 41
    assert value(messages, 'gpu_clock_event_active{reason="idle"}', "n1/gpu0") == 1
    assert value(messages, "gpu_power_watts", "n1/gpu0") == 30.5
    assert value(messages, "pcie_replays_total", "n1/gpu0/pcie") == 3


@pytest.mark.parametrize("code", [LOST, RESET])
def test_a_gpu_that_falls_off_the_bus_is_an_event_and_the_others_go_on(code: int) -> None:
    looks = Looks(3)
    looks.look()
    looks.nvml.gpus[1].lost = code
    messages = looks.look()
    assert events(messages) == [("n1/gpu1", "health", "unhealthy")]
    assert value(messages, "gpu_present", "n1/gpu1") == 0
    assert value(messages, "gpu_present", "n1/gpu2") == 1
    assert value(messages, "gpu_power_watts", "n1/gpu2") == 420
    assert np.isnan(value(messages, "gpu_power_watts", "n1/gpu1"))
    messages = looks.look()
    assert (events(messages), value(messages, "gpu_present", "n1/gpu1")) == ([], 0)
    looks.nvml.gpus[1].lost = 0
    looks.look(60)
    messages = looks.look()
    assert value(messages, "gpu_present", "n1/gpu1") == 1
    assert value(messages, "gpu_power_watts", "n1/gpu1") == 420


def test_xids_from_the_event_set() -> None:
    looks = Looks(2, xids=True)
    looks.look()
    looks.nvml.gpus[1].xids = [63, 63, 94]
    assert [m for m in looks.look() if isinstance(m, Event)] == [
        Event(1020_000_000, "n1/gpu1", "xid", "63", "told by NVML", 2),
        Event(1020_000_000, "n1/gpu1", "xid", "94", "told by NVML", 1),
    ]
    assert events(looks.look()) == []


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (lambda: _down(12), "NVML Shared Library Not Found: needs the NVIDIA driver"),
        (lambda: _down(9), "Driver Not Loaded"),
        (lambda: FakeNvml([]), "lists no GPU"),
    ],
)
def test_a_machine_without_gpus_says_what_is_missing(fake: Any, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        plugins.collector("nvml", nvml=fake())


def _down(code: int) -> FakeNvml:
    fake = FakeNvml([h100(0)])
    fake.down = code
    return fake


def test_a_refused_query_is_counted_and_nobody_is_accused() -> None:
    looks = Looks(1)
    looks.look()
    looks.nvml.gpus[0].lost = DENIED
    messages = looks.look()
    assert [m for m in messages if not isinstance(m, tuple)] == []
    assert looks.source.rejected == {"unreadable": 1}
