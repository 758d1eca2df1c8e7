"""The full simulation as a whole: reproducible, exchangeable where nothing is wrong, untidy as asked, and a valid trace on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.catalogue import Catalogue
from grayscope.errors import UsageError
from grayscope.fleet import Fault, simulation
from grayscope.fleet.moment import START
from grayscope.fleet.scenario import Mess, Scenario, load
from grayscope.fleet.schedule import schedule
from grayscope.fleet.seats import ALWAYS
from grayscope.fleet.simulation import Simulation
from grayscope.fleet.skus import B200
from grayscope.trace import Trace
from grayscope.tracecheck import validate

Floats = NDArray[np.float64]


def small(**changes: object) -> Scenario:
    return Scenario("small", nodes=6, gpus=4, hours=0.5, mess=Mess(missing=0.0, skew_s=0.0)).but(**changes)


def means(simulation: Simulation) -> dict[tuple[str, str], Floats]:
    """Return the mean of every column over time [S]."""
    sums: dict[tuple[str, str], list[Floats]] = {}
    for hour in simulation.hours():
        for sheet in hour.sheets:
            for i, metric in enumerate(sheet.metrics):
                sums.setdefault((sheet.table, metric), []).append(sheet.values[:, i])
    return {key: np.concatenate(parts).mean(axis=0) for key, parts in sums.items()}


# -- the null -------------------------------------------------------------------------------------------------------


def test_without_faults_peers_can_be_exchanged() -> None:
    """Over many fleets no place is better than another: standing among peers follows neither node nor slot nor number."""
    wanted = {
        ("rank", "compute_seconds"), ("rank", "collective_wait_seconds"), ("gpu", 'gpu_clock_hertz{domain="sm"}'), ("nic", "nic_port_bit_error_ratio"),
        ("drive", "drive_latency_seconds"), ("node", "fan_speed_rpm"), ("gpu", 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}'),
        ("nic", 'nic_port_retransmits_total{cause="ack_timeout"}'), ("pcie", "pcie_replays_total"),
        ("path", "path_rtt_seconds"),
    }  # fmt: skip
    standing: dict[tuple[str, str], list[Floats]] = {key: [] for key in wanted}
    for seed in range(1, 25):
        simulation = Simulation(small(hours=0.1, seed=seed, busy=1.0))
        jobs = simulation.topology.rank_job
        found = means(simulation)
        for key in wanted:
            mine = found[key][jobs == 0] if key[0] == "rank" else found[key]
            mine = np.where(mine > 4e9, 0.0, mine) if key[0] == "pcie" else mine  # the one that is about to wrap
            order = np.argsort(np.argsort(mine + 1e-9 * np.random.default_rng(seed).random(len(mine)))) / (len(mine) - 1)
            standing[key].append(np.interp(np.linspace(0, 1, 12), np.linspace(0, 1, len(order)), order))
    for key, rows in standing.items():
        places = np.array(rows)
        rng = np.random.default_rng(1)
        by_chance = [np.abs(rng.permuted(places, axis=1).mean(axis=0) - 0.5).max() for _ in range(999)]
        # A permutation test per metric at p = 0.001; the seeds are fixed.
        assert np.abs(places.mean(axis=0) - 0.5).max() <= max(by_chance), (key, places.mean(axis=0))


def test_slots_and_racks_keep_their_own_temperature() -> None:
    found = [means(Simulation(small(hours=0.1, seed=s, busy=1.0)))["gpu", 'gpu_temperature_celsius{sensor="gpu"}'].reshape(-1, 4) for s in range(1, 6)]
    by_slot = np.mean([f.mean(axis=0) for f in found], axis=0)
    assert by_slot[3] > by_slot[0] + 1.5


# -- reproducible ---------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_trace_and_another_another(tmp_path: Path) -> None:
    scenario = load("mixed").but(nodes=4, hours=0.3, acceleration=20_000.0)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        Simulation(scenario.but(seed=seed)).write(tmp_path / name)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert "truth.parquet" in files
    assert files == sorted(p.name for p in (tmp_path / "b").iterdir())
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert (tmp_path / "a" / "gpu.parquet").read_bytes() != (tmp_path / "c" / "gpu.parquet").read_bytes()


@pytest.mark.parametrize("name", ["mixed", "links", "correlated", "memory"])
def test_numbers_do_not_depend_on_how_time_is_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed, once in one piece and once in many that fit neither hours nor windows: every number, event and row of truth."""
    scenario = load(name).but(nodes=4, gpus=4, hours=0.8, acceleration=40_000.0, second=0.25)
    seen = []
    for at_once in (400_000, 42 * 16):  # GPUs; 42 ticks at a time
        monkeypatch.setattr(simulation, "AT_ONCE", at_once)
        played = Simulation(scenario)
        hours = list(played.hours())
        sheets: dict[str, list[Floats]] = {}
        for sheet in (s for h in hours for s in h.sheets):
            sheets.setdefault(sheet.table, []).append(sheet.values)
        seen.append((len(hours), {t: np.concatenate(v) for t, v in sheets.items()}, sorted(s for h in hours for s in map(repr, h.said)), played.truth_rows()))
    (one, whole, said, truth), (many, parts, heard, again) = seen
    assert (one, many) == (1, 7)
    assert len(truth) > 3
    assert said == heard
    assert truth == again
    assert whole.keys() == parts.keys()
    for table, values in whole.items():
        assert np.array_equal(values, parts[table], equal_nan=True), table


def test_every_metric_is_one_of_the_catalogue_in_its_own_table() -> None:
    catalogue, hour = Catalogue.load(), next(iter(Simulation(small()).hours()))
    for sheet in hour.sheets:
        for name in sheet.metrics:
            metric = catalogue.get(name)
            assert metric is not None, name
            assert metric.table == sheet.table, name
    assert len(next(s for s in hour.sheets if s.table == "gpu").metrics) >= 30


def test_everybody_who_reports_is_in_the_roster_at_that_time() -> None:
    simulation = Simulation(Scenario("jobs", nodes=12, gpus=2, hours=30.0, period_s=300, link_period_s=300, seed=5))
    rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for r in simulation.register().rows():
        rows.setdefault((r.table, r.subject), []).append((-ALWAYS if r.since is None else r.since, ALWAYS if r.until is None else r.until))
    assert len(simulation.topology.jobs) > 4  # some came and went
    for hour in simulation.hours():
        for sheet in hour.sheets:
            there = np.asarray(np.isfinite(sheet.values).any(axis=1))
            for s, subject in enumerate(sheet.subjects):
                for t in np.flatnonzero(there.T[s])[[0, -1]] if there.T[s].any() else ():
                    now = START + hour.seconds[sheet.at[t]] * 1e6
                    assert any(a <= now < b for a, b in rows[sheet.table, subject]), (sheet.table, subject)


def test_jobs_do_not_share_nodes_or_kinds() -> None:
    seats = schedule(40, 10, 0.9, 48.0, 2)
    for seat in seats:
        mates = [s for s in seats if s.node == seat.node and s is not seat]
        assert all(s.until <= seat.since or s.since >= seat.until for s in mates)
    for job in {s.job for s in seats}:
        assert len({s.node >= 30 for s in seats if s.job == job}) == 1


# -- untidy ---------------------------------------------------------------------------------------------------------


def test_the_second_kind_of_gpu_cannot_tell_some_things() -> None:
    simulation = Simulation(small(second=0.5))
    hour = next(iter(simulation.hours()))
    link = next(s for s in hour.sheets if s.table == "nvlink")
    second = [n.split("/")[0] in ("n004", "n005", "n006") for n in link.subjects]
    replays = link.values[:, link.metrics.index("nvlink_replays_total")]
    assert np.isnan(replays[:, second]).all()
    assert np.isfinite(replays[:, ~np.array(second)]).all()
    skus = {r.keys["sku"] for r in simulation.register().rows() if r.table == "gpu" and r.subject.startswith("n006")}
    assert skus == {B200.gpu}


def test_clocks_are_wrong_by_up_to_a_second_and_each_node_by_its_own(tmp_path: Path) -> None:
    Simulation(small(hours=0.1, mess=Mess(missing=0.0, skew_s=0.5))).write(tmp_path / "t")
    table = pq.read_table(tmp_path / "t" / "node.parquet").to_pydict()
    off: dict[str, set[int]] = {}
    for name, time in zip(table["subject"], table["time"], strict=True):
        micros = round(time.timestamp() * 1e6)
        off.setdefault(name, set()).add((micros - START + 5_000_000) % 10_000_000 - 5_000_000)
    assert all(len(x) == 1 for x in off.values())
    errors = [x.pop() for x in off.values()]
    assert len(set(errors)) == 6
    assert 0 < max(map(abs, errors)) <= 1_000_000
    assert validate(tmp_path / "t") == []


def test_late_and_double_rows_arrive_so_and_bring_the_same_numbers(tmp_path: Path) -> None:
    Simulation(small(hours=0.1)).write(tmp_path / "tidy")
    Simulation(small(hours=0.1, mess=Mess(missing=0.0, skew_s=0.0, late=0.05, duplicates=0.05))).write(tmp_path / "messy")
    tidy, messy = (pq.read_table(tmp_path / name / "gpu.parquet") for name in ("tidy", "messy"))
    assert "arrived" not in tidy.column_names
    assert messy.num_rows > 1.02 * tidy.num_rows
    time, arrived = messy["time"].cast("int64").to_numpy(), messy["arrived"].to_numpy()
    assert 0.05 < (arrived > time).mean() < 0.2
    assert (arrived >= time).all()
    found = [sum(b.rows for b in Parquet(tmp_path / name).receive() if isinstance(b, Batch) and b.table == "gpu") for name in ("tidy", "messy")]
    assert found[1] == messy.num_rows
    assert found[0] == tidy.num_rows


def test_flaps_stick_at_the_largest_value_of_a_narrow_counter() -> None:
    simulation = Simulation(small(hours=1.0), (Fault("n001/nic0", "link_flap", "masked", 0.0, None, 300.0),))
    downs = [s.values[:, s.metrics.index("nic_port_link_downs_total"), 0] for h in simulation.hours() for s in h.sheets if s.table == "nic"]
    total = np.concatenate(downs)
    assert total.max() == total[-1] == 255


# -- on disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["null", "mixed", "links", "correlated"])
def test_a_scenario_writes_a_valid_trace_with_its_truth(name: str, tmp_path: Path) -> None:
    scenario = load(name)
    simulation = Simulation(scenario.but(nodes=4, hours=0.4, acceleration=20 * scenario.acceleration * scenario.nodes))
    seen: list[tuple[int, int]] = []
    written = simulation.write(tmp_path / "t", progress=lambda moment, rows: seen.append((moment, rows)))
    assert validate(tmp_path / "t") == []
    trace = Trace.open(tmp_path / "t")
    truth = trace.truth()
    assert (truth.num_rows if truth is not None else 0) == len(written.truth)
    assert (len(written.truth) == 0) == (name == "null")
    assert all(row["note"].endswith("x base rate]") for row in written.truth)
    assert seen[-1][1] == sum(written.rows.values())
    assert trace.counters["gpu"] == "cumulative"
    assert trace.periods["nvlink"] == 60_000_000


def test_memory_is_bounded_because_pieces_are_small_whatever_the_size() -> None:
    for nodes, hours in ((4, 1000.0), (2048, 1.0)):
        scenario = Scenario("size", nodes=nodes, hours=hours, link_period_s=300)
        pieces = Simulation.pieces(Simulation(scenario))
        assert max(ticks for _, ticks in pieces) * nodes * 8 <= 500_000
        assert sum(ticks for _, ticks in pieces) == hours * 360
        assert all(first % 30 == 0 for first, _ in pieces)


def test_a_broken_run_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(moment: int, rows: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        Simulation(small()).write(tmp_path / "t", progress=stop)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "t").mkdir()
    with pytest.raises(UsageError, match="exists"):
        Simulation(small()).write(tmp_path / "t")
