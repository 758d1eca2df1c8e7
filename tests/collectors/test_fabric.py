"""Fabric: counters that clamp, wide counters instead of narrow ones, ports that go down, shares, bonds, names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import grayscope.collectors._ports as ports  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.errors import Unsupported
from tests.collectors.test_bonding import CHURNED, GOOD
from tests.hosttree import Clock, events, keys, link, plant, values
from tests.mutations import MANY, mutated_text

IB, NET = "sys/class/infiniband", "sys/class/net"
RATE = "400 Gb/sec (4X NDR)"


def port(root: Path, device: str, number: int = 1, **more: object) -> str:
    """Plant one port; return the path of its counters."""
    where = f"{IB}/{device}/ports/{number}"
    plant(root, {f"{IB}/{device}/board_id": "MT_0838", f"{where}/state": "4: ACTIVE", f"{where}/phys_state": "5: LinkUp", f"{where}/rate": RATE,
                 f"{where}/link_layer": "InfiniBand"})  # fmt: skip
    counters = {"symbol_error": 3, "link_downed": 1, "port_xmit_data": 1000, "port_rcv_data": 500, "local_link_integrity_errors": 0, **more}
    plant(root, {f"{where}/counters/{name}": value for name, value in counters.items()})
    plant(root, {f"{where}/hw_counters/lifespan": 10, f"{where}/hw_counters/local_ack_timeout_err": 0})
    return f"{where}/counters"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path, {"proc/sys/kernel/hostname": "n1"})
    return tmp_path


def twice(root: Path, change: dict[str, object] | None = None, **more: Any) -> tuple[Any, list[Any]]:
    clock = Clock()
    collector = plugins.collector("fabric", root, clock=clock, **more)
    first = list(collector.collect())
    plant(root, change or {})
    clock.now += 10
    return collector, [m for m in first if isinstance(m, tuple)] + list(collector.collect())


def test_words_are_bytes_and_rates_are_bytes_per_second(root: Path) -> None:
    where = port(root, "mlx5_0")
    port(root, "mlx5_0", 2)
    collector, messages = twice(root, {f"{where}/port_xmit_data": 1250, f"{where}/symbol_error": 5})
    told = values(messages)
    assert told["n1/mlx5_0", 'nic_port_transferred_bytes_total{direction="transmit"}'] == 1000
    assert told["n1/mlx5_0", "nic_port_symbol_errors_total"] == 2
    assert (told["n1/mlx5_0", "nic_port_rate_bytes_per_second"], told["n1/mlx5_0", "nic_port_lanes_active"], told["n1/mlx5_0", "nic_port_up"]) == (5e10, 4, 1)
    assert keys(messages)["n1/mlx5_0/p2"] == {"table": "nic", "node": "n1", "sku": "MT_0838"}
    assert collector.rejected == {}


@pytest.mark.parametrize(("name", "metric", "full"), [
    ("link_downed", "nic_port_link_downs_total", 255), ("symbol_error", "nic_port_symbol_errors_total", 65535),
    ("local_link_integrity_errors", 'nic_port_receive_errors_total{class="integrity"}', 15),
])  # fmt: skip
def test_a_counter_that_stands_at_its_end_is_unknown(root: Path, name: str, metric: str, full: int) -> None:
    where = port(root, "mlx5_0", **{name: full - 2})
    collector, messages = twice(root, {f"{where}/{name}": full})
    assert ("n1/mlx5_0", metric) not in values(messages)
    assert collector.samples.live.rates.counts["saturated"] == 1
    plant(root, {f"{where}/{name}": 1})  # somebody cleared it
    assert values(collector.collect()).get(("n1/mlx5_0", metric), 1) == 1


def test_wide_counters_of_the_driver_stand_for_narrow_ones(root: Path) -> None:
    port(root, "mlx5_0", symbol_error=65535)
    link(root, f"{IB}/mlx5_0/device", "sys/devices/pci0000:5d/0000:5e:00.0")
    link(root, f"{NET}/ens1np0/device", "sys/devices/pci0000:5d/0000:5e:00.0")
    numbers = {
        "rx_pcs_symbol_err_phy": 70_000,
        "rx_corrected_bits_phy": 0,
        "rx_bits_phy": 0,
        "rx_err_lane_2_phy": 5,
        "rx_prio3_pause_duration": 10,
        "rx77_bytes": 1,
    }

    def statistics(name: str) -> dict[str, int]:
        told = dict(numbers)
        assert name == "ens1np0"
        numbers.update(
            rx_pcs_symbol_err_phy=70_004, rx_corrected_bits_phy=4_000_000, rx_bits_phy=4 * 10**12, rx_err_lane_2_phy=8, rx_prio3_pause_duration=2_000_010
        )
        return told

    told = values(twice(root, statistics=statistics)[1])
    assert {s for s, _ in told} == {"n1/mlx5_0"}
    assert told["n1/mlx5_0", "nic_port_symbol_errors_total"] == 4
    assert told["n1/mlx5_0", 'nic_port_bit_error_ratio{stage="raw"}'] == pytest.approx(1e-6, abs=1e-9)
    assert told["n1/mlx5_0", 'nic_port_lane_errors_total{lane="2"}'] == 3
    assert told["n1/mlx5_0", 'nic_port_pause_seconds_total{direction="receive",priority="3"}'] == 2


def test_only_rails_are_counted_as_rails(root: Path) -> None:
    port(root, "mlx5_0")
    link(root, f"{NET}/eno1/device", "sys/devices/virtual/x")
    plant(root, {f"{NET}/eno1/operstate": "up", f"{NET}/eno1/speed": 1000})
    numbers = {"link_down_events_phy": 3, "nccl_bus_bandwidth_gbs": 7}
    told = values(twice(root, statistics=lambda _: numbers)[1])
    assert {s for s, m in told if m == "nic_port_up"} == {"n1/mlx5_0"}
    assert told["n1/eno1", "nic_port_rate_bytes_per_second"] == 1.25e8
    assert all(m.startswith("nic_") for _, m in told)  # a driver's words are no metrics of other tables


def test_what_stands_for_virtual_functions_hides_no_counter(root: Path) -> None:
    port(root, "mlx5_0")
    link(root, f"{IB}/mlx5_0/device", "sys/devices/pci0000:5d/0000:5e:00.0")
    for name in ("ens1np0", "ens1np0r1"):
        link(root, f"{NET}/{name}/device", "sys/devices/pci0000:5d/0000:5e:00.0")
    told = values(twice(root, statistics=lambda name: {"rx_pcs_symbol_err_phy": 5} if name == "ens1np0" else {"vport_rx_packets": 1})[1])
    assert told["n1/mlx5_0", "nic_port_symbol_errors_total"] == 0


def test_a_driver_that_refuses_is_left_alone(root: Path) -> None:
    asked = []

    def statistics(name: str) -> dict[str, int]:
        asked.append(name)
        raise OSError(95, "Operation not supported")

    link(root, f"{NET}/eth0/device", "sys/devices/virtual/x")
    plant(root, {f"{NET}/eth0/operstate": "up"})
    collector, messages = twice(root, statistics=statistics)
    assert (asked, collector.rejected) == (["eth0"], {"no_statistics": 1})
    assert values(messages)["n1/eth0", "nic_port_up"] == 1


def test_ports_that_go_down_and_come_back_are_events(root: Path) -> None:
    where = port(root, "mlx5_0")
    port(root, "mlx5_1")
    clock = Clock()
    collector = plugins.collector("fabric", root, clock=clock)
    told = [events(collector.collect())]
    for state, physical in (("1: DOWN", "2: Polling"), ("4: ACTIVE", "5: LinkUp"), ("1: DOWN", "3: Disabled")):
        plant(root, {f"{where}/../state": state, f"{where}/../phys_state": physical})
        told.append(events(collector.collect()))
    assert told == [[], [("n1/mlx5_0", "link", "down", 1)], [("n1/mlx5_0", "link", "up", 1)], []]  # switched off by somebody is no fault


def test_a_flap_between_two_looks_is_seen_by_its_count(root: Path) -> None:
    link(root, f"{NET}/eth0/device", "sys/devices/virtual/x")
    plant(root, {f"{NET}/eth0/operstate": "up", f"{NET}/eth0/carrier_down_count": 2, f"{NET}/eth0/speed": 25000})
    _, messages = twice(root, {f"{NET}/eth0/carrier_down_count": 5})
    assert events(messages) == [("n1/eth0", "link", "down", 3), ("n1/eth0", "link", "up", 1)]
    assert (values(messages)["n1/eth0", "nic_port_link_downs_total"], values(messages)["n1/eth0", "nic_port_rate_bytes_per_second"]) == (3, 3.125e9)


def test_a_rail_that_carries_nothing_has_no_share(root: Path) -> None:
    paths = {d: port(root, d) for d in ("mlx5_0", "mlx5_1", "mlx5_2")}
    change: dict[str, object] = {f"{paths[d]}/port_xmit_data": 1000 + words for d, words in (("mlx5_0", 30_000_000), ("mlx5_1", 0), ("mlx5_2", 10_000_000))}
    told = values(twice(root, change)[1])
    assert [told[f"n1/{d}", "nic_port_traffic_share_ratio"] for d in paths] == [0.75, 0, 0.25]


def test_a_bond_says_what_it_had_and_what_carries(root: Path) -> None:
    for name in ("eth0", "eth1"):
        link(root, f"{NET}/{name}/device", "sys/devices/virtual/x")
    plant(root, {"proc/net/bonding/bond0": GOOD})
    told = values(twice(root, {"proc/net/bonding/bond0": CHURNED})[1])
    assert [told["n1/bond0", f"bond_members_{what}"] for what in ("expected", "active", "aggregated")] == [2, 2, 1]
    assert told["n1/eth1", "bond_member_failures_total"] == 2


def test_a_counter_that_answers_with_words_is_left_alone(root: Path) -> None:
    port(root, "mlx5_0", symbol_error="N/A (no PMA)")
    collector, _ = twice(root)
    assert collector.rejected == {"not_a_number": 1}


def test_a_machine_without_ports_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="needs a NIC that this container can see"):
        plugins.collector("fabric", tmp_path)


def test_captured_trees_are_read(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "sys/class").mkdir(parents=True)
    (tmp_path / IB).symlink_to(shared / "data/fixtures/gpud/components/accelerator/nvidia/infiniband/class/testdata/sys-class-infiniband-h100.0")
    for where, count, metrics in ((tmp_path, 9, 35), (shared / "data/fixtures/procfs/fixtures", 4, 35)):
        collector, messages = twice(where)
        told = values(messages)
        assert len({s for s, m in told if m == "nic_port_up"}) == count
        assert len({m for _, m in told}) >= metrics
        assert set(collector.rejected) <= {"saturated"}


@MANY
@given(mutated_text(RATE, "4: ACTIVE", "2.5 Gb/sec (1X SDR)"))
def test_any_text_is_a_state_and_a_rate_or_none(text: str) -> None:
    number, speed = ports.state(text), ports.rate(text)
    assert number is None or 0 <= number < 100
    assert speed is None or 0 <= speed[0] < 1e14


def test_transceivers_are_told_by_the_order_of_ports(root: Path) -> None:
    for number in (1, 2):
        port(root, "mlx5_0", number)
    port(root, "mlx5_1")
    link(root, f"{IB}/mlx5_0/device", "sys/devices/pci0000:5d/0000:5e:00.0")
    link(root, f"{IB}/mlx5_1/device", "sys/devices/pci0000:9d/0000:9e:00.0")
    for where, sensors in (("5d/0000:5e", (("asic", 65000), ("Module0", 62000), ("Module1", 58500))), ("9d/0000:9e", (("asic", 60000), ("Module3", 0)))):
        chip = f"sys/devices/pci0000:{where}:00.0/hwmon/hwmon7"
        plant(root, {f"{chip}/temp{n}_{what}": told for n, pair in enumerate(sensors, 1) for what, told in zip(("label", "input"), pair, strict=True)})
    told = values(twice(root)[1])
    assert {s: v for (s, m), v in told.items() if m == "nic_port_transceiver_temperature_celsius"} == {"n1/mlx5_0": 62, "n1/mlx5_0/p2": 58.5}


def test_counters_start_again_with_the_driver_and_with_another_card(root: Path) -> None:
    where = port(root, "mlx5_0", port_xmit_data=10**9)
    plant(root, {f"{IB}/mlx5_0/node_guid": "aa:1"})
    clock, metric = Clock(), ("n1/mlx5_0", 'nic_port_transferred_bytes_total{direction="transmit"}')
    collector = plugins.collector("fabric", root, clock=clock)
    told = []
    for guid, words in (("aa:1", 10**9), ("aa:1", 10**9 + 1000), ("aa:1", 500), ("aa:1", 600), ("bb:2", 10**9), ("bb:2", 10**9 + 5)):
        plant(root, {f"{IB}/mlx5_0/node_guid": guid, f"{where}/port_xmit_data": words})
        told.append(values(collector.collect()).get(metric))
        clock.now += 10
    assert told == [None, 4000, 2000, 400, None, 20]
