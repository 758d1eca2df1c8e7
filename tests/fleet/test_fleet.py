from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.catalogue import Catalogue
from grayscope.errors import UsageError
from grayscope.event import Event
from grayscope.fleet import Fault, Fleet
from grayscope.fleet.moment import START
from grayscope.fleet.telemetry import Hour, Sheet
from grayscope.modes import Modes
from grayscope.rates import Rates, Raw
from grayscope.trace import Trace
from grayscope.tracecheck import validate

MINUTE = 60.0


def hours(fleet: Fleet) -> list[Hour]:
    return list(fleet._telemetry())


def sheet(hour: Hour, table: str) -> Sheet:
    return next(s for s in hour.sheets if s.table == table)


def column(fleet: Fleet, table: str, metric: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    parts = [sheet(h, table) for h in hours(fleet)]
    return np.concatenate([p.values[:, p.metrics.index(metric)] for p in parts])


def small(*faults: Fault, hours: float = 0.5, nodes: int = 4, seed: int = 1) -> Fleet:
    return Fleet(nodes=nodes, gpus=4, hours=hours, seed=seed, faults=faults)


def batches(fleet: Fleet) -> list[Batch]:
    return [m for m in fleet.messages() if isinstance(m, Batch)]


def same(a: Batch, b: Batch) -> bool:
    return (a.table, a.subjects, a.metrics) == (b.table, b.subjects, b.metrics) and np.array_equal(a.values, b.values, equal_nan=True)


# -- who and what ---------------------------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first, again, other = (batches(Fleet(nodes=4, gpus=2, hours=0.1, seed=s)) for s in (3, 3, 4))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))


def test_every_metric_is_one_of_the_catalogue_in_its_own_table() -> None:
    catalogue = Catalogue.load()
    for b in hours(small(hours=0.05))[0].sheets:
        for name in b.metrics:
            metric = catalogue.get(name)
            assert metric is not None, name
            assert metric.table == b.table


def test_the_roster_names_everybody_who_reports_once_and_their_keys() -> None:
    fleet = small(hours=0.05)
    rows = {(r.table, r.subject): r for r in fleet.roster_rows()}
    assert len(rows) == len(fleet.roster_rows())
    for b in hours(fleet)[0].sheets:
        assert {(b.table, s) for s in b.subjects} <= rows.keys()
    rank = rows["rank", "job:2/r3"]
    assert rank.keys["gpu"] == "n003/gpu3"
    assert rank.crosses == ("n003/gpu3", "n003/gpu3/pcie", "n003/nic3", "leaf04")
    assert rows["nic", "n003/nic3"].keys["rail"] == "rail:3"
    assert rows["gpu", "n001/gpu0"].keys["serial"] != rows["gpu", "n001/gpu1"].keys["serial"]
    assert "job" not in rows["gpu", "n004/gpu0"].keys


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("n001/gpu0", "slow_rnk", "gray", 0.0), "slow_rank"),
        (Fault("n001/gpu9", "slow_rank", "gray", 0.0), "n001/gpu9"),
        (Fault("n009", "silent", "benign", 0.0), "n009"),
    ],
)
def test_a_wrong_fault_is_named(fault: Fault, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        small(fault)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="0 of 8"):
        Fleet(nodes=0)
    with pytest.raises(UsageError, match="-1 h"):
        Fleet(hours=-1)


# -- the job --------------------------------------------------------------------------------------------------------


def test_the_culprit_computes_longest_waits_shortest_and_everybody_is_slower() -> None:
    # Rank job:1/r5 runs on n002/gpu1.
    fleet = small(Fault("n002/gpu1", "slow_rank", "gray", 15 * MINUTE, strength=0.3))
    mine = fleet.topology.rank_job == 0
    compute, wait, step, busy = (
        column(fleet, "rank", "compute_seconds")[:, mine], column(fleet, "rank", "collective_wait_seconds")[:, mine],
        column(fleet, "rank", "step_seconds")[:, mine], column(fleet, "gpu", "gpu_tensor_active_ratio")[:, :8],
    )  # fmt: skip
    healthy, sick = slice(0, 90), slice(90, None)
    assert np.nanmean(compute[sick], axis=0).argmax() == 5
    assert np.nanmean(wait[sick], axis=0).argmin() == 5
    others = np.arange(8) != 5
    assert (np.nanmean(wait[sick][:, others], axis=0) > 3 * np.nanmean(wait[healthy])).all()
    assert (np.nanmean(step[sick], axis=0) > 1.15 * np.nanmean(step[healthy], axis=0)).all()
    dips = np.nanmean(busy[sick], axis=0) / np.nanmean(busy[healthy], axis=0)
    assert (dips[[0, 1, 2, 3, 4, 6, 7]] < 0.9).all()  # all victims together
    assert dips[5] > 1.0


def test_healthy_parts_differ_for_ever_and_noise_has_a_memory() -> None:
    clock = column(small(hours=1.0), "gpu", 'gpu_clock_hertz{domain="sm"}')[:, :12]
    early, late = np.nanmean(clock[:120], axis=0), np.nanmean(clock[-120:], axis=0)
    assert np.corrcoef(early, late)[0, 1] > 0.95
    assert 0.005 < early.std() / early.mean() < 0.05
    power = column(small(hours=1.0), "gpu", "gpu_power_watts")[:, 0]
    x = power[np.isfinite(power)]
    assert np.corrcoef(x[:-1], x[1:])[0, 1] > 0.3


def test_thermal_throttle_heats_up_and_takes_clock() -> None:
    fleet = small(Fault("n001/gpu2", "thermal_throttle", "gray", 10 * MINUTE, strength=0.18))
    clock = column(fleet, "gpu", 'gpu_clock_hertz{domain="sm"}')[:, 2]
    heat = column(fleet, "gpu", 'gpu_temperature_celsius{sensor="gpu"}')[:, 2]
    limited = np.diff(column(fleet, "gpu", 'gpu_clock_limit_seconds_total{reason="thermal_software"}')[:, 2])
    assert 0.14 < 1 - np.nanmean(clock[-60:]) / np.nanmean(clock[:60]) < 0.21
    assert np.nanmean(heat[-60:]) > np.nanmean(heat[:60]) + 5
    assert np.nanmax(limited[:55]) == 0
    assert 0.7 < np.nanmean(limited[-60:]) / 10 <= 1


# -- what redundancy hides ------------------------------------------------------------------------------------------


def test_rows_are_remapped_after_bursts_and_the_kernel_tells() -> None:
    fleet = small(Fault("n001/gpu0", "hbm_row_spares", "masked", 10 * MINUTE, strength=12.0), hours=1.5)
    rows = column(fleet, "gpu", 'gpu_rows_remapped_total{cause="corrected"}')[:, 0]
    errors = column(fleet, "gpu", 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}')[:, 0]
    spent = int(np.nanmax(rows) - np.nanmin(rows))
    events = [m for m in fleet.messages() if isinstance(m, Event)]
    assert 10 < spent < 25
    assert [e.code for e in events] == ["63"] * len(events)
    assert spent - 1 <= len(events) <= spent + 1  # one may fall into a missed scrape
    assert np.nanmax(errors) - np.nanmin(errors) > 100
    assert (np.diff(rows[np.isfinite(rows)]) >= 0).all()
    assert np.nanmax(column(fleet, "gpu", "gpu_row_remap_pending")[:, 1:]) == 0


def test_a_link_trains_at_half_its_width() -> None:
    lanes = column(small(Fault("n001/gpu3/pcie", "pcie_width", "masked", 10 * MINUTE, strength=8.0)), "pcie", "pcie_link_width_lanes")
    assert set(lanes[:60, 3][np.isfinite(lanes[:60, 3])]) == {16.0}
    assert set(lanes[60:, 3][np.isfinite(lanes[60:, 3])]) == {8.0}
    assert np.nanmin(np.delete(lanes, 3, axis=1)) == 16.0


# -- counters -------------------------------------------------------------------------------------------------------


def test_one_replay_counter_wraps_at_32_bits_and_its_increments_stay_small() -> None:
    fleet = small(hours=2.0)
    totals = column(fleet, "pcie", "pcie_replays_total")
    fell = np.array([(np.diff(x[np.isfinite(x)]) < -1e9).sum() for x in totals.T])
    assert np.nanmax(totals) < 2.0**32
    assert fell.sum() == 1
    rates = Rates(Catalogue.load())
    raw = Raw("pcie", np.arange(len(totals)), fleet.topology.pcie_names, ("pcie_replays_total",), np.ones(1), totals[:, None, :])
    increments = rates.batch(raw).values
    assert 0 <= np.nanmin(increments) <= np.nanmax(increments) < 20
    assert rates.counts["wrapped"] == 1


def test_a_driver_reload_starts_the_volatile_counters_again_and_no_others() -> None:
    fleet = small(Fault("n004", "driver_reload", "benign", 10 * MINUTE, 11 * MINUTE))
    energy, sent = column(fleet, "gpu", "gpu_energy_joules_total"), column(fleet, "nic", 'nic_port_transferred_bytes_total{direction="transmit"}')
    assert np.isnan(energy[60:66, 12:]).all()
    assert (np.nanmin(energy[66:, 12:], axis=0) < 1e5).all()
    assert (np.nanmin(energy[66:, :12], axis=0) > 1e8).all()
    assert (np.nanmin(sent[66:], axis=0) >= np.nanmax(sent[:60], axis=0)).all()
    joules = [b.values[0, b.metrics.index("gpu_energy_joules_total")] for b in batches(fleet) if b.table == "gpu"]
    assert np.nanmax(joules) < 2 * 700 * 10 * 7  # the increment over the gap at most, never the total


# -- decoys ---------------------------------------------------------------------------------------------------------


def test_a_phase_change_slows_all_ranks_of_one_job() -> None:
    fleet = small(Fault("job:1", "phase_change", "benign", 10 * MINUTE, 20 * MINUTE, strength=0.5))
    compute = column(fleet, "rank", "compute_seconds")
    change = np.nanmean(compute[60:120], axis=0) / np.nanmean(compute[:60], axis=0)
    assert (change[fleet.topology.rank_job == 0] > 1.4).all()
    assert (abs(change[fleet.topology.rank_job == 1] - 1) < 0.1).all()
    watts = column(fleet, "gpu", "gpu_power_watts")[:, :8]
    assert np.nanmean(watts[60:120]) < 0.9 * np.nanmean(watts[:60])


def test_a_gap_silences_all_and_a_mute_node_only_its_own() -> None:
    fleet = small(Fault("site", "monitoring_gap", "benign", 10 * MINUTE, 13 * MINUTE), Fault("n002", "silent", "benign", 20 * MINUTE, 25 * MINUTE))
    seconds = {(int(b.times[0]) - START) // 1_000_000 for b in batches(fleet)}
    assert not seconds & set(range(600, 780, 10))
    compute = column(fleet, "rank", "compute_seconds")
    mine = [n.startswith("n002") for n in (fleet.topology.gpu_names[g] for g in fleet.topology.rank_gpu)]
    assert np.isnan(compute[120:150][:, mine]).all()
    assert np.isfinite(compute[120:150][:, ~np.array(mine)]).mean() > 0.9


# -- truth ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1, 9))
def test_the_planted_faults_are_what_they_are_meant_to_be(seed: int) -> None:
    fleet = Fleet(seed=seed)
    rows = fleet.truth_rows()
    found = {(r["mode"], r["subject"], r["state"]) for r in rows}
    # Heat comes before it hurts: where that takes five minutes the fault is masked first.
    assert found - {(f.mode, f.subject, "masked") for f in fleet.faults if f.mode == "thermal_throttle"} == {(f.mode, f.subject, f.state) for f in fleet.faults}
    assert {r["mode"] for r in rows} <= Modes.load().modes.keys()
    began = {r["mode"]: r["began"] for r in rows if r["state"] != "benign"}
    assert len(set(began.values())) == 4
    assert min(began.values()) >= START + 1800 * 1_000_000
    assert len({f.subject.split("/")[0] + f.subject.split("/")[1] for f in fleet.faults if "/" in f.subject}) == 4


def test_a_slow_part_that_nobody_waits_for_is_not_gray() -> None:
    fleet = small()
    ranks = np.flatnonzero(fleet.topology.rank_job == 0)
    quickest = fleet.topology.gpu_names[fleet.topology.rank_gpu[ranks[fleet.lottery.compute[fleet.topology.rank_gpu[ranks]].argmin()]]]
    (row,) = small(Fault(quickest, "slow_rank", "gray", 5 * MINUTE, strength=0.02)).truth_rows()
    assert row["state"] == "masked"


def test_truth_turns_gray_when_the_fault_grows_and_ends_with_it() -> None:
    (row,) = small(Fault("n001/gpu0", "slow_rank", "gray", 5 * MINUTE, 20 * MINUTE, strength=0.3)).truth_rows()
    assert (row["state"], row["began"], row["ended"]) == ("gray", START + 300_000_000, START + 1_200_000_000)


def test_the_ledger_truth_lies_where_the_planted_rate_leads() -> None:
    (row,) = small(Fault("n001/gpu0", "hbm_row_spares", "masked", 0.0, strength=8.0)).truth_rows()
    assert row["mechanism"] == "hbm_row_spares"
    assert row["exhausted_at"] == START + 64 * 3600 * 1_000_000


# -- on disk and on a page ------------------------------------------------------------------------------------------


def test_the_trace_is_valid_and_replays_the_very_same_batches(tmp_path: Path) -> None:
    fleet = Fleet(nodes=4, gpus=2, hours=0.6)
    fleet.write(tmp_path / "t")
    assert validate(tmp_path / "t") == []
    trace = Trace.open(tmp_path / "t")
    assert trace.periods == fleet.periods
    assert trace.roster.rows == tuple(sorted(fleet.roster_rows(), key=lambda r: (r.subject, r.table)))
    truth = trace.truth()
    assert truth is not None
    assert truth.num_rows == len(fleet.truth_rows())
    live = {(b.table, int(b.times[0])): _cells(b) for b in batches(fleet)}
    replayed = {(b.table, int(b.times[0])): _cells(b) for b in Parquet(tmp_path / "t").receive() if isinstance(b, Batch) and b.rows}
    assert live.keys() == replayed.keys()
    assert all(live[k] == replayed[k] for k in live)


def _cells(batch: Batch) -> dict[tuple[str, str], float]:
    m, s = np.nonzero(np.isfinite(batch.values[0]))
    return {(batch.metrics[i], batch.subjects[j]): float(batch.values[0, i, j]) for i, j in zip(m.tolist(), s.tolist(), strict=True)}


def test_the_page_shows_the_exporters_names_and_units() -> None:
    fleet = small(Fault("n002", "silent", "benign", 10 * MINUTE, 20 * MINUTE))
    catalogue = Catalogue.load()
    hour = hours(fleet)[0]
    gpu = sheet(hour, "gpu")
    text = fleet.exposition(5, "n002")
    head = 'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="1",UUID="GPU-'
    line = next(x for x in text.splitlines() if x.startswith(head))
    assert 'pci_bus_id="00000000:2B:00.0",device="nvidia1",modelName="NVIDIA H100 80GB HBM3",hostname="n002"' in line
    for row in (x for x in text.splitlines() if not x.startswith("#")):
        name, value = row.partition("{")[0], float(row.rpartition(" ")[2])
        resolved = catalogue.resolve(name)
        assert resolved is not None, name
        ours, factor = resolved
        if ours in gpu.metrics:
            slot = int(row.partition('gpu="')[2].partition('"')[0])
            assert value * factor == pytest.approx(gpu.values[5, gpu.metrics.index(ours), 4 + slot], rel=0.01, abs=0.01)
    assert fleet.exposition(90, "n002") == ""
    assert fleet.exposition(5, "n002") == text  # back in time
    with pytest.raises(UsageError, match="n999"):
        fleet.exposition(0, "n999")
