"""What comes with what: forms and twins of faults, bad lots, nodes that are struck again, and failures that everybody sees."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from grayscope.fleet import Fault
from grayscope.fleet.couplings import LOST, TWIN
from grayscope.fleet.draw import draw
from grayscope.fleet.hazards import hazards
from grayscope.fleet.illsbus import BOOT, REPAIR
from grayscope.fleet.illsmemory import SPARES, moments
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import START
from grayscope.fleet.place import Place
from grayscope.fleet.scenario import Scenario
from grayscope.fleet.skus import B200
from grayscope.fleet.topology import Topology
from tests.fleet.playing import LEAD, SCENARIO, Floats, Played, culprit, fault, healthy, ill, subject

TOTAL = 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}'


def drawn(mode: str, *, nodes: int = 256, hours: float = 8760.0, acceleration: float = 20.0, seed: int = 1) -> tuple[Fault, ...]:
    scenario = Scenario("drawn", nodes=nodes, hours=hours, acceleration=acceleration, seed=seed, faults=(mode,))
    return draw(scenario, Topology(nodes, 8, seed, per_leaf=32))


def between(found: int, of: int, low: float, high: float) -> bool:
    """Say whether a count fits a share between two, within three standard deviations."""
    return bool(low * of - 3 * np.sqrt(low * of) <= found <= high * of + 3 * np.sqrt(high * of))


# -- shares ---------------------------------------------------------------------------------------------------------


def test_pcie_errors_end_with_the_gpu_off_the_bus_as_often_as_published() -> None:
    found = drawn("pcie_errors")
    lost = [f for f in found if f.form == "lost"]
    assert len(found) > 500
    assert between(len(lost), len(found), *LOST)
    assert all(f.fails is not None and f.began < f.fails and f.ended == f.fails + REPAIR for f in lost)


@pytest.mark.parametrize("mode", ["rail_failover", "link_flap"])
def test_some_link_failures_come_with_a_fault_of_the_gpu_beside_it(mode: str) -> None:
    found = drawn(mode, acceleration=300.0 if mode == "rail_failover" else 20.0)
    links, twins = [f for f in found if f.mode == mode], [f for f in found if f.by == mode]
    assert len(links) > 1000
    assert between(len(twins), len(links), *TWIN)
    by_time = {(f.began, f.subject.replace("/nic", "/gpu")) for f in links}
    assert all((f.began, f.subject) in by_time and f.mode == "uncorrectable_memory" for f in twins)


def test_switch_faults_are_of_leaves_uplinks_and_spines() -> None:
    forms = Counter((f.form, f.subject[:4]) for f in drawn("switch_fault", acceleration=3000.0))
    assert set(forms) == {("", "leaf"), ("uplink", "leaf"), ("spine", "spin")}
    assert min(forms.values()) > 0.2 * forms.total() * 0.8


def test_the_truth_of_a_lemon_names_the_gpu_that_is_slow_beside_the_node() -> None:
    topology = Topology(4096, 8, 1, per_leaf=32)
    place = Place(topology, Lottery.draw(topology, 1))
    found = drawn("lemon_node", nodes=4096)
    slow = [topology.gpu_names[int(f.stream(1, "which").choice(place.gpus(place.node(f.subject))))] for f in found]
    assert len({name[-4:] for name in slow}) == 8
    assert [f.also for f in found] == [(name,) for name in slow]


def test_a_node_that_was_struck_is_struck_again_sooner() -> None:
    """SuperBench: mean time between incidents 719 h, after the first one 152 h: 4.7 times sooner."""
    modes = tuple(m for m, h in hazards().items() if h.state != "benign" and h.rate and m not in ("batch_defect", "nvlink_errors"))
    nodes, hours, first, later = 400, 8760.0 / 4, [0.0, 0], [0.0, 0]
    for seed in range(4):
        topology = Topology(nodes, 8, seed, per_leaf=32)
        by: dict[str, list[float]] = defaultdict(list)
        for f in draw(Scenario("again", nodes=nodes, hours=hours, seed=seed, faults=modes), topology):
            if not f.by and f.subject.startswith("n"):
                by[f.subject.split("/")[0]].append(f.began / 3600)
        for name in topology.node_names:
            onsets = sorted(by.get(name, [hours]))
            first = [first[0] + onsets[0], first[1] + (name in by)]
            later = [later[0] + hours - onsets[0], later[1] + len(onsets) - 1]
    assert 3.0 < (first[0] / first[1]) / (later[0] / later[1]) < 6.5


def test_parts_of_a_bad_lot_fail_ten_to_a_hundred_times_as_often_in_more_than_one_way() -> None:
    # Few lots, so that the cap on parts is not reached: rates of the three modes as they are in a fleet without acceleration.
    inside, ways, expected = 0, Counter[str](), 0.0
    for seed in range(40):
        topology = Topology(64, 8, seed)
        found = draw(Scenario("lot", nodes=64, hours=500.0, acceleration=30.0, seed=seed, faults=("batch_defect",)), topology)
        parts = [f for f in found if f.by == "batch_defect"]
        ways += Counter(f.mode for f in parts)
        for lot in (f for f in found if f.mode == "batch_defect"):
            base = sum(hazards()[m].rate for m in ("hbm_row_spares", "uncorrectable_memory", "ecc_burst")) * 30.0 * 256
            expected += min(lot.strength * base * (500.0 - lot.began / 3600), 24)
        inside += len(parts)
    assert set(ways) == {"hbm_row_spares", "uncorrectable_memory", "ecc_burst"}
    assert inside == pytest.approx(expected, rel=0.15)


# -- a GPU off the bus ----------------------------------------------------------------------------------------------


def lost() -> Played:
    return ill(fault("pcie_errors", 600.0, 0.0, "lost", ended=LEAD + 600.0 + REPAIR, fails=LEAD + 600.0))


def test_a_gpu_falls_off_the_bus_its_job_moves_and_all_else_about_it_is_silent() -> None:
    sick, (job, gpu) = lost(), culprit()
    there = sick.one("gpu", "gpu_present", gpu)
    gone = slice(240, 240 + int((REPAIR - BOOT) / 10))
    assert (there[:240] == 1).all()
    assert (there[gone] == 0).all()
    assert there[-1] == 1
    for table, metric, name in (
        ("gpu", "gpu_power_watts", gpu), ("pcie", "pcie_replays_total", f"{gpu}/pcie"), ("nvlink", "nvlink_replays_total", f"{gpu}/nvlink0"),
    ):  # fmt: skip
        part = sick.one(table, metric, name)
        assert np.isnan(part[gone if table != "nvlink" else slice(40, 75)]).all()
    step = sick.one("job", "job_step_seconds", job)
    assert np.isnan(step[240:300]).all()
    assert np.isfinite(step[302:]).all()  # on the spare node
    assert [(s.code, s.subject) for s in sick.said if s.source == "xid"] == [("79", gpu)]
    assert [s.source for s in sick.said if s.subject == f"{gpu}/pcie"] == []  # it fell before the log's first summary


def test_the_truth_says_masked_until_it_falls_and_failed_from_then_on() -> None:
    rows = lost().truth
    assert [(r["state"], r["began"] - START, r["ended"] - START) for r in rows] == [
        ("masked", 1_800_000_000, 2_400_000_000), ("failed", 2_400_000_000, 4_800_000_000),
    ]  # fmt: skip
    assert {r["mechanism"] for r in rows} == {"pcie_replay"}
    assert {r["exhausted_at"] for r in rows} == {None}


def test_a_reboot_starts_uptime_and_every_counter_again() -> None:
    sick, (_, gpu) = lost(), culprit()
    node = gpu.split("/")[0]
    up, back = sick.one("node", "node_uptime_seconds", node), int((LEAD + 600.0 + REPAIR) / 10)
    assert np.isnan(up[back - 24 : back]).all()
    assert up[back] == 10.0
    assert up[back - 30] > 86_400
    sent = 'nic_port_transferred_bytes_total{direction="transmit"}'
    for table, metric, name in (
        ("nic", sent, f"{node}/nic0"),
        ("gpu", "gpu_energy_joules_total", f"{node}/gpu1"),
        ("nic", "nic_port_received_bits_total", f"{node}/nic1"),
    ):
        total = sick.one(table, metric, name)
        assert total[back] < 0.001 * total[back - 30]
    other = next(n for n in sick.subjects["node"] if n != node)
    assert np.diff(sick.one("node", "node_uptime_seconds", other)) == pytest.approx(10.0)


def test_a_repair_quicker_than_a_boot_is_not_felt_before_the_fault() -> None:
    gpu = culprit()[1]
    sick = ill(Fault(gpu, "uncorrectable_memory", "failed", LEAD, LEAD + 100.0, 1.0, 600.0))
    power = sick.one("gpu", "gpu_power_watts", gpu)
    assert np.isfinite(power[:180]).all()
    assert np.isnan(power[180:190]).all()


def test_fatal_errors_wrap_at_eight_bits_and_corrected_ones_at_sixteen_and_thirty_two() -> None:
    sick, (_, gpu) = lost(), culprit()
    fatal = sick.one("pcie", "pcie_uncorrectable_errors_total", f"{gpu}/pcie")
    known = fatal[np.isfinite(fatal)]
    assert (known[0], known[-1]) == (255.0, 0.0)
    for metric, bits in (('pcie_correctable_errors_total{type="bad_tlp"}', 16), ("pcie_replays_total", 32)):
        totals = sick.column("pcie", metric)
        assert np.nanmax(totals) < 2.0**bits
        assert any((np.diff(x[np.isfinite(x)]) < -(2.0 ** (bits - 1))).any() for x in totals.T)


# -- memory ---------------------------------------------------------------------------------------------------------


def test_rows_of_one_bank_lead_to_an_uncorrectable_error_and_a_remap_that_fails() -> None:
    gpu = culprit()[1]
    quick = Fault(gpu, "hbm_row_spares", "masked", LEAD, None, 30.0, form="bank")
    fails = float(moments(quick, SCENARIO.seed)[0][SPARES])
    sick = ill(Fault(gpu, "hbm_row_spares", "masked", LEAD, fails + REPAIR, 30.0, form="bank", fails=fails))
    rows = sick.one("gpu", 'gpu_rows_remapped_total{cause="uncorrected"}', gpu)
    tick = int(np.ceil(fails / 10))
    assert rows[tick - 1] - rows[0] == SPARES
    assert sick.one("gpu", 'gpu_row_remap_banks{availability="none"}', gpu)[tick - 1] == 1
    failed = sick.one("gpu", "gpu_row_remap_failed", gpu)
    assert (np.nanmax(failed[:tick]), failed[tick + 5]) == (0.0, 1.0)
    errors = sick.one("gpu", 'gpu_ecc_uncorrected_errors_total{location="total",retention="volatile"}', gpu)
    assert (errors[tick - 1], errors[tick]) == (0.0, 1.0)
    assert [s.code for s in sick.said] == ["63"] * SPARES + ["48", "94", "45", "64"]
    assert [r["state"] for r in sick.truth] == ["masked", "failed"]
    assert sick.truth[0]["exhausted_at"] < sick.truth[1]["began"]


def test_some_burn_downs_stay_in_one_bank_and_fail_at_the_row_after_its_last_spare() -> None:
    banks = [f for f in drawn("hbm_row_spares", nodes=64) if f.form == "bank"]
    assert len(banks) > 10
    for f in banks:
        assert f.fails == moments(f, 1)[0][SPARES]
        assert f.fails is not None
        assert f.ended == f.fails + REPAIR


def test_a_replaced_gpu_has_another_serial_and_another_quickness() -> None:
    gpu = culprit()[1]
    sick = ill(Fault(gpu, "uncorrectable_memory", "failed", 60.0, 1200.0, 2.0, 5400.0))
    old, new = sick.simulation.lottery, sick.simulation.swaps
    g = sick.simulation.place.gpu(gpu)
    assert new == {g: 1200.0}
    other = Lottery.draw(sick.simulation.topology, SCENARIO.seed + 1_000_003)
    now = old.renewed(other, new, np.array([1190.0, 1200.0]))
    assert now.compute[0, g] == old.compute[g]
    assert now.compute[1, g] == other.compute[g] != old.compute[g]
    others = np.arange(len(old.compute)) != g
    assert (now.compute[1][others] == old.compute[others]).all()
    assert now.place is old.place
    full = SCENARIO.but(busy=1.0)  # no spare node: the job waits and comes back to the new part
    sick, well = (Played(faults, full) for faults in ((Fault(gpu, "uncorrectable_memory", "failed", 60.0, 1200.0, 2.0, 600.0),), ()))
    speed = [np.nanmean(p.one("gpu", 'gpu_clock_hertz{domain="sm"}', gpu)[200:]) for p in (sick, well)]
    assert speed[0] / speed[1] == pytest.approx(other.clock[g] / old.clock[g], rel=0.005)


# -- PCIe, pause and optics -----------------------------------------------------------------------------------------


def test_a_narrow_link_pauses_its_host_and_slows_the_job() -> None:
    sick, (job, gpu) = ill(fault("pcie_width", 8.0, 0.3)), culprit()
    pauses = np.nan_to_num(sick.column("nic", "nic_port_pause_seconds_total")[430] - sick.column("nic", "nic_port_pause_seconds_total")[170])
    guilty = sick.subjects["nic"].index(gpu.replace("/gpu", "/nic"))
    assert pauses[guilty] > 50
    assert np.delete(pauses, guilty).max() == 0
    step = sick.one("job", "job_step_seconds", job) / healthy().one("job", "job_step_seconds", job)
    assert step[200:440].mean() > 1.1
    assert step[:170].max() == pytest.approx(1.0)


def test_an_optic_past_the_cliff_retransmits_and_then_flaps() -> None:
    sick, name = ill(fault("fec_margin", 20.0, ended=None)), subject("fec_margin")
    ratio = sick.one("nic", "nic_port_bit_error_ratio", name)
    cliff = int(np.argmax(ratio > 2.4e-4))
    again = sick.one("nic", 'nic_port_retransmits_total{cause="ack_timeout"}', name)
    downs = sick.one("nic", "nic_port_link_downs_total", name)
    first_again, first_down = (int(np.argmax(x > x[cliff - 60])) for x in (again, downs))
    assert cliff - 60 < first_again < first_down
    assert downs[cliff - 1] == downs[0]
    said = [s for s in sick.said if s.source == "link"]
    assert said
    assert {s.subject for s in said} == {name}
    assert said[0].seconds >= 10 * cliff - 600


# -- the second kind of GPU -----------------------------------------------------------------------------------------


def test_nvlink_5_corrects_errors_and_tells_so_in_its_own_counters() -> None:
    scenario = SCENARIO.but(second=0.5, hours=1.5)
    quiet = Played((), scenario)
    top = quiet.simulation.topology
    node = next(n for n in range(4, 8) if top.job_of_node[n])
    link, before = f"{top.node_names[node]}/gpu1/nvlink4", f"{top.node_names[node]}/gpu1/nvlink5"
    sick = Played((Fault(link, "nvlink_errors", "masked", LEAD, None, 500.0, 0.3),), scenario)

    def grown(metric: str, name: str) -> float:
        total: Floats = sick.one("nvlink", metric, name)
        return float(total[-1] - total[30])

    for metric in ('nvlink_plr_blocks_total{kind="retried"}', "nvlink_symbol_errors_total", 'nvlink_fec_codewords_total{corrected_symbols="3"}'):
        assert grown(metric, link) > 20 * max(grown(metric, before), 1.0), metric
    raw = 'nvlink_bit_error_ratio{stage="raw"}'
    assert np.nanmax(sick.one("nvlink", raw, link)) > 100 * np.nanmax(sick.one("nvlink", raw, before))
    assert grown('nvlink_recoveries_total{outcome="success"}', link) > 0
    assert np.isnan(sick.one("nvlink", "nvlink_replays_total", link)).all()
    assert np.isnan(sick.column("nvlink", raw)[:, [n.startswith("n001") for n in sick.subjects["nvlink"]]]).all()
    assert {(r["state"], r["mechanism"]) for r in sick.truth} <= {("gray", "nvlink_plr"), ("masked", "nvlink_plr")}
    assert "gray" in {r["state"] for r in sick.truth}
    assert {r.keys["sku"] for r in sick.simulation.register().rows() if r.subject == link} == {B200.gpu}
    assert raw not in {m for _, m in healthy().columns}  # a fleet of the first kind has no such columns
