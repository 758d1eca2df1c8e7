"""Kafkalane, on a real broker: who takes a lane over shuts the other out and goes on in the middle of open ticks; quiet cells are told the time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kafka.structs import ConsumerGroupMetadata

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.brokers import _kafkaclients as clients
from grayscope.brokers._kafkalane import Lane
from grayscope.brokers._kafkaproducer import Producer
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.errors import GrayscopeError
from grayscope.frames import encode
from grayscope.roster import RosterRow
from grayscope.settings import Settings
from tests.brokers.livekafka import said, taken

NUMBER = 2


@pytest.fixture
def topics(topics: dict[str, str], client: str) -> dict[str, str]:
    """Return the settings that lead to a test's topics, through each client."""
    return {**topics, "client": client}


def member(options: dict[str, str]) -> Any:
    """Return a group to which nobody belongs."""
    if options["client"] == "kafka-python":
        return ConsumerGroupMetadata(group_id="g")
    from confluent_kafka import Consumer

    return Consumer({"group.id": "g"}).consumer_group_metadata()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lane(options: dict[str, str], clock: Clock) -> Lane:
    made = Lane(
        kafka_settings(options),
        NUMBER,
        lambda _: assembly.engine(Settings()),
        group=options["topic.prefix"],
        periods={},
        monotonic=clock,
    )
    made.open()
    return made


def sent(options: dict[str, str], first: int, last: int) -> None:
    settings = kafka_settings({**options, "client": "kafka-python"})
    producer = Producer(settings)
    for t in range(first, last):
        batch = Batch("gpu", np.array([t * 10_000_000]), ("n1/gpu0",), ("gpu_power_watts",), np.full((1, 1, 1), t, np.float32))
        producer.send(settings.topic("telemetry"), b"c1", encode(batch), partition=NUMBER)
    producer.flush()
    producer.close()


def take(some: Lane) -> None:
    topic = some.settings.topic("telemetry")
    with clients.reader(some.settings) as reader:
        for record in reader.read(topic, NUMBER, some.places["t"], reader.bounds(topic, NUMBER)[1]):
            some.take("t", record)


@pytest.mark.slow
def test_who_takes_over_shuts_the_other_out_and_goes_on(topics: dict[str, str]) -> None:
    clock = Clock()
    old = lane(topics, clock)
    sent(topics, 100, 110)
    old.introduce([RosterRow("n1/gpu0", "gpu")])
    take(old)
    old.commit(member(topics))
    assert old.keep(now=True)
    sent(topics, 110, 115)
    take(old)
    old.commit(member(topics))
    sent(topics, 115, 118)
    take(old)  # taken, never committed
    new = lane(topics, clock)
    assert (new.sequence, new.places["t"], new.replayed) == (2, 15, 5)
    with pytest.raises(GrayscopeError):
        old.commit(member(topics))
    assert not old.keep(now=True)
    old.close()
    take(new)
    new.commit(member(topics))
    (engine,), (before,) = new.cells.engines.values(), old.cells.engines.values()
    assert engine.align.counts == before.align.counts
    ours, theirs = engine.snapshot(), before.snapshot()
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    new.close()
    found = taken(topics)
    assert sorted(found) == [(NUMBER, "t", i) for i in range(18)]
    assert [m["sequence"] for m in said(topics, "order")] == [1, 2, 3]


@pytest.mark.slow
def test_a_quiet_cell_is_told_the_time_once_per_silence(topics: dict[str, str]) -> None:
    clock = Clock()
    some = lane(topics, clock)
    sent(topics, 100, 102)
    take(some)
    some.commit(member(topics))
    for seconds in (10.0, 29.0, 31.0, 40.0, 62.0):
        clock.now = seconds
        some.beat(30.0)
        if some.due():
            some.commit(member(topics))
    some.close()
    beats = said(topics, "events")
    assert [(m["time"], m["source"], m["subject"]) for m in beats] == [(1_041_000_000, "clock", "site"), (1_041_000_000, "clock", "site")]


@pytest.mark.slow
def test_a_checkpoint_goes_out_in_turns_and_counts_once_it_is_whole(topics: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grayscope.brokers._kafkalane.CHUNK", 500)
    clock = Clock()
    old = lane(topics, clock)

    def written(first: int, turns: int) -> bool:
        sent(topics, first, first + 5)
        take(old)
        old.commit(member(topics))
        clock.now += 61.0
        done = [old.keep() for _ in range(turns)]
        return any(done)

    assert not written(100, 1)
    assert old.checkpoints == 0
    while not old.keep():
        assert old.checkpoints == 0
    assert not written(105, 2)  # begun, and then it dies
    assert old.sequence == 2
    new = lane(topics, clock)
    assert (new.sequence, new.places["t"], new.replayed) == (2, 10, 5)
    (engine,), (before,) = new.cells.engines.values(), old.cells.engines.values()
    ours, theirs = engine.snapshot(), before.snapshot()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    old.close()
    assert new.keep(now=True)  # over what was left behind
    new.close()
    again = lane(topics, clock)
    assert (again.sequence, again.replayed) == (2, 0)
    again.close()


def test_a_lane_that_is_not_open_commits_nothing() -> None:
    some = Lane(kafka_settings({}), 0, lambda _: assembly.engine(Settings()), group="g", periods={})
    with pytest.raises(GrayscopeError, match="is not open"):
        some.commit(None)


@pytest.mark.slow
def test_records_since_a_time_that_the_client_does_not_know_are_all_or_none(topics: dict[str, str]) -> None:
    sent(topics, 0, 3)
    settings = kafka_settings(topics)
    with clients.reader(settings) as reader:
        topic = settings.topic("telemetry")
        assert [reader.since(topic, NUMBER, time) for time in (-(10**18), -1, 0, 2**62, 10**30)] == [0, 0, 0, 3, 3]
