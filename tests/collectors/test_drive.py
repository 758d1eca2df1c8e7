"""Drive: latencies from two looks, health pages from the kernel or not at all, arrays that miss a member."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import grayscope.collectors.drive as module  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.errors import Unsupported
from tests.hosttree import Clock, keys, plant, values

LINE = "{0} {1} {2} {3} 0 {4} {5} {6} 0 {7} {8} 0 0 0"


def page(spare: int = 100, media: int = 0, warning: int = 0) -> bytes:
    """A health page as the specification lays it out."""
    made = bytearray(512)
    made[:6] = bytes([warning]) + (310).to_bytes(2, "little") + bytes([spare, 10, 3])
    made[160:176] = media.to_bytes(16, "little")
    made[192:196] = (2).to_bytes(4, "little")
    return bytes(made)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path, {"proc/sys/kernel/hostname": "n1", "proc/diskstats": stats(0, 0), "sys/block/sda/size": 1, "sys/block/nvme0n1/size": 1})
    plant(tmp_path, {"sys/class/nvme/nvme0/model": "Acme X1  ", "sys/class/nvme/nvme0/serial": "S1", "sys/class/nvme/nvme0/state": "live"})
    plant(tmp_path, {"sys/class/nvme/nvme0/hwmon3/temp1_input": 41850, "dev/nvme0": ""})
    return tmp_path


def stats(operations: int, milliseconds: int) -> str:
    lines = [LINE.format(8, 0, "sda", 10, 80, 40, 20, 160, 60), LINE.format(8, 1, "sda1", 10, 80, 40, 20, 160, 60), "   8 2 sda2 1 2 3 4"]
    lines.append(LINE.format(259, 0, "nvme0n1", 100 + operations, 800 + 8 * operations, 50 + milliseconds, 0, 0, 0))
    return "\n".join(lines)


def twice(root: Path, change: dict[str, object] | None = None, **more: Any) -> tuple[Any, list[Any]]:
    clock = Clock()
    collector = plugins.collector("drive", root, clock=clock, **more)
    first = list(collector.collect())
    plant(root, change or {})
    clock.now += 10
    return collector, [m for m in first if isinstance(m, tuple)] + list(collector.collect())


def refuse(path: str) -> bytes:
    raise PermissionError(13, "Operation not permitted", path)


def test_latency_is_time_by_operations_of_the_look(root: Path) -> None:
    collector, messages = twice(root, {"proc/diskstats": stats(1000, 250)}, page=refuse)
    told = values(messages)
    assert told["n1/nvme0", "drive_latency_seconds"] == 0.00025
    assert told["n1/nvme0", "drive_throughput_bytes_per_second"] == pytest.approx(8000 * 512 / 10)
    assert ("n1/sda", "drive_latency_seconds") not in told  # it did nothing
    assert not any(s.startswith("n1/sda1") for s, _ in told)
    assert keys(messages)["n1/nvme0"] == {"table": "drive", "node": "n1", "sku": "Acme X1", "serial": "S1"}
    assert collector.rejected == {"denied": 1}


def test_without_privileges_the_temperature_is_still_there(root: Path) -> None:
    _, messages = twice(root, page=refuse)
    assert values(messages)["n1/nvme0", "drive_temperature_celsius"] == pytest.approx(41.85)


def test_counts_that_fall_say_nothing(root: Path) -> None:
    plant(root, {"proc/diskstats": stats(5000, 99)})
    told = values(twice(root, {"proc/diskstats": stats(1, 1)}, page=refuse)[1])
    assert not any(m.startswith(("drive_latency", "drive_throughput")) for s, m in told if s == "n1/nvme0")


def test_a_health_page_is_told_until_the_next(root: Path) -> None:
    asked = []

    def ask(path: str) -> bytes:
        asked.append(path)
        return page(97, 2 * len(asked), 0)

    clock = Clock()
    collector = plugins.collector("drive", root, clock=clock, page=ask)
    told = []
    for _ in range(module.SELDOM + 1):
        told.append(values(collector.collect()))
        clock.now += 10
    assert asked == [str(root / "dev/nvme0")] * 2
    assert {t["n1/nvme0", "drive_spare_ratio"] for t in told} == {0.97}
    assert told[0]["n1/nvme0", 'drive_spare_ratio{bound="min"}'] == 0.1
    assert [t.get(("n1/nvme0", "drive_media_errors_total")) for t in told] == [None, 0, 0, 0, 0, 0, 2]
    assert told[0]["n1/nvme0", "drive_temperature_celsius"] == pytest.approx(36.85)
    assert told[0]["n1/nvme0", "drive_health_warning"] == 0


def test_a_page_that_is_none_is_counted(root: Path) -> None:
    collector, _ = twice(root, page=lambda _: b"\xff" * 512)
    assert collector.rejected == {"bad_page": 1}


def test_a_dead_controller_is_a_warning(root: Path) -> None:
    told = values(twice(root, {"sys/class/nvme/nvme0/state": "dead"}, page=refuse)[1])
    assert told["n1/nvme0", "drive_health_warning"] == 1


def test_an_array_without_a_member_is_told_although_it_says_clean(root: Path) -> None:
    for name, told in (("md0", {"array_state": "clean", "degraded": 1, "sync_action": "idle"}), ("md1", {"array_state": "inactive"}),
                       ("md2", {"array_state": "clear"}), ("md3", {"array_state": "active", "degraded": 1, "sync_action": "recover"})):  # fmt: skip
        plant(root, {f"sys/block/{name}/md/{k}": v for k, v in told.items()})
    found = {(s.removeprefix("n1/"), m): v for (s, m), v in values(twice(root, page=refuse)[1]).items() if "/md" in s}
    assert found == {
        ("md0", "raid_array_running"): 1, ("md0", "raid_members_missing"): 1, ("md0", "raid_array_rebuilding"): 0, ("md1", "raid_array_running"): 0,
        ("md3", "raid_array_running"): 1, ("md3", "raid_members_missing"): 1, ("md3", "raid_array_rebuilding"): 1,
    }  # fmt: skip


def test_a_machine_without_disks_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="needs Linux with /proc and /sys"):
        plugins.collector("drive", tmp_path)


def test_captured_trees_are_read(shared: Path) -> None:
    collector = plugins.collector("drive", shared / "data/fixtures/procfs/fixtures", page=refuse)
    collector.collect()
    told = values(collector.collect())
    missing = {s.rpartition("/")[2]: v for (s, m), v in told.items() if m == "raid_members_missing"}
    assert missing == {"md1": 0, "md10": 0, "md4": 0, "md5": 1, "md6": 1, "md8": 0}
    assert "bad_line" not in collector.rejected


def test_this_machine_can_be_looked_at() -> None:
    collector = plugins.collector("drive")
    collector.collect()
    assert all(m.partition("{")[0].startswith(("drive_", "raid_")) for _, m in values(collector.collect()))
