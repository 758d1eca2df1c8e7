"""Eventpolicy: every code of the published lists has its meaning; a wrong table is named."""

from __future__ import annotations

import pytest

from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.eventpolicy import KINDS, Policy, Rule
from grayscope.modes import Modes
from tests.wholeline import GPUS, STEP, Line, Told, quiet

POLICY = Policy.load()


def meant(source: str, code: str, text: str = "") -> Rule:
    rule = POLICY.of(Event(0, "n1/gpu0", source, code, text))
    assert rule is not None, (source, code)
    return rule


@pytest.mark.parametrize("code", ["48", "64", "74", "79", "94", "95", "119", "120", "140", "46", "62", "109", "142", "151", "167"])
def test_what_everybody_can_see_is_health(code: str) -> None:
    assert (meant("xid", code).kind, meant("xid", code).side) == ("fact", "health")


@pytest.mark.parametrize("code", ["63", "92", "121", "156", "157", "160", "161", "164", "165"])
def test_what_the_vendor_ignores_and_is_spent_is_redundancy(code: str) -> None:
    assert meant("xid", code).side == "redundancy"
    assert meant("xid", code).mechanism in Modes.load().mechanisms


@pytest.mark.parametrize("code", ["13", "31", "43", "69"])
def test_programs_accuse_no_hardware_alone(code: str) -> None:
    assert (meant("xid", code).kind, meant("xid", code).needs) == ("jobs", 2)


def test_words_of_the_log_decide_where_the_number_does_not() -> None:
    assert meant("xid", "154", "changed from 0x0 (None) to 0x1 (GPU Reset Required)").side == "health"
    assert meant("xid", "154", "changed from 0x1 (GPU Reset Required) to 0x0 (None)").clears == ("xid:154",)
    assert meant("sxid", "20034", "Fatal, Link 63 LTSSM Fault Up").side == "health"
    assert meant("sxid", "20034", "Non-fatal, Link 63").side == "redundancy"
    assert meant("xid", "149", "NETIR_LINK_EVT  Fatal   XC0 i0 Link 08").side == "health"
    assert meant("xid", "149", "NETIR_BER_EVENT  Nonfatal XC0 i0 Link 08").kind == "noted"


def test_codes_are_read_whatever_their_case() -> None:
    assert meant("edac", "UE").side == "health"
    assert meant("edac", "CE").kind == meant("aer", "Corrected").kind == "noted"


def test_every_rule_says_where_it_is_from_and_is_reached() -> None:
    assert {r.kind for r in POLICY.rules} == set(KINDS)
    for rule in POLICY.rules:
        assert len(rule.source_of_rule) > 5
        assert any(POLICY.of(Event(0, "a", rule.source, code, f"{rule.when} ")) == rule for code in rule.codes), rule


GOOD = 'source = "xid"\ncodes = "1"\nkind = "noted"\nsource_of_rule = "here"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]\n", "not TOML"),
        ('[[rule]]\nsource = "xid"\n', "rule 1: "),
        (f'[[rule]]\n{GOOD}colour = "red"\n', "rule 1: key: expected"),
        (f"[[rule]]\n{GOOD}".replace('"noted"', '"rumour"'), "kind: expected fact, repeats"),
        (f"[[rule]]\n{GOOD}".replace('"noted"', '"fact"'), "side: expected health"),
        (f"[[rule]]\n{GOOD}".replace('"noted"', '"clears"'), "clears: expected a list"),
        (f'[[rule]]\n{GOOD}mode = "tired"\n', "mode: expected the name of a mode, found tired"),
        (f'[[rule]]\n{GOOD}mechanism = "hope"\n', "mechanism: expected the name of a mechanism, found hope"),
        (f"[[rule]]\n{GOOD}half_life_h = 0\n", "half_life_h and needs: expected positive"),
        (f"[[rule]]\n{GOOD}".replace('"1"', '"5-99999999"'), "codes: expected a range"),
    ],
)
def test_a_wrong_table_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        Policy.parse(text)
    assert said in str(error.value)


GPU, OTHER = GPUS[3], GPUS[4]


def judged(*said: tuple[int, str, str, str], ticks: int = 240) -> Told:
    """Return what the whole line makes of events (tick, subject, source, code)."""
    events: dict[int, list[Event]] = {}
    for t, subject, source, code in said:
        events.setdefault(t, []).append(Event(t * STEP - 1, subject, source, code, "as the log has it"))
    return Line().feed("gpu", GPUS, quiet(), ticks, events=events)


@pytest.mark.parametrize(
    ("said", "found", "state", "severity", "mode"),
    [
        ([(5, GPU, "aer", "nonfatal"), (40, GPU, "aer", "nonfatal")], GPU, "masked", "ticket", "pcie_errors"),
        ([(5, GPU, "aer", "fatal")], GPU, "failed", "ticket", "pcie_errors"),
        ([(5, "n0", "edac", "UE")], "n0", "failed", "ticket", "host_memory_errors"),
        ([(5, "n0", "mce", "poisoned")], "n0", "failed", "ticket", "host_memory_errors"),
        ([(5, GPU, "xid", "63")], GPU, "masked", "ticket", "hbm_row_spares"),
        ([(5, GPU, "health", "unhealthy")], GPU, "failed", "ticket", ""),
        ([(5, "n0", "disk", "medium_error"), (40, "n0", "disk", "medium_error")], "n0", "masked", "ticket", "disk_redundancy"),
    ],
)
def test_what_is_told_becomes_this_trouble(said: list[tuple[int, str, str, str]], found: str, state: str, severity: str, mode: str) -> None:
    told = judged(*said, ticks=80)
    assert told.names == [(found, severity, mode)]
    assert [(s, m) for _, _, s, m in told.states] == [(state, mode)]


@pytest.mark.parametrize(
    "said",
    [
        [(5, GPU, "aer", "nonfatal")],  # seen at either end of a link: one alone says little
        [(5 + t, GPU, "aer", "corrected") for t in range(30)],
        [(5 + t, "n0", "edac", "CE") for t in range(30)],
        [(5 + t, "n0", "mce", "logged") for t in range(30)],
        [(5, GPU, "health", "degraded")],
        [(5, GPU, "health", "healthy")],
    ],
)
def test_what_is_told_and_accuses_nobody(said: list[tuple[int, str, str, str]]) -> None:
    told = judged(*said, ticks=80)
    assert told.states == []
    assert told.names == []


@pytest.mark.parametrize(
    ("said", "clears"),
    [
        ((5, GPU, "health", "unhealthy"), (20, GPU, "health", "healthy")),
        ((5, GPU, "xid", "63"), (30, GPU, "health", "remap_applied")),
        ((5, GPU, "xid", "79"), (20, "n0", "health", "reset")),
    ],
)
def test_what_takes_it_back_ends_it(said: tuple[int, str, str, str], clears: tuple[int, str, str, str]) -> None:
    told, without = judged(said, clears), judged(said)
    assert [s for _, _, s, _ in told.states] == [without.states[0][2], "normal"]
    assert [(i.subject, i.ended is not None) for i in told.incidents] == [(GPU, True)]
    assert [(i.subject, i.ended is not None) for i in without.incidents] == [(GPU, False)]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ((5, GPU, "health", "unhealthy"), (20, OTHER, "health", "healthy")),  # another part's
        ((5, GPU, "xid", "63"), (20, GPU, "health", "healthy")),  # a check that passes puts no spare row in place
        ((5, GPU, "health", "unhealthy"), (20, GPU, "health", "remap_applied")),
    ],
)
def test_what_takes_back_something_else_does_not(said: tuple[int, str, str, str], word: tuple[int, str, str, str]) -> None:
    assert judged(said, word).states == judged(said).states
