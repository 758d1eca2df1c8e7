"""Crowds: one value per machine, one iteration time per job."""

from __future__ import annotations

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.crowds import Iterations, Machines
from grayscope.roster import Roster, RosterRow, View
from grayscope.stand import Stand
from grayscope.tick import Tick

S = 1_000_000


def tick(table: str, names: tuple[str, ...], metric: str, values: list[float], keys: dict[str, dict[str, str]] | None = None) -> Tick:
    roster = Roster([RosterRow(n, table, keys=(keys or {}).get(n, {})) for n in names]).at(0) if keys else View(0, {})
    return Tick(table, 10 * S, 10 * S, roster, names, (metric,), np.array([values], np.float32), np.zeros(len(names), bool))


def test_a_machine_is_the_mean_of_its_parts_that_reported() -> None:
    at = tick("gpu", ("n1/gpu0", "n1/gpu1", "n2/gpu0", "n2/gpu1"), "gpu_power_watts", [100, 300, np.nan, 500])
    rows, label = np.array([0]), np.zeros((1, 4), np.int32)
    machines = Machines(at, Stand(Catalogue.load()).step(at), rows, label)
    assert machines.of(at.values).tolist()[0][::2] == [200, 500]
    assert np.isnan(machines.of(at.values)[0, 1::2]).all()
    assert [machines.name(0, s) for s in (0, 2)] == ["n1", "n2"]


def test_what_is_compared_inside_a_machine_keeps_its_parts() -> None:
    at = tick("drive", ("n1/nvme0", "n1/nvme1"), "drive_latency_seconds", [1e-3, 3e-3])
    machines = Machines(at, Stand(Catalogue.load()).step(at), np.array([0]), np.zeros((1, 2), np.int32))
    assert machines.of(at.values).tolist() == at.values.tolist()
    assert machines.name(0, 1) == "n1/nvme1"


def test_parts_of_one_machine_in_two_groups_are_two_values() -> None:
    at = tick("gpu", ("n1/gpu0", "n1/gpu1"), "gpu_power_watts", [100, 300])
    machines = Machines(at, Stand(Catalogue.load()).step(at), np.array([0]), np.array([[0, 1]], np.int32))
    assert machines.of(at.values).tolist() == [[100, 300]]


def test_the_table_that_tells_first_goes_on_telling() -> None:
    iterations = Iterations()
    ranks = ("job:1/r0", "job:1/r1", "job:2/r0")
    assert iterations.take(tick("gpu", ("n1/gpu0",), "gpu_power_watts", [1.0])) is None
    told = iterations.take(tick("job", ("job:1", "job:2"), "job_step_seconds", [2.0, np.nan]))
    assert told is not None
    assert (told.subjects, told.metrics) == (("job:1", "job:2"), ("iteration_seconds",))
    assert told.values[0, 0] == 2
    assert np.isnan(told.values[0, 1])
    assert iterations.take(tick("rank", ranks, "step_seconds", [3.0, 3.0, 4.0])) is None


def test_without_a_table_of_jobs_the_median_rank_tells() -> None:
    told = Iterations().take(tick("rank", ("job:1/r0", "job:1/r1", "job:1/r2", "job:2/r0"), "step_seconds", [1.0, 2.0, np.nan, 4.0]))
    assert told is not None
    assert (told.subjects, told.values.tolist()) == (("job:1", "job:2"), [[1.5, 4.0]])
