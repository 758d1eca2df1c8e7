"""Host: shares of processor time, pressure, throttling, temperatures, fans and supplies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import grayscope.collectors.host as module  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.errors import Unsupported
from tests.hosttree import Clock, keys, plant, values
from tests.mutations import MANY, mutated_text

STAT = "cpu  {} 0 100 {} 50 10 20 {} 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\nbtime 1700000000\nprocs_running 2\nprocs_blocked 3"
PSI = "some avg10=0.10 avg60=0.00 avg300=0.00 total={0}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={1}"
CPU, HWMON = "sys/devices/system/cpu", "sys/class/hwmon"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path, {"proc/sys/kernel/hostname": "n1", "proc/stat": STAT.format(1000, 8000, 0), "proc/uptime": "350735.47 234388.90"})
    plant(tmp_path, {f"proc/pressure/{scope}": PSI.format(1_000_000, 0) for scope in ("cpu", "memory", "io")})
    for n, (package, core) in enumerate(((0, 0), (0, 1), (0, 0), (1, 0))):
        where = f"{CPU}/cpu{n}"
        plant(tmp_path, {f"{where}/topology/physical_package_id": package, f"{where}/topology/core_id": core})
        for scope in ("core", "package"):
            plant(tmp_path, {f"{where}/thermal_throttle/{scope}_throttle_count": 5, f"{where}/thermal_throttle/{scope}_throttle_total_time_ms": 1000})
    for n, (kind, degrees) in enumerate((("x86_pkg_temp", 61000), ("x86_pkg_temp", 48000), ("acpitz", -274000))):
        plant(tmp_path, {f"sys/class/thermal/thermal_zone{n}/type": kind, f"sys/class/thermal/thermal_zone{n}/temp": degrees})
    return tmp_path


def twice(root: Path, change: dict[str, object] | None = None) -> tuple[Any, list[Any]]:
    clock = Clock()
    collector = plugins.collector("host", root, clock=clock)
    first = list(collector.collect())
    plant(root, change or {})
    clock.now += 10
    return collector, [m for m in first if isinstance(m, tuple)] + list(collector.collect())


def test_shares_of_time_are_of_the_look_alone(root: Path) -> None:
    collector, messages = twice(root, {"proc/stat": STAT.format(1600, 8300, 100)})
    told = {m: v for (s, m), v in values(messages).items() if s == "n1"}
    assert (told["host_cpu_busy_ratio"], told['host_cpu_time_ratio{kind="steal"}'], told["host_processes_blocked"]) == (0.7, 0.1, 3)
    assert told["node_uptime_seconds"] == pytest.approx(350735.47, rel=1e-6)
    assert collector.rejected == {}


def test_idle_time_that_steps_back_says_nothing(root: Path) -> None:
    _, messages = twice(root, {"proc/stat": STAT.format(1600, 7990, 0)})
    assert ("n1", "host_cpu_busy_ratio") not in values(messages)


def test_pressure_and_throttling_are_seconds(root: Path) -> None:
    change: dict[str, object] = {"proc/pressure/io": PSI.format(3_500_000, 250_000)}
    change |= {f"{CPU}/cpu{n}/thermal_throttle/core_throttle_total_time_ms": 1500 for n in (0, 2)}
    change |= {f"{CPU}/cpu3/thermal_throttle/package_throttle_count": 9}
    told = values(twice(root, change)[1])
    assert told["n1", 'host_pressure_seconds_total{kind="some",scope="io"}'] == 2.5
    assert told["n1", 'host_pressure_seconds_total{kind="full",scope="io"}'] == 0.25
    assert ("n1", 'host_pressure_seconds_total{kind="full",scope="cpu"}') not in told
    assert told["n1", 'host_cpu_throttle_seconds_total{scope="core"}'] == 0.5  # siblings of one core count once
    assert told["n1", 'host_cpu_throttles_total{scope="package"}'] == 4


def test_zones_of_one_kind_are_told_apart_and_nonsense_left_out(root: Path) -> None:
    told = values(twice(root)[1])
    sensors = {m: v for (_, m), v in told.items() if m.startswith("host_temperature")}
    assert sensors == {'host_temperature_celsius{sensor="x86_pkg_temp"}': 61, 'host_temperature_celsius{sensor="x86_pkg_temp-1"}': 48}


def test_fans_and_supplies(root: Path) -> None:
    fans = {
        "name": "nct6775",
        "fan1_input": 4200,
        "fan1_alarm": 0,
        "fan1_label": "Front/1",
        "fan2_input": 0,
        "fan2_alarm": 1,
        "temp1_input": 24000,
        "temp1_label": "Inlet",
    }
    plant(root, {f"{HWMON}/hwmon0/{k}": v for k, v in fans.items()})
    for n, volts in ((1, 230_000), (2, 0)):
        plant(root, {f"{HWMON}/hwmon{n}/{k}": v for k, v in {"name": "dps920ab", "in1_label": "vin", "in1_input": volts}.items()})
    plant(root, {"sys/class/dmi/id/product_name": "G8"})
    messages = twice(root)[1]
    told = values(messages)
    assert (told["n1/nct6775-Front_1", "fan_speed_rpm"], told["n1/nct6775-fan2", "fan_speed_rpm"]) == (4200, 0)
    assert (told["n1", "fan_redundancy_intact"], told["n1", "psu_redundancy_intact"], told["n1", 'inlet_temperature_celsius{sensor="nct6775:Inlet"}']) == (
        0,
        0,
        24,
    )
    assert keys(messages)["n1/nct6775-fan2"] == {"table": "node", "node": "n1", "sku": "G8"}


def test_one_supply_has_no_spare(root: Path) -> None:
    plant(root, {f"{HWMON}/hwmon0/{k}": v for k, v in {"name": "pmbus", "in1_label": "vin", "in1_input": 0}.items()})
    assert ("n1", "psu_redundancy_intact") not in values(twice(root)[1])


def test_without_proc_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="needs Linux with /proc mounted"):
        plugins.collector("host", tmp_path)


def test_this_machine_can_be_looked_at_without_privileges() -> None:
    collector = plugins.collector("host")
    collector.collect()
    told = {m for _, m in values(collector.collect())}
    assert "node_uptime_seconds" in told


def test_captured_trees_are_read_and_broken_ones_counted(shared: Path, tmp_path: Path) -> None:
    captured = shared / "data/fixtures/procfs/fixtures"
    collector = plugins.collector("host", captured)
    collector.collect()
    told = {m.partition("{")[0] for _, m in values(collector.collect())}
    assert {"host_pressure_seconds_total", "host_temperature_celsius", "host_cpu_throttles_total"} <= told
    assert collector.rejected == {}
    kernel = shared / "data/fixtures/telegraf/kernel/testdata"
    for name, booted in (("stat_file_full", 1457505775), ("stat_file_partial", 1457505775), ("stat_file_invalid", None)):
        plant(tmp_path / name, {"proc/stat": (kernel / name).read_text()})
        broken = plugins.collector("host", tmp_path / name)
        # What may be wrong there is the time of boot: the processors' line is used all the same.
        assert broken.machine.booted() == (booted and booted * 1_000_000)
        broken.collect()
        assert broken.rejected == {}
    for scope in ("cpu", "io", "memory"):
        assert dict(module.TOTAL.findall((kernel / "pressure" / scope).read_text()))["some"].isdigit()


@MANY
@given(mutated_text(STAT.format(1, 2, 3), PSI.format(1, 2)))
def test_any_text_gives_numbers_or_none(text: str) -> None:
    ticks = module.processor_ticks(text)
    assert len(ticks) in (0, len(module.COLUMNS))
    assert all(kind in ("some", "full") and int(total) >= 0 for kind, total in module.TOTAL.findall(text))
