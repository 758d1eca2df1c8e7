"""Ledger: each mechanism by hand, one mini trace each: what is lost or spent is said with what is left, health is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from grayscope import mechanisms, plugins
from grayscope.catalogue import Catalogue
from grayscope.evidence import Finding
from grayscope.ledger import DAY, Entry
from grayscope.modes import Modes
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick

Array = np.ndarray[Any, Any]
NAN = float("nan")
SKU = {"gpu": "NVIDIA H100 80GB HBM3", "pcie": "NVIDIA H100 80GB HBM3"}
NAMES: Mapping[str, Callable[[int], str]] = {
    "gpu": lambda i: f"n{i // 8}/gpu{i % 8}", "pcie": lambda i: f"n{i // 8}/gpu{i % 8}/pcie", "nic": lambda i: f"n{i // 8}/nic{i % 8}",
    "nvlink": lambda i: f"n0/gpu0/nvlink{i}", "node": lambda i: f"n{i}", "leaf": lambda i: f"leaf{i}", "drive": lambda i: f"n0/nvme{i}",
    "port": lambda i: f"leaf0/port{i}", "job": lambda i: f"job:{i}",
}  # fmt: skip


class Books(NamedTuple):
    """What the ledger said: findings and rows."""

    findings: list[Finding]
    entries: list[Entry]

    @property
    def accused(self) -> set[str]:
        return {f.subject for f in self.findings}


def keep(*tables: tuple[str, Mapping[str, Array]], period: float = 10.0, detector: Any = None, keys: Mapping[str, str] | None = None) -> Books:
    """Feed tables [T, S], tick by tick and table by table, to the ledger."""
    detector = detector or plugins.detector("ledger")
    stand, step, findings, entries = Stand(Catalogue.load()), round(period * 1e6), [], []
    names = {table: tuple(NAMES[table](i) for i in range(next(iter(values.values())).shape[1])) for table, values in tables}
    rows = [RosterRow(s, t, keys=keys or {"sku": SKU.get(t, "A"), "job": "j"}) for t, subjects in names.items() for s in subjects]
    view, metrics = Roster(rows).at(0), {table: tuple(sorted(values)) for table, values in tables}
    for t in range(len(next(iter(tables[0][1].values())))):
        for table, values in tables:
            matrix = np.stack([values[m][t] for m in metrics[table]]).astype(np.float32)
            tick = Tick(table, (t + 1) * step, step, view, names[table], metrics[table], matrix, np.zeros(matrix.shape[1], bool))
            evidence = detector.step(tick, stand.step(tick))
            findings += list(evidence)
            entries += evidence.ledger
    return Books(findings, entries)


def flat(value: float, ticks: int = 60, subjects: int = 8) -> Array:
    return np.full((ticks, subjects), value)


def late(value: float, then: float, who: int = 3, at: int = 20, ticks: int = 60, subjects: int = 8) -> Array:
    values = flat(value, ticks, subjects)
    values[at:, who] = then
    return values


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
    ("node", "psu_redundancy_intact", 1, 0, "psu", 1, 0, ""),
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


# -- stocks ---------------------------------------------------------------------------------------------------------

ROWS, SHOWN = 'gpu_rows_remapped_total{cause="corrected"}', 'gpu_rows_remapped{cause="corrected"}'


def staircase(moments: list[int], ticks: int, start: float = 0.0, subjects: int = 16, who: int = 3) -> dict[str, Array]:
    """Return increments and totals of one part that steps at `moments`; the others stand still at what they have."""
    gained, total = flat(0, ticks, subjects), flat(0, ticks, subjects)
    gained[moments, who] = 1
    total[:, who] = start
    total[:, 5] = 2  # an old board
    return {ROWS: gained, SHOWN: total + np.cumsum(gained, axis=0)}


def test_old_rows_are_told_once_and_accuse_nobody() -> None:
    books = keep(("gpu", staircase([], 200, start=1.0)))
    assert [(e.subject, e.spent, e.left, e.exhausted_at) for e in books.entries] == [("n0/gpu3", 1, 511, 0), ("n0/gpu5", 2, 510, 0)]
    assert books.findings == []


def test_rows_that_go_one_after_another_end_within_days() -> None:
    books = keep(("gpu", staircase(list(range(360, 2160, 180)), 2200)))  # two an hour
    assert books.accused == {"n0/gpu3"}
    first, last = books.findings[0], [e for e in books.entries if e.subject == "n0/gpu3"][-1]
    assert (first.mode, first.mechanism) == ("hbm_row_spares", "hbm_row_spares")
    assert first.exhausted_low < first.exhausted_at < first.exhausted_high
    assert (last.spent, last.left, last.unit) == (10, 502, "rows")
    assert abs(last.rate - 2.0) < 0.3
    assert last.exhausted_low < last.time + 502 / 2.0 * 3600e6 < last.exhausted_high
    assert "502" in books.findings[-1].why or "503" in books.findings[-1].why


def test_a_single_new_row_foretells_nothing() -> None:
    books = keep(("gpu", staircase([360], 800)))
    assert books.findings == []
    assert [e.exhausted_at for e in books.entries if e.subject == "n0/gpu3"] == [0]


def test_the_horizon_is_a_setting() -> None:
    table = ("gpu", staircase(list(range(360, 2160, 180)), 2200))
    assert keep(table, detector=plugins.detector("ledger", horizon=5.0)).findings == []


def test_more_than_ten_rows_are_beyond_the_knee_however_old() -> None:
    assert keep(("gpu", staircase([], 20, start=10.0))).findings == []
    books = keep(("gpu", staircase([], 20, start=11.0)))
    assert books.accused == {"n0/gpu3"}
    assert "83 % regress" in books.findings[0].why


def test_a_driver_reload_is_no_new_spending() -> None:
    values = staircase([], 100, start=3.0)
    values[SHOWN][40:45, 3] = 0  # read as nothing for a while
    values[ROWS][45, 3] = 3  # and then as before: the increments are fooled, the total is not
    books = keep(("gpu", values))
    assert [(e.subject, e.spent) for e in books.entries] == [("n0/gpu3", 3), ("n0/gpu5", 2)]


def test_without_totals_what_is_spent_is_at_least_what_was_seen() -> None:
    gained = {ROWS: staircase(list(range(20, 130, 10)), 200)[ROWS]}
    books = keep(("gpu", gained))
    assert books.accused == {"n0/gpu3"}
    assert "at least 11 rows" in books.findings[-1].why


def test_the_last_page_and_the_last_address() -> None:
    pages = late(10, 64)
    books = keep(("gpu", {'gpu_pages_retired_total{cause="single_bit"}': flat(0), 'gpu_pages_retired{cause="single_bit"}': pages}))
    assert books.accused == {"n0/gpu3"}
    assert (books.findings[0].left, books.findings[0].mechanism) == (0, "page_retirement")
    sram = keep(("gpu", {"gpu_sram_unique_uncorrected_errors_total": flat(0), "gpu_sram_unique_uncorrected_errors": late(0, 4)}))
    assert (sram.findings[0].left, sram.findings[0].mechanism) == (0, "sram_ecc")


def test_a_replaced_board_starts_with_a_clean_book() -> None:
    detector = plugins.detector("ledger")
    keep(("gpu", staircase([], 20, start=11.0)), detector=detector)
    names = tuple(NAMES["gpu"](i) for i in range(16))
    fresh = np.zeros(16, bool)
    fresh[3] = True
    view = Roster(RosterRow(s, "gpu", keys={"sku": "A"}) for s in names).at(0)
    values = np.zeros((2, 16), np.float32)
    for t in range(21, 40):
        tick = Tick("gpu", t * 10_000_000, 10_000_000, view, names, (SHOWN, ROWS), values, fresh if t == 21 else np.zeros(16, bool))
        evidence = detector.step(tick, Stand(Catalogue.load()).step(tick))
        assert [f.subject for f in evidence] == []


def test_the_worst_bank_ends_first() -> None:
    banks = {f'gpu_row_remap_banks{{availability="{a}"}}': flat(640 if a == "max" else 0) for a in ("max", "high", "partial", "low", "none")}
    assert keep(("gpu", banks)) == Books([], [])
    banks['gpu_row_remap_banks{availability="partial"}'][20:, 3] = 1
    books = keep(("gpu", banks))
    assert (books.findings, books.entries[0].budget, books.entries[0].left) == ([], 8, 2)
    banks['gpu_row_remap_banks{availability="low"}'][30:, 3] = 1
    books = keep(("gpu", banks))
    assert (books.accused, books.findings[0].left, books.entries[-1].spent) == ({"n0/gpu3"}, 1, 7)


def test_rows_of_one_bank_end_with_its_spares() -> None:
    gone = np.zeros((240, 8))
    for k in range(5):
        gone[20 + 30 * k :, 3] += 1
    touched = (gone > 0).astype(float)
    banks = {'gpu_row_remap_banks{availability="partial"}': touched, 'gpu_row_remap_banks{availability="max"}': 640 - touched}
    for cause, end in (("uncorrected", 8), ("corrected", 512)):
        rows = {f'gpu_rows_remapped_total{{cause="{cause}"}}': np.diff(gone, axis=0, prepend=0.0), f'gpu_rows_remapped{{cause="{cause}"}}': gone}
        last = next(e for e in keep(("gpu", {**rows, **banks}), period=60.0).entries if e.unit == "rows" and e.spent == 5)
        assert last.exhausted_low < (20 + 30 * (end - 1)) * 60_000_000 < last.exhausted_high, cause


# -- margins --------------------------------------------------------------------------------------------------------


def ratios(ticks: int, subjects: int = 16, slope: float = 0.0, at: int = 0, who: int = 3) -> Array:
    """Return bit error ratios near 1e-7, one of them growing by `slope` decades per tick from `at` on."""
    rng = np.random.default_rng(4)
    decades = -7 + rng.normal(0, 0.3, subjects) + rng.normal(0, 0.05, (ticks, subjects))
    decades[at:, who] += slope * np.arange(ticks - at)
    return 10**decades


def test_an_optic_that_loses_its_margin_is_told_with_decades_and_an_interval() -> None:
    ticks, slope = 1440, 0.05 / 60  # a day of minutes: 0.05 decades an hour
    books = keep(("nic", {"nic_port_bit_error_ratio": ratios(ticks, slope=slope, at=480)}), period=60.0)
    assert books.accused == {"n0/nic3"}
    last = books.entries[-1]
    truth = last.time + last.left / (slope * 60) * 3600e6
    assert (last.mechanism, last.unit, books.findings[0].mode) == ("nic_fec", "decades", "fec_margin")
    assert last.exhausted_low < truth < last.exhausted_high
    told = last.time // 60_000_000
    assert last.left == pytest.approx(np.log10(2.4e-4) - np.log10(ratios(ticks, slope=slope, at=480)[told - 30 : told, 3]).mean(), abs=0.05)


def test_noise_and_a_drift_of_all_are_nobodys_loss() -> None:
    still = ratios(1440)
    assert keep(("nic", {"nic_port_bit_error_ratio": still}), period=60.0) == Books([], [])
    common = still * 10 ** (0.05 / 60 * np.arange(1440))[:, None]
    assert keep(("nic", {"nic_port_bit_error_ratio": common}), period=60.0) == Books([], [])


def test_what_the_temperature_explains_is_no_loss() -> None:
    rng = np.random.default_rng(5)
    heat = 50 + rng.normal(0, 1.0, (1440, 16))
    heat[720:, 3] += np.linspace(0, 20, 720) + rng.normal(0, 3.0, 720)
    values = ratios(1440) * 10 ** (0.04 * (heat - 50))
    books = keep(("nic", {"nic_port_bit_error_ratio": values, "nic_port_transceiver_temperature_celsius": heat}), period=60.0)
    assert books.findings == []


def test_a_gauge_beyond_its_cliff_everywhere_means_something_else() -> None:
    assert keep(("nic", {"nic_port_bit_error_ratio": flat(1e-2, 120, 16)})) == Books([], [])
    assert keep(("drive", {"drive_spare_ratio": flat(0.0, 120, 16)})) == Books([], [])


def test_a_disk_at_its_spare_threshold_is_at_its_end() -> None:
    books = keep(("drive", {"drive_spare_ratio": late(0.95, 0.09, ticks=120, who=2, at=40)}))
    assert books.accused == {"n0/nvme2"}
    assert (books.findings[0].left, books.findings[0].mechanism) == (0, "disk_spares")
    assert keep(("gpu", {"gpu_power_smoothing_lifetime_ratio": late(1.0, 0.0, ticks=120)})).findings[0].mechanism == "power_smoothing"
    assert keep(("nvlink", {"nvlink_bit_error_ratio": late(1e-9, 1e-3, ticks=120)})).findings[0].mechanism == "nvlink_fec"


# -- rates ----------------------------------------------------------------------------------------------------------

RATES = [
    ("gpu", 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}', "hbm_ecc"), ("nvlink", "nvlink_replays_total", "nvlink_replay"),
    ("gpu", "gpu_nvlink_replays_total", "nvlink_replay"), ("nvlink", 'nvlink_plr_blocks_total{kind="retried"}', "nvlink_plr"),
    ("nvlink", "nvlink_recoveries_total", "nvlink_recovery"), ("gpu", "gpu_nvlink_recoveries_total", "nvlink_recovery"),
    ("gpu", "gpu_c2c_replays_total", "c2c_replay"), ("pcie", "pcie_replays_total", "pcie_replay"), ("port", "port_llr_retries_total", "link_llr"),
    ("nic", "nic_port_link_downs_total", "link_retrain"), ("nic", 'nic_port_retransmits_total{cause="ack_timeout"}', "rdma_retransmit"),
    ("nic", 'nic_port_discards_total{direction="transmit"}', "congestion_control"),
    ("gpu", 'gpu_clock_limit_seconds_total{reason="thermal"}', "clock_throttle"), ("node", "host_memory_corrected_errors_total", "dram_ecc"),
    ("job", "job_restarts_total", "restart_spares"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "counter", "mechanism"), RATES)
def test_a_rate_without_a_budget_is_a_row_and_no_accusation(table: str, counter: str, mechanism: str) -> None:
    books = keep((table, {counter: late(0, 2, at=60, ticks=300)}))
    assert books.findings == []
    assert {(e.subject, e.mechanism) for e in books.entries} == {(NAMES[table](3), mechanism)}
    first, last = books.entries[0], books.entries[-1]
    assert np.isnan([first.budget, first.left]).all()
    assert last.rate == pytest.approx(720.0)
    assert first.exhausted_at == 0


def test_replays_above_the_published_bit_error_ratio_are_found_with_what_peers_show() -> None:
    values = {"pcie_replays_total": late(0, 20, at=60, ticks=300), "pcie_link_width_lanes": flat(16, 300), "pcie_link_generation": flat(5, 300),
              "pcie_transferred_bytes_total": flat(1e11, 300)}  # fmt: skip
    books = keep(("pcie", values))  # 120 a minute, 31 are published for Gen5 x16
    assert books.accused == {"n0/gpu3/pcie"}
    assert "its 7 peers show 0" in books.findings[0].why
    assert "200 per TB moved" in books.findings[0].why
    idle = {**values, "pcie_link_generation": flat(1, 300), "pcie_replays_total": late(0, 3, at=60, ticks=300)}
    idle["pcie_link_generation"][:5] = 5
    assert keep(("pcie", idle)).findings == []  # 18 a minute: within what the link can do, though it idles now


def test_silence_is_neither_a_rate_nor_a_loss() -> None:
    """Half of all parts report nothing for two hours, then everybody nothing: no row, and no warning of numpy's."""
    holed = {"gpu": [*staircase([], 900)], "nic": ["nic_port_bit_error_ratio", "nic_port_link_downs_total", "nic_port_up"], "pcie": [
        "pcie_replays_total", "pcie_link_width_lanes", "pcie_link_generation"]}  # fmt: skip
    values = flat(1.0, 900, 16)
    values[100:, :8] = NAN
    values[700:] = NAN
    none = np.where(np.isnan(values), NAN, 0.0)
    tables = [(t, {m: none if m.partition("{")[0].endswith("_total") else values for m in names}) for t, names in holed.items()]
    tables[1][1]["nic_port_bit_error_ratio"] = values * 1e-8
    books = keep(*tables)
    assert books.findings == []
    assert {e.mechanism for e in books.entries} == {"hbm_row_spares"}


# -- the state ------------------------------------------------------------------------------------------------------


def test_a_pause_changes_nothing() -> None:
    nic = {"nic_port_bit_error_ratio": ratios(900, slope=0.002, at=300), "nic_port_up": late(1, 0, at=500, ticks=900, subjects=16)}
    gpu = {**staircase(list(range(100, 800, 60)), 900), "gpu_active_ratio": flat(0.9, 900, 16)}
    pcie = {"pcie_link_generation": late(5, 1, at=460, ticks=900, subjects=16), "pcie_replays_total": late(0, 9, at=300, ticks=900, subjects=16)}
    whole = plugins.detector("ledger")
    tables = (("gpu", gpu), ("nic", nic), ("pcie", pcie))

    def part(detector: Any, low: int, high: int) -> Books:
        return _keep_from(detector, low, [(t, {m: v[low:high] for m, v in values.items()}) for t, values in tables])

    part(whole, 0, 450)
    second = plugins.detector("ledger")
    second.restore({k: v.copy() for k, v in whole.snapshot().items()})
    ours, theirs = part(second, 450, 900), part(whole, 450, 900)
    assert ours.findings
    assert {e.mechanism for e in ours.entries} >= {"hbm_row_spares", "rail_failover", "pcie_degrade"}
    assert repr(ours) == repr(theirs)


def _keep_from(detector: Any, start: int, tables: list[tuple[str, dict[str, Array]]]) -> Books:
    """Feed tables as `keep` does, later in time."""
    findings, entries, step = [], [], 60_000_000
    names = {t: tuple(NAMES[t](i) for i in range(16)) for t, _ in tables}
    view = Roster(RosterRow(s, t, keys={"sku": "A"}) for t, of in names.items() for s in of).at(0)
    metrics = {t: tuple(sorted(values)) for t, values in tables}
    stand = Stand(Catalogue.load())
    for k in range(len(next(iter(tables[0][1].values())))):
        for t, values in tables:
            matrix = np.stack([values[m][k] for m in metrics[t]]).astype(np.float32)
            tick = Tick(t, (start + k + 1) * step, step, view, names[t], metrics[t], matrix, np.zeros(16, bool))
            evidence = detector.step(tick, stand.step(tick))
            findings += list(evidence)
            entries += evidence.ledger
    return Books(findings, entries)


def test_memory_does_not_grow_with_steps() -> None:
    detector, size = plugins.detector("ledger"), []
    for _ in range(3):
        keep(("gpu", {ROWS: flat(1, 200, 4)}), detector=detector)
        size.append(sum(a.nbytes for a in detector.snapshot().values()))
    assert size[2] < size[0] * 1.1


def test_days_are_microseconds() -> None:
    assert plugins.detector("ledger", horizon=2.0).kinds["stock"].horizon == 2 * DAY
