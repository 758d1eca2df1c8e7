"""Born: a part that is slow for as long as it is known has a name of its own, one that became so does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.again import Again
from grayscope.cascade import Member, related
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.suspects import lead
from grayscope.tick import Tick
from tests.wholeline import Fill, Line, Told, ranks, seated

WIDTH, SLOW = 32, "n1/gpu1"
Strength = Callable[[int], float]


def work(slower: Strength, place: int = 9, seed: int = 1) -> Fill:
    """Return compute times of which those at one place are longer by a factor."""
    rng = np.random.default_rng(seed)
    usual = np.exp(0.02 * rng.standard_normal(WIDTH))
    usual[place] = 1.0

    def times(t: int) -> dict[str, NDArray[np.float64]]:
        now = usual * np.exp(0.01 * rng.standard_normal(WIDTH))
        now[place] *= slower(t)
        return {"compute_seconds": now}

    return times


def told(slower: Strength, *jobs: int) -> Told:
    """Return what is said of jobs that follow each other on the same GPUs, of so many ticks each."""
    line, fill = Line(), work(slower)
    for n, ticks in enumerate(jobs):
        line.feed("rank", ranks(f"job:{n}"), fill, ticks, keys=seated(f"job:{n}"))
    return line.told


def modes(said: Told) -> list[str]:
    assert {v.subject for _, v in said.verdicts} == {SLOW}
    return [v.mode for _, v in said.verdicts if v.state == "gray"]


def test_born_slow_pages_at_once_and_is_a_ticket_when_that_is_known() -> None:
    said = told(lambda _: 1.2, 160)
    assert modes(said) == ["slow_rank", "slow_silicon"]
    (early, _), (known, last) = said.verdicts
    assert early < 20
    assert 64 <= known < 80
    assert "ever since it was first seen" in last.why
    (incident,) = said.incidents
    assert (incident.subject, incident.severity, incident.mode) == (SLOW, "ticket", "slow_silicon")
    assert [severity for _, _, severity in incident.history] == ["page", "ticket"]  # nobody is woken for what has always been so


@pytest.mark.parametrize("onset", [3, 12, 30, 100])
def test_who_became_slow_keeps_the_name_of_a_slow_rank(onset: int) -> None:
    said = told(lambda t: 1.2 if t >= onset else 1.0, 260)
    assert set(modes(said)) == {"slow_rank"}
    assert [(i.severity, i.mode) for i in said.incidents] == [("page", "slow_rank")]


def test_one_that_was_born_slow_and_became_slower_is_not_called_by_its_birth() -> None:
    said = told(lambda t: 1.08 if t < 100 else 1.4, 200)
    assert modes(said)[-1] == "slow_rank"


def test_the_next_job_finds_it_as_slow_and_its_name_stays() -> None:
    said = told(lambda _: 1.2, 160, 160)
    assert [i.mode for i in said.incidents] == ["slow_silicon"]
    assert said.incidents[0].ended is None


def test_one_that_was_well_in_an_earlier_job_became_slow_though_this_job_never_saw_it_well() -> None:
    said = told(lambda t: 1.2 if t > 100 else 1.0, 100, 200)
    assert set(modes(said)) == {"slow_rank"}
    both = told(lambda t: 1.2 if t > 60 else 1.0, 160, 200)  # it became so in the first
    assert set(modes(both)) == {"slow_rank"}


def test_another_part_in_the_same_place_has_another_past() -> None:
    """The earlier job was on a part that was well; its successor is slow from its first look on."""
    line, fill = Line(), work(lambda t: 1.2 if t > 100 else 1.0)
    line.feed("rank", ranks("job:0"), fill, 100, keys=seated("job:0"))
    other = lambda i, s: {**seated("job:1")(i, s), **({"gpu": "n9/gpu0", "node": "n9"} if i == 9 else {})}  # noqa: E731
    said = line.feed("rank", ranks("job:1"), fill, 160, keys=other)
    assert {v.subject for _, v in said.verdicts} == {"n9/gpu0"}
    assert [i.mode for i in said.incidents] == ["slow_silicon"]


def test_where_the_roster_tells_no_gpu_it_is_a_slow_rank() -> None:
    keys = lambda i, _: {"node": f"n{i // 8}", "job": "job:0", "role": "data"}  # noqa: E731
    said = Line().feed("rank", ranks("job:0"), work(lambda _: 1.2), 160, keys=keys)
    assert {i.mode for i in said.incidents} == {"slow_rank"}


def test_what_is_known_of_earlier_jobs_survives_a_restart() -> None:
    line, fill = Line(), work(lambda t: 1.2 if t > 100 else 1.0)
    line.feed("rank", ranks("job:0"), fill, 100, keys=seated("job:0"))
    line.feed("rank", ranks("job:1"), fill, 40, keys=seated("job:1"))
    state, second = line.engine.snapshot(), Line()
    second.engine.restore(state)
    second.now = line.now
    said = second.feed("rank", ranks("job:1"), fill, 160, keys=seated("job:1"))
    assert {i.mode for i in said.incidents} <= {"slow_rank"}


def test_whether_its_age_is_known_makes_no_other_fault_of_it() -> None:
    new = Member("n1/gpu3", "gray", "page", "slow_rank", "service", 9.0, 1_000_000, "")
    old = new._replace(subject="n1/gpu4", mode="slow_silicon")
    assert related(new, old)
    assert related(old, new)
    third = new._replace(subject="n1/gpu5")
    assert lead({m.subject: m for m in (new, old, third)}, "").subject == "n1"
    hot = Member("n1/gpu4", "masked", "ticket", "thermal_throttle", "condition", 9.0, 0, "")
    assert related(hot, old._replace(subject="n1"))  # a cause that was there from the beginning explains it
    again = Again()
    again.put(Incident("ab", "n1/gpu0", "n1", "gray", "page", "slow_silicon", 0, 60, ended=100, history=((60, "gray", "page"),)))
    assert again.take("n1/gpu0", "slow_rank", 200) is not None


def test_a_name_does_not_go_to_and_fro_with_the_load() -> None:
    period, rng, names = 10_000_000, np.random.default_rng(2), list[str]()
    rows = [RosterRow(f"job:1/r{i:03d}", "rank", keys={"gpu": f"n{i // 8}/gpu{i % 8}", "node": f"n{i // 8}", "job": "job:1"}) for i in range(64)]
    view, engine = Roster(rows).at(0), assembly.engine(Settings(), periods={"rank": period})
    for t in range(1, 900):
        values = np.exp(0.01 * rng.standard_normal(64))
        values[19] *= 1.06 + 0.03 * np.sin(t / 25)
        tick = Tick("rank", t * period, period, view, view.tables["rank"], ("compute_seconds",), values[None].astype(np.float32), np.zeros(64, bool))
        names += [i.mode for i in engine.judged(tick, engine.compared(tick)).incidents]
    assert sum(a != b for a, b in itertools.pairwise(names)) <= 2
