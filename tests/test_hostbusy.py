"""Hostbusy: who is busy with something else beside machines at work; and what is called so for how long."""

from __future__ import annotations

import numpy as np
import pytest

from grayscope.blame import Blame
from grayscope.catalogue import Catalogue
from grayscope.commblame import MEANT, RECENT
from grayscope.evidence import Finding
from grayscope.hostbusy import HostBusy
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick

S = 1_000_000
NODES = tuple(f"n{k}" for k in range(8))


PRESSED = 'host_pressure_seconds_total{kind="some",scope="io"}'


def heard(busy: list[float], jobs: str = "11111110", metric: str = "host_cpu_busy_ratio") -> HostBusy:
    """Return what one tick tells; the last node is idle."""
    view = Roster([RosterRow(n, "node", keys={"job": "job:1"} if j == "1" else {}) for n, j in zip(NODES, jobs, strict=True)]).at(0)
    tick = Tick("node", 10 * S, 10 * S, view, NODES, (metric,), np.array([busy], np.float32), np.zeros(8, bool))
    hosts = HostBusy()
    hosts.look(tick, Stand(Catalogue.load()).step(tick))
    return hosts


def at(time: int, period: int = 10 * S) -> Tick:
    return Tick("rank", time, period, Roster([]).at(0), (), (), np.zeros((0, 0), np.float32), np.zeros(0, bool))


def late(subject: str, side: str = "service") -> Finding:
    return Finding(10 * S, subject, side, "became", 9.0, mode="slow_rank", why="late")


def test_a_busy_host_explains_its_late_ranks_and_nobody_elses() -> None:
    hosts = heard([0.22, 0.85, 0.2, 0.25, 0.22, 0.21, 0.23, 0.02])
    found = hosts.explained([late("n1/gpu3"), late("n1"), late("n2/gpu3"), late("n1/gpu3", "redundancy")], at(10 * S))
    assert [f.mode for f in found] == ["cpu_contention", "cpu_contention", "slow_rank", "slow_rank"]
    assert found[0].why == "the host is busy with something else: late"


def test_it_explains_for_a_while() -> None:
    hosts = heard([0.22, 0.85, 0.2, 0.25, 0.22, 0.21, 0.23, 0.02])
    assert hosts.explained([late("n1")], at(10 * S + RECENT))[0].mode == "cpu_contention"
    assert hosts.explained([late("n1")], at(11 * S + RECENT))[0].mode == "slow_rank"
    slow = 120 * S  # a mean of 16 ticks still holds what is over
    assert hosts.explained([late("n1")], at(11 * S + RECENT, slow))[0].mode == "cpu_contention"
    assert hosts.explained([late("n1")], at(11 * S + MEANT * slow, slow))[0].mode == "slow_rank"


def test_work_beside_idle_machines_is_no_contention() -> None:
    assert heard([0.22, 0.22, 0.2, 0.02, 0.02, 0.02, 0.02, 0.02], "11100000").last == {}
    assert heard([0.22, 0.24, 0.2, 0.25, 0.22, 0.21, 0.23, 0.9]).last == {}  # nobody works there


def test_what_is_counted_in_seconds_is_a_share_of_the_time() -> None:
    """In ten seconds: half a second of waiting is what any machine has now and then, three are a third of the time."""
    hosts = heard([0.0, 3.0, 0.5, 0.1, 0.0, 0.0, 0.2, 0.0], metric=PRESSED)
    assert set(hosts.last) == {"n1"}


@pytest.mark.parametrize("restored", [False, True])
def test_who_was_not_heard_for_a_while_has_waited_in_all_that_time(restored: bool) -> None:
    """A twentieth of the time, like all; n3 says it of a minute at once, n5 waited half of it."""
    view, blame = Roster([RosterRow(n, "node", keys={"job": "job:1"}) for n in NODES]).at(0), Blame()
    stand = Stand(Catalogue.load())
    for t, values in enumerate([(0.5, 0.5), *[(np.nan, np.nan)] * 5, (3.0, 30.0), (0.5, 0.5)]):
        if restored:
            state, blame = blame.snapshot(), Blame()
            blame.restore(state)
        waited = np.full((1, 8), 0.5, np.float32)
        waited[0, [3, 5]] = values
        tick = Tick("node", 10 * S * t, 10 * S, view, NODES, (PRESSED,), waited, np.zeros(8, bool))
        blame.hosts.look(tick, stand.step(tick))
    assert blame.hosts.last == {"n5": 60 * S}
    assert not any(blame.hosts.gaps.values())


def test_a_faster_table_s_tick_forgets_nothing_that_a_slower_one_needs() -> None:
    hosts = heard([0.22, 0.85, 0.2, 0.25, 0.22, 0.21, 0.23, 0.02])
    fast = at(1000 * S)
    hosts.look(fast, Stand(Catalogue.load()).step(fast))
    assert hosts.explained([late("n1")], at(1020 * S, 120 * S))[0].mode == "cpu_contention"


def looked(hosts: HostBusy, time: int, busy: float, period: int = 30 * S) -> None:
    """Let one tick of the machines' own table tell how busy n1 is; all others are as ever."""
    view = Roster([RosterRow(n, "node", keys={"job": "job:1"}) for n in NODES]).at(0)
    values = np.full((1, 8), 0.22, np.float32)
    values[0, 1] = busy
    tick = Tick("node", time, period, view, NODES, ("host_cpu_busy_ratio",), values, np.zeros(8, bool))
    hosts.look(tick, Stand(Catalogue.load()).step(tick))


def named(hosts: HostBusy, time: int) -> str:
    return hosts.explained([late("n1/gpu3")], at(time))[0].mode


def test_who_was_late_before_its_host_was_busy_is_late_for_another_reason() -> None:
    hosts = HostBusy()
    assert {named(hosts, t * S) for t in range(600, 3600, 10)} == {"slow_rank"}
    looked(hosts, 3600 * S, 0.85)
    assert {named(hosts, t * S) for t in range(3600, 4500, 10)} == {"slow_rank"}
    assert hosts.explained([late("n1/gpu2")], at(3600 * S))[0].mode == "cpu_contention"  # began with it


def test_a_host_that_is_heard_of_a_little_later_explains_what_it_brought_about() -> None:
    hosts = HostBusy()
    assert named(hosts, 600 * S) == "slow_rank"
    looked(hosts, 700 * S, 0.85)
    assert named(hosts, 700 * S) == "cpu_contention"
    hosts = HostBusy()
    assert {named(hosts, t * S) for t in range(500, 700, 10)} == {"slow_rank"}
    looked(hosts, 700 * S, 0.85)
    assert named(hosts, 700 * S) == "slow_rank"


@pytest.mark.parametrize("restored", [False, True])
def test_a_host_that_was_busy_first_explains_as_often_as_it_comes_back(restored: bool) -> None:
    """Busy for a minute, quiet for twenty: its rank is late all the time, for evidence is a mean over minutes."""
    blame = Blame()
    looked(blame.hosts, 60 * S, 0.85)
    assert named(blame.hosts, 90 * S) == "cpu_contention"
    assert {named(blame.hosts, t * S) for t in range(970, 1260, 10)} == {"slow_rank"}
    if restored:
        state, blame = blame.snapshot(), Blame()
        blame.restore(state)
    looked(blame.hosts, 1260 * S, 0.85)
    assert named(blame.hosts, 1260 * S) == "cpu_contention"


def test_a_hint_too_weak_to_be_said_does_not_make_a_rank_late_before_its_host_was_busy() -> None:
    blame = Blame()
    weak = late("n1/gpu3")._replace(strength=blame.level / 2)
    blame.hosts.explained([weak], at(600 * S))
    looked(blame.hosts, 900 * S, 0.85)
    assert named(blame.hosts, 960 * S) == "cpu_contention"
    assert blame.hosts.explained([weak], at(970 * S))[0].mode == "cpu_contention"
