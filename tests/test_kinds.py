"""Kinds: what is usual in a kind of work, kept bounded and free of what is bad."""

from __future__ import annotations

from grayscope.kinds import KINDS, Kinds, Usual


def filled(n: int = 40, subjects: int = 5) -> Kinds:
    kinds = Kinds()
    for i in range(n):
        kinds.learn("k", f"n{i % subjects}", 40.0, bad=False)
    return kinds


def test_own_rows_are_no_measure() -> None:
    kinds = filled()
    for _ in range(30):
        kinds.learn("k", "n9", 400.0, bad=False)
    assert kinds.usual("k", "n9", log=False) == Usual(40.0, 0.0, 40)


def test_few_rows_or_few_subjects_tell_nothing() -> None:
    assert filled(20).usual("k", "n0", log=True) is None
    assert filled(100, subjects=3).usual("k", "n9", log=True) is None


def test_bad_rows_are_kept_out_until_nearly_all_are_bad() -> None:
    kinds = filled()
    for i in range(40):
        kinds.learn("k", f"n{i % 5}", 400.0, bad=True)
    assert kinds.usual("k", "n9", log=False) == Usual(40.0, 0.0, 40)
    for i in range(200):
        kinds.learn("k", f"n{i % 5}", 400.0, bad=True)
    usual = kinds.usual("k", "n9", log=False)
    assert usual is not None
    assert usual[:2] == (400.0, 0.0)


def test_kinds_are_bounded_and_survive_a_restart() -> None:
    kinds = filled()
    for i in range(KINDS + 10):
        kinds.learn(f"x{i}", "n0", 1.0, bad=False)
    assert len(kinds.past) == KINDS
    assert "k" not in kinds.past
    other = Kinds()
    other.restore(kinds.snapshot())
    assert (other.past, other.bad) == (kinds.past, kinds.bad)
