"""Who is who on a node: names that stay, parts that are exchanged, drivers that come and go, divided cards, links that lead nowhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.collectors._nvmlmig import ACTIVITY, MEMORY  # type: ignore[import-not-found]
from grayscope.event import Event
from tests.fake_nvml import LOST, NOT_SUPPORTED, RESET, Code, FakeGpu, FakeNvml, divided, h100


class Looks:
    def __init__(self, *gpus: FakeGpu) -> None:
        self.nvml = FakeNvml(list(gpus))
        self.now = 1000.0
        self.source = plugins.collector("nvml", "n1", nvml=self.nvml, clock=lambda: self.now)

    def look(self, seconds: float = 10.0) -> list[Any]:
        self.now += seconds
        return list(self.source.collect())


def batch(messages: list[Any], table: str) -> Batch:
    return next(m for m in messages if isinstance(m, Batch) and m.table == table)


def told(messages: list[Any], metric: str) -> dict[str, float]:
    found = (m for m in messages if isinstance(m, Batch) and metric in m.metrics)
    pairs = (pair for m in found for pair in zip(m.subjects, m.values[0, m.metrics.index(metric)].tolist(), strict=True))
    return {subject: value for subject, value in pairs if np.isfinite(value)}


def test_a_gpu_keeps_its_name_when_the_driver_counts_anew() -> None:
    a, b, c = h100(0), h100(1), h100(2)
    looks = Looks(a, b, c)
    looks.look()
    b.lost = LOST
    looks.look()
    # The driver is loaded again and does not list the lost one: what was number 2 is number 1 now.
    looks.nvml.gpus, looks.nvml.opened = [a, c], 0
    looks.look()
    c.set("POWER_AVERAGE", 650_000)
    c.set("TOTAL_ENERGY_CONSUMPTION", 5)
    looks.look(60)
    messages = looks.look()
    assert told(messages, "gpu_power_watts") == {"n1/gpu0": 420, "n1/gpu2": 650}
    assert told(messages, "gpu_present") == {"n1/gpu0": 1, "n1/gpu1": 0, "n1/gpu2": 1}


def test_a_part_that_was_exchanged_is_a_new_one_under_the_old_name() -> None:
    a, b = h100(0), h100(1)
    b.set("ECC_SBE_AGG_TOTAL", 1_000_000)
    looks = Looks(a, b)
    looks.look()
    looks.nvml.opened = 0
    new = h100(1)
    new.calls |= {"UUID": "GPU-new", "Serial": "99"}
    new.set("ECC_SBE_AGG_TOTAL", 1_000_100)
    looks.nvml.gpus = [a, new]
    looks.look()
    messages = looks.look(60)
    rows = {r.subject: r for r in messages[0]}
    assert rows["n1/gpu1"].keys["uuid"] == "GPU-new"
    assert rows["n1/gpu1"].since == 1080_000_000
    assert not any(s.startswith("n1/gpu0") for s in rows)
    lifetime = 'gpu_ecc_corrected_errors_total{location="total",retention="lifetime"}'
    assert set(told(messages, lifetime)) == {"n1/gpu0"}  # the new part's total is no increment
    new.set("ECC_SBE_AGG_TOTAL", 1_000_107)
    assert told(looks.look(), lifetime)["n1/gpu1"] == 7


def test_a_driver_that_is_away_is_counted_and_found_again() -> None:
    looks = Looks(h100(0))
    looks.look()
    looks.nvml.opened, looks.nvml.down = 0, 9
    assert looks.look() == []
    assert looks.look() == []
    assert looks.source.rejected == {"unreadable": 1, "driver": 1}
    looks.nvml.down = 0
    looks.look(60)
    assert told(looks.look(), "gpu_present") == {"n1/gpu0": 1}


def test_a_gpu_that_was_lost_from_the_start_has_a_name_and_is_one_with_who_comes_back() -> None:
    a, b = h100(0), h100(1)
    b.lost = LOST
    looks = Looks(a, b)
    messages = looks.look()
    assert told(messages, "gpu_present") == {"n1/gpu0": 1, "n1/gpu1": 0}
    assert [(m.subject, m.code) for m in messages if isinstance(m, Event)] == [("n1/gpu1", "unhealthy")]
    b.lost = 0
    messages = looks.look(60)
    assert told(messages, "gpu_present") == {"n1/gpu0": 1, "n1/gpu1": 1}
    assert [(m.subject, m.code) for m in messages if isinstance(m, Event)] == [("n1/gpu1", "healthy")]
    assert {r.subject for r in messages[0] if r.table == "gpu"} == {"n1/gpu1"}


def test_a_divided_card_is_one_subject_whose_links_are_not_judged() -> None:
    a, b = h100(0), h100(1)
    b.calls |= {"MigMode": [1, 1], "UtilizationRates": Code(NOT_SUPPORTED)}
    for link in range(18):
        b.set("NVLINK_GET_STATE", 0, link)
    looks = Looks(a, b)
    messages = looks.look()
    rows = {r.subject: r for r in messages[0]}
    assert rows["n1/gpu1"].keys["mig"] == "on"
    assert "mig" not in rows["n1/gpu0"].keys
    assert len(batch(messages, "nvlink").subjects) == 18
    assert batch(messages, "gpu").subjects == ("n1/gpu0", "n1/gpu1")
    messages = looks.look()
    assert set(told(messages, "nvlink_links_active")) == {"n1/gpu0"}
    assert set(told(messages, "gpu_tensor_active_ratio")) == {"n1/gpu0"}


def test_instances_of_divided_cards_are_subjects_of_their_own() -> None:
    a, b = h100(0), h100(1)
    divided(a, at0_gi7=70, at2_gi3=30)
    divided(b, at0_gi7=71)
    looks = Looks(a, b)
    messages = looks.look()
    rows = {r.subject: r for m in messages if isinstance(m, tuple) for r in m if r.table == "mig"}
    assert sorted(rows) == ["n1/gpu0/mig3", "n1/gpu0/mig7", "n1/gpu1/mig7"]
    assert rows["n1/gpu0/mig3"].keys == {
        "node": "n1", "module": "1", "sku": "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "uuid": "MIG-0-3-30", "slot": "0/3", "driver": "580.65.06",
    }  # fmt: skip
    assert told(messages, "mig_memory_used_bytes") == {"n1/gpu0/mig7": 70, "n1/gpu0/mig3": 30, "n1/gpu1/mig7": 71}
    assert told(messages, "mig_sm_active_ratio") == {}  # needs two looks
    active = told(looks.look(), "mig_sm_active_ratio")
    assert active == {"n1/gpu0/mig7": pytest.approx(0.17), "n1/gpu0/mig3": pytest.approx(0.13), "n1/gpu1/mig7": pytest.approx(0.17)}
    assert all(Catalogue.load().get(m) for m in (MEMORY, *ACTIVITY.values()))
    assert looks.source.rejected == {}


def test_instances_come_and_go() -> None:
    a = h100(0)
    divided(a, at0_gi7=70, at1_gi8=80)
    looks = Looks(a)
    looks.look()
    divided(a, at0_gi7=70)
    assert told(looks.look(), "mig_memory_used_bytes") == {"n1/gpu0/mig7": 70}
    assert looks.source.rejected == {"mig": 1}
    ended = [r for m in looks.look() if isinstance(m, tuple) for r in m]
    assert [(r.subject, r.until) for r in ended] == [("n1/gpu0/mig8", 1_030_000_000)]
    divided(a, at0_gi7=77, at3_gi8=88)  # the same numbers, other instances; found with the next deep look
    rows = {r.subject: (r.since, r.keys["uuid"]) for m in looks.look(60) if isinstance(m, tuple) for r in m}
    assert rows == {"n1/gpu0/mig7": (1_090_000_000, "MIG-0-7-77"), "n1/gpu0/mig8": (1_090_000_000, "MIG-0-8-88")}
    a.calls["MigMode"], a.instances, a.lost = [0, 0], {}, RESET  # undivided, which takes a reset
    assert told(looks.look(), "mig_memory_used_bytes") == {}
    a.lost = 0
    ended = [r for m in looks.look(60) if isinstance(m, tuple) for r in m if r.table == "mig"]
    assert [(r.subject, r.until is not None) for r in ended] == [("n1/gpu0/mig7", True), ("n1/gpu0/mig8", True)]
    looks.source.close()


def test_links_that_were_never_up_on_any_like_part_lead_nowhere() -> None:
    a, b = h100(0), h100(1)
    for gpu in (a, b):
        for link in range(12, 18):
            gpu.set("NVLINK_GET_STATE", 0, link)
    b.set("NVLINK_GET_STATE", 0, 3)
    messages = Looks(a, b).look()
    assert told(messages, "nvlink_links_expected") == {"n1/gpu0": 12, "n1/gpu1": 12}
    assert told(messages, "nvlink_links_active") == {"n1/gpu0": 12, "n1/gpu1": 11}
    up = told(messages, "nvlink_up")
    assert len(up) == 24
    assert [s for s, value in up.items() if not value] == ["n1/gpu1/nvlink3"]


def test_cards_without_a_bridge_have_no_links() -> None:
    a = h100(0)
    for link in range(18):
        a.set("NVLINK_GET_STATE", 0, link)
    messages = Looks(a).look()
    assert told(messages, "nvlink_up") == {}
    assert told(messages, "nvlink_links_active") == {"n1/gpu0": 0}
    assert told(messages, "nvlink_links_expected") == {}


def test_a_gpu_of_somebody_else_is_left_out() -> None:
    a, b = h100(0), h100(1)
    b.calls["UUID"] = Code(4)
    looks = Looks(a, b)
    assert told(looks.look(), "gpu_present") == {"n1/gpu0": 1}
    assert looks.source.rejected == {"denied": 1}


def test_closing_twice_leaves_the_library_as_it_was() -> None:
    looks = Looks(h100(0))
    looks.look()
    looks.source.close()
    looks.source.close()
    assert looks.nvml.opened == 0
