"""Votes007: who the bad flows have in common, link after link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

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
    assert [bool(f) for f in said] == [t >= 5 for t in range(9)]  # epochs of three ticks, then held
    assert said[-1][0].mode == "slow_path"


def test_two_links_are_found_one_after_the_other(run: Run) -> None:
    rtt = times(6)
    rtt[:, ["n3/nic0" in crosses(p) or "n0/nic0" in crosses(p) for p in PATHS]] *= 3
    said = mesh(run, rtt)
    assert sorted(f.subject for f in said[-1]) == ["n0/nic0", "n3/nic0"]


def test_less_than_half_slower_is_not_late(run: Run) -> None:
    rtt = times()
    rtt[:, :6] *= 1.4
    assert not any(mesh(run, rtt))


def test_a_share_of_the_votes_is_needed(run: Run) -> None:
    rtt = times(6)
    rtt[:, ["n3/nic0" in crosses(p) for p in PATHS]] *= 3
    assert not any(mesh(run, rtt, share=0.5))


def test_a_single_bad_flow_blames_the_first_of_its_links(run: Run, accused: Accused) -> None:
    rtt = times()
    rtt[:, PATHS.index("n2>n4")] *= 3
    assert accused(mesh(run, rtt)) == {"n2/nic0"}


def test_error_counters_make_bad_flows_too(run: Run, accused: Accused) -> None:
    events = np.zeros((6, 8))
    events[3, 2] = 1
    names = [f"job:1/r{i}" for i in range(8)]
    said = run("votes007", "rank", {"nccl_net_events_total": events}, subjects=names, crosses=lambda s: (f"n0/gpu{s[-1]}", f"n0/nic{s[-1]}", "leaf0"))
    assert accused(said) == {"n0/gpu2"}
    assert said[-1][0].side == "redundancy"


def test_whoever_crosses_nothing_has_no_vote(run: Run) -> None:
    rtt = times()
    rtt[:, 0] *= 9
    assert not any(run("votes007", "path", {"path_rtt_seconds": rtt}, subjects=PATHS))
