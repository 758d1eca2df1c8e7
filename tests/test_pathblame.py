"""Pathblame: with what lies between known, paths lead to the component or to the set that cannot be told apart; ends take their paths."""

from __future__ import annotations

import json

import numpy as np

from grayscope.blame import Blame
from grayscope.catalogue import Catalogue
from grayscope.desk import Desk
from grayscope.evidence import Evidence, Finding
from grayscope.judge import Judge
from grayscope.roster import RosterRow, View
from grayscope.stand import Stand
from grayscope.standing import Standing
from grayscope.tick import Tick

NODES = 8
PAIRS = [(a, b) for a in range(NODES) for b in range(NODES) if a != b]
ROWS = [
    RosterRow(f"n{a}>n{b}", "path", keys={"source": f"n{a}", "target": f"n{b}"}, crosses=(f"n{a}", f"spine{k}", f"optic{k}", f"n{b}"))
    for a, b in PAIRS
    for k in [(3 * a + b) % 4]
]  # fmt: skip
VIEW = View(1, {r.subject: r for r in ROWS})
NAMES = tuple(sorted(VIEW.rows))
METRIC = "path_rtt_seconds"


def ticks(bad: str, n: int = 120) -> list[tuple[Tick, Standing]]:
    rng, stand, out = np.random.default_rng(4), Stand(Catalogue.load()), []
    hit = np.array([bad in VIEW.crosses(s) for s in NAMES])
    for t in range(n):
        values = 1e-5 * np.exp(rng.normal(0, 0.05, len(NAMES)) + np.where(hit & (t > 80), 0.4, 0.0))
        tick = Tick("path", t * 1_000_000, 1_000_000, VIEW, NAMES, (METRIC,), values[None].astype(np.float32), np.zeros(len(NAMES), bool))
        out.append((tick, stand.step(tick)))
    return out


def finding(subject: str, time: int = 0, strength: float = 9.0, value: float = 1.4) -> Finding:
    return Finding(time, subject, "service", "became", strength, "slow_path", metric=METRIC, value=value, expected=1.0, why=f"{subject} is slow")


def blamed(blame: Blame, bad: str, accused: list[str]) -> list[Finding]:
    walked = ticks(bad)
    for tick, standing in walked[:-1]:
        blame.step(Evidence(), tick, standing)
    tick, standing = walked[-1]
    return list(blame.step(Evidence([finding(s, tick.time) for s in accused]), tick, standing))


def test_the_spine_and_its_optic_are_one_set_of_candidates() -> None:
    bad = [s for s in NAMES if "spine2" in VIEW.crosses(s)][:3]
    found = blamed(Blame(), "spine2", bad)
    assert {f.subject for f in found} == {"optic2"}
    assert json.loads(found[0].rivals) == [["spine2", 0.5]]
    assert "the paths cannot tell them apart" in found[0].why


def test_what_is_known_about_one_of_them_makes_it_the_suspect() -> None:
    bad, blame = [s for s in NAMES if "spine2" in VIEW.crosses(s)][:3], Blame()
    blame.told["spine2"] = 100_000_000
    assert {f.subject for f in blamed(blame, "spine2", bad)} == {"spine2"}


def test_rivals_reach_the_incident() -> None:
    bad, judge, desk = [s for s in NAMES if "spine2" in VIEW.crosses(s)][:3], Judge(), Desk("c")
    found = blamed(Blame(), "spine2", bad)
    tick = ticks("spine2", 1)[0][0]
    (incident,) = desk.step(judge.step(tick, Evidence(found)))
    assert (incident.subject, incident.rivals, incident.probability) == ("optic2", (("spine2", 0.5),), 0.5)


def test_one_bad_path_that_shares_nothing_bad_stays() -> None:
    assert [f.subject for f in blamed(Blame(), "nothing", ["n0>n1"])] == ["n0>n1"]


def test_an_end_accused_for_certain_takes_its_paths_but_not_a_far_worse_one() -> None:
    blame, (tick, _) = Blame(), ticks("nothing", 1)[0]
    evidence = Evidence([finding("n3"), finding("n3>n5"), finding("n3>n6", value=50.0), finding("n1>n2")])
    assert [f.subject for f in blame.step(evidence, tick)] == ["n3", "n3", "n3>n6", "n1>n2"]
    unsure = Evidence([finding("n3", strength=5.0), finding("n3>n5")])
    assert [f.subject for f in Blame().step(unsure, tick)] == ["n3", "n3>n5"]


def test_a_component_whose_other_paths_are_well_is_not_to_blame() -> None:
    blame, (tick, _) = Blame().paths, ticks("nothing", 1)[0]
    excess = np.array([[5.0 if "spine2" in VIEW.crosses(s) else 0.1 for s in NAMES]], np.float32)
    sides = frozenset({"service"})
    blame.step([finding("spine2", strength=12.0)], tick, 1, sides, excess, {}, congested=False)
    assert [f.subject for f in blame.step([finding("n3")], tick, 2, sides, excess, {}, congested=False)] == ["spine2"]
    assert [f.subject for f in blame.step([finding("n3")], tick, 3, sides, np.full_like(excess, 5.0), {}, congested=False)] == ["n3"]


def test_an_end_that_told_something_about_itself_takes_its_path_unless_the_network_is_congested() -> None:
    tick, nothing, sides = ticks("nothing", 1)[0][0], np.zeros((1, len(NAMES)), np.float32), frozenset({"service"})
    for congested, subject in ((False, "n5"), (True, "n3>n5")):
        found = Blame().paths.step([finding("n3>n5")], tick, 1, sides, nothing, {"n5": tick.time}, congested)
        assert [f.subject for f in found] == [subject]
