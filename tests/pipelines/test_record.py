"""Record: a trace played into Kafka and recorded again says the same; what is committed is on disk, what is not comes again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import grayscope
from grayscope import plugins
from grayscope.errors import GrayscopeError
from grayscope.event import Event, heartbeat
from grayscope.fleet import Fleet
from grayscope.fleet.faults import Fault
from grayscope.message import Message

module: Any = __import__("grayscope.pipelines.record", fromlist=["record"])


def run(name: str, *words: object, **environ: str) -> Any:
    done = CliRunner(env=environ).invoke(plugins.load("pipelines", name), [str(w) for w in words], standalone_mode=False)
    assert done.exception is None, (done.output, done.exception)
    return done


@pytest.mark.slow
def test_what_was_played_into_kafka_and_recorded_says_the_same(topics: dict[str, str], tmp_path: Path) -> None:
    Fleet(nodes=3, hours=0.75, seed=2, faults=[Fault("n002/gpu3", "thermal_throttle", "gray", 900.0, strength=0.2)]).write(tmp_path / "trace")
    at = {"GRAYSCOPE_KAFKA_TOPIC_PREFIX": topics["topic.prefix"], "GRAYSCOPE_KAFKA_BOOTSTRAP_SERVERS": topics["bootstrap.servers"]}
    played = run("replay", tmp_path / "trace", "--to-kafka", "--speed", "max", **at)
    count = int(played.stderr.split()[0].replace(",", ""))
    assert count > 100
    recorded = run("record", "--out", tmp_path / "traces", "--once", **at)
    assert "in 1 traces, 0 set aside" in recorded.stderr
    (trace,) = (tmp_path / "traces").iterdir()
    before, after = grayscope.replay(tmp_path / "trace"), grayscope.replay(trace)
    assert "n002/gpu3" in before.incidents["subject"].to_list()
    assert after.counts["rows"] == before.counts["rows"]
    assert [(i.subject, i.noticed, i.severity, i.history, i.summary) for i in after.found] == [
        (i.subject, i.noticed, i.severity, i.history, i.summary) for i in before.found
    ]
    assert after.verdicts.equals(before.verdicts)
    # All of it is committed: only the roster is told again.
    again = run("record", "--out", tmp_path / "more", "--once", **at)
    assert int(again.stderr.split()[0]) == 1


class FakeKafka:
    """Polls that are prepared; an exception among them is raised."""

    def __init__(self, *polls: list[Message] | Exception) -> None:
        self.polls = list(polls)
        self.places: dict[tuple[str, int], int] = {}
        self.rejected: dict[str, int] = {}
        self.commits: list[dict[tuple[str, int], int]] = []
        self.closed = 0

    def poll(self) -> list[Message]:
        found = self.polls.pop(0)
        if isinstance(found, Exception):
            raise found
        self.places["t", 0] = self.places.get(("t", 0), 0) + len(found)
        return found

    def commit(self, places: dict[tuple[str, int], int] | None = None) -> bool:
        self.commits.append(dict(self.places if places is None else places))
        return True

    def lag(self) -> dict[tuple[str, int], int]:
        return {("t", 0): len(self.polls)}

    def close(self) -> None:
        self.closed += 1


class FakeRolling:
    """Closes its trace before every `every`-th message."""

    def __init__(self, every: int) -> None:
        self.every, self.sent, self.closed = every, 0, 0

    def send(self, message: Message) -> None:
        self.closed += self.sent > 0 and self.sent % self.every == 0
        self.sent += 1

    def close(self) -> None:
        self.closed += 1


def beats(count: int) -> list[Message]:
    return [heartbeat(i) for i in range(count)]


def test_only_what_lies_in_a_closed_trace_is_committed() -> None:
    kafka = FakeKafka(beats(3), beats(3), beats(3), beats(3), [])
    assert module.record(kafka, FakeRolling(5), threading.Event(), once=True) == 12
    # The 6th message began the second trace: what the first poll brought is in the first for certain, no more.
    assert kafka.commits == [{("t", 0): 3}, {("t", 0): 9}, {("t", 0): 12}]
    assert kafka.closed == 1


def test_an_outage_is_told_once_and_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    away, told, stop = GrayscopeError("kafka: away"), list[str](), threading.Event()
    kafka = FakeKafka(beats(1), away, away, away, beats(2))
    kafka.lag = dict  # type: ignore[method-assign]
    rolling = FakeRolling(100)
    kafka.polls.append([])
    poll = kafka.poll

    def last() -> list[Message]:
        if len(kafka.polls) == 1:
            stop.set()
        return poll()

    monkeypatch.setattr(kafka, "poll", last)
    assert module.record(kafka, rolling, stop, tell=told.append) == 3
    assert told == ["kafka: away"]


def test_once_does_not_wait_for_a_broker_that_is_away() -> None:
    kafka = FakeKafka([Event(1, "n1", "xid", "94")], GrayscopeError("kafka: away"))
    with pytest.raises(GrayscopeError, match="away"):
        module.record(kafka, FakeRolling(5), threading.Event(), once=True)
    assert kafka.commits == []
    assert kafka.closed == 1
