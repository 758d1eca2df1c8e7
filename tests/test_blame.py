"""Blame: ranks become GPUs, siblings their parent, paths what they share; the innocent are left alone."""

from __future__ import annotations

import numpy as np

from grayscope.blame import Blame
from grayscope.commblame import Held
from grayscope.evidence import Evidence, Finding
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick


def tick(table: str, rows: list[RosterRow], time: int = 10) -> Tick:
    subjects = tuple(sorted(r.subject for r in rows))
    nothing = np.empty((0, len(subjects)), np.float32)
    return Tick(table, time, 10, View(1, {r.subject: r for r in rows}), subjects, (), nothing, np.zeros(len(subjects), bool))


def finding(subject: str, side: str = "service", metric: str = "m", strength: float = 9.0) -> Finding:
    return Finding(10, subject, side, "slower", strength, metric=metric, why=f"{subject} is slow")


def suspects(blame: Blame, at: Tick, *findings: Finding) -> list[str]:
    return [f.subject for f in blame.step(Evidence(findings), at)]


RANKS = [RosterRow(f"job:1/r{i}", "rank", keys={"gpu": f"n{i // 4}/gpu{i % 4}"}) for i in range(16)]
GPUS = [RosterRow(f"n{i // 4}/gpu{i % 4}", "gpu") for i in range(16)]
PATHS = [RosterRow(f"{a}>{b}", "path", crosses=(f"{a}", f"{b}")) for a in range(20) for b in range(20) if a != b]


def test_a_rank_is_reported_as_its_gpu_and_says_who_felt_it() -> None:
    (found,) = Blame().step(Evidence([finding("job:1/r5")]), tick("rank", RANKS))
    assert (found.subject, found.why) == ("n1/gpu1", "job:1/r5 is slow (felt by job:1/r5)")


def test_silence_of_a_rank_is_not_moved() -> None:
    assert suspects(Blame(), tick("rank", RANKS), finding("job:1/r5", side="coverage")) == ["job:1/r5"]


def test_a_rank_without_a_gpu_stays() -> None:
    assert suspects(Blame(), tick("rank", [RosterRow("job:1/r5", "rank")]), finding("job:1/r5")) == ["job:1/r5"]


def test_siblings_that_stand_out_together_are_their_parents_matter() -> None:
    four = [finding(f"n2/gpu{i}", strength=8.0 + i) for i in range(4)]
    (found,) = Blame().step(Evidence(four), tick("gpu", GPUS))
    assert (found.subject, found.strength) == ("n2", 11.0)
    assert found.why.startswith("4 of its 4 parts alike, first n2/gpu3")
    ranks = [finding(f"job:1/r{i}") for i in (8, 9, 10)]
    assert suspects(Blame(), tick("rank", RANKS), *ranks) == ["n2"]


def test_two_of_four_or_different_metrics_are_not_the_parents_matter() -> None:
    assert suspects(Blame(), tick("gpu", GPUS), finding("n2/gpu0"), finding("n2/gpu1")) == ["n2/gpu0", "n2/gpu1"]
    mixed = [finding(f"n2/gpu{i}", metric=f"m{i}") for i in range(4)]
    assert suspects(Blame(), tick("gpu", GPUS), *mixed) == [f"n2/gpu{i}" for i in range(4)]
    health = [finding(f"n2/gpu{i}", side="health") for i in range(4)]
    assert suspects(Blame(), tick("gpu", GPUS), *health) == [f"n2/gpu{i}" for i in range(4)]


def test_what_many_bad_paths_share_is_the_suspect() -> None:
    bad = [finding(f"7>{b}") for b in (1, 2, 3, 4, 5)]
    assert suspects(Blame(), tick("path", PATHS), *bad, finding("2>9")) == ["7"] * 5 + ["2>9"]


def test_paths_vote_over_some_time_and_then_no_more() -> None:
    blame = Blame()
    early = [suspects(blame, tick("path", PATHS, t), finding(f"{a}>7")) for t, a in enumerate((1, 2, 3))]
    assert early == [["1>7"], ["2>7"], ["3>7"]]
    assert suspects(blame, tick("path", PATHS), finding("4>7")) == ["7"]
    for t in range(80):
        blame.step(Evidence(), tick("path", PATHS, t))
    assert suspects(blame, tick("path", PATHS), finding("5>7")) == ["5>7"]


def test_when_all_paths_are_bad_nobody_is_accused_for_it() -> None:
    everywhere = [finding(r.subject) for r in PATHS[::3]]
    assert suspects(Blame(), tick("path", PATHS), *everywhere) == [f.subject for f in everywhere]


def test_a_pause_changes_nothing() -> None:
    whole, first, second = Blame(), Blame(), Blame()
    for blame in (whole, first):
        for a in (1, 2, 3):
            suspects(blame, tick("path", PATHS), finding(f"{a}>7"))
    second.restore(first.snapshot())
    assert suspects(second, tick("path", PATHS), finding("4>7")) == suspects(whole, tick("path", PATHS), finding("4>7")) == ["7"]
    assert second.snapshot() == whole.snapshot()


def test_a_hint_too_weak_to_be_said_by_itself_accuses_no_member_of_a_slow_communicator() -> None:
    blame = Blame()
    for strength, told in ((blame.level - 0.1, {}), (blame.level, {"n1/nic0": 10})):
        blame.step(Evidence([finding("n1/nic0", "redundancy", strength=strength)]), tick("nic", [RosterRow("n1/nic0", "nic")]))
        assert blame.told == told


def test_a_member_that_retries_is_not_to_blame_for_transfers_over_a_crowded_switch() -> None:
    rail = RosterRow("comm:1-rail0", "comm", keys={"job": "job:1"}, crosses=("n1/nic0", "n2/nic0", "leaf01", "spine01"))
    slow, at = finding("comm:1-rail0")._replace(value=1.2, expected=1.0), tick("comm", [rail, RosterRow("spine01", "spine")], 10)
    blame, clear = Blame(), Blame()
    for one, size in ((blame, 0.5), (clear, 0.0)):
        one.told, one.congestion.held, one.congestion.spans = {"n1/nic0": 5}, {("path", "spine01", "path_rtt_seconds"): Held(0, 5, size)}, {"path": 100}
    copy = Blame()
    copy.restore(blame.snapshot())
    assert suspects(clear, at, slow) == ["n1/nic0"]
    for one in (blame, copy):
        assert suspects(one, at, slow) == []  # the communicator itself waits
        assert suspects(one, tick("comm", [rail], 100), slow._replace(value=2.0)) == ["n1/nic0"]  # slower than the crowd makes it
    blame.congestion.held = {key: held._replace(since=2_000_000_000, last=2_000_000_000) for key, held in copy.congestion.held.items()}
    later = tick("comm", [rail, RosterRow("spine01", "spine")], 2_000_000_000)
    blame.told = {"n1/nic0": 2_000_000_000}
    assert suspects(blame, later, slow._replace(since=1)) == ["n1/nic0"]  # slow long before the crowd
    assert suspects(blame, later, slow) == ["n1/nic0"]  # nor is what tells no onset, but was heard for long
    fresh = Blame()
    fresh.told, fresh.congestion.held, fresh.congestion.spans = blame.told, blame.congestion.held, {"path": 100}
    assert suspects(fresh, later, slow) == []  # heard with the crowd only
