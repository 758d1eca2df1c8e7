"""Every host source over trees in which any file may hold anything: no look fails, what is told is finite, names stay names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.catalogue import Catalogue
from tests.collectors.test_bonding import CHURNED
from tests.collectors.test_host import PSI, STAT
from tests.collectors.test_machine import INFORMATION
from tests.collectors.test_pcie import FATAL, NEW, NONFATAL
from tests.hosttree import Clock, keys, link, plant, values
from tests.mutations import mutated_text

PCI = "sys/devices/pci0000:5d/0000:5e:00.0"
IB, MC, CPU = "sys/class/infiniband/mlx5_0", "sys/devices/system/edac/mc/mc0", "sys/devices/system/cpu/cpu0"
FILES = {
    "proc/sys/kernel/hostname": "n1", "proc/stat": STAT.format(1, 2, 3), "proc/uptime": "350735.47 234388.90", "proc/pressure/io": PSI.format(5, 6),
    "proc/driver/nvidia/gpus/0000:5e:00.0/information": INFORMATION.format(n=0), "proc/net/bonding/bond0": CHURNED,
    "proc/diskstats": "8 0 sda 10 1 80 40 20 2 160 60 0 90 100", "sys/block/sda/size": 1, "sys/block/md0/md/degraded": 1,
    "sys/block/md0/md/array_state": "clean",
    "sys/class/nvme/nvme0/model": "X", "sys/class/nvme/nvme0/hwmon1/temp1_input": 30000, "sys/class/thermal/thermal_zone0/type": "acpitz",
    "sys/class/thermal/thermal_zone0/temp": 30000, "sys/class/hwmon/hwmon0/name": "nct", "sys/class/hwmon/hwmon0/fan1_input": 900,
    "sys/class/hwmon/hwmon0/fan1_alarm": 0, "sys/class/hwmon/hwmon0/fan1_label": "Front", "sys/class/hwmon/hwmon0/temp1_input": 30000,
    "sys/class/hwmon/hwmon0/in1_input": 230, "sys/class/hwmon/hwmon0/in1_label": "vin", "sys/class/dmi/id/product_name": "G8",
    f"{CPU}/thermal_throttle/core_throttle_count": 3, f"{CPU}/topology/core_id": 0, f"{MC}/ce_count": 3, f"{MC}/dimm0/dimm_ce_count": 1,
    f"{IB}/board_id": "MT", f"{IB}/ports/1/state": "4: ACTIVE", f"{IB}/ports/1/phys_state": "5: LinkUp", f"{IB}/ports/1/rate": "400 Gb/sec (4X NDR)",
    f"{IB}/ports/1/counters/symbol_error": 3, f"{IB}/ports/1/counters/port_xmit_data": 3, f"{PCI}/aer_dev_correctable": NEW.format(1, 2),
    f"{PCI}/aer_dev_nonfatal": NONFATAL.format(1), f"{PCI}/aer_dev_fatal": FATAL, f"{PCI}/max_link_width": 16, f"{PCI}/current_link_width": 16,
    f"{PCI}/current_link_speed": "32.0 GT/s PCIe", f"{PCI}/hwmon/hwmon5/temp1_label": "Module0", f"{PCI}/hwmon/hwmon5/temp1_input": 50000,
    "sys/class/net/ens1/operstate": "up", "sys/class/net/ens1/speed": 100000, "sys/class/net/ens1/dev_port": 0, "sys/class/net/ens1/carrier_down_count": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clock, dict[str, Any]]:
    root, clock = plant(tmp_path_factory.mktemp("machine"), FILES), Clock()
    for name in ("sys/class/infiniband/mlx5_0/device", "sys/class/net/ens1/device", "sys/bus/pci/devices/0000:5e:00.0"):
        link(root, name, PCI)

    def refuse(path: str) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    more = {"drive": {"page": refuse}}
    return root, clock, {name: plugins.collector(name, root, clock=clock, **more.get(name, {})) for name in ("drive", "fabric", "host", "memory", "pcie")}


@settings(max_examples=700, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(FILES)), st.data())
def test_any_file_may_hold_anything(machine: tuple[Path, Clock, dict[str, Any]], name: str, data: st.DataObject) -> None:
    root, clock, collectors = machine
    path, good = root / name, f"{FILES[name]}\n"
    path.write_text(data.draw(mutated_text(good)), "utf-8", "replace")
    clock.now += 10
    try:
        # One source a time is enough, but for the files that all of them read.
        chosen = collectors.values() if name.startswith(("proc/driver", "proc/sys")) else [collectors[data.draw(st.sampled_from(sorted(collectors)))]]
        for collector in chosen:
            collector.tree.looks += 60  # nothing is left alone
            messages = list(collector.collect())
            assert all(math.isfinite(v) for v in values(messages).values())
            assert all(Catalogue.load().get(metric) is not None and subject.isprintable() for subject, metric in values(messages))
            assert all(subject.startswith(f"{collector.machine.node}") for subject in keys(messages))
            assert not collector.samples.unknown
    finally:
        path.write_text(good)


def test_the_tree_is_worth_breaking(machine: tuple[Path, Clock, dict[str, Any]]) -> None:
    """Whole again, every source tells of it."""
    _, clock, collectors = machine
    for _ in range(2):
        clock.now += 10
        told = {name: values(c.collect()) for name, c in collectors.items()}
    assert {name: len(found) > 0 for name, found in told.items()} == dict.fromkeys(collectors, True)
