"""Every mode has its own statistical self-test, every row of the mode table its mode, and every number its source."""

from __future__ import annotations

import re
from importlib import resources

import numpy as np
import pytest

from grayscope.fleet.hazards import hazards
from grayscope.fleet.ills import SHAPES
from grayscope.fleet.scenario import load, names
from grayscope.modes import Modes
from tests.fleet.playing import CONTROLS, GRAY, MASKED, culprit, fault, ill

#: The rows of the algorithms reference's mode table (section 10.4) and what plays them.
ROWS = {
    1: {"ecc_burst"}, 2: {"hbm_row_spares"}, 3: {"uncorrectable_memory"}, 4: {"nvlink_errors"}, 5: {"nvlink_degrade"}, 6: {"pcie_errors"}, 7: {"pcie_width"},
    8: {"thermal_throttle"}, 9: {"power_cap"}, 10: {"fan_degraded"}, 11: {"fec_margin"}, 12: {"link_flap"}, 13: {"rail_failover", "nic_rate"},
    14: {"nic_errors"}, 15: {"link_corruption"}, 16: {"fabric_congestion"}, 17: {"cpu_contention"}, 18: {"workload_imbalance", "sequence_length"},
    19: {"slow_silicon"}, 20: {"silent_corruption"}, 21: {"hang"}, 22: {"switch_fault"}, 23: {"batch_defect"}, 24: {"lemon_node"},
}  # fmt: skip
#: What is played apart: file and test that do it, because it neither hides nor slows as the others do.
APART = {
    "hang": ("test_ills.py", "test_a_hang_looks_busy_and_does_nothing_except_at_its_culprit"),
    "uncorrectable_memory": ("test_ills.py", "test_a_double_error_stops_the_job_which_moves_to_a_spare_node_and_the_part_is_replaced"),
    "silent_corruption": ("test_ills.py", "test_what_shows_nothing_has_no_row"),
    "batch_defect": ("test_couplings.py", "test_parts_of_a_bad_lot_fail_ten_to_a_hundred_times_as_often_in_more_than_one_way"),
}  # fmt: skip
#: Decoys that act on the work or on the messages, and faults that leave no trace or are made of others.
ELSEWHERE = {"phase_change", "workload_imbalance", "monitoring_gap", "silent", "driver_reload", "silent_corruption", "batch_defect"}


def test_every_mode_has_a_self_test_by_its_name() -> None:
    played = {m for m, *_ in (*GRAY, *MASKED, *CONTROLS)} | APART.keys()
    assert played == set(hazards())
    here = resources.files("tests.fleet")
    for mode, (file, test) in APART.items():
        assert f"def {test}(" in here.joinpath(file).read_text("utf-8"), mode


def test_every_mode_acts() -> None:
    assert set(SHAPES) | ELSEWHERE == set(hazards())


@pytest.mark.parametrize("row", range(1, 25))
def test_every_row_of_the_mode_table_has_its_mode_which_says_so(row: int) -> None:
    for mode in ROWS[row]:
        assert mode in Modes.load().modes
        assert re.search(rf"\brow {row}\b", hazards()[mode].source), mode
        assert any(mode in (*load(n).faults, *load(n).controls) for n in names())


def test_every_form_that_a_fault_may_have_is_played() -> None:
    folder = resources.files("grayscope.fleet")
    code = "".join(f.read_text("utf-8") for f in folder.iterdir() if f.name.startswith("ills"))
    forms = set(re.findall(r'fault\.form == "(\w+)"', code)) | set(re.findall(r'form="(\w+)"', folder.joinpath("couplings.py").read_text("utf-8")))
    played = {form for *_, form in (*GRAY, *MASKED) if form}
    assert forms == played | {"lost"}  # that one in test_couplings.py


@pytest.mark.parametrize(("mode", "strength", "extra", "form"), [g for g in GRAY if g[0] in ("switch_fault", "power_cap", "rail_failover", "nic_rate")])
def test_what_strikes_many_leaves_no_single_culprit(mode: str, strength: float, extra: float, form: str) -> None:
    """Under a switch or on a slow rail everybody's collective takes longer; nobody computes longer than before, but for a whole node."""
    sick, (job, gpu) = ill(fault(mode, strength, extra, form)), culprit()
    top = sick.simulation.topology
    mine = np.array([n.startswith(f"{job}/") for n in top.rank_names])
    compute, wait = (sick.column("rank", m)[:, mine] for m in ("compute_seconds", "collective_wait_seconds"))
    change = np.nanmean(compute[200:440], axis=0) / np.nanmean(compute[:170], axis=0)
    where = np.array([top.gpu_names[g].split("/")[0] == gpu.split("/")[0] for g in top.rank_gpu[mine]])
    if mode == "power_cap":
        assert (change[where] > 1.1).all()
        assert np.nanmean(wait[200:440], axis=0)[where].max() < np.nanmean(wait[200:440], axis=0)[~where].min()
    assert (np.abs(change[~where] - 1) < 0.04).all()


# -- sources --------------------------------------------------------------------------------------------------------

SOURCE = re.compile(r"assumed|\brows? \d|reference|section|data sheet|specification|published|SuperBench|NVIDIA", re.IGNORECASE)
#: Constants that are no magnitudes of the simulated world but of the programme: sizes of blocks, units, the rule of truth itself.
PLAIN = {"DAY", "LEAD", "START", "BINS", "BLOCK, FEW, MOST", "AT_ONCE", "SELDOM", "GRAY", "WINDOW", "RATE", "STANDSTILL"}


def test_every_hazard_names_its_source_or_says_assumed() -> None:
    for mode, hazard in hazards().items():
        assert SOURCE.search(hazard.source), mode


def test_every_scenario_says_where_its_numbers_come_from() -> None:
    for name in names():
        scenario = load(name)
        assert SOURCE.search(scenario.source), name
        if scenario.speed or scenario.acceleration != 1:
            assert "assumed" in scenario.source, name


def test_every_constant_of_the_simulator_says_where_it_comes_from() -> None:
    seen = 0
    for file in resources.files("grayscope.fleet").iterdir():
        lines = file.read_text("utf-8").splitlines() if file.name.endswith(".py") else []
        for i, line in enumerate(lines):
            found = re.match(r"([A-Z][A-Z_0-9]*(?:, [A-Z][A-Z_0-9]*)*) = (?:float\(np\.log10)?\(*-?\d", line)
            if found and found[1] not in PLAIN:
                above = next((k for k in range(i - 1, -1, -1) if not lines[k].startswith("#")), -1)
                assert SOURCE.search(" ".join(lines[above + 1 : i])), f"{file.name}: {line}"
                seen += 1
    assert seen > 25


def test_every_kind_of_fault_says_what_its_other_numbers_are() -> None:
    for file in resources.files("grayscope.fleet").iterdir():
        if re.fullmatch(r"ills\w+\.py", file.name):
            head = file.read_text("utf-8").split('"""')[1]
            assert "assumed" in head, file.name
