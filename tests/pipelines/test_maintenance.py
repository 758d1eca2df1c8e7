"""Maintenance: plan, list and end work in a trace, in a file and in Kafka; a replay names what is wrong there."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.cli import main
from grayscope.event import Event
from grayscope.maintenance import read, stamp
from grayscope.replaying import Run, replay
from grayscope.roster import RosterRow
from grayscope.settings import Settings
from grayscope.told import read_file
from grayscope.trace import Trace
from grayscope.tracecheck import validate
from grayscope.tracewriter import TraceWriter

PERIOD = 10_000_000
START = 1_767_571_200 * 1_000_000  # 2026-01-05T00:00:00Z


def call(*arguments: object) -> list[Any]:
    done = CliRunner().invoke(plugins.load("pipelines", "maintenance"), [*map(str, arguments), "--json"], catch_exceptions=False, standalone_mode=False)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        main(["maintenance", *map(str, arguments)])
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module", params=[False, True], ids=["by time", "as it arrived"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight nodes of one GPU each; on n0 row remapping has failed from tick 120 on."""
    path = tmp_path_factory.mktemp("maintenance") / "t"
    broker, names = Parquet(path), tuple(f"n{i}/gpu0" for i in range(8))
    with TraceWriter(path, tables={"gpu": {"period_s": 10, "counters": "increments"}}) as writer:
        broker.writer = writer
        rows = tuple(RosterRow(s, "gpu", keys={"sku": "A", "slot": "0", "rack": f"r{i // 4}"}) for i, s in enumerate(names))
        writer.roster(rows, 1)
        for t in range(700):
            values = np.array([[[0.9] * 8, [float(t > 120), *[0.0] * 7]]], np.float32)
            batch = Batch("gpu", np.array([START + (t + 1) * PERIOD]), names, ("gpu_active_ratio", "gpu_row_remap_failed"), values)
            if request.param:
                broker.send(batch)
            else:
                writer.batch(batch)
    return path


@pytest.fixture(scope="module")
def before(whole: Path) -> Run:
    """What is found where nobody plans anything."""
    return replay(whole, settings=Settings(cluster="c"))


@pytest.fixture
def trace(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "t"))


def history(run: Run) -> dict[str, list[tuple[str, str]]]:
    return {i.subject: [(state, severity) for _, state, severity in i.history] for i in run.found}


@pytest.mark.parametrize("subject", ["n0", "n0/gpu0", "r0", "rack:r0", "site"])
def test_a_replay_of_the_trace_names_the_work_and_announces_what_stays(trace: Path, before: Run, subject: str) -> None:
    assert history(before) == {"n0/gpu0": [("failed", "ticket")]}
    (told,) = call("add", subject, "--start", "+15m", "--for", "45m", "--note", "new risers", "--trace", trace)
    assert (told["subject"], told["start"], told["end"]) == (subject, "2026-01-05T00:15:10Z", "2026-01-05T01:00:10Z")
    assert history(replay(trace, settings=Settings(cluster="c"))) == {"n0/gpu0": [("unknown", "notice"), ("failed", "ticket")]}
    assert validate(trace) == []


def test_work_elsewhere_or_at_another_time_changes_nothing(trace: Path, before: Run) -> None:
    call("add", "n1", "--note", "elsewhere", "--trace", trace)
    call("add", "r1", "--start", "+10m", "--for", "10h", "--trace", trace)
    call("add", "n0", "--start", "+30h", "--trace", trace)
    call("add", "n0", "--start", "-2h", "--for", "1h", "--trace", trace)
    after = replay(trace, settings=Settings(cluster="c"))
    assert repr(after.found) == repr(before.found)
    assert after.verdicts.equals(before.verdicts)
    assert {k: v for k, v in after.counts.items() if k != "events"} == {k: v for k, v in before.counts.items() if k != "events"}


def test_called_off_ended_and_amended(trace: Path) -> None:
    call("add", "n0", "--start", "+15m", "--for", "9h", "--trace", trace)
    (first,) = call("add", "n0", "--start", "+15m", "--for", "1h", "--note", "of two plans the later", "--trace", trace)
    assert [(w["id"], w["end"]) for w in call("list", "--trace", trace)] == [(first["id"], "2026-01-05T01:15:10Z")]
    (second,) = call("add", "n0", "--start", "+2h", "--for", "1h", "--trace", trace)
    assert [w["id"] for w in call("list", "--trace", trace)] == [first["id"], second["id"]]
    (ended,) = call("end", first["id"], "--at", "+30m", "--trace", trace)
    assert (ended["id"], ended["end"], ended["ended"]) == (first["id"], "2026-01-05T00:30:10Z", True)
    (off,) = call("end", "n0", "--at", "+40m", "--trace", trace)
    assert (off["id"], off["start"], off["end"]) == (second["id"], second["start"], second["start"])
    call("add", "n0", "--start", "+15m", "--for", "9h", "--trace", trace)  # too late: the end was the last word
    assert [w["ended"] for w in call("list", "--trace", trace)] == [True, True]
    assert history(replay(trace, settings=Settings(cluster="c"))) == {"n0/gpu0": [("unknown", "notice"), ("failed", "ticket")]}


def test_a_subject_that_nobody_knows(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'n0/gpu0'" in refused(capsys, "add", "n0/gpu00", "--trace", trace)
    assert "expected a name" in refused(capsys, "add", "n0//x", "--trace", trace)
    assert Trace.open(trace).events() == []
    call("add", "n0/gpu00", "--anyway", "--trace", trace)
    assert [e.subject for e in Trace.open(trace).events()] == ["n0/gpu00"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--end", "2026-01-04T00:00:00Z"), "--end: expected a time after 2026-01-05"),
        (("--for", "1h", "--end", "+1h"), "--end, --for"),
        (("--for", "91d"), "at most 90 days"),
        (("--for", "soon"), "expected a duration"),
        (("--start", "2026-01-05 00:00"), "expected a time such as"),
        (("--start", "-600000h"), "after 1970"),
        (("--note", "x" * 201), "at most 200 characters"),
        (("--start", "+99999999d"), "--start: expected a time after 1970"),
        (("--start", "9000-01-01T00:00:00Z"), "--start: expected a time after 1970"),
        (("--end", "-99999999d"), "--end: expected a time after 1970"),
        (("--for", f"{'9' * 320}d"), "a duration"),
    ],
)
def test_times_that_make_no_sense(trace: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(capsys, "add", "n0", *arguments, "--trace", trace)
    assert Trace.open(trace).events() == []


def test_nowhere_and_several_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--trace DIR" in refused(capsys, "add", "n0")
    assert "expected one of them" in refused(capsys, "add", "n0", "--file", tmp_path / "f", "--trace", tmp_path)
    assert "expected a trace directory" in refused(capsys, "list", "--trace", tmp_path / "none")


def test_a_file_by_name_and_by_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, config = tmp_path / "planned.jsonl", tmp_path / "grayscope.toml"
    config.write_text(f'maintenance_longest = "3h"\n[collectors.maintenance]\npath = "{file}"\n')
    (first,) = call("add", "n0", "--note", "a\nb", "--config", config)
    call("add", "n1", "--start", "+1h", "--for", "1h", "--file", file)
    call("add", "n2", "--start", "-4h", "--config", config)
    assert [(w["subject"], w["state"]) for w in call("list", "--config", config)] == [("n0", "goes on"), ("n1", "planned")]
    assert [w["subject"] for w in call("list", "--all", "--config", config)] == ["n2", "n0", "n1"]
    call("end", "n0", "--config", config)
    assert [w["subject"] for w in call("list", "--config", config)] == ["n1"]
    assert "did you mean 'n1'" in refused(capsys, "end", "n11", "--config", config)
    assert "a time to come" in refused(capsys, "add", "n0", "--start", "-2h", "--end", "-1h", "--config", config)
    events, problems = read_file(file)
    assert [e.code for e in events] == ["begin", "begin", "begin", "end"]
    assert problems == []
    assert events[0].text.endswith("a b")
    assert first["note"] == "a b"


def test_for_people_and_without_anything_planned(tmp_path: Path) -> None:
    command, file = plugins.load("pipelines", "maintenance"), str(tmp_path / "f.jsonl")
    assert "no work is planned" in CliRunner().invoke(command, ["list", "--file", file]).stdout
    told = CliRunner().invoke(command, ["add", "n0", "--note", "fan", "--file", file]).stdout
    assert "n0  goes on  fan" in told
    assert told.count("\n") == 1


@pytest.mark.slow
def test_kafka_takes_it_to_every_cell_that_it_concerns(topics: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from grayscope.brokers.kafka import Kafka

    config = tmp_path / "grayscope.toml"
    config.write_text(f'[kafka]\n"bootstrap.servers" = "{topics["bootstrap.servers"]}"\n"topic.prefix" = "{topics["topic.prefix"]}"\n')
    broker = Kafka(**topics)
    nodes = [RosterRow(f"n{i}", "node", keys={"cell": f"pod{i // 2}", "leaf": f"l{i}"}) for i in range(4)]
    broker.send((*nodes, *(RosterRow(f"n{i}/gpu0", "gpu") for i in range(4))))
    broker.send(Event(1, "n0", "clock", "heartbeat"))
    broker.close()
    call("add", "n0/gpu0", "--for", "1h", "--config", config)
    call("add", "l3", "--for", "1h", "--note", "uplinks", "--config", config)
    call("add", "site", "--for", "2h", "--config", config)
    assert "did you mean" in refused(capsys, "add", "n0/gpu1", "--config", config)
    assert {w["subject"] for w in call("list", "--config", config)} == {"n0/gpu0", "l3", "site"}
    call("end", "site", "--config", config)
    assert {w["subject"] for w in call("list", "--config", config)} == {"n0/gpu0", "l3"}
    assert _by_cell(topics) == {("pod0", "n0/gpu0", "begin"): 1, ("pod1", "l3", "begin"): 1, ("pod0", "site", "begin"): 1, ("pod1", "site", "begin"): 1,
                                ("pod0", "site", "end"): 1, ("pod1", "site", "end"): 1}  # fmt: skip


def _by_cell(topics: dict[str, str]) -> dict[tuple[str, str, str], int]:
    from grayscope.brokers._kafkaconsumer import Consumer
    from grayscope.brokers._kafkasettings import kafka_settings
    from grayscope.frames import decode

    settings, found = kafka_settings(topics), dict[tuple[str, str, str], int]()
    consumer = Consumer(settings, [settings.topic("events")], None)
    while any(consumer.lag().values()):
        for record in consumer.poll():
            event = decode(record.value)
            assert isinstance(event, Event)
            if (work := read(event)) is not None:
                assert stamp(work.told)
                assert abs(event.time / 1e6 - time.time()) < 600
                key = (record.key.decode(), event.subject, event.code)
                found[key] = found.get(key, 0) + 1
    consumer.close()
    return found


@pytest.mark.slow
def test_a_worker_on_kafka_is_told_and_what_was_recorded_replays_to_the_same(topics: dict[str, str], whole: Path, tmp_path: Path) -> None:
    from grayscope.brokers.kafka import Kafka
    from tests.brokers.livekafka import environment, said

    def run(name: str, *words: object) -> None:
        done = CliRunner(env=environment(topics)).invoke(plugins.load("pipelines", name), [str(w) for w in words], standalone_mode=False)
        assert done.exception is None, (done.output, done.exception)

    began, broker = int(time.time() - 3600) * 1_000_000, Kafka(**topics)
    shift = began - START
    for message in Parquet(whole).receive():
        if isinstance(message, Batch):
            message = Batch(message.table, message.times + shift, message.subjects, message.metrics, message.values)
        elif isinstance(message, tuple):
            broker.send(message)
            broker.flush()
            run("maintenance", "add", "n0", "--start", "-10m", "--for", "20m", "--note", "new risers")
            continue
        broker.send(message)
    broker.close()
    run("live", "--once", "--worker", "w1", "--listen", "")
    latest = {told["id"]: told for told in said(topics, "incidents")}
    (found,) = [told for told in latest.values() if told["subject"] == "n0/gpu0"]
    assert [h["severity"] for h in found["history"]] == ["ticket", "notice", "ticket"]
    run("record", "--judged", "--out", tmp_path / "judged")
    (again,) = [i for i in replay(next((tmp_path / "judged").iterdir())).found if i.subject == "n0/gpu0"]
    assert [(stamp(t)[:19], s, v) for t, s, v in again.history] == [(h["time"][:19], h["state"], h["severity"]) for h in found["history"]]
