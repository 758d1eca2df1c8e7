"""Pcie: AER of both ends in old and new spelling, width and speed, names of links; what does not belong there is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import grayscope.collectors.pcie as module  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.errors import Unsupported
from tests.hosttree import Clock, keys, link, plant, values
from tests.mutations import MANY, mutated_text

NEW = "RxErr {0}\nBadTLP 2\nBadDLLP 0\nRollover 0\nTimeout 1\nNonFatalErr 7\nCorrIntErr 0\nHeaderOF 0\nTOTAL_ERR_COR {1}"
OLD = "Receiver Error 2\nBad TLP 0\nBad DLLP 0\nRELAY_NUM Rollover 3\nReplay Timer Timeout 0\nAdvisory Non-Fatal 0\nCorrected Internal Error 0\nTOTAL_ERR_COR 5"
NONFATAL = "Undefined 0\nDLP 0\nCmpltTO {0}\nUnsupReq 1\nTOTAL_ERR_NONFATAL {0}"
FATAL = "Undefined 0\nDLP 1\nMalfTLP 0\nTOTAL_ERR_FATAL 0"
PORT, GPU, NIC, DISK = "0000:80:01.0", "0000:81:00.0", "0000:5e:00.0", "0000:02:00.0"
RECEIVER, TOTAL = 'pcie_correctable_errors_total{family="aer",type="receiver"}', 'pcie_correctable_errors_total{family="aer"}'


def device(root: Path, path: str, aer: str, **more: object) -> None:
    """Plant a device of the tree of buses, with its link in the flat folder."""
    name = path.rpartition("/")[2]
    files = {"aer_dev_correctable": aer, "aer_dev_nonfatal": NONFATAL.format(0), "aer_dev_fatal": FATAL, "class": "0x030200", "current_link_width": 16,
             "max_link_width": 16, "current_link_speed": "32.0 GT/s PCIe", "max_link_speed": "32.0 GT/s PCIe", **more}  # fmt: skip
    plant(root, {f"sys/devices/{path}/{file}": text for file, text in files.items()})
    link(root, f"sys/bus/pci/devices/{name}", f"sys/devices/{path}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    device(tmp_path, f"pci0000:80/{PORT}", OLD, **{"class": "0x060400"})
    device(tmp_path, f"pci0000:80/{PORT}/{GPU}", NEW.format(1, 11))
    device(tmp_path, f"pci0000:5d/{NIC}", NEW.format(0, 9), current_link_width=8, current_link_speed="16.0 GT/s PCIe", **{"class": "0x020700"})
    device(tmp_path, f"pci0000:5d/{NIC[:-1]}1", NEW.format(0, 9), **{"class": "0x020700"})
    device(tmp_path, f"pci0000:00/{DISK}", NEW.format(0, 9), current_link_width=0, current_link_speed="Unknown", **{"class": "0x010802"})
    plant(tmp_path, {f"proc/driver/nvidia/gpus/{GPU}/information": "Model: NVIDIA H100\nGPU UUID: GPU-1", "proc/sys/kernel/hostname": "n1"})
    link(tmp_path, "sys/class/infiniband/mlx5_0/device", f"sys/devices/pci0000:5d/{NIC}")
    return tmp_path


def looks(root: Path, change: dict[str, object] | None = None) -> tuple[Any, dict[tuple[str, str], float], dict[str, dict[str, str]]]:
    """Look twice, with a change in between; return collector, what the second look told, and the roster."""
    clock = Clock()
    collector = plugins.collector("pcie", root, clock=clock)
    first = list(collector.collect())
    plant(root, change or {})
    clock.now += 10
    return collector, values(collector.collect()), keys(first)


def test_links_are_called_after_their_part(root: Path) -> None:
    collector, told, roster = looks(root)
    assert {s for s, _ in told} == {"n1/gpu0/pcie", "n1/mlx5_0/pcie", f"n1/{DISK}"}
    assert roster["n1/gpu0/pcie"] == {"table": "pcie", "node": "n1", "sku": "NVIDIA H100", "serial": "GPU-1", "slot": "0"}
    assert roster["n1/mlx5_0/pcie"]["slot"] == roster["n1/mlx5_0/pcie"]["sku"] == NIC
    assert (told["n1/mlx5_0/pcie", "pcie_link_width_lanes"], told["n1/mlx5_0/pcie", "pcie_link_generation"]) == (8, 4)
    assert told["n1/mlx5_0/pcie", 'pcie_link_width_lanes{bound="max"}'] == 16
    assert (f"n1/{DISK}", "pcie_link_width_lanes") not in told  # a width of 0 is no width
    assert collector.rejected == {}


def test_errors_of_both_ends_stand_at_the_part(root: Path) -> None:
    path = f"sys/devices/pci0000:80/{PORT}"
    _, told, _ = looks(root, {f"{path}/aer_dev_correctable": OLD.replace("Receiver Error 2", "Receiver Error 6"),
                              f"{path}/{GPU}/aer_dev_correctable": NEW.format(4, 14), f"{path}/{GPU}/aer_dev_nonfatal": NONFATAL.format(2)})  # fmt: skip
    gpu = "n1/gpu0/pcie"
    assert (told[gpu, RECEIVER], told[gpu, TOTAL]) == (3, 3)
    assert told[gpu, 'pcie_correctable_errors_total{end="upstream",family="aer",type="receiver"}'] == 4
    assert told[gpu, 'pcie_correctable_errors_total{end="upstream",family="aer",type="rollover"}'] == 0
    assert told[gpu, 'pcie_uncorrectable_errors_total{family="aer",severity="nonfatal"}'] == 2
    assert told[gpu, 'pcie_uncorrectable_errors_total{family="aer",severity="fatal"}'] == 0


def test_a_card_that_was_enumerated_again_starts_at_zero(root: Path) -> None:
    collector, told, _ = looks(root, {f"sys/devices/pci0000:80/{PORT}/{GPU}/aer_dev_correctable": NEW.format(0, 0)})
    # The total fell to a point that is no more than was ever counted between two looks: nothing; else unknown.
    assert told.get(("n1/gpu0/pcie", TOTAL), 0) == 0
    assert collector.samples.live.rates.counts["reset"] > 0


def test_where_firmware_owns_the_errors_there_is_still_a_width(root: Path) -> None:
    where = f"sys/devices/pci0000:5d/{NIC}"
    plant(root, {f"{where}/aer_dev_{kind}": None for kind in ("correctable", "nonfatal", "fatal")})
    _, told, _ = looks(root)
    assert {m for s, m in told if s == "n1/mlx5_0/pcie"} == {
        "pcie_link_width_lanes", "pcie_link_generation", 'pcie_link_width_lanes{bound="max"}', 'pcie_link_generation{bound="max"}',
    }  # fmt: skip


def test_a_broken_line_is_counted_and_the_rest_used(root: Path) -> None:
    where = f"sys/devices/pci0000:80/{PORT}/{GPU}/aer_dev_correctable"
    plant(root, {where: f"what\nRxErr many\n{NEW.format(1, 11)}"})
    collector, told, _ = looks(root, {where: f"what\nRxErr many\n{NEW.format(2, 12)}"})
    assert told["n1/gpu0/pcie", RECEIVER] == 1
    assert collector.rejected == {"bad_line": 4}


def test_a_machine_without_pci_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"pcie: .*shows no device"):
        plugins.collector("pcie", tmp_path)


def test_captured_files_are_read(shared: Path) -> None:
    names = set()
    for path in sorted((shared / "data/fixtures/procfs/fixtures/sys").rglob("aer_dev_*")):
        bad: list[str] = []
        found = module.counts(path.read_text(), bad.append)
        names |= {n for n in found if path.name == "aer_dev_correctable"}
        assert found
        assert bad == []
    assert names - {"total_err_cor"} <= module.CORRECTABLE.keys()


@MANY
@given(mutated_text(NEW.format(1, 2), OLD, NONFATAL.format(3)))
def test_any_text_gives_counts(text: str) -> None:
    found = module.counts(text, lambda _: None)
    assert len(found) <= module.LINES
    assert all(0 <= n < 1e20 for n in found.values())
