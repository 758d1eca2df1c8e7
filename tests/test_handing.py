"""Handing: who is told of what, once, and in words that break nobody's format."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from grayscope.errors import UsageError
from grayscope.handing import Handing, Note, camel, measured, node_of, note, plain
from grayscope.incident import Incident
from grayscope.roster import RosterRow, View

ROWS = [RosterRow("n1", "node"), RosterRow("n1/gpu3", "gpu", keys={"uuid": "GPU-1"}), RosterRow("leaf04", "leaf"), RosterRow("lost/gpu0", "gpu")]
VIEW = View(0, {r.subject: r for r in ROWS})


def incident(subject: str = "n1/gpu3", severity: str = "page", mode: str = "slow_rank", key: str = "ab", **more: Any) -> Incident:
    return Incident(key, subject, subject, "gray", severity, mode, 5, 6, **more)


def told(handing: Handing, *incidents: Incident, view: View | None = VIEW) -> list[tuple[str, str, bool]]:
    return [(n.incident, n.subject, over) for n, over in handing.step(incidents, view)]


def test_the_roster_says_what_is_a_node() -> None:
    found = [node_of(incident(s), VIEW) for s in ("n1/gpu3", "n1", "leaf04", "lost/gpu0", "nobody", "a>b")]
    assert found == ["n1", "n1", "", "lost", "", ""]


def test_without_a_roster_a_switch_is_known_by_its_metrics() -> None:
    by = incident("leaf04", evidence=({"subject": "leaf04", "signals": [{"metric": "leaf_uplinks_active"}]},))
    assert node_of(by, None) == ""


def test_words_may_change_without_a_second_line_graver_is_told_anew_and_another_matter_ends_the_first() -> None:
    handing = Handing()
    first = incident(severity="ticket")
    assert told(handing, first) == [("ab", "n1/gpu3", False)]
    assert told(handing, replace(first, summary="more")) == []
    assert told(handing, replace(first, severity="page")) == [("ab", "n1/gpu3", False)]
    assert told(handing, replace(first, subject="n1", severity="page")) == [("ab", "n1/gpu3", True), ("ab", "n1", False)]
    assert told(handing, replace(first, subject="n1", severity="page", ended=9)) == [("ab", "n1", True)]
    assert handing.open == {}


def test_an_end_is_told_where_the_beginning_is_unknown() -> None:
    assert told(Handing(), incident(ended=9)) == [("ab", "n1/gpu3", True)]
    assert told(Handing(by_node=True), incident(ended=9)) == [("ab", "n1/gpu3", True)]


def test_the_calm_is_not_told_and_what_calms_down_is_over() -> None:
    handing = Handing()
    assert told(handing, incident(severity="notice")) == []
    assert told(handing, incident()) == [("ab", "n1/gpu3", False)]
    assert told(handing, incident(severity="notice")) == [("ab", "n1/gpu3", True)]
    with pytest.raises(UsageError, match="least: expected notice"):
        Handing("grave")


def test_what_is_on_no_node_is_counted_once_each() -> None:
    handing = Handing()
    switch = incident("leaf04")
    assert told(handing, switch, replace(switch, summary="more"), replace(switch, ended=9)) == []
    assert told(handing, incident("job:1", key="cd")) == []
    assert handing.nowhere == 2


def test_of_a_node_only_the_gravest_is_told() -> None:
    handing = Handing(by_node=True)
    ticket, page = incident(severity="ticket", key="t"), incident("n1", key="p")
    assert told(handing, ticket) == [("t", "n1/gpu3", False)]
    assert told(handing, page) == [("p", "n1", False)]
    assert told(handing, replace(ticket, ended=8)) == []
    assert told(handing, ticket) == []
    assert told(handing, replace(page, ended=9)) == [("t", "n1/gpu3", False)]
    assert told(handing, replace(ticket, ended=9)) == [("t", "n1/gpu3", True)]
    assert handing.told == {}


def test_the_first_signal_against_peers_is_the_one_that_is_told() -> None:
    signals = [{"metric": "nic_port_up", "value": 0.0, "expected": None}, {"metric": "compute_seconds", "value": 3.0, "expected": 2.0, "n_peers": 7}]
    made = note(incident(evidence=({"subject": "n1/gpu3", "signals": signals}, {"subject": "n2", "signals": []})), "n1", {"uuid": "GPU-1"})
    assert (made.metric, measured(made), made.keys) == ("compute_seconds", "x1.5 vs 7 peers", {"uuid": "GPU-1"})


@pytest.mark.parametrize(("value", "expected", "n", "says"), [
    (1.8, 2.0, 7, "x0.9 vs 7 peers"), (5.0, 0.0, 7, "above 7 peers"), (5.0, 0.0001, 7, "x>999 vs 7 peers"), (1.0, 2.0, 0, "x0.5 vs what is usual"),
    (None, 2.0, 7, ""), (float("nan"), 2.0, 7, ""), (0.0, 0.0, 7, ""), (float("inf"), 1.0, 7, ""),
])  # fmt: skip
def test_how_far_off(value: float | None, expected: float | None, n: int, says: str) -> None:
    made = Note("ab", "n1", "n1", "page", "gray", "", 0, 0, "m", value, expected, n)
    assert measured(made) == says


def test_hostile_text_ends_nothing() -> None:
    text = plain("a'\"`$(reboot);|&\n\r\u2028\x00\\<script>" + "x" * 10_000, 100)
    assert len(text) == 100
    assert not set(text) & set("'\"`$;|&\n\r\u2028\x00\\")
    assert camel('thermal"; rm\n-rf') == "ThermalRmRf"
