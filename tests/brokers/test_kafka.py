"""Kafka, against the real broker: what is sent arrives once, whole and in order; what cannot be read is set aside and the rest goes on."""

from __future__ import annotations

import numpy as np
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from grayscope.batch import Batch
from grayscope.brokers.kafka import Kafka
from grayscope.errors import GrayscopeError, InputError, UsageError
from grayscope.event import Event
from grayscope.frames import encode
from grayscope.message import Message
from grayscope.roster import RosterRow
from tests.kafkaserver import Cluster

pytestmark = pytest.mark.slow
Options = dict[str, str]
CLIENTS = ("kafka-python", "confluent")


@pytest.fixture(params=CLIENTS)
def topics(request: pytest.FixtureRequest, topics: Options) -> Options:
    """The same through both clients."""
    if request.param == "confluent":
        pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    return {**topics, "client": request.param}


def batch(time: int, value: float = 1.0, subjects: int = 2, metrics: int = 1) -> Batch:
    names = tuple(f"n{i}/gpu0" for i in range(subjects))
    return Batch("gpu", np.array([time], np.int64), names, tuple(f"m{i}" for i in range(metrics)), np.full((1, metrics, subjects), value, np.float32))


def sent(options: Options, *messages: Message) -> None:
    broker = Kafka(**options)
    for message in messages:
        broker.send(message)
    broker.close()
    broker.close()


def received(options: Options, *, commit: bool = True) -> tuple[list[Message], Kafka]:
    broker = Kafka(**options)
    try:
        found = list(broker.receive())
        assert not commit or broker.commit()
    finally:
        broker.close()
    return found, broker


def test_everything_arrives_and_the_roster_comes_first(topics: Options) -> None:
    first, event = batch(20), Event(15, "n0/gpu0", "xid", "94", "one\ntwo", 3)
    sent(topics, first, event, batch(10, np.nan), (RosterRow("n0/gpu0", "gpu", keys={"sku": "X"}), RosterRow("n1/gpu0", "gpu", since=5)))
    found, broker = received(topics)
    assert found[0] == (RosterRow("n0/gpu0", "gpu", keys={"sku": "X"}), RosterRow("n1/gpu0", "gpu", since=5))
    assert [int(m.times[0]) for m in found if isinstance(m, Batch)] == [20, 10]
    assert [m for m in found if isinstance(m, Event)] == [event]
    assert broker.rejected == {}


def test_what_was_committed_does_not_come_again_and_what_was_not_does(topics: Options) -> None:
    sent(topics, *map(batch, range(5)))
    assert len(received(topics, commit=False)[0]) == 5
    assert len(received(topics)[0]) == 5
    sent(topics, batch(7), (RosterRow("n9", "node"),))
    again, _ = received(topics)
    assert again[0] == (RosterRow("n9", "node"),)  # the roster is told each time
    assert [int(m.times[0]) for m in again if isinstance(m, Batch)] == [7]
    assert len(received({**topics, "group.id": "another"})[0]) == 1 + 6


def test_a_later_roster_row_replaces_and_arrives_while_we_listen(topics: Options) -> None:
    sent(topics, (RosterRow("n0", "node", keys={"rack": "a"}),))
    broker = Kafka(**topics)
    try:
        assert broker.poll() == [(RosterRow("n0", "node", keys={"rack": "a"}),)]
        sent(topics, (RosterRow("n0", "node", keys={"rack": "b"}),), batch(1))
        found: list[Message] = []
        for _ in range(20):
            found += broker.poll()
            if len(found) > 1:
                break
        assert found[0] == (RosterRow("n0", "node", keys={"rack": "b"}),)
        assert isinstance(found[1], Batch)
    finally:
        broker.close()


def test_what_is_too_large_is_split_for_the_broker(topics: Options) -> None:
    large = batch(1, 7.0, subjects=8000, metrics=100)  # 3.2 MB; a broker takes 1 MiB
    sent(topics, large)
    parts = [m for m in received(topics)[0] if isinstance(m, Batch)]
    assert len(parts) > 3
    assert tuple(s for p in parts for s in p.subjects) == large.subjects
    with pytest.raises(InputError, match="cannot be split"):
        Kafka(**topics).send(Event(1, "n0", "kernel", "x", "y" * 2_000_000))


def test_poison_is_set_aside_with_the_reason_and_the_partition_goes_on(topics: Options, kafka_server: Cluster) -> None:
    broker, name = Kafka(**topics), topics["topic.prefix"]
    poison = [b"\xff" * 200, b"", b"\x80\x04.", encode(batch(1))[:-40], encode(Event(1, "a", "b", "c")).replace(b":1,", b":9,", 1)]
    for value in poison:
        broker._out().send(f"{name}.telemetry", b"cluster", value)
    broker.send(batch(42))
    broker.send(Event(1, "../../etc\x00\n\x1b[2J", "xid", "1"))
    broker.close()
    found, reader = received(topics)
    assert [int(m.times[0]) for m in found if isinstance(m, Batch)] == [42]
    assert [m.subject for m in found if isinstance(m, Event)] == ["../../etc\x00\n\x1b[2J"]
    assert reader.rejected == {f"{name}.telemetry": 5}
    aside = KafkaConsumer(bootstrap_servers=kafka_server.servers, auto_offset_reset="earliest", consumer_timeout_ms=3000)
    try:
        aside.assign([TopicPartition(f"{name}.rejected", 0)])
        kept = [next(aside) for _ in poison]
    finally:
        aside.close()
    assert [record.value for record in kept] == poison
    headers = [dict(record.headers) for record in kept]
    assert [h["offset"] for h in headers] == [b"0", b"1", b"2", b"3", b"4"]
    assert b"expected version 1 or older, found 9" in headers[4]["reason"]
    assert all(h["topic"] == f"{name}.telemetry".encode() and b"expected" in h["reason"] for h in headers)


@pytest.mark.parametrize("other", [{}, {"client": "confluent"}, {"client": "kafka-python"}])
def test_two_workers_share_the_cells_and_one_takes_over_what_the_other_leaves(topics: Options, other: Options) -> None:
    if other.get("client") == topics["client"]:
        pytest.skip("the same client twice is the first case")
    cells = [f"pod{i}" for i in range(12)]
    for cell in cells:
        sent({**topics, "cell": cell}, batch(1))
    first, second = Kafka(**topics), Kafka(**{**topics, **other})
    try:
        taken = list(first.receive())
        assert len(taken) == 12
        assert first.commit()
        for _ in range(40):
            first.poll()
            second.poll()
            if (mine := first.lag().keys()) and (yours := second.lag().keys()):
                break
        assert not mine & yours
        # Co-partitioned: telemetry and events of a cell are in the same hands.
        assert {p for _, p in mine}.isdisjoint(p for _, p in yours)
        second.close()
        for cell in cells:
            sent({**topics, "cell": cell}, batch(2))
        late: list[Message] = []
        for _ in range(40):
            late += first.poll()
            if len(late) >= 12:
                break
        assert [int(m.times[0]) for m in late if isinstance(m, Batch)] == [2] * 12
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_missing_topics_are_named(kafka_server: Cluster, prefix: str, client: str) -> None:
    broker = Kafka(**{"bootstrap.servers": kafka_server.servers, "topic.prefix": prefix, "client": client})
    with pytest.raises(GrayscopeError, match="grayscope topics apply"):
        broker.send(batch(1))
    with pytest.raises(UsageError, match=rf"{prefix}.roster: there is none.*grayscope topics apply"):
        broker.poll()
    broker.close()


def test_both_clients_send_a_cell_to_the_same_partition(topics: Options, kafka_server: Cluster) -> None:
    cells = [f"pod{i}" for i in range(20)] + ["", "é" * 9]
    homes: list[dict[str, int]] = []
    for client in CLIENTS:
        for cell in cells:
            broker = Kafka(**{**topics, "client": client, "cell": cell or "cluster"})
            broker.send(batch(1))
            broker.close()
        reader = KafkaConsumer(bootstrap_servers=kafka_server.servers, auto_offset_reset="earliest", consumer_timeout_ms=2000)
        try:
            reader.assign([TopicPartition(f"{topics['topic.prefix']}.telemetry", p) for p in range(4)])
            homes.append({})
            for record in reader:
                assert homes[-1].setdefault(record.key, record.partition) == record.partition
        finally:
            reader.close()
    assert homes[0] == homes[1]
    assert len(homes[0]) == 22
    assert len({*homes[0].values()}) == 4


def test_the_marks_of_transactions_do_not_count_as_lag(topics: Options, kafka_server: Cluster) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka_server.servers, transactional_id=topics["topic.prefix"])
    producer.init_transactions()
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        producer.send(f"{topics['topic.prefix']}.events", encode(Event(1, "n1", "xid", "94")), key=b"cluster")
        end()
    producer.close()
    found, _ = received(topics)
    assert len(found) == 1
