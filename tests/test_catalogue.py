"""The catalogue: complete, without contradictions, and clear about the entry that has one."""

from __future__ import annotations

import pytest

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError
from grayscope.modes import Modes


def test_every_metric_has_a_meaning() -> None:
    catalogue = Catalogue.load()
    assert len(catalogue.metrics) > 200
    for name, metric in catalogue.metrics.items():
        labels = name.partition("{")[2].rstrip("}").split(",")
        assert labels == sorted(labels), f"labels of {name} are not in order"
        assert name.partition("{")[0].isidentifier()
        assert metric.type != "counter" or metric.name.partition("{")[0].endswith(("_total", "_sequence")), name


@pytest.mark.parametrize(
    ("foreign", "name", "factor"),
    [
        ("DCGM_FI_DEV_SM_CLOCK", 'gpu_clock_hertz{domain="sm"}', 1e6),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "gpu_energy_joules_total", 1e-3),
        ("DCGM_FI_DEV_POWER_VIOLATION", 'gpu_clock_limit_seconds_total{reason="power"}', 1e-9),
        ("DCGM_FI_DEV_GPU_UTIL", "gpu_active_ratio", 0.01),
        ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "pcie_replays_total", 1.0),
        ("DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", 'gpu_rows_remapped_total{cause="uncorrected"}', 1.0),
        ("port_xmit_data", 'nic_port_transferred_bytes_total{direction="transmit"}', 4.0),
        ("node_infiniband_port_data_transmitted_bytes_total", 'nic_port_transferred_bytes_total{direction="transmit"}', 1.0),
        ("symbol_error", "nic_port_symbol_errors_total", 1.0),
        ("node_infiniband_link_downed_total", "nic_port_link_downs_total", 1.0),
        ("local_ack_timeout_err", 'nic_port_retransmits_total{cause="ack_timeout"}', 1.0),
        ("rx_corrected_bits_phy", "nic_port_fec_corrected_bits_total", 1.0),
        ("coll_exec_time_us", "collective_duration_seconds", 1e-6),
        ("nccl_bus_bandwidth_gbs", "collective_bus_bandwidth_bytes_per_second", 1e9),
        ("node_edac_correctable_errors_total", "host_memory_corrected_errors_total", 1.0),
    ],
)
def test_foreign_names_are_known_with_their_factor(foreign: str, name: str, factor: float) -> None:
    assert Catalogue.load().resolve(foreign) == (name, factor)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('m = {worse = "up"}', "metric m: worse: expected one of higher, lower, both, none, found up"),
        ('m = {side = "bad"}', "metric m: side"),
        ('m = {type = "counter", worse = "lower"}', "metric m: a counter cannot be worse when lower"),
        ("m = {waits = true}", "metric m: waits is set, but no direction is worse"),
        ('m = {side = "load", load = "n"}\nn = {side = "load"}', "metric m: a load cannot have a load"),
        ('m = {load = "n"}', "metric m: load: expected a metric of table gpu, found n"),
        ("m = {budget = 3}", "metric m: a budget of no mechanism"),
        ('m = {mechanism = "hbm_row_spare"}', "unknown mechanism 'hbm_row_spare': did you mean 'hbm_row_spares'"),
        ('m = {mode = "slow_rnak"}', "unknown mode 'slow_rnak': did you mean 'slow_rank'"),
        ('m = {overflow = "wrap"}', "metric m: overflow 'wrap' without bits"),
        ('m = {pears = ["sku"]}', "metric m: unknown key 'pears': did you mean 'peers'"),
        ('m = {peers = "sku"}', "metric m: peers: expected a list of roster keys"),
        ('m = {waits = "yes"}', "metric m: waits: expected bool"),
        ('m = {aliases = ["a*x"]}', "factor of alias a: expected a positive number"),
        ('m = {aliases = ["a*-1"]}', "factor of alias a: expected a positive number"),
        ('m = {aliases = ["a"]}\nn = {aliases = ["a"]}', "n: alias a is already claimed by m"),
        ("m = ", "not TOML"),
    ],
)
def test_a_contradiction_names_its_entry(entry: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        Catalogue.parse(f"[gpu]\n{entry}\n")
    assert expected in str(caught.value)


def test_labels_inherit_and_may_differ() -> None:
    catalogue = Catalogue.parse('[gpu]\nm = {unit = "s", worse = "higher", aliases = ["a"]}\n\'m{x="1"}\' = {worse = "none"}\n')
    known, other = catalogue.get('m{x="1"}'), catalogue.get('m{x="2"}')
    assert known is not None
    assert other is not None
    assert (known.unit, known.worse, dict(known.aliases), other.worse) == ("s", "none", {}, "higher")


def test_a_trace_adds_and_overrides() -> None:
    catalogue = Catalogue.load().with_metrics({"gpu_power_watts": {"table": "gpu", "unit": "W", "worse": "higher", "side": "condition"}})
    overridden = catalogue.get("gpu_power_watts")
    assert overridden is not None
    assert overridden.side == "condition"
    before = Catalogue.load().get("gpu_power_watts")
    assert before is not None
    assert before.side == "load"


def test_every_mechanism_of_a_mode_exists_and_every_mode_is_worded() -> None:
    modes = Modes.load()
    assert len(modes.mechanisms) >= 31
    assert all(m.runbook.endswith(".") for m in modes.modes.values())


def test_only_the_air_around_machines_is_compared_within_a_rack() -> None:
    """Peers lie across failure domains: under one leaf or in one rack all would get worse together, and nobody stand out."""
    domains = {"rack", "leaf", "spine", "rail", "switch", "lot", "firmware", "serial"}
    within = {name: domains & set(metric.peers) for name, metric in Catalogue.load().metrics.items() if domains & set(metric.peers)}
    air = {"inlet_temperature_celsius": {"rack"}, "exhaust_temperature_celsius": {"rack"}}
    assert {name: where for name, where in within.items() if where != {"rail"}} == air
    assert all(name.startswith(("nic_", "path_")) for name, where in within.items() if where == {"rail"})
