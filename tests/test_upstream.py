"""Upstream: leaves that lose links at one moment are the matter of what lies between them; which spine it is, its traffic tells."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from grayscope.blame import Blame
from grayscope.catalogue import Catalogue
from grayscope.evidence import Finding
from grayscope.history import HOUR, History
from grayscope.incident import Incident
from grayscope.roster import RosterRow, View
from grayscope.stand import Stand
from grayscope.tick import Tick
from grayscope.upstream import Upstream

SECOND = 1_000_000
LEAVES = tuple(f"leaf{i}" for i in range(8))
SPINES = 4
PAIRS = [(a, b) for a in range(8) for b in range(8) if a != b]
PATHS = [
    RosterRow(f"n{a}/nic0>n{b}/nic0", "path", crosses=(f"n{a}/nic0", f"leaf{a}", f"spine{(3 * a + b) % SPINES}", f"leaf{b}", f"n{b}/nic0")) for a, b in PAIRS
]
SWITCHES = [RosterRow(name, "leaf") for name in LEAVES] + [RosterRow(f"spine{k}", "spine") for k in range(SPINES)]
VIEW = View(1, {r.subject: r for r in (*PATHS, *SWITCHES)})
NAMES = tuple(sorted(r.subject for r in PATHS))


def leaf_tick(time: int = 500 * SECOND) -> Tick:
    values = np.full((1, len(LEAVES)), 15.0, np.float32)
    return Tick("leaf", time, 10 * SECOND, VIEW, LEAVES, ("leaf_uplinks_active",), values, np.zeros(len(LEAVES), bool))


def lost(leaf: str, since: int = 480 * SECOND) -> Finding:
    return Finding(
        500 * SECOND, leaf, "redundancy", "ledger", 13.0, "", "adaptive_routing", "leaf_uplinks_active", 15.0, 16.0, since=since, why="1 of 16 links lost"
    )


def slowed(upstream: Upstream, spine: str, spreads: float = 3.0, at: int = 490) -> None:
    hit = np.array([spine in VIEW.crosses(s) for s in NAMES])
    values = np.full((1, len(NAMES)), 1e-5, np.float32)
    tick = Tick("path", at * SECOND, 10 * SECOND, VIEW, NAMES, ("path_rtt_seconds",), values, np.zeros(len(NAMES), bool))
    upstream.weigh(tick, Stand(Catalogue.load()).step(tick), np.where(hit, spreads, 0.0).astype(np.float32)[None])


def test_the_spine_whose_traffic_got_slower_is_the_first_suspect() -> None:
    upstream = Upstream()
    slowed(upstream, "spine2")
    (found,) = upstream.step([lost(leaf) for leaf in LEAVES], leaf_tick())
    rivals = json.loads(found.rivals)
    assert (found.subject, found.mode, found.mechanism) == ("spine2", "switch_fault", "adaptive_routing")
    assert sorted(name for name, _ in rivals) == ["spine0", "spine1", "spine3"]
    assert max(chance for _, chance in rivals) < 0.02
    assert found.why.startswith("8 of the 8 switches wired to it lost links at once; of 4 between them spine2 is the likeliest")


def test_without_traffic_that_tells_all_spines_are_alike() -> None:
    (found,) = Upstream().step([lost(leaf) for leaf in LEAVES], leaf_tick())
    assert [chance for _, chance in json.loads(found.rivals)] == [0.25] * 3


def offender(spine: str) -> History:
    """Return what is known when a spine was suspected three times within two days."""
    history = History()
    for hour in range(48):
        history.look(replace(leaf_tick(), time=hour * HOUR + 1))
    for _ in range(3):
        history.add(Incident("ab", spine, spine, "gray", "page", "switch_fault", 0, 1, ended=9))
    return history


def test_without_traffic_that_tells_the_spine_with_a_past_is_the_likelier_but_traffic_goes_before_it() -> None:
    upstream, losses = Blame(history=offender("spine2")).upstream, [lost(leaf) for leaf in LEAVES]
    (found,) = upstream.step(losses, leaf_tick())
    rivals = json.loads(found.rivals)
    assert (found.subject, [name for name, _ in rivals]) == ("spine2", ["spine0", "spine1", "spine3"])
    assert sum(chance for _, chance in rivals) < 0.4
    slowed(upstream, "spine3")
    assert upstream.step(losses, leaf_tick())[0].subject == "spine3"
    assert upstream.step([lost(leaf) for leaf in LEAVES[:2]], leaf_tick())[0].subject == "leaf0"  # a past alone accuses nobody


def test_the_suspect_of_one_loss_is_not_the_next_ones() -> None:
    upstream, later = Upstream(), [lost(leaf, 2000 * SECOND) for leaf in LEAVES]
    slowed(upstream, "spine1")
    assert upstream.step([lost(leaf) for leaf in LEAVES], leaf_tick())[0].subject == "spine1"
    again = Upstream()
    again.restore(upstream.snapshot())
    for one in (upstream, again):
        assert one.step(later, leaf_tick(2020 * SECOND))[0].subject == "spine0"
    known = Upstream(offender("spine3"))  # suspected more often than the latest
    slowed(known, "spine1")
    known.step([lost(leaf) for leaf in LEAVES], leaf_tick())
    assert known.step(later, leaf_tick(2020 * SECOND))[0].subject == "spine3"


@pytest.mark.parametrize(
    "since",
    [[480, 480], [60, 120, 180, 240, 300, 360, 420, 480], [480, 480, 480]],
    ids=["two leaves", "one after another", "three of eight"],
)
def test_leaves_that_lose_links_on_their_own_stay_their_own(since: list[int]) -> None:
    found = [lost(leaf, s * SECOND) for leaf, s in zip(LEAVES, since, strict=False)]
    assert Upstream().step(found, leaf_tick()) == found


def test_leaves_that_share_nothing_stay_their_own() -> None:
    bare = Tick("leaf", 1, 1, View(2, {r.subject: r for r in SWITCHES}), LEAVES, (), np.empty((0, 8), np.float32), np.zeros(8, bool))
    found = [lost(leaf) for leaf in LEAVES]
    assert Upstream().step(found, bare) == found


def test_the_suspect_stays_unless_another_is_clearly_likelier() -> None:
    upstream, losses = Upstream(), [lost(leaf) for leaf in LEAVES]
    slowed(upstream, "spine1", 1.0)
    assert upstream.step(losses, leaf_tick())[0].subject == "spine1"
    slowed(upstream, "spine2", 0.5)
    assert upstream.step(losses, leaf_tick())[0].subject == "spine1"
    slowed(upstream, "spine2", 3.0)
    assert upstream.step(losses, leaf_tick())[0].subject == "spine2"


def test_what_was_slow_before_the_links_were_lost_is_not_slow_for_that() -> None:
    upstream, losses = Upstream(), [lost(leaf) for leaf in LEAVES]
    slowed(upstream, "spine1", 4.0, at=300)  # crowded
    assert json.loads(upstream.step(losses, leaf_tick())[0].rivals)[0][1] == 0.25
    slowed(upstream, "spine2", 2.0)
    again = Upstream()
    again.restore(upstream.snapshot())
    for one in (upstream, again):
        assert one.step(losses, leaf_tick())[0].subject == "spine2"
    later = [lost(leaf, 2000 * SECOND) for leaf in LEAVES]  # another loss is compared with what was until then
    slowed(upstream, "spine0", 4.0, at=2010)
    assert upstream.step(later, leaf_tick(2020 * SECOND))[0].subject == "spine0"


def test_a_restart_changes_nothing() -> None:
    upstream, again, losses = Upstream(), Upstream(), [lost(leaf) for leaf in LEAVES]
    slowed(upstream, "spine3")
    again.restore(upstream.snapshot())
    assert again.step(losses, leaf_tick()) == upstream.step(losses, leaf_tick())
    assert again.snapshot() == upstream.snapshot()
