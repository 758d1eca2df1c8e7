"""Ledger: margins that shrink toward a cliff."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.detectors.books import Books, flat, keep, late, ratios


def test_an_optic_that_loses_its_margin_is_told_with_decades_and_an_interval() -> None:
    ticks, slope = 1440, 0.05 / 60  # a day of minutes: 0.05 decades an hour
    books = keep(("nic", {"nic_port_bit_error_ratio": ratios(ticks, slope=slope, at=480)}), period=60.0)
    assert books.accused == {"n0/nic3"}
    last = books.entries[-1]
    assert (last.mechanism, last.unit, books.findings[0].mode) == ("nic_fec", "decades", "fec_margin")
    assert books.findings[0].since == pytest.approx(480 * 60e6, abs=45 * 60e6)  # when it began to, not when it was told
    pace = re.search(r"shrinking by ([\d.]+) a day \(80 % interval ([\d.]+) to ([\d.]+)\); used up", books.findings[-1].why)
    assert pace is not None
    rate, low, high = map(float, pace.groups())
    assert low <= rate <= high
    assert pytest.approx(rate, rel=0.05) == 1.2
    told = last.time // 60_000_000
    assert last.left == pytest.approx(np.log10(2.4e-4) - np.log10(ratios(ticks, slope=slope, at=480)[told - 30 : told, 3]).mean(), abs=0.05)


def test_four_of_five_intervals_hold_the_end() -> None:
    slope, held = 0.05 / 60, []
    for who in range(8):
        books = keep(("nic", {"nic_port_bit_error_ratio": ratios(1440, slope=slope, at=480, who=who)}), period=60.0)
        before = np.log10(2.4e-4) - np.log10(ratios(480)[:, who]).mean()
        end = (480 + before / slope) * 60e6
        held += [e.exhausted_low < end < (e.exhausted_high or np.inf) for e in books.entries if e.exhausted_low]
    assert 0.7 <= np.mean(held) <= 0.95


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


def worn(rate: float, minutes: int) -> Books:
    """Return what is told of a drive that uses up a share of its spare blocks an hour from the third hour on, in whole per cents; nobody else does."""
    values = flat(0.93, minutes, 16)
    values[:, 2] = np.ceil(93 - 100 * rate * np.maximum(np.arange(minutes) - 180, 0) / 60 - 1e-9) / 100
    return keep(("drive", {"drive_spare_ratio": values}), period=60.0)


def test_spare_blocks_that_go_step_by_step_are_told_after_a_few_steps_and_no_single_one() -> None:
    books = worn(0.009, 180 + 6 * 60)
    assert books.accused == {"n0/nvme2"}
    assert books.findings[0].left == pytest.approx(0.81)  # after two of them, not after a twentieth
    assert worn(0.009, 180 + 100).findings == []  # one step
    assert worn(0.0005, 48 * 60).findings == []  # two steps in two days: that lasts for two months
