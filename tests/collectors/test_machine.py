"""Machine: which part sits at which PCI address; numbers of GPUs stay when one falls off the bus."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import grayscope.collectors._machine as machine  # type: ignore[import-not-found]
import grayscope.collectors._sysfs as sysfs  # type: ignore[import-not-found]
from tests.hosttree import MANY, link, plant

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


@MANY
@given(st.one_of(st.text(max_size=30), st.from_regex(r"[0-9a-fA-F]{0,9}:?[0-9a-fA-F]{2}:[0-9a-f]{2}(\.[0-9])?")))
def test_an_address_is_one_or_none(text: str) -> None:
    found = machine.address(text)
    assert found == "" or machine.address(found) == found
