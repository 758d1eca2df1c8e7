"""Votes007: who the bad flows have in common, link after link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grayscope.roster import RosterRow

Run = Callable[..., Any]
Accused = Callable[[Any], set[str]]
NODES = 8
PATHS = sorted(f"n{a}>n{b}" for a in range(NODES) for b in range(NODES) if a != b)


def crosses(path: str) -> tuple[str, ...]:
    a, b = path.split(">")
    return (f"{a}/nic0", f"leaf{int(a[1]) % 4}", f"spine{(int(a[1]) + int(b[1])) % 3}", f"{b}/nic0")


def mesh(run: Run, rtt: np.ndarray[Any, Any], **settings: Any) -> Any:
    return run("votes007", "path", {"path_rtt_seconds": rtt}, subjects=PATHS, crosses=crosses, **settings)


def times(ticks: int = 9) -> np.ndarray[Any, Any]:
    return np.random.default_rng(11).normal(1e-4, 1e-6, (ticks, len(PATHS)))


@pytest.mark.parametrize("bad", ["n3/nic0", "spine1", "leaf1"])
def test_the_common_link_is_blamed_alone(run: Run, accused: Accused, bad: str) -> None:
    rtt = times()
    rtt[3:, [bad in crosses(p) for p in PATHS]] *= 3
    said = mesh(run, rtt)
    assert accused(said) == {bad}
    assert [bool(f) for f in said] == [t >= 6 for t in range(9)]  # an epoch of three ticks is counted when the next begins, then held
    assert said[-1][0].mode == "slow_path"


def test_two_links_are_found_one_after_the_other(run: Run) -> None:
    rtt = times(7)
    rtt[:, ["n3/nic0" in crosses(p) or "n0/nic0" in crosses(p) for p in PATHS]] *= 3
    said = mesh(run, rtt)
    assert sorted(f.subject for f in said[-1]) == ["n0/nic0", "n3/nic0"]


def test_less_than_half_slower_is_not_late(run: Run) -> None:
    rtt = times()
    rtt[:, :6] *= 1.4
    assert not any(mesh(run, rtt))


def test_a_share_of_the_votes_is_needed(run: Run) -> None:
    rtt = times(7)
    rtt[:, ["n3/nic0" in crosses(p) for p in PATHS]] *= 3
    assert not any(mesh(run, rtt, share=0.5))


def test_a_single_bad_flow_blames_the_first_of_its_links(run: Run, accused: Accused) -> None:
    rtt = times()
    rtt[:, PATHS.index("n2>n4")] *= 3
    assert accused(mesh(run, rtt)) == {"n2/nic0"}


def test_error_counters_make_bad_flows_too(run: Run, accused: Accused) -> None:
    events = np.zeros((7, 8))
    events[3, 2] = 1
    names = [f"job:1/r{i}" for i in range(8)]
    said = run("votes007", "rank", {"nccl_net_events_total": events}, subjects=names, crosses=lambda s: (f"n0/gpu{s[-1]}", f"n0/nic{s[-1]}", "leaf0"))
    assert accused(said) == {"n0/gpu2"}
    assert said[-1][0].side == "redundancy"


def test_whoever_crosses_nothing_has_no_vote(run: Run) -> None:
    rtt = times()
    rtt[:, 0] *= 9
    assert not any(run("votes007", "path", {"path_rtt_seconds": rtt}, subjects=PATHS))


def ranks(s: str) -> tuple[str, ...]:
    return (f"n0/gpu{s[-1]}", f"n0/nic{s[-1]}", "leaf0")


def test_a_port_that_lost_packets_makes_its_flows_bad(run: Run, accused: Accused) -> None:
    lost, late = np.zeros((7, 8)), np.zeros((7, 8))
    lost[1, 2] = 3
    late[1, :] = 50
    names, ports = [f"job:1/r{i}" for i in range(8)], [f"n0/nic{i}" for i in range(8)]
    flows = [RosterRow(s, "rank", keys={"job": "job:1"}, crosses=ranks(s)) for s in names]
    flows.append(RosterRow("comm:1-rail", "comm", crosses=("n0/nic2", "n1/nic2")))
    metrics = {'nic_port_retransmits_total{cause="seq_nak"}': lost, 'nic_port_retransmits_total{cause="out_of_sequence"}': late}
    said = run("votes007", "nic", metrics, subjects=ports, more=flows)
    # The rank gives a third of its three votes to each of its links, the communicator half of its own to each port.
    assert accused(said) == {"n0/nic2"}
    assert (said[3][0].value, said[3][0].expected) == (pytest.approx(2.5), pytest.approx(6.0))


def test_one_stray_retransmission_in_a_small_fleet_is_enough(run: Run, accused: Accused) -> None:
    lost = np.zeros((7, 8))
    lost[1, 4] = 1
    metrics = {'nic_port_retransmits_total{cause="ack_timeout"}': lost}
    flows = [RosterRow(f"job:1/r{i}", "rank", crosses=ranks(str(i))) for i in range(8)]
    assert accused(run("votes007", "nic", metrics, subjects=[f"n0/nic{i}" for i in range(8)], more=flows)) == {"n0/gpu4"}  # a tie: first on the path


def test_all_late_together_have_no_vote(run: Run) -> None:
    rtt = times()
    rtt[3:] *= 5
    assert not any(mesh(run, rtt))
