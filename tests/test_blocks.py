"""Blocks: what the ends of one place send to those of another is one incident; rows, columns and cells stay what they are, of times and of rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from grayscope import assembly
from grayscope.engine import Engine
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick

RTT, WIDE = "path_rtt_seconds", "path_bandwidth_bytes_per_second"
MINUTE, ONSET = 60_000_000, 70
#: Which leaf each end is under, from its number.
LEAVES = 4
Pair = tuple[int, int]
Bad = Callable[[int, int], bool]


def block(p: int, q: int) -> Bad:
    """All that leaf p sends to leaf q."""
    return lambda a, b: (a // LEAVES, b // LEAVES) == (p, q)


def both(p: int, q: int) -> Bad:
    return lambda a, b: {a // LEAVES, b // LEAVES} == {p, q}


def name(end: int) -> str:
    return f"n{end:02d}"


def way(a: int, b: int, known: str) -> tuple[str, ...]:
    """Return what a path crosses, as far as that is known."""
    p, q = a // LEAVES, b // LEAVES
    between = {"ends": [], "places": [], "leaves": [f"leaf{p}", f"leaf{q}"], "links": [f"leaf{p}", f"link{p}-{q}", f"leaf{q}"]}[known]
    return tuple(dict.fromkeys((name(a), *between, name(b))))


def told(
    bad: Bad,
    known: str = "places",
    metric: str = RTT,
    size: float = 1.6,
    ends: int = 16,
    tails: float = 0.0,
    until: int = 96,
    onset: int = ONSET,
    restart: int = 0,
) -> list[Incident]:
    """Return the incidents, each as it was at last, of a mesh of which some paths get worse by a factor; `tails` are the degrees of freedom of noise."""
    rng, pairs = np.random.default_rng(3), [(a, b) for a in range(ends) for b in range(ends) if a != b]
    rows = [RosterRow(f"{name(a)}>{name(b)}", "path", keys={"source": name(a), "target": name(b)}, crosses=way(a, b, known)) for a, b in pairs]
    rows += [RosterRow(name(end), "node", keys={"leaf": f"leaf{end // LEAVES}"}) for end in range(ends) if known == "places"]
    view = Roster(rows).at(0)
    hit = np.array([bad(int(s[1:3]), int(s[5:7])) for s in view.tables["path"]])
    engine, found = assembly.engine(Settings(), periods={"path": MINUTE}), dict[str, Incident]()
    for t in range(1, until):
        noise = 0.05 * (rng.standard_t(tails, len(hit)) if tails else rng.standard_normal(len(hit)))
        worse = np.where(hit & (t > onset), size, 1.0)
        values = np.exp(noise) * (1e-5 * worse if metric == RTT else 4e10 / worse)
        if t == restart:
            state, engine = engine.snapshot(), assembly.engine(Settings(), periods={"path": MINUTE})
            engine.restore(state)
        found |= {i.id: i for i in judged(engine, view, t, metric, values)}
    return sorted(found.values(), key=lambda i: i.subject)


def judged(engine: Engine, view: View, t: int, metric: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[Incident]:
    names = view.tables["path"]
    tick = Tick("path", t * MINUTE, MINUTE, view, names, (metric,), values[None].astype(np.float32), np.zeros(len(names), bool))
    return list(engine.judged(tick, engine.compared(tick)).incidents)


def pages(incidents: list[Incident]) -> list[str]:
    return [i.subject for i in incidents if i.severity == "page"]


@pytest.mark.parametrize("metric", [RTT, WIDE])
@pytest.mark.parametrize(("known", "subject"), [("ends", "n00>n04"), ("places", "leaf0>leaf1"), ("leaves", "leaf0>leaf1"), ("links", "link0-1")])
def test_a_block_is_one_page_whatever_is_known_of_what_lies_between(known: str, subject: str, metric: str) -> None:
    (one,) = told(block(0, 1), known, metric)
    assert (one.subject, one.severity, one.mode) == (subject, "page", "slow_path")
    if known != "links":
        assert "what 4 ends (n00, n01, n02, n03) send to 4 ends (n04, n05, n06, n07)" in one.summary


def test_a_block_that_no_place_names_names_its_paths_as_candidates() -> None:
    (one,) = told(block(0, 1), "ends")
    assert "no place that is known of them tells what they share" in one.summary
    assert one.probability == pytest.approx(1 / 16, abs=0.01)
    assert {rival for rival, _ in one.rivals} < {f"{name(a)}>{name(b)}" for a in range(4) for b in range(4, 8)}


@pytest.mark.parametrize(("known", "subjects"), [("ends", ["n00>n04", "n08>n12"]), ("leaves", ["leaf0>leaf1", "leaf2>leaf3"])])
def test_two_blocks_at_once_are_two_pages(known: str, subjects: list[str]) -> None:
    assert [i.subject for i in told(lambda a, b: block(0, 1)(a, b) or block(2, 3)(a, b), known, WIDE)] == subjects


@pytest.mark.parametrize(("known", "subjects"), [("ends", {"n00>n04", "n04>n00"}), ("places", {"leaf0>leaf1"})])
def test_both_ways_of_a_block_are_one_page_that_says_so(known: str, subjects: set[str]) -> None:
    (one,) = told(both(0, 1), known)
    assert one.subject in subjects
    assert "and the other way" in one.summary


def test_what_the_ends_of_a_place_send_to_each_other_is_that_places() -> None:
    (one,) = told(block(0, 0), "places")
    assert one.subject == "leaf0"
    assert "send to 4 ends (n00, n01, n02, n03)" in one.summary


@pytest.mark.parametrize(("known", "subject"), [("ends", "n00>n04"), ("places", "leaf0>leaf1"), ("links", "link0-1")])
def test_a_block_is_one_page_in_noise_of_heavy_tails(known: str, subject: str) -> None:
    assert [i.subject for i in told(block(0, 1), known, tails=2.2, until=90)] == [subject]


@pytest.mark.parametrize("known", ["ends", "places"])
def test_a_weak_block_is_found_as_what_it_is(known: str) -> None:
    (one,) = told(block(0, 1), known, WIDE, size=1.1, until=140)
    assert ">" in one.subject
    assert "16 " in one.summary or "4 ends" in one.summary


@pytest.mark.parametrize(("known", "tails"), [("ends", 0.0), ("places", 0.0), ("leaves", 3.0)])
def test_a_healthy_mesh_is_silent(known: str, tails: float) -> None:
    assert told(lambda _a, _b: False, known, tails=tails, until=200) == []


@pytest.mark.parametrize("known", ["places", "leaves"])
@pytest.mark.parametrize("bad", [lambda a, b: 0 in (a // LEAVES, b // LEAVES), lambda a, _b: a // LEAVES == 0], ids=["both ways", "sending"])
def test_a_leaf_all_of_whose_paths_are_bad_stays_the_leaf(known: str, bad: Bad) -> None:
    assert pages(told(bad, known)) == ["leaf0"]


@pytest.mark.parametrize("known", ["ends", "places", "leaves"])
def test_a_bad_end_and_a_bad_path_of_a_bandwidth_matrix_stay_what_they_are(known: str) -> None:
    for bad, subject in ((lambda a, _b: a == 3, "n03"), (lambda _a, b: b == 3, "n03"), (lambda a, b: (a, b) == (3, 7), "n03>n07")):
        assert [i.subject for i in told(bad, known, WIDE, until=130)] == [subject]


@pytest.mark.parametrize("known", ["ends", "places"])
def test_a_block_that_is_a_crowd_is_told_as_the_block_not_as_two_populations(known: str) -> None:
    (one,) = told(block(0, 1), known, WIDE, ends=8, until=116)
    assert (one.severity, one.mode) == ("page", "slow_path")
    assert one.subject == "leaf0>leaf1" if known == "places" else one.subject < "n04>"
    assert "what 4 ends (n00, n01, n02, n03) send to 4 ends (n04, n05, n06, n07)" in one.summary


def test_two_kinds_of_paths_that_have_always_been_so_are_no_block() -> None:
    assert pages(told(block(0, 1), "places", size=1.6, ends=8, onset=0)) == []


def test_a_block_goes_on_after_a_restart() -> None:
    assert told(block(0, 1), "ends", restart=80) == told(block(0, 1), "ends")
