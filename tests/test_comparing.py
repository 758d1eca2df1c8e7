"""Two runs side by side: the same trouble is one pair however it is named, and everything else is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grayscope
from grayscope.errors import UsageError
from grayscope.incident import Incident
from grayscope.pairing import pairs
from grayscope.results import ResultsWriter
from grayscope.run import Run

S = 1_000_000


def trouble(name: str, subject: str, severity: str = "page", mode: str = "slow_rank", at: int = 60, **more: Any) -> Incident:
    changes = {"history": ((at * S, "gray", severity),), "summary": f"{subject} is gray"} | more
    return Incident(name, subject, subject, "gray", severity, mode, (at - 50) * S, at * S, **changes)


def run_of(folder: Path, *incidents: Incident, **about: Any) -> Run:
    writer = ResultsWriter(folder)
    writer.incidents(incidents)
    writer.close({}, {"trace": "c1", "settings": {"lateness": 30.0}, "counts": {}, "input": "aa", **about})
    return grayscope.read_run(folder)


def test_equal_runs_have_nothing_to_tell(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a", trouble("x", "n1")), run_of(tmp_path / "b", trouble("x", "n1"))
    found = a.compare(b)
    assert (found.both.height, found.changed.height, found.only_this.height, found.only_other.height) == (1, 0, 0, 0)
    assert found.settings.height == 0
    assert found.same_input
    assert str(found) == "1 incident in both, 0 of them changed; 0 only here, 0 only there"


def test_what_changed_is_named_with_both_values(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", trouble("x", "n1/gpu0"), trouble("y", "n5", "ticket"))
    late = trouble("z", "n1", "ticket", "fan_degraded", at=90, evidence=({"time": 9, "subject": "n1/gpu0"},))
    b = run_of(tmp_path / "b", late, trouble("v", "n9", "notice"), settings={"lateness": 60.0}, input="bb")
    found = a.compare(b)
    (row,) = found.changed.to_dicts()
    assert (row["this"], row["other"], row["subject_this"], row["subject_other"]) == ("x", "z", "n1/gpu0", "n1")
    assert row["changed"] == ["severity", "first suspect", "mode", "delay"]
    assert (row["later_s"], row["page_later_s"]) == (30.0, None)
    assert found.only_this["id"].to_list() == ["y"]
    assert found.only_other["id"].to_list() == ["v"]
    assert found.counts.rows() == [("page", 1, 0, 0, 0), ("ticket", 1, 1, 1, 0), ("notice", 0, 1, 0, 1)]
    assert found.settings.rows() == [("lateness", "30.0", "60.0")]
    assert found.same_input is False
    assert "the inputs differ" in found.text
    for text in (found.text, found._repr_html_()):
        assert all(word in text for word in ("n5", "n9", "fan_degraded", "lateness"))
    assert "\n" not in repr(found)


def test_a_page_that_comes_later_is_a_change_though_the_notice_is_not(tmp_path: Path) -> None:
    first = trouble("x", "n1", history=((60 * S, "masked", "ticket"), (100 * S, "gray", "page")))
    a, b = run_of(tmp_path / "a", first), run_of(tmp_path / "b", replace(first, history=((60 * S, "masked", "ticket"), (160 * S, "gray", "page"))))
    assert a.compare(b).changed.select("later_s", "page_later_s", "changed").rows() == [(0.0, 60.0, ["delay"])]


@pytest.mark.parametrize(
    ("this", "other", "paired"),
    [
        (trouble("a", "n1/gpu0"), trouble("b", "n1/gpu1"), False),  # neighbours
        (trouble("a", "n1"), trouble("b", "n10"), False),  # a like name
        (trouble("a", "n1", ended=70 * S), trouble("b", "n1", at=200), False),  # over before
        (trouble("a", "n1/gpu0/pcie"), trouble("b", "n1"), True),  # its holder
        (trouble("a", "n1"), trouble("b", "n2", rivals=(("n1", 0.4),)), True),  # a rival
        (trouble("a", "n2", rivals=(("n1", 0.4),)), trouble("b", "n1"), True),
        (trouble("a", "n1", mode="x"), trouble("b", "n1", mode="y"), True),
    ],
)  # fmt: skip
def test_who_is_one_pair(this: Incident, other: Incident, paired: bool) -> None:
    assert bool(pairs([this], [other])) is paired
    assert bool(pairs([other], [this])) is paired


def test_the_nearest_of_several_is_taken_and_each_only_once() -> None:
    these = [trouble("a", "n1", at=60, ended=100 * S), trouble("b", "n1", at=300)]
    others = [trouble("c", "n1", at=310), trouble("d", "n1", at=65, ended=90 * S)]
    assert [(x.id, y.id) for x, y in pairs(these, others)] == [("a", "d"), ("b", "c")]
    assert [(x.id, y.id) for x, y in pairs(these, [replace(others[0], id="a", began=0)])] == [("a", "a")]


names = st.sampled_from(["n1", "n1/gpu0", "n1/gpu1", "n2", "job:1"])
some = st.lists(st.tuples(names, st.integers(60, 400), st.sampled_from(["page", "ticket"])), max_size=8)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(some, some)
def test_nobody_is_lost_or_paired_twice(first: list[tuple[str, int, str]], second: list[tuple[str, int, str]]) -> None:
    these, others = ([trouble(f"{side}{n}", s, v, at=t) for n, (s, t, v) in enumerate(told)] for side, told in (("a", first), ("b", second)))
    found = pairs(these, others)
    assert len({a.id for a, _ in found}) == len({b.id for _, b in found}) == len(found)
    assert len(pairs(these, these)) == len(these)
    assert all(a is b for a, b in pairs(these, these))


def test_long_lists_are_cut_and_counted(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a", *(trouble(f"x{n}", f"n{n:03}") for n in range(200))), run_of(tmp_path / "b")
    found = a.compare(b)
    assert found.only_this.height == 200
    assert len(found.text.splitlines()) < 20
    assert "194 more" in found.text
    assert "170 more" in found._repr_html_()
    assert found.counts["only_this"].sum() == 200
    assert found.both.schema == a.compare(a).both.schema


def test_a_run_is_compared_with_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not with DataFrame"):
        run_of(tmp_path / "a").compare(pl.DataFrame())  # type: ignore[arg-type]
