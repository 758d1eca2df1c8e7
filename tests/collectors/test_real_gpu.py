"""NVML on a real GPU; skipped, with the reason, where there is none."""

from __future__ import annotations

import time

import pytest

from grayscope import plugins
from grayscope.batch import Batch
from tests.realgpu import Compared, asked, compared, missing, shown


@pytest.fixture(scope="module")
def gpu() -> None:
    if why := missing():
        pytest.skip(why)


@pytest.mark.slow
def test_what_is_read_of_a_real_gpu_agrees_with_nvidia_smi(gpu: None) -> None:
    source = plugins.collector("nvml", "n1")
    before, theirs = shown(source.collect()), asked("n1")
    found = compared(before, theirs, before | shown(source.collect()))
    assert {"gpu_power_watts", "gpu_power_limit_watts", 'gpu_temperature_celsius{sensor="gpu"}'} <= {c.metric for c in found}
    assert [c for c in found if not c.agrees] == []
    assert not source.rejected


@pytest.mark.slow
def test_every_look_at_a_real_gpu_tells_the_same_metrics(gpu: None) -> None:
    source = plugins.collector("nvml", "n1")
    looks = []
    for _ in range(8):
        looks.append({b.table: b.metrics for b in source.collect() if isinstance(b, Batch)})
        time.sleep(0.3)  # the driver samples activity over time
    assert looks[2]
    assert all(look == looks[2] for look in looks[3:])
    assert "ok" in next(iter(source.support.values())).values()


def test_a_number_may_move_between_looks_only_as_far_as_its_kind_does() -> None:
    assert Compared("n1/gpu0", "gpu_power_watts", 100.0, 300.0, 200.0).agrees
    assert not Compared("n1/gpu0", "gpu_power_watts", 100.0, 110.0, 200.0).agrees
    assert not Compared("n1/gpu0", "pcie_link_generation", 5.0, 5.0, 4.0).agrees
    assert Compared("n1/gpu0", "pcie_link_generation", 1.0, 5.0, 5.0).agrees
