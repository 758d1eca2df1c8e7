"""The batched query: every type of value, packed error ratios, fields of older names, and answers that make no sense."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import numpy as np
import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.message import Message
from tests.fake_nvml import Code, FakeNvml, h100

fields: Any = __import__("grayscope.collectors._nvmlfields", fromlist=["FIELD"])


def test_the_layout_is_that_of_the_published_structure() -> None:
    one = pynvml.c_nvmlFieldValue_t
    wanted = {"latency": one.latencyUsec, "type": one.valueType, "returned": one.nvmlReturn, "bits": one.value}
    assert {name: fields.FIELD.fields[name][1] for name in wanted} == {name: member.offset for name, member in wanted.items()}
    assert fields.FIELD.itemsize == ctypes.sizeof(one)


@pytest.mark.parametrize(
    ("kind", "packed", "expected"),
    [
        (0, struct.pack("<d", 0.125), 0.125),
        (1, struct.pack("<Ii", 4_000_000_000, -1), 4e9),
        (2, struct.pack("<Q", 2**40), 2.0**40),
        (3, struct.pack("<Q", 2**63 + 2**11), 2.0**63 + 2**11),
        (4, struct.pack("<q", -9), -9.0),
        (5, struct.pack("<iI", -7, 0xDEADBEEF), -7.0),
        (6, struct.pack("<HHI", 65535, 1, 2), 65535.0),
    ],
)
def test_every_type_is_read_by_its_own_member(kind: int, packed: bytes, expected: float) -> None:
    answer = np.zeros(1, fields.FIELD)
    answer["type"], answer["bits"] = kind, np.frombuffer(packed, np.uint64)
    assert fields.decoded(answer, np.zeros(1, bool)).tolist() == [expected]


def test_every_name_of_the_catalogue_is_one_of_the_librarys() -> None:
    for metric in fields.known(Catalogue.load()):
        for name, _ in metric.fields:
            assert hasattr(pynvml, name) or hasattr(pynvml, f"{name}_L0"), name


def query(nvml: FakeNvml, links: int = 2) -> tuple[Any, dict[str, Any], list[Any]]:
    known = [k for k in fields.known(Catalogue.load()) if k.table == "nvlink"]
    out = {t: np.full((len(known) if t == "nvlink" else 1, links), np.nan) for t in fields.TABLES}
    nvml.nvmlInit()
    return fields.Query(nvml, known, links), out, [k.metric for k in known]


def test_nvlink_5_is_read_deep_and_packed_ratios_are_numbers() -> None:
    gpu = h100(0, links=2)
    for link in (0, 1):
        gpu.set("NVLINK_COUNT_LINK_RECOVERY_EVENTS", 505 * link, link)
        gpu.set("NVLINK_COUNT_RAW_BER_V2", 0x508, link)
        gpu.set("NVLINK_COUNT_SYMBOL_BER", 0xFFF, link)
        gpu.set("NVLINK_COUNT_FEC_HISTORY_3", 30 + link, link)
    nvml = FakeNvml([gpu])
    asked, out, names = query(nvml)
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    asked.read(handle, True, out)
    row = {name: out["nvlink"][i].tolist() for i, name in enumerate(names)}
    assert row["nvlink_recoveries_total"] == [0, 505]
    assert row['nvlink_bit_error_ratio{stage="raw"}'] == pytest.approx([5e-8, 5e-8])
    assert row['nvlink_bit_error_ratio{stage="symbol"}'] == [0, 0]
    assert row['nvlink_fec_codewords_total{corrected_symbols="3"}'] == [30, 31]
    out["nvlink"][:] = np.nan
    asked.read(handle, False, out)  # at leisure only
    assert np.isnan(out["nvlink"][names.index("nvlink_recoveries_total")]).all()
    assert out["nvlink"][names.index("nvlink_up")].tolist() == [1, 1]


def test_what_older_parts_count_per_link_has_a_number_for_each() -> None:
    gpu = h100(0, links=2)
    gpu.fields = {}
    gpu.set("NVLINK_REPLAY_ERROR_COUNT_L1", 8)
    gpu.set("NVLINK_CRC_FLIT_ERROR_COUNT_L0", 4)
    nvml = FakeNvml([gpu])
    asked, out, names = query(nvml)
    asked.read(nvml.nvmlDeviceGetHandleByIndex(0), True, out)
    assert out["nvlink"][names.index("nvlink_replays_total")].tolist()[1] == 8
    assert out["nvlink"][names.index('nvlink_crc_errors_total{class="flit"}')].tolist()[0] == 4
    assert asked.support["NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT"] == "ok"


def test_a_driver_that_takes_short_queries_only_is_asked_in_parts() -> None:
    gpu = h100(0, links=2)
    nvml = FakeNvml([gpu])
    nvml.longest = 60
    source = plugins.collector("nvml", "n", nvml=nvml, clock=lambda: 0.0)
    gpus = [m for m in source.collect() if isinstance(m, Batch)]
    assert "gpu_power_watts" in gpus[0].metrics
    assert source.read_seconds > 0
    assert source.rejected == {}


def test_a_link_that_comes_up_is_asked_again() -> None:
    gpu = h100(0, links=2)
    gpu.set("NVLINK_GET_STATE", 0, 1)
    gpu.set("NVLINK_ERROR_DL_REPLAY", Code(2), 1)
    now = [0.0]
    source = plugins.collector("nvml", "n", nvml=FakeNvml([gpu]), clock=lambda: now[0])
    source.collect()
    gpu.set("NVLINK_GET_STATE", 1, 1)
    gpu.set("NVLINK_ERROR_DL_REPLAY", 5, 1)
    for total in (5, 5, 9):
        gpu.set("NVLINK_ERROR_DL_REPLAY", total, 1)
        now[0] += 10
        messages = source.collect()
    batch = next(m for m in messages if isinstance(m, Batch) and m.table == "nvlink")
    assert batch.values[0, batch.metrics.index("nvlink_replays_total"), batch.subjects.index("n/gpu0/nvlink1")] == 4


class Plain(FakeNvml):
    """A binding that does not show its library's functions."""

    @property
    def _nvmlGetFunctionPointer(self) -> Any:  # noqa: N802
        raise AttributeError("_nvmlGetFunctionPointer")

    def __getattr__(self, name: str) -> Any:
        if name == "_nvmlGetFunctionPointer":
            raise AttributeError(name)
        return super().__getattr__(name)


@pytest.mark.parametrize("longest", [1 << 20, 60])
def test_a_binding_that_hides_its_functions_is_read_through_its_wrapper(longest: int) -> None:
    said = []
    for kind in (FakeNvml, Plain):
        nvml, now = kind([h100(0, links=2), h100(1, links=2)]), [0.0]
        nvml.longest = longest
        source = plugins.collector("nvml", "n", nvml=nvml, clock=lambda now=now: now[0])
        looks = []
        for step in (3, 5):
            nvml.gpus[1].set("PCIE_REPLAY_COUNTER", step)
            now[0] += 10
            looks += [(m.table, m.subjects, m.metrics, m.values.tobytes()) for m in source.collect() if isinstance(m, Batch)]
        said.append((looks, source.support, source.rejected))
    assert said[0] == said[1]
    assert len(said[0][0]) == 6


def test_a_gpu_that_is_gone_is_gone_through_the_wrapper_too() -> None:
    gpu = h100(0)
    nvml = Plain([gpu])
    asked, out, _ = query(nvml)
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    gpu.lost = 15
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        asked.read(handle, True, out)


ANSWERS = st.one_of(st.integers(0, 2**64 - 1), st.floats(), st.integers(-(2**31), -1), st.sampled_from([0, 1, 2, 3, 4, 10, 13, 999, 77]).map(Code))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_the_driver_answers_the_look_is_whole(data: st.DataObject) -> None:
    """Any number, type or code in any field: no crash, finite values or none, others are not harmed."""
    gpus = [h100(0, links=2), h100(1, links=2)]
    nvml = FakeNvml(gpus)
    now = [0.0]
    source = plugins.collector("nvml", "n", nvml=nvml, clock=lambda: now[0])
    for _ in range(3):
        for name in data.draw(st.lists(st.sampled_from(sorted(gpus[0].fields, key=str)), max_size=8)):
            gpus[0].fields[name] = data.draw(ANSWERS)
        now[0] += 70
        messages: list[Message] = source.collect()
        gpu = next(m for m in messages if isinstance(m, Batch) and m.table == "gpu")
        assert not np.isinf(gpu.values).any()
        assert gpu.values[0, gpu.metrics.index("gpu_power_watts"), gpu.subjects.index("n/gpu1")] == 420
