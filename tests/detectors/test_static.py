"""Static: what today's limits fire on and what they are blind to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grayscope.event import Event

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]
SBE, DBE = (f'gpu_ecc_{kind}_errors_total{{location="total",retention="volatile"}}' for kind in ("corrected", "uncorrected"))


def test_corrected_errors_only_beyond_twenty_million(run: Run, accused: Accused) -> None:
    counts = np.zeros((60, 8))
    counts[:, 2], counts[:, 5] = 400_000, 300_000
    said = run("static", "gpu", {SBE: counts})
    assert accused(said) == {"n0/gpu2"}
    first = next(t for t, findings in enumerate(said) if findings)
    assert first == 50  # the 51st tick passes 20 million
    assert said[-1][0].value > said[-1][0].expected == 20e6
    assert (said[-1][0].side, said[-1][0].mode) == ("redundancy", "ecc_burst")


def test_one_uncorrected_error_is_enough_and_sticks(run: Run, accused: Accused) -> None:
    counts = np.zeros((50, 8))
    counts[10, 3] = 1
    said = run("static", "gpu", {DBE: counts})
    assert [bool(f) for f in said] == [t >= 10 for t in range(50)]
    assert accused(said) == {"n0/gpu3"}


def test_blind_to_heat_slowness_and_width(run: Run) -> None:
    hot, slow, narrow = np.full((100, 8), 60.0), np.full((100, 8), 1.9e9), np.full((100, 8), 16.0)
    hot[:, 0], slow[:, 1], narrow[:, 2] = 95, 0.9e9, 2
    gpu = {'gpu_temperature_celsius{sensor="gpu"}': hot, 'gpu_clock_hertz{domain="sm"}': slow}
    assert not any(run("static", "gpu", gpu))
    assert not any(run("static", "pcie", {"pcie_link_width_lanes": narrow}))


@pytest.mark.parametrize(("generation", "lanes", "limit"), [(5, 16, 31), (4, 16, 16), (3, 8, 4), (np.nan, np.nan, 31)])
def test_pcie_replays_per_minute_by_generation_and_width(run: Run, generation: float, lanes: float, limit: int) -> None:
    replays = np.zeros((12, 4))
    replays[3, 0], replays[3, 1] = limit, limit + 1
    shape = np.ones((12, 4))
    values = {"pcie_replays_total": replays, "pcie_link_generation": shape * generation, "pcie_link_width_lanes": shape * lanes}
    said = run("static", "pcie", values)
    assert [[f.subject for f in findings] for findings in said] == [["n0/gpu1"] if 3 <= t < 6 else [] for t in range(12)]


def test_rates_per_second_and_hour_of_symbol_errors(run: Run, accused: Accused) -> None:
    errors = np.zeros((400, 4))
    errors[5, 0] = 101  # 10.1 per second, once
    errors[:360, 1] = np.arange(360) % 3 == 0  # 120 in an hour: not more than that
    errors[:360, 2] = np.arange(360) % 2 == 0
    said = run("static", "nic", {"nic_port_symbol_errors_total": errors})
    assert [f.subject for f in said[5]] == ["n0/gpu0"]
    assert accused(said) == {"n0/gpu0", "n0/gpu2"}
    assert said[361] == []  # the hour is over


def test_a_link_that_is_down(run: Run, accused: Accused) -> None:
    up = np.ones((5, 4))
    up[2:, 3] = 0
    up[:, 0] = np.nan
    assert accused(run("static", "nvlink", {"nvlink_up": up})) == {"n0/gpu3"}


def test_listed_xids_stick_others_are_silent(run: Run, accused: Accused) -> None:
    events = {4: [Event(0, "n0/gpu1", "xid", "79"), Event(0, "n0/gpu2", "xid", "92"), Event(0, "n9/gpu0", "xid", "79"), Event(0, "n0/gpu0", "link", "79")]}
    said = run("static", "gpu", {"gpu_power_watts": np.full((20, 4), 500.0)}, events=events)
    assert [len(f) for f in said] == [0] * 4 + [1] * 16
    assert accused(said) == {"n0/gpu1"}
    assert said[-1][0].side == "health"


def test_moments_of_the_window_survive_a_pause(run: Run) -> None:
    from grayscope import plugins

    errors = np.zeros((12, 4))
    errors[1:5:3, 0] = 20
    first = plugins.detector("static")
    run("static", "pcie", {"pcie_replays_total": errors[:3]}, detector=first)
    second = plugins.detector("static")
    second.restore(first.snapshot())
    said = run("static", "pcie", {"pcie_replays_total": errors[3:]}, detector=second, start=30)
    assert [bool(f) for f in said] == [False, True, True] + [False] * 6  # 40 in one minute, 20 of them before the pause


def test_warnings_may_be_left_out(run: Run, accused: Accused) -> None:
    capped = np.full((6, 4), 0.5)
    values = {'gpu_clock_limit_seconds_total{reason="power"}': capped, "gpu_row_remap_failed": np.eye(6, 4)}
    events = {0: [Event(0, "n0/gpu3", "xid", "13"), Event(0, "n0/gpu2", "xid", "63")]}
    assert len(accused(run("static", "gpu", values, events=events))) == 4
    said = run("static", "gpu", values, events=events, warnings=False)
    assert {(f.subject, f.metric) for findings in said for f in findings} == {(f"n0/gpu{i}", "gpu_row_remap_failed") for i in range(4)}


@pytest.mark.parametrize(("errors", "found"), [(1, False), (1000, True)])
def test_many_crc_errors_are_more_than_a_warning(run: Run, errors: int, found: bool) -> None:
    counts = np.zeros((6, 4))
    counts[3, 1] = errors
    assert any(run("static", "nvlink", {'nvlink_crc_errors_total{class="data"}': counts}, warnings=False)) == found


def test_time_at_the_power_limit_counts_only_where_it_is_watched(run: Run, accused: Accused) -> None:
    capped, hot = np.zeros((6, 4)), np.zeros((6, 4))
    capped[:, 1], hot[:, 2] = 0.5, 0.5
    values = {f'gpu_clock_limit_seconds_total{{reason="{r}"}}': v for r, v in (("power", capped), ("thermal_hardware", hot))}
    assert accused(run("static", "gpu", values)) == {"n0/gpu2"}
    assert accused(run("static", "gpu", values, power=True)) == {"n0/gpu1", "n0/gpu2"}
    assert not any(run("static", "gpu", values, power=True, warnings=False))


def test_on_nvlink_5_the_effective_error_ratio_is_judged_and_the_raw_one_is_not(run: Run, accused: Accused) -> None:
    names, quiet = ["n0/gpu0/nvlink0", "n0/gpu0/nvlink1"], np.zeros((6, 2))
    raw, effective = quiet + 1e-8, quiet.copy()
    effective[3:, 1] = 1e-11
    values = {'nvlink_bit_error_ratio{stage="raw"}': raw, 'nvlink_bit_error_ratio{stage="effective"}': effective}
    assert accused(run("static", "nvlink", values, subjects=names)) == {"n0/gpu0/nvlink1"}
