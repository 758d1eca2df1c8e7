"""Feedback: answers by command, in results, traces and Kafka, and the precision that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.cli import main
from grayscope.event import Event
from grayscope.incident import Incident
from grayscope.replaying import replay
from grayscope.results import ResultsWriter
from grayscope.settings import Settings
from grayscope.trace import Trace
from grayscope.tracecheck import validate
from tests.tracefolder import write

SECOND = 1_000_000
INCIDENTS = [
    Incident("ab12cd34ef56", "n1/gpu0", "n1", "gray", "page", "slow_rank", SECOND, 2 * SECOND, summary="late"),
    Incident("ab99cd34ef56", "n2", "n2", "masked", "ticket", "psu_lost", SECOND, 3 * SECOND, summary="one supply"),
    Incident("0123456789ab", "n3", "n3", "unknown", "notice", "silent", SECOND, 4 * SECOND, summary="was away"),
]


def write_results(path: Path, incidents: list[Incident] = INCIDENTS) -> Path:
    writer = ResultsWriter(path)
    writer.incidents(incidents)
    writer.close({}, {"trace": "t", "input": "digest", "settings": {}, "counts": {}, "versions": {}})
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "results")


def text(*arguments: object, name: str = "feedback") -> str:
    done = CliRunner().invoke(plugins.load("pipelines", name), [str(a) for a in arguments], catch_exceptions=False, standalone_mode=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def call(*arguments: object) -> list[Any]:
    return [json.loads(line) for line in text(*arguments, "--json").splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        main(["feedback", *map(str, arguments)])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_answers_are_kept_beside_the_results_and_the_last_word_counts(results: Path) -> None:
    (told,) = call("ab12", "true", "--note", "fan\nwas dead", "--results", results)
    assert (told["incident"], told["true"], told["note"]) == ("ab12cd34ef56", True, "fan was dead")
    call("ab12cd34ef56", "false", "--results", results)
    call("ab99", "true", "--results", results)
    assert {x["incident"]: x["true"] for x in call("list", "--results", results)} == {"ab12cd34ef56": False, "ab99cd34ef56": True, "0123456789ab": None}
    assert [x["incident"] for x in call("list", "--unanswered", "--results", results)] == ["0123456789ab"]
    (report,) = call("report", "--results", results)
    assert report["all"]["pages and tickets"]["precision"] == 0.5
    assert (report["mode"]["slow_rank"]["false"], report["severity"]["notice"]["unanswered"], report["of_other_incidents"]) == (1, 1, 0)
    assert "precision 0.50 (0.09 to 0.91)" in text("report", "--results", results)


def test_status_shows_it_too(results: Path) -> None:
    assert "told" not in text("--results", results, name="status")
    call("ab12", "true", "--results", results)
    assert "1 true, 0 false, 1 unanswered" in text("--results", results, name="status")
    assert json.loads(text("--results", results, "--json", name="status"))["feedback"]["true"] == 1


def test_a_run_that_is_done_again_keeps_the_answers(results: Path) -> None:
    call("ab12", "true", "--results", results)
    call("ab99", "true", "--results", results)
    write_results(results, INCIDENTS[:1])
    (report,) = call("report", "--results", results)
    assert (report["all"]["pages and tickets"]["true"], report["of_other_incidents"]) == (1, 1)


def test_an_incident_that_is_not_there_is_answered_with_what_is_near(results: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "ab12cd34ef56 (n1/gpu0)" in refused(capsys, "ab12cd34ef65", "true", "--results", results)
    assert "ab99cd34ef56" in refused(capsys, "ab99cd34efff", "true", "--results", results)
    assert "2 incidents" in refused(capsys, "ab", "true", "--results", results)
    assert "3 letters" in refused(capsys, "01", "true", "--results", results)
    assert "maybe" in refused(capsys, "ab12", "maybe", "--results", results)
    assert "--results" in refused(capsys, "ab12", "true")
    assert "--results" in refused(capsys, "ab12", "true", "--file", tmp_path / "f")
    assert "none at all" in refused(capsys, "ab12", "true", "--results", write_results(tmp_path / "none", []))
    assert not (results / "feedback.jsonl").exists()


def test_a_beginning_of_several_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twins = [Incident(f"abc{i}", f"n{i}", "n1", "gray", "page", "", 0, i) for i in range(8)]
    said = refused(capsys, "abc", "true", "--results", write_results(tmp_path / "r", twins))
    assert "abc0 (n0)" in said
    assert "3 more" in said


def test_a_subject_that_has_one_incident_means_it(results: Path) -> None:
    assert [x["incident"] for x in call("n2", "true", "--results", results)] == ["ab99cd34ef56"]


def test_hostile_ids_and_modes_do_nothing_to_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Incident("abc\x1b]0;x\x07", "n1", "n1", "gray", "page", "m\x1b[2J\n", 0, 0)
    results = write_results(tmp_path / "r", [bad, Incident("abd 1", "n2", "n2", "gray", "page", "", 0, 1)])
    said = [text("list", "--results", results), text("report", "--results", results)]
    said += [refused(capsys, name, "true", "--results", results) for name in ("abc", "abd", "ab")]
    assert all(c.isprintable() or c == "\n" for c in "".join(said))
    assert ["one printable word" in told for told in said[2:]] == [True, True, False]
    assert not (results / "feedback.jsonl").exists()


def test_in_a_trace_it_is_an_event_that_changes_no_verdict(results: Path, tmp_path: Path) -> None:
    trace = write(tmp_path / "t")
    before, others = replay(trace, settings=Settings(cluster="c")), Trace.open(trace).events()
    call("ab12", "false", "--note", "test", "--results", results, "--trace", trace)
    (event,) = (e for e in Trace.open(trace).events() if e not in others)
    assert (event.source, event.code, event.subject) == ("feedback", "false", "n1/gpu0")
    after = replay(trace, settings=Settings(cluster="c"))
    assert after.verdicts.equals(before.verdicts)
    assert repr(after.found) == repr(before.found)
    assert validate(trace) == []
    assert [x["true"] for x in call("list", "--results", results, "--trace", trace)] == [None, None, False]
    assert [x["true"] for x in call("list", "--results", results)] == [None, None, None]


def test_kafkas_incidents_are_answered_there_though_a_file_is_followed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grayscope.brokers import _kafkatold
    from grayscope.saidrows import incident_dict

    config, file, sent = tmp_path / "grayscope.toml", tmp_path / "planned.jsonl", list[tuple[str, Event]]()
    config.write_text(f'[collectors.maintenance]\npath = "{file}"\n[kafka]\n"bootstrap.servers" = "127.0.0.1:1"\n')
    monkeypatch.setattr(_kafkatold, "incidents", lambda _: [incident_dict(i) | {"cell": "pod1"} for i in INCIDENTS])
    monkeypatch.setattr(_kafkatold, "tell", lambda _, told: sent.extend(told))
    monkeypatch.setattr(_kafkatold, "events", lambda *_: [event for _, event in sent])
    call("ab12", "true", "--config", config)
    assert [(cell, event.code) for cell, event in sent] == [("pod1", "true")]
    assert [x["incident"] for x in call("list", "--unanswered", "--config", config)] == ["0123456789ab", "ab99cd34ef56"]
    assert not file.exists()


@pytest.mark.slow
def test_in_kafka(topics: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from grayscope.brokers import _kafkaclients as clients
    from grayscope.brokers._kafkasettings import kafka_settings
    from grayscope.saidrows import incident_frame

    settings, config = kafka_settings(topics), tmp_path / "grayscope.toml"
    config.write_text(f'[kafka]\n"bootstrap.servers" = "{topics["bootstrap.servers"]}"\n"topic.prefix" = "{topics["topic.prefix"]}"\n')
    producer = clients.producer(settings)
    for incident in INCIDENTS:
        producer.send(settings.topic("incidents"), incident.id.encode(), incident_frame(incident, "pod1"))
    producer.send(settings.topic("incidents"), b"x", b"no incident")
    producer.flush()
    producer.close()
    assert "did you mean ab12cd34ef56" in refused(capsys, "ab12cd34ef5f", "true", "--config", config)
    call("ab12", "true", "--note", "dead fan", "--config", config)
    assert {x["incident"]: x["note"] for x in call("list", "--config", config)} == {"ab12cd34ef56": "dead fan", "ab99cd34ef56": None, "0123456789ab": None}
    (report,) = call("report", "--config", config)
    assert report["all"]["pages and tickets"]["true"] == 1
