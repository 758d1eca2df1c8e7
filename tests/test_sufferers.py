"""Sufferers: who shows a cause excuses those who are late with it, for a while, in the same job."""

from __future__ import annotations

from grayscope.sufferers import Sufferers


def test_a_late_row_of_who_has_shown_a_cause_goes_on_excusing_others() -> None:
    known = Sufferers()
    known.late("j", "n1", 0, 100, cause=True)
    known.late("j", "n1", 90, 300, cause=False)
    known.late("j", "n2", 90, 900, cause=False)
    assert known.excuse("j", "n2", 250) == "n1"
    assert known.excuse("j", "n3", 301) == ""


def test_two_culprits_excuse_a_third_but_not_each_other() -> None:
    known = Sufferers()
    known.late("j", "n1", 0, 100, cause=True)
    known.late("j", "n2", 10, 200, cause=True)
    assert [known.excuse("j", n, 50) for n in ("n1", "n2", "n3")] == ["", "", "n1"]
    assert known.excuse("j", "n1", 150) == "n2"


def test_without_a_job_nobody_is_excused() -> None:
    known = Sufferers()
    known.late("", "n1", 0, 100, cause=True)
    assert known.excuse("", "n2", 50) == ""


def test_who_held_up_a_job_is_remembered_by_a_restart() -> None:
    known = Sufferers()
    known.late("j", "n1", 0, 100, cause=True)
    other = Sufferers()
    other.restore(known.snapshot())
    assert other.excuse("j", "n2", 50) == "n1"


def test_jobs_that_are_remembered_are_bounded() -> None:
    known = Sufferers()
    for k in range(3000):
        known.late(f"j{k}", "n1", k, k + 10**9, cause=True)
    assert len(known.held) <= 1024
    assert known.excuse("j2999", "n2", 3000) == "n1"
    assert known.excuse("j0", "n2", 3000) == ""
