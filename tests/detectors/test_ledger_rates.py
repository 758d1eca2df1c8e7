"""Ledger: rates of what is spent, with a budget and without."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.books import NAMES, NAN, flat, keep, late, staircase

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
    assert books.findings[0].why.startswith("7200 events an hour (80 % interval by chance 6930 to 7470), ")
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
    tables[2][1]["pcie_link_width_lanes"] = values * 16
    books = keep(*tables)
    assert books.findings == []
    assert {e.mechanism for e in books.entries} == {"hbm_row_spares"}
