"""Mesh: ends that are slightly bad on all their paths are found, single cells and the whole mesh are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from grayscope import plugins
from grayscope.align import Align
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.evidence import Finding
from grayscope.roster import RosterRow
from grayscope.stand import Stand

Values = NDArray[np.float64]
NAMES = [f"n{i:02d}" for i in range(12)]
BOTH = [(a, b) for a in NAMES for b in NAMES if a != b]
ONCE = [(a, b) for a, b in BOTH if a < b]


def said(spoil: Callable[[int, str, str], float], pairs: list[tuple[str, str]] = BOTH, ticks: int = 200, leaf: int = 0) -> list[Finding]:
    """Return what is found when the time of each path is multiplied by ``spoil(tick, source, target)``; so many ends are known to be under a leaf."""
    rng, catalogue = np.random.default_rng(7), Catalogue.load()
    align, stand, detector = Align(lambda _: False, {"path": 60_000_000}), Stand(catalogue), plugins.detector("mesh")
    subjects = tuple(f"{a}>{b}" for a, b in pairs)
    usual = np.exp(rng.normal(0, 0.1, len(pairs)))
    rows = tuple(RosterRow(s, "path", keys={"source": a, "target": b}, crosses=(a, b)) for s, (a, b) in zip(subjects, pairs, strict=True))
    rows += tuple(RosterRow(end, "node", keys={"leaf": f"leaf{i // leaf}"}) for i, end in enumerate(NAMES) if leaf)
    found, messages = [], [rows] + [
        Batch("path", np.array([(t + 1) * 60_000_000]), subjects, ("path_rtt_seconds",), _values(rng, usual, [spoil(t, a, b) for a, b in pairs]))
        for t in range(ticks)
    ]  # fmt: skip
    for message in messages:
        for tick in (tick for tick in align.step(message) if tick.table == "path"):
            found += list(detector.step(tick, stand.step(tick)))
    return found


def _values(rng: np.random.Generator, usual: Values, factor: list[float]) -> NDArray[np.float32]:
    noise = np.exp(rng.normal(0, 0.05, len(usual)))
    values: NDArray[np.float32] = (1e-5 * usual * noise * np.array(factor)).astype(np.float32)[None, None]
    return values


def accused(found: list[Finding]) -> set[str]:
    return {f.subject for f in found if f.strength >= 6.9}


def test_a_sender_that_is_a_little_slow_is_found_and_so_called() -> None:
    found = said(lambda t, a, _b: 1.08 if t > 120 and a == "n03" else 1.0)
    assert accused(found) == {"n03"}
    best = max(found, key=lambda f: f.strength)
    assert best.why.startswith("sending over its paths")
    assert best.value > best.expected


def test_a_receiver_and_a_whole_end_are_told_apart() -> None:
    receiver = said(lambda t, _a, b: 1.08 if t > 120 and b == "n05" else 1.0)
    whole = said(lambda t, a, b: 1.08 if t > 120 and "n05" in (a, b) else 1.0)
    assert accused(receiver) == accused(whole) == {"n05"}
    assert max(receiver, key=lambda f: f.strength).why.startswith("receiving over")
    assert max(whole, key=lambda f: f.strength).why.startswith("sending and receiving")


def test_pairs_measured_once_give_their_ends() -> None:
    assert accused(said(lambda t, a, b: 1.1 if t > 120 and "n11" in (a, b) else 1.0, ONCE)) == {"n11"}


def test_one_bad_path_and_a_slow_mesh_accuse_no_end() -> None:
    assert accused(said(lambda t, a, b: 2.0 if t > 120 and (a, b) == ("n01", "n02") else 1.0)) == set()
    assert accused(said(lambda t, _a, _b: 1.5 if t > 120 else 1.0)) == set()


def test_three_ends_are_no_matrix() -> None:
    few = [(a, b) for a, b in BOTH if a < "n03" and b < "n03"]
    assert said(lambda _t, a, _b: 3.0 if a == "n00" else 1.0, few) == []


def block(a: str, b: str) -> bool:
    return a < "n04" <= b < "n08"


def test_what_the_ends_of_a_leaf_send_to_those_of_another_is_found() -> None:
    assert accused(said(lambda t, a, b: 1.35 if t > 120 and block(a, b) else 1.0, leaf=4)) == {"leaf0>leaf1"}
    assert accused(said(lambda t, a, b: 1.35 if t > 120 and block(a, b) else 1.0)) == set()


def test_pairs_measured_once_make_one_block_both_ways() -> None:
    assert accused(said(lambda t, a, b: 2.0 if t > 120 and block(a, b) else 1.0, ONCE, leaf=4)) == {"leaf0>leaf1"}


def test_leaves_that_have_always_been_far_apart_are_no_matter_but_one_of_their_ends_is() -> None:
    assert accused(said(lambda _t, a, b: 1.3 if block(a, b) else 1.0, leaf=4)) == set()
    assert accused(said(lambda t, a, _b: 1.08 if t > 120 and a == "n03" else 1.0, leaf=4)) == {"n03"}
