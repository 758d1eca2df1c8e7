"""Ledger: what is lost at once is said with what is left, one mini trace for each mechanism; health is not."""

from __future__ import annotations

import pytest

from grayscope import mechanisms
from grayscope.catalogue import Catalogue
from grayscope.modes import Modes
from tests.detectors.books import NAMES, NAN, SKU, Books, flat, keep, late

LEVELS = [
    # table, gauge, healthy, what is there then, mechanism, budget, left, mode
    ("gpu", "nvlink_links_active", 18, 16, "nvlink_links", 18, 16, "nvlink_degrade"),
    ("pcie", "pcie_link_width_lanes", 16, 8, "pcie_degrade", 16, 8, "pcie_width"),
    ("nic", "nic_port_rate_bytes_per_second", 5e10, 2.5e10, "nic_rate", 5e10, 2.5e10, "nic_rate"),
    ("nic", "nic_port_lanes_active", 4, 2, "nic_rate", 4, 2, "nic_rate"),
    ("nic", "nic_port_up", 1, 0, "rail_failover", 7, 6, "rail_failover"),
    ("node", "bond_members_active", 2, 1, "bond_member", 1, 0, "bond_degraded"),
    ("node", "bond_members_aggregated", 2, 1, "bond_member", 1, 0, "bond_degraded"),
    ("leaf", "leaf_uplinks_active", 16, 15, "adaptive_routing", 15, 14, ""),
    ("node", "psu_redundancy_intact", 1, 0, "psu", 1, 0, "power_cap"),
    ("node", "fan_redundancy_intact", 1, 0, "cooling", 1, 0, "fan_degraded"),
    ("node", "raid_members_missing", 0, 1, "disk_spares", 1, 0, "disk_redundancy"),
    ("gpu", "gpu_row_remap_pending", 0, 1, "hbm_remap_pending", 1, 0, "remap_pending"),
    ("gpu", "gpu_page_retirement_pending", 0, 1, "page_retirement", 1, 0, ""),
    ("gpu", 'gpu_repair_pending{kind="channel"}', 0, 1, "hbm_channel_repair", 1, 0, ""),
    ("gpu", 'gpu_repair_pending{kind="tpc"}', 0, 1, "sm_retirement", 1, 0, ""),
]


@pytest.mark.parametrize(("table", "gauge", "healthy", "then", "mechanism", "budget", "left", "mode"), LEVELS)
def test_what_is_lost_at_once(table: str, gauge: str, healthy: float, then: float, mechanism: str, budget: float, left: float, mode: str) -> None:
    books = keep((table, {gauge: late(healthy, then)}))
    assert books.accused == {NAMES[table](3)}
    first = books.findings[0]
    assert (first.side, first.detector, first.strength, first.mechanism, first.mode) == ("redundancy", "ledger", 50.0, mechanism, mode)
    assert first.left == pytest.approx(left)
    assert first.since == 21 * 10_000_000
    assert first.time <= 24 * 10_000_000
    (entry,) = books.entries
    assert (entry.mechanism, entry.exhausted_at) == (mechanism, 0)
    assert (entry.budget, entry.left) == pytest.approx((budget, left))
    assert entry.subject == ("n0" if gauge == "nic_port_up" else NAMES[table](3))


@pytest.mark.parametrize(("table", "gauge", "healthy", "then"), [row[:4] for row in LEVELS])
def test_a_blip_is_no_loss_and_what_comes_back_is_told_and_forgotten(table: str, gauge: str, healthy: float, then: float) -> None:
    values = late(healthy, then, ticks=80)
    values[22:, 3] = healthy
    assert keep((table, {gauge: values})) == Books([], [])
    values[22:40, 3] = then
    books = keep((table, {gauge: values}))
    assert [e.spent > 0 for e in books.entries] == [True, False]
    assert max(f.time for f in books.findings) <= 43 * 10_000_000


def test_every_mechanism_has_an_account_and_every_account_has_known_metrics() -> None:
    accounts, known = mechanisms.load(), Catalogue.load()
    assert {a.mechanism for a in accounts} == set(Modes.load().mechanisms)
    for a in accounts:
        named = [m for m in (*a.counters, a.gauge, a.also, a.expected, a.explained, a.per) if m]
        assert named
        assert [m for m in named if (found := known.get(m)) is None or found.table != a.table] == []


def test_what_a_whole_sku_lacks_accuses_nobody() -> None:
    assert keep(("gpu", {"nvlink_links_active": flat(0)})).findings == []  # cards without a bridge
    assert keep(("node", {"psu_redundancy_intact": flat(0)})).findings == []  # single supplies by design
    assert keep(("gpu", {"nvlink_links_active": flat(NAN)})).findings == []


WIDTH, WIDEST, LINKS = "pcie_link_width_lanes", 'pcie_link_width_lanes{bound="max"}', "nvlink_links_active"


@pytest.mark.parametrize(
    ("table", "gauges", "sku", "words"),
    [
        ("pcie", {WIDTH: 8, WIDEST: 16}, "unheard of", f"8 of 16 lanes lost, left 8 of 16 lanes; by its own {WIDEST}"),
        ("pcie", {WIDTH: 8}, SKU["gpu"], f"8 of 16 lanes lost, left 8 of 16 lanes; as {SKU['gpu']} should have 16"),
        ("pcie", {WIDTH: 8, WIDEST: 8}, SKU["gpu"], ""),
        ("gpu", {LINKS: 16}, SKU["gpu"], f"2 of 18 links lost, left 16 of 18 links; as {SKU['gpu']} should have 18"),
        ("gpu", {LINKS: 12}, "NVIDIA H100 PCIe", ""),
        ("gpu", {LINKS: 16}, "unheard of", ""),
    ],
)
def test_what_all_parts_have_is_no_measure_of_what_they_should_have(table: str, gauges: dict[str, float], sku: str, words: str) -> None:
    books = keep((table, {name: flat(value, ticks=8) for name, value in gauges.items()}), keys={"sku": sku, "job": "j"})
    assert len(books.accused) == (8 if words else 0)
    assert all(f.why.endswith(words) for f in books.findings)


def test_a_level_that_peers_set_says_so() -> None:
    first = keep(("pcie", {WIDTH: late(16, 8)}), keys={"sku": "unheard of", "job": "j"}).findings[0]
    assert first.why.endswith("8 of 16 lanes lost, left 8 of 16 lanes; as its 7 peers have")
    assert first.n_peers == 7
    alone = keep(("pcie", {WIDTH: late(16, 8, who=0, subjects=2)}), keys={"sku": "unheard of", "job": "j"}).findings[0]
    assert (alone.why.rpartition("; ")[2], alone.n_peers) == ("as it had before", 0)


def test_links_that_all_peers_rest_at_once_are_not_lost_whatever_is_published() -> None:
    values = flat(18, ticks=200)
    values[70:] = 4
    assert keep(("gpu", {LINKS: values})).findings == []


def test_uplinks_that_all_leaves_lose_together_are_lost_while_cards_may_all_have_fewer_links() -> None:
    values = flat(16, ticks=200)
    values[20:] = 15
    books = keep(("leaf", {"leaf_uplinks_active": values}))
    assert {f.subject for f in books.findings if f.time > 150 * 10_000_000} == {NAMES["leaf"](i) for i in range(8)}
    assert [f for f in keep(("gpu", {"nvlink_links_active": values}), keys={"sku": "unheard of"}).findings if f.time > 150 * 10_000_000] == []


def test_links_that_all_peers_rest_at_once_are_not_lost() -> None:
    values = flat(18, ticks=200)
    values[70:] = 4
    assert keep(("gpu", {"nvlink_links_active": values}), keys={"sku": "unheard of"}).findings == []


def test_a_few_cards_are_measured_by_what_their_sku_should_have() -> None:
    assert keep(("gpu", {"nvlink_links_active": flat(17, subjects=2)})).accused == {"n0/gpu0", "n0/gpu1"}
    assert keep(("gpu", {"nvlink_links_active": flat(17, subjects=2)}), keys={"sku": "unheard of"}).accused == set()


def test_a_port_that_was_never_up_is_no_rail() -> None:
    values = flat(1)
    values[:, 0] = 0
    assert keep(("nic", {"nic_port_up": values})).findings == []
    values[30:, 1] = 0
    assert keep(("nic", {"nic_port_up": values})).entries[0][3:6] == (6, 1, 5)


def test_an_idle_link_may_fall_to_generation_1_and_a_busy_one_may_not() -> None:
    generation, active = late(5, 1), flat(0.9)
    active[19:, 3] = 0.0
    assert keep(("gpu", {"gpu_active_ratio": active}), ("pcie", {"pcie_link_generation": generation})).findings == []
    books = keep(("gpu", {"gpu_active_ratio": flat(0.9)}), ("pcie", {"pcie_link_generation": generation}))
    assert books.accused == {"n0/gpu3/pcie"}
    assert (books.entries[0].left, books.entries[0].unit) == (1, "generation")
    assert keep(("pcie", {"pcie_link_generation": generation})).findings == []  # nobody says who is busy


def test_the_link_of_a_gpu_that_spins_and_moves_nothing_may_rest() -> None:
    generation, memory = late(5, 1), flat(0.3)
    gpu = {"gpu_active_ratio": flat(1.0), "gpu_dram_active_ratio": memory}
    assert keep(("gpu", gpu), ("pcie", {"pcie_link_generation": generation})).accused == {"n0/gpu3/pcie"}
    memory[19:, 3] = 0.0  # it hangs
    assert keep(("gpu", gpu), ("pcie", {"pcie_link_generation": generation})).findings == []
