"""Machine: which part sits at which PCI address; numbers of GPUs stay when one falls off the bus."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grayscope.collectors._machine as machine  # type: ignore[import-not-found]
import grayscope.collectors._sysfs as sysfs  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.batch import Batch
from tests.hosttree import Clock, link, plant, values
from tests.mutations import MANY

INFORMATION = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 501\nGPU UUID: \t GPU-{n}aaa-bbbb\nVideo BIOS: \t 96.00\nDevice Minor: \t {n}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path, {f"proc/driver/nvidia/gpus/0000:{bus}:00.0/information": INFORMATION.format(n=n) for n, bus in enumerate(("9b", "3b", "c3"))})
    plant(tmp_path, {"proc/sys/kernel/hostname": "n017", "proc/sys/kernel/random/boot_id": "b-1", "proc/stat": "cpu 1 2\nbtime 1700000000\nprocesses 5"})
    plant(tmp_path, {"sys/class/dmi/id/sys_vendor": "Acme", "sys/class/dmi/id/product_name": "G8"})
    for kind, name, address in (("infiniband", "mlx5_0", "0000:5e:00.0"), ("net", "ens1np0", "0000:5e:00.0"), ("net", "eth0", "0000:02:00.0")):
        link(tmp_path, f"sys/class/{kind}/{name}/device", f"sys/devices/pci0000:5d/0000:5d:01.0/{address}")
    link(tmp_path, "sys/class/nvme/nvme1/device", "sys/devices/pci0000:00/0000:81:00.0")
    return tmp_path


def made(root: Path) -> machine.Machine:
    found = machine.Machine(sysfs.Tree(root, {}))
    found.look()
    return found


def test_parts_are_called_as_other_sources_call_them(root: Path) -> None:
    m = made(root)
    assert (m.node, m.boot_id, m.booted(), m.product) == ("n017", "b-1", 1_700_000_000_000_000, "Acme G8")
    named = {a: m.part(a) for a in ("0000:3b:00.0", "0000:9b:00.0", "0000:c3:00.0", "0000:5e:00.0", "0000:02:00.0", "0000:81:00.0", "0000:ff:00.0")}
    assert list(named.values()) == ["n017/gpu0", "n017/gpu1", "n017/gpu2", "n017/mlx5_0", "n017/eth0", "n017/nvme1", "n017/0000:ff:00.0"]
    assert m.gpus["0000:9b:00.0"] == (1, "NVIDIA H100 80GB HBM3", "GPU-0aaa-bbbb")


def test_a_lost_gpu_leaves_a_gap(root: Path) -> None:
    m = made(root)
    shutil.rmtree(root / "proc/driver/nvidia/gpus/0000:3b:00.0")
    m.tree.looks += machine.AGAIN
    m.look()
    assert m.part("0000:9b:00.0") == "n017/gpu1"
    plant(root, {"proc/driver/nvidia/gpus/0000:0a:00.0/information": "Model: other"})
    m.tree.looks += machine.AGAIN
    m.look()
    assert m.part("0000:9b:00.0") == "n017/gpu1"  # now because 0a is gpu0


def test_an_empty_tree_has_a_name_and_nothing_else(tmp_path: Path) -> None:
    m = made(tmp_path)
    assert m.node
    assert (m.gpus, m.parts, m.booted(), m.boot_id, m.product) == ({}, {}, None, "", "")


def test_a_host_name_cannot_make_a_path(tmp_path: Path) -> None:
    plant(tmp_path, {"proc/sys/kernel/hostname": "a/b\x1b[2J"})
    assert made(tmp_path).node == "a_b_[2J"


@settings(MANY, max_examples=500)
@given(st.one_of(st.text(max_size=30), st.from_regex(r"[0-9a-fA-F]{0,9}:?[0-9a-fA-F]{2}:[0-9a-f]{2}(\.[0-9])?")))
def test_an_address_is_one_or_none(text: str) -> None:
    found = machine.address(text)
    assert found == "" or machine.address(found) == found


def test_what_changes_slowly_is_told_again_between_its_readings_which_all_machines_make_at_once(tmp_path: Path) -> None:
    mc, clock = "sys/devices/system/edac/mc/mc0", Clock(1_700_000_030.0)  # 50 s into a minute
    plant(tmp_path, {f"{mc}/ce_count": 5, f"{mc}/ue_count": 0})
    collector = plugins.collector("memory", tmp_path, node="n1", clock=clock, slow=60.0)
    told = []
    for count in (5, 7, 8, 9, 9, 9, 9, 9, 12):
        plant(tmp_path, {f"{mc}/ce_count": count})
        messages = list(collector.collect())
        told.append(values(messages).get(("n1/mc0", "host_memory_corrected_errors_total")))
        assert all(m.times.tolist() == [int(clock.now * 1e6)] for m in messages if isinstance(m, Batch))
        clock.now += 10
    assert told == [None, 2, 0, 0, 0, 0, 0, 2, 0]


def test_gauges_that_change_slowly_stand_between_their_readings(tmp_path: Path) -> None:
    zone, clock = "sys/class/thermal/thermal_zone0", Clock(1_700_000_040.0)
    plant(tmp_path, {"proc/stat": "cpu 1 2 3 4 5 6 7 8", f"{zone}/type": "x86_pkg_temp", f"{zone}/temp": 40_000})
    collector = plugins.collector("host", tmp_path, node="n1", clock=clock, slow=60.0)
    told = []
    for degrees in range(40, 48):
        plant(tmp_path, {f"{zone}/temp": degrees * 1000})
        told.append(values(collector.collect())["n1", 'host_temperature_celsius{sensor="x86_pkg_temp"}'])
        clock.now += 10
    assert told == [40, 41, 41, 41, 41, 41, 46, 46]
