"""Rostering: the better source's word holds, every word stays visible, parts have place and job from their node."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.roster import Roster, RosterRow
from grayscope.rostering import Rostering, Said


def node(name: str, **keys: str) -> RosterRow:
    return RosterRow(name, "node", keys=keys)


def test_a_person_beats_the_scheduler_beats_the_labels_beats_the_machine() -> None:
    roster = Rostering()
    for source in ("nvml", "kubernetes", "slurm", "file"):
        changed = roster.tell(source, [node("n1", leaf=f"of {source}")], 7)
        assert [r.keys["leaf"] for r in changed] == [f"of {source}"]
    assert roster.tell("kubernetes", [node("n1", leaf="other")], 8) == []
    assert [w.source for w in roster.words("n1")["leaf"]] == ["file", "slurm", "kubernetes", "nvml"]


def test_what_nobody_contradicts_is_put_together() -> None:
    roster = Rostering()
    roster.tell("nvml", [RosterRow("n1/gpu0", "gpu", keys={"serial": "1", "slot": "0"})])
    (row,) = roster.tell("dcgm", [RosterRow("n1/gpu0", "gpu", keys={"sku": "H100", "serial": ""})])
    assert row.keys == {"serial": "1", "slot": "0", "sku": "H100"}


def test_parts_have_place_and_job_from_their_node_but_not_its_serial() -> None:
    roster = Rostering()
    roster.tell("nvml", [RosterRow("n1/gpu0", "gpu", keys={"slot": "0"}), RosterRow("n1/gpu1", "gpu", keys={"job": "7"})])
    changed = roster.tell("slurm", [node("n1", leaf="l4", job="42", serial="S")], 9)
    assert {r.subject: (r.since, r.keys.get("job"), r.keys.get("leaf"), r.keys.get("serial")) for r in changed} == {
        "n1": (None, "42", "l4", "S"), "n1/gpu0": (9, "42", "l4", None), "n1/gpu1": (9, "7", "l4", None)}  # fmt: skip
    assert roster.words("n1/gpu0")["leaf"] == [Said("slurm of n1", "l4")]


def test_a_new_job_is_a_new_validity_and_the_old_one_stays_known() -> None:
    roster = Rostering()
    rows = [*roster.tell("slurm", [node("n1", job="1")]), *roster.tell("slurm", [node("n1", job="2")], 100)]
    history = Roster(rows)
    assert (history.at(99).key("n1", "job"), history.at(100).key("n1", "job")) == ("1", "2")


def test_an_end_closes_what_held() -> None:
    roster = Rostering()
    rows = roster.tell("slurm", [RosterRow("job:7", "job", keys={"nodes": "2"})], 10)
    rows += roster.tell("slurm", [RosterRow("job:7", "job", until=50, keys={"nodes": "2"})], 50)
    history = Roster(rows)
    assert ["job:7" in history.at(t).rows for t in (0, 49, 50, 99)] == [True, True, False, False]


def test_repeating_oneself_changes_nothing() -> None:
    roster = Rostering()
    rows = [node("n1", rack="r1"), RosterRow("comm:ab", "comm", crosses=("job:1/r0", "job:1/r1"))]
    assert len(roster.tell("nccl", rows, 1)) == 2
    assert roster.tell("nccl", rows, 2) == []
    assert roster.rows["comm:ab"].crosses == ("job:1/r0", "job:1/r1")


def test_names_that_churn_are_bounded_and_counted() -> None:
    roster = Rostering(most=3)
    assert len(roster.tell("x", [node(f"n{i}") for i in range(10)])) == 3
    assert roster.rejected == 7


KEYS = st.dictionaries(st.sampled_from(["leaf", "job", "sku"]), st.sampled_from(["a", "b", ""]), max_size=3)
TELLINGS = st.lists(st.tuples(st.sampled_from(["file", "slurm", "nvml"]), st.sampled_from(["n1", "n1/gpu0", "n2/gpu0"]), KEYS), max_size=12)


@settings(max_examples=200, deadline=None)
@given(TELLINGS)
def test_what_was_returned_adds_up_to_what_holds(tellings: list[tuple[str, str, dict[str, str]]]) -> None:
    """Whoever takes the changes only has the same roster as somebody who is told everything at the end."""
    roster, known = Rostering(), {}
    for time, (source, subject, keys) in enumerate(tellings):
        for row in roster.tell(source, [RosterRow(subject, "t", keys=keys)], time):
            known[row.subject] = row
    assert known == roster.rows
    again = Rostering()
    for source, subject, keys in tellings:
        again.tell(source, [RosterRow(subject, "t", keys=keys)])
    assert {s: replace(r, since=None) for s, r in again.rows.items()} == {s: replace(r, since=None) for s, r in roster.rows.items()}
