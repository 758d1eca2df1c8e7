"""Stalls: a job that stands still whenever a part is interrupted, and only then, is slowed by that part."""

from __future__ import annotations

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.evidence import Evidence, Finding
from grayscope.impact import Impact
from grayscope.quadrants import FELT, state_of
from grayscope.roster import Roster, RosterRow
from grayscope.stalls import FEW, WINDOW, Stalls
from grayscope.stand import Stand
from grayscope.tick import Tick

S = 1_000_000
RANKS = tuple(f"job:1/r{k}" for k in range(4))
NICS = ("n1/nic0", "n1/nic1", "n1/nic2", "n2/nic0")
ROWS = [RosterRow(n, "rank", keys={"job": "job:1", "role": "", "gpu": f"n1/gpu{k}"}) for k, n in enumerate(RANKS)]
ROWS += [RosterRow(n, "nic", keys={"node": n.partition("/")[0], "sku": "a"}) for n in NICS]
ROSTER = Roster(ROWS).at(0)


def table(name: str, time: int, subjects: tuple[str, ...], metrics: tuple[str, ...], values: list[list[float]]) -> Tick:
    return Tick(name, time, 10 * S, ROSTER, subjects, metrics, np.array(values, np.float32), np.zeros(len(subjects), bool))


class Run:
    """Two tables, tick after tick, through the station that asks what things cost."""

    def __init__(self) -> None:
        self.stand, self.impact, self.time = Stand(Catalogue.load()), Impact(), 0

    def play(self, ticks: int = 1, step: float = 4.0, down: tuple[str, ...] = (), said: Evidence | None = None) -> list[Finding]:
        found: list[Finding] = []
        for _ in range(ticks):
            self.time += 10 * S
            downs = [[float(n in down) for n in NICS]]
            nics = table("nic", self.time, NICS, ("nic_port_link_downs_total",), downs)
            ranks = table("rank", self.time, RANKS, ("compute_seconds", "step_seconds"), [[3.0] * 4, [step] * 4])
            for tick, evidence in ((nics, said or Evidence([])), (ranks, Evidence([]))):
                found += [f for f in self.impact.step(evidence, tick, self.stand.step(tick)) if f.detector == "stalls"]
        return found


def test_two_stalls_at_the_moment_of_an_interruption_make_a_page() -> None:
    run = Run()
    assert run.play(100) == []
    assert run.play(step=20.0, down=("n1/nic0",)) == []  # once may be chance
    run.play(5)
    found = run.play(step=20.0, down=("n1/nic0",))[0]
    assert (found.subject, found.mode, state_of(found), FEW) == ("n1/nic0", "link_flap", "gray", 2)
    assert np.isclose(found.felt, 2 * 10 * (1 - 4 / 20) / 300, rtol=0.1)
    assert found.strength > 6.9


def test_one_is_enough_for_what_is_known_to_spend_its_reserve() -> None:
    run = Run()
    run.play(100)
    known = Evidence([Finding(run.time, "n1/nic0", "redundancy", "seldom", 20.0, "link_flap", "link_retrain", since=run.time)])
    assert [f.subject for f in run.play(step=20.0, down=("n1/nic0",), said=known)] == ["n1/nic0"]


def test_what_is_no_longer_felt_is_masked_again() -> None:
    run = Run()
    run.play(100)
    for _ in range(3):
        run.play(step=20.0, down=("n1/nic0",))
    later = run.play(WINDOW // (10 * S) + 5)
    assert later[-1].felt < FELT
    assert state_of(later[-1]) != "gray"
    run.play(100)
    assert run.play() == []  # and in the end forgotten


def test_a_part_of_another_machine_is_not_meant() -> None:
    run = Run()
    run.play(100)
    assert [f for _ in range(4) for f in run.play(step=20.0, down=("n2/nic0",))] == []


def test_a_job_that_stands_still_anyway_proves_little() -> None:
    run = Run()
    for _ in range(30):
        run.play(step=20.0)
        run.play(2)
    found = [f for _ in range(2) for f in run.play(step=20.0, down=("n1/nic0",)) + run.play(2)]
    assert all(f.strength < 6.9 for f in found)


def test_where_many_are_interrupted_at_once_none_is_named() -> None:
    run = Run()
    run.play(100)
    assert [f for _ in range(4) for f in run.play(step=20.0, down=NICS[:3])] == []


def test_a_job_that_said_nothing_for_a_while_is_known_again() -> None:
    run = Run()
    run.play(100)
    for step in (20.0, np.nan, np.nan, 20.0):
        found = run.play(step=step, down=("n1/nic0",))
    assert [f.subject for f in found] == ["n1/nic0"]


def test_a_longer_step_that_stays_is_a_new_phase() -> None:
    run = Run()
    run.play(100)
    run.play(60, step=6.0)
    assert abs(run.impact.stalls.usual["job:1"] - 6.0) < 0.1


def test_state_survives_a_restart() -> None:
    run, other = Run(), Run()
    run.play(100)
    run.play(step=20.0, down=("n1/nic0",))
    copy = Stalls()
    copy.restore(run.impact.stalls.snapshot())
    assert str(copy.snapshot()["stalls"]) == str(run.impact.stalls.snapshot()["stalls"])
    other.impact.restore(run.impact.snapshot())
    other.stand.restore(run.stand.snapshot())
    other.time = run.time
    assert other.play(step=20.0, down=("n1/nic0",)) == run.play(step=20.0, down=("n1/nic0",)) != []
