"""Sink grafana: an annotation on each panel per incident, made once, changed, ended; every failure as promised."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.alert import Alert
from grayscope.dashboards import load, uid
from grayscope.sinks.grafana import PLACES, Grafana, note
from tests.grafana.conftest import Place
from tests.grafana.contract import TOKEN, Contract

START = 1_700_000_000_000_000
LABELS = {"alertname": "GrayFailure", "cluster": "c", "incident": "ab12", "severity": "page"}
WORDS = {"summary": "n1/gpu0 is gray", "subject": "n1/gpu0", "mode": "thermal_throttle", "node": "n1"}
FIRING = Alert(LABELS, WORDS, START)
ENDED = Alert(LABELS, WORDS, START, START + 60_000_000)


def sent(at: Place | Contract, *batches: list[Alert], **options: Any) -> Grafana:
    sink = Grafana(at.url, token=at.token, **options)
    for batch in batches:
        sink.send(batch)
    while sink.delivery.waiting:
        threading.Event().wait(0.01)
    sink.close()
    return sink


def boards(at: Place | Contract) -> None:
    command = plugins.load("pipelines", "grafana")
    assert CliRunner().invoke(command, ["apply", "--url", at.url, "--token", at.token, "--json"]).exit_code == 0


def notes(at: Place) -> list[dict[str, Any]]:
    found = at.api.ask("GET", "/annotations", params={"tags": "grayscope", "limit": 100}, kind=list)
    return sorted(found, key=lambda n: n.get("dashboardUID", ""))


def test_an_incident_from_its_begin_to_its_end(grafana: Place) -> None:
    boards(grafana)
    assert sent(grafana, [FIRING]).lost == 0
    made = notes(grafana)
    assert sorted((n["dashboardUID"], n["panelId"]) for n in made) == sorted(PLACES)
    assert {(n["time"], n["timeEnd"]) for n in made} == {(START // 1000, START // 1000)}
    assert {tuple(sorted(n["tags"])) for n in made} == {
        ("cluster:c", "grayscope", "incident:ab12", "mode:thermal_throttle", "node:n1", "severity:page")
    }  # fmt: skip
    assert sent(grafana, [FIRING], [ENDED]).sent == 2
    ended = notes(grafana)
    assert [n["id"] for n in ended] == [n["id"] for n in made]
    assert {n["timeEnd"] - n["time"] for n in ended} == {60_000}
    assert all("ended" in n["text"] for n in ended)


def test_an_escalation_is_one_region_from_the_first_notice(grafana: Place) -> None:
    boards(grafana)
    later = START + 30_000_000
    ticket = {**LABELS, "severity": "ticket"}
    page = Alert(LABELS, WORDS, later)
    sent(grafana, [Alert(ticket, WORDS, START)], [Alert(ticket, WORDS, START, later), page])
    assert {(n["time"], n["timeEnd"]) for n in notes(grafana)} == {(START // 1000, START // 1000)}
    assert all("severity:page" in n["tags"] and "severity:ticket" not in n["tags"] for n in notes(grafana))
    sent(grafana, [Alert(LABELS, WORDS, later, later + 1_000_000)])
    assert [n["timeEnd"] - n["time"] for n in notes(grafana)] == [31_000, 31_000]


def test_one_that_comes_back_is_open_again(contract: Contract) -> None:
    boards(contract)
    sent(contract, [FIRING], [ENDED], [FIRING])
    assert {(n["time"], n["timeEnd"]) for n in contract.state.notes.values()} == {(START // 1000, START // 1000)}


def test_the_same_twice_writes_nothing_more(contract: Contract) -> None:
    boards(contract)
    sent(contract, [FIRING])
    contract.calls.clear()
    sent(contract, [FIRING])
    assert contract.wrote() == []


def test_the_panels_are_those_that_are_meant() -> None:
    titles = {(uid(n), p["id"]): p["title"] for n in ("fleet", "incident") for p in load(n)["panels"]}
    assert [titles[place] for place in PLACES] == ["Who is not normal, since when", "State of the suspect"]


def test_without_dashboards_it_is_one_annotation_of_the_organisation(contract: Contract) -> None:
    assert sent(contract, [FIRING], [ENDED]).lost == 0
    (made,) = contract.state.notes.values()
    assert "dashboardUID" not in made
    assert made["timeEnd"] - made["time"] == 60_000


def test_a_404_for_a_dashboard_is_the_same(contract: Contract) -> None:
    boards(contract)
    contract.fail("POST", "/api/annotations", 404, 2)
    assert sent(contract, [FIRING]).sent == 1
    assert ["dashboardUID" in n for n in contract.state.notes.values()] == [False]


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_refused_token_is_told_once_and_stops(contract: Contract, verb: str, code: int) -> None:
    contract.fail(verb, "/api/annotations", code)
    sink = sent(contract, [FIRING], [ENDED], [FIRING])
    assert (sink.sent, sink.lost) == (0, 3)
    assert len([c for c in contract.calls if c[0] == verb]) == 1
    assert "Service accounts" in sink.said
    assert "restart" in sink.said
    assert TOKEN not in sink.said + repr(vars(sink))


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("what", [429, 500, 503, "silent", "half", "dropped", "page"])
def test_what_passes_is_tried_again_and_nothing_is_doubled(contract: Contract, verb: str, what: int | str) -> None:
    boards(contract)
    contract.fail(verb, "/api/annotations", what, 2, Retry_After="3")
    slept: list[float] = []
    sink = sent(contract, [FIRING], [ENDED], timeout=0.5, pauses=(0.5, 1.0), sleep=slept.append)
    assert (sink.sent, sink.lost) == (2, 0)
    assert len(contract.state.notes) == len(PLACES)
    if isinstance(what, int):
        assert slept[:2] == [3.0, 3.0]


def test_an_annotation_that_was_written_but_not_answered_is_not_doubled(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    boards(contract)
    answer: Callable[..., Any] = contract.answer
    lost = [True]

    def half(*asked: Any) -> Any:
        code, said = answer(*asked)
        return (503, {"message": "written, but"}) if asked[0] == "POST" and lost and lost.pop() else (code, said)

    monkeypatch.setattr(contract, "answer", half)
    assert sent(contract, [FIRING], sleep=lambda _: None).sent == 1
    assert len(contract.state.notes) == len(PLACES)


def test_an_annotation_that_a_person_removed_meanwhile_is_refused_and_counted(contract: Contract) -> None:
    boards(contract)
    sent(contract, [FIRING])
    contract.fail("PATCH", "/api/annotations", 404)
    sink = sent(contract, [ENDED], [ENDED])
    assert (sink.sent, sink.lost) == (1, 1)


def test_an_odd_answer_is_counted(contract: Contract) -> None:
    contract.fail("GET", "/api/annotations", "odd")
    sink = sent(contract, [FIRING])
    assert sink.lost == 1
    assert "expected list" in sink.said


def test_nobody_there_blocks_nobody_and_a_spool_keeps_it(contract: Contract, tmp_path: Path) -> None:
    url, token = contract.url, contract.token
    contract.fail("*", "/api", 503, 1000)
    sink = Grafana(url, token=token, spool=str(tmp_path))
    sink.send([FIRING] * 3)
    sink.close(5.0)
    assert (sink.sent, sink.lost) == (0, 0)
    contract.faults.clear()
    again = Grafana(url, token=token, spool=str(tmp_path))
    while again.delivery.waiting:
        threading.Event().wait(0.01)
    again.close()
    assert again.sent == 3
    assert len(contract.state.notes) == 1


@pytest.mark.parametrize("name", ['"><script>alert(1)</script>', "n1\n\x1b[31m", "x" * 10_000, "&amp;", "n1/gpu0?var-subject=other&x=#y"])
def test_names_from_outside_stay_words(name: str) -> None:
    words = dict.fromkeys(("summary", "subject", "mode", "node", "why", "left"), name)
    made = note(Alert({**LABELS, "incident": name}, words, START), "http://g")
    assert len(made["text"]) < 10_000
    assert all(len(t) <= 100 and t.isprintable() for t in made["tags"])
    assert made["text"].replace("\n", "").isprintable()
    assert made["text"].count("<") == 2
    link = made["text"].rpartition('href="')[2].partition('"')[0]
    assert not set("<>#") & set(link)
    assert link.count("?") == 1
    assert "&" not in link
