"""Live on a real Kafka: each verdict once, through crashes, poison, other versions and changing workers, with both clients."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grayscope
from grayscope.batch import Batch
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers.kafka import Kafka
from grayscope.brokers.parquet import Parquet
from grayscope.checkpoint import VERSION
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.saidrows import verdict_dict
from tests.brokers.crashing import WORKER
from tests.brokers.livekafka import environment, eventually, said, taken, worker
from tests.pipelines.alerthook import Hook
from tests.pipelines.livetrace import by_subject, run, write

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("live") / "trace")


@pytest.fixture(scope="module")
def settings_file(trace: Path) -> Path:
    path = trace.parent / "live.toml"
    path.write_text('[live]\nperiods = { nvlink = "60s" }\ncheckpoint = "1s"\n')
    return path


@pytest.fixture(scope="module")
def expected(trace: Path) -> list[dict[str, Any]]:
    """What one engine says of the trace before its end."""
    from grayscope import assembly
    from grayscope.settings import Settings
    from grayscope.trace import Trace

    engine = assembly.engine(Settings(), periods=Trace.open(trace).periods)
    return [verdict_dict(v) for message in Parquet(trace).receive() for v in engine.step(message).verdicts]


@pytest.fixture
def topics(topics: dict[str, str], client: str) -> dict[str, str]:
    """Return the settings that lead to a test's topics, through each client."""
    return {**topics, "client": client}


def feed(options: dict[str, str], messages: list[Message], cell: str = "cluster") -> None:
    kafka = Kafka(**options, cell=cell)
    for message in messages:
        kafka.send(message)
    kafka.close()


def test_a_worker_killed_again_and_again_says_everything_once(
    topics: dict[str, str], trace: Path, settings_file: Path, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    messages, log = list(Parquet(trace).receive()), tmp_path / "log"
    parts = [messages[low:high] for low, high in itertools.pairwise([0, 300, 500, 650, len(messages)])]
    for part in parts[:-1]:
        before = len(said(topics, "order"))
        process = worker(topics, log, "w1", "--config", str(settings_file))
        try:
            feed(topics, part[: len(part) // 2])
            eventually(lambda n=before: len(said(topics, "order")) > n, log)  # type: ignore[misc]
            feed(topics, part[len(part) // 2 :])  # it dies somewhere in these
        finally:
            process.kill()
            process.wait(30)
    feed(topics, parts[-1])
    run("live", "--config", settings_file, "--once", "--worker", "w1", "--listen", "", **environment(topics))
    assert by_subject(said(topics, "verdicts")) == by_subject(expected)
    found = taken(topics)
    assert len(found) == len(set(found))
    ids = {i["id"] for i in said(topics, "incidents")}
    assert len(ids) == len({i.id for i in grayscope.replay(trace).found})


def test_what_was_judged_live_is_recorded_and_replays_to_the_same_bits(topics: dict[str, str], trace: Path, settings_file: Path, tmp_path: Path) -> None:
    # A row that comes far too late, and a crooked order: what the recording must keep.
    messages = list(Parquet(trace).receive())
    messages = [*messages[:500], messages[20], *messages[500:]]
    swapped = [m for low in range(1, len(messages) - 2, 2) for m in (messages[low + 1], messages[low])]
    feed(topics, [messages[0], *swapped])
    run("live", "--config", settings_file, "--once", "--worker", "w1", "--listen", "", **environment(topics))
    done = run("record", "--judged", "--out", tmp_path / "traces", **environment(topics))
    assert "1 traces" in done.stderr
    replayed = run("replay", tmp_path / "traces" / "cluster", "--out", tmp_path / "results")
    assert replayed.exception is None
    again = grayscope.replay(tmp_path / "traces" / "cluster")
    live = by_subject(said(topics, "verdicts"))
    assert live
    columns = ("time", "subject", "state", "previous", "strength", "why")
    ours = [(v["subject"], v["time"], v["state"], v["previous"], v["strength"], v["why"]) for of in live.values() for v in of]
    theirs = [(r["subject"], r["time"].strftime("%Y-%m-%dT%H:%M:%SZ"), r["state"], r["previous"], r["strength"], r["why"])
              for r in again.verdicts.select(columns).iter_rows(named=True)]  # fmt: skip
    last = max(v[1] for v in ours)
    assert sorted(ours) == sorted(v for v in theirs if v[1] <= last)
    assert again.counts["late"] > 0


def test_without_its_state_a_worker_plays_everything_again_in_silence(
    topics: dict[str, str], trace: Path, settings_file: Path, expected: list[dict[str, Any]]
) -> None:
    messages = list(Parquet(trace).receive())
    half = len(messages) * 3 // 4
    feed(topics, messages[:half])
    run("live", "--config", settings_file, "--once", "--worker", "w1", "--listen", "", **environment(topics))
    settings = kafka_settings(topics)
    _empty(topics, settings.topic("state"))
    feed(topics, messages[half:])
    again = run("live", "--config", settings_file, "--once", "--worker", "w1", "--listen", "", **environment(topics))
    assert "records played again" in again.stderr
    assert by_subject(said(topics, "verdicts")) == by_subject(expected)


def _empty(options: dict[str, str], topic: str) -> None:
    from grayscope.brokers._kafkatopics import Topics

    with Topics(kafka_settings(options), partitions=4) as made:
        made._admin.delete_topics([topic])
        for _ in range(50):
            if any(c.topic == topic and c.what == "create" for c in made.changes()):
                break
        made.apply(made.changes())


def test_poison_is_set_aside_once_and_the_rest_goes_on(topics: dict[str, str], trace: Path, settings_file: Path, expected: list[dict[str, Any]]) -> None:
    kafka = Kafka(**topics)
    poison = [b"", b"\x00" * 100, b'{"grayscope": 99, "kind": "event"}', b"\xff\xff\xff\xff" + b"\x7f" * 40, b'{"grayscope":1,"kind":"roster","rows":[]}']
    for i, message in enumerate(Parquet(trace).receive()):
        kafka.send(message)
        if 100 <= i < 100 + len(poison):
            kafka._out().send(f"{topics['topic.prefix']}.telemetry", b"cluster", poison[i - 100])
    kafka._out().send(f"{topics['topic.prefix']}.events", b"\xff\xfe", b"{}")
    kafka.close()
    for _ in range(2):
        run("live", "--config", settings_file, "--once", "--worker", "w1", "--listen", "", **environment(topics))
    listed = run("rejected", "list", **environment(topics))
    assert len(listed.stdout.strip().splitlines()) >= len(poison) + 1
    assert by_subject(said(topics, "verdicts")) == by_subject(expected)


def test_two_workers_share_the_cells_and_one_that_leaves_loses_nothing(topics: dict[str, str], tmp_path: Path) -> None:
    log, cells = tmp_path / "log", [f"pod{i}" for i in range(6)]

    def tick(t: int) -> None:
        for cell in cells:
            values = np.full((1, 1, 4), 300 + t % 7, np.float32)
            feed(topics, [Batch("gpu", np.array([t * 10_000_000], np.int64), tuple(f"{cell}/gpu{g}" for g in range(4)), ("gpu_power_watts",), values)], cell)

    def numbers() -> int:
        return len({place for place in taken(topics) if place[1] == "t"})

    feed(topics, [tuple(RosterRow(f"{cell}/gpu{g}", "gpu", keys={"cell": cell}) for cell in cells for g in range(4))])
    one = worker(topics, log, "w1")
    two = worker(topics, log, "w2")
    try:
        for t in range(1, 6):
            tick(170_000_000 + t)
        eventually(lambda: numbers() == 5 * len(cells), log)
        two.send_signal(signal.SIGTERM)
        two.wait(30)
        tick(170_000_006)
        eventually(lambda: numbers() == 6 * len(cells), log)
        two = worker(topics, log, "w2")
        tick(170_000_007)
        eventually(lambda: numbers() == 7 * len(cells), log)
    finally:
        for process in (one, two):
            process.kill()
            process.wait(30)
    found = taken(topics)
    assert len(found) == len(set(found))


def test_after_a_crash_what_fires_is_sent_again_with_the_same_identity(topics: dict[str, str], trace: Path, settings_file: Path, tmp_path: Path) -> None:
    log, first, second = tmp_path / "log", Hook(), Hook()
    feed(topics, list(Parquet(trace).receive()))
    process = worker(topics, log, "w1", "--config", str(settings_file), "--webhook", first.url)
    try:
        eventually(lambda: bool(first.names()), log)
        process.kill()
        process.wait(30)
        process = worker(topics, log, "w1", "--config", str(settings_file), "--webhook", second.url, "--json")
        eventually(lambda: second.names() >= first.names(), log)
        eventually(lambda: _listed(log) >= first.names(), log)
    finally:
        process.kill()
        process.wait(30)
        first.close()
        second.close()
    assert {i["id"] for i in said(topics, "incidents")} >= second.names()


def _listed(log: Path) -> set[str]:
    """Return the identities of the alerts that the listing wrote as JSON."""
    return {str(json.loads(line)["labels"]["incident"]) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")}


def test_told_to_stop_a_worker_leaves_a_checkpoint_and_the_next_plays_nothing_again(topics: dict[str, str], trace: Path, tmp_path: Path) -> None:
    log, messages = tmp_path / "log", list(Parquet(trace).receive())
    seldom = tmp_path / "seldom.toml"
    seldom.write_text('[live]\nperiods = { nvlink = "60s" }\ncheckpoint = "1h"\n')
    feed(topics, messages)
    process = worker(topics, log, "w1", "--config", str(seldom))
    try:
        eventually(lambda: bool(said(topics, "order")), log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait(30)
    sequence = max(m["sequence"] for m in said(topics, "order"))
    again = run("live", "--config", seldom, "--once", "--worker", "w1", "--listen", "", **environment(topics))
    assert f"sequence {sequence}, 0 records played again" in again.stderr


#: The next version of all that is written: of the messages, and of what is in a state.
NEXT = "import grayscope.frames, grayscope.checkpoint\ngrayscope.frames.VERSION += 1\ngrayscope.checkpoint.VERSION += 1"


def test_two_versions_side_by_side_lose_nothing_and_say_nothing_twice(
    topics: dict[str, str], trace: Path, settings_file: Path, expected: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in WORKER.items():
        monkeypatch.setenv(name, value)
    messages, old, new = list(Parquet(trace).receive()), tmp_path / "old", tmp_path / "new"
    third, running = len(messages) // 3, dict[str, subprocess.Popen[bytes]]()

    def start(name: str) -> None:
        running[name] = worker(topics, tmp_path / name, name, "--config", str(settings_file), first=NEXT if name == "new" else "")

    def stop(name: str) -> None:
        running[name].send_signal(signal.SIGTERM)
        assert running.pop(name).wait(60) == 0

    def until(count: int, log: Path) -> None:
        eventually(lambda: sum(kind == "t" or kind == "e" for _, kind, _ in taken(topics)) >= count, log, 120)

    def sent(part: list[Message]) -> int:
        feed(topics, part)
        return len([m for m in part if not isinstance(m, tuple)])

    try:
        start("old")
        count = sent(messages[:third])
        until(count, old)
        start("new")  # beside the old one
        stop("old")
        count += sent(messages[third : 2 * third])
        until(count, new)
        assert f"grayscope: expected version {VERSION + 1}, found {VERSION}" in new.read_text()  # so it played all again, in silence
        start("old")  # somebody was too late with the update
        stop("new")
        count += sent(messages[2 * third :])
        eventually(lambda: "update this reader first" in old.read_text(), old)
        before = len(said(topics, "order"))
        start("new")
        stop("old")
        until(count, new)
        assert len(said(topics, "order")) > before
    finally:
        for process in running.values():
            process.kill()
            process.wait(30)
    assert by_subject(said(topics, "verdicts")) == by_subject(expected)
    found = taken(topics)
    assert len(found) == len(set(found))
    wrong = [line for line in old.read_text().splitlines() if "order" in line and "update this reader first" in line]
    assert len(wrong) == len(set(wrong))  # once for each lane, however often it is tried
