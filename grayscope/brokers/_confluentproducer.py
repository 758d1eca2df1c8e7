"""Confluentproducer: sends bytes through confluent-kafka; the same promises as `_kafkaproducer`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from grayscope.brokers._confluentreach import connected, library, plain
from grayscope.brokers._kafkaclients import DELIVERY, UNKNOWN
from grayscope.brokers._kafkareasons import refusal
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError, shorten

#: Shut out meanwhile, confluent-kafka 2.16 calls back with an exception already set. Python then fails with a `SystemError` that says nothing, or
#: cannot find, in whatever was called, a method of a base class: an `AttributeError` that is not true.
CALLED_WRONG = (SystemError, AttributeError)


class Sent:
    """A message on its way; `offset` is known once it has arrived."""

    __slots__ = ("offset",)

    def __init__(self) -> None:
        self.offset: int | None = None

    def get(self, timeout: float = 0) -> Sent:  # noqa: ARG002 - what kafka-python calls it
        """Return itself, as kafka-python's future does; `GrayscopeError` where the message has not arrived."""
        if self.offset is None:
            raise GrayscopeError("kafka: not acknowledged yet")
        return self


class Producer:
    """Delivery: at least once, in order per topic and key; what `flush` returned for is on all replicas in sync.

    `send` waits once `buffer_memory` bytes are on the way, and fails after the delivery time-out. After the first message that was not
    acknowledged, what still waits behind it is dropped: it would overtake it.

    Parameters
    ----------
    settings : KafkaSettings
    fixed : dict, optional
        Settings by kafka-python's names that nothing given replaces.
    """

    def __init__(self, settings: KafkaSettings, fixed: dict[str, Any] | None = None) -> None:
        self.settings, self._kafka = settings, library()
        wanted: dict[str, Any] = {
            "compression_type": "lz4", "batch_size": 256 << 10, "linger_ms": 5, "delivery_timeout_ms": DELIVERY, "request_timeout_ms": DELIVERY // 2,
        }  # fmt: skip
        arguments = settings.librdkafka(**wanted)
        arguments |= {"queue.buffering.max.kbytes": settings.buffer_memory // 1024 + 2048} if "queue.buffering.max.kbytes" not in arguments else {}
        # Java's and kafka-python's way from key to partition, or a cell would have two homes.
        arguments |= {"acks": "all", "enable.idempotence": True, "allow.auto.create.topics": False, "partitioner": "murmur2_random"}  # fmt: skip
        arguments |= {k.replace("_", "."): v for k, v in (fixed or {}).items()}
        self.patience = int(arguments["delivery.timeout.ms"]) / 1000 + 5
        self._unknown = int(settings.given.get("max_block_ms", UNKNOWN)) / 1000
        self._client, self._told = connected(self._kafka.Producer, settings, {k: v for k, v in arguments.items() if k not in CONSUMERS})
        self._seen: set[str] = set()
        self._refused: Exception | None = None
        self.bytes = 0
        #: Something was not acknowledged: what waits behind it is in doubt, and not waited for again.
        self.broken = False

    def send(
        self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None = None, partition: int | None = None,
    ) -> Sent:  # fmt: skip
        """Hand one message over; waits while too much is on the way. Returns what will know where it went.

        Raises
        ------
        GrayscopeError
            This or an earlier message was refused.
        """
        size, end = len(value or b"") + len(key), time.monotonic() + self.patience
        self._known(topic)
        self._serve(0)
        message, sent = {"value": value, "key": key, "headers": headers or [], "partition": -1 if partition is None else partition}, Sent()
        while (self.bytes and self.bytes + size > self.settings.buffer_memory) or not self._queued(topic, message, size, sent):
            if time.monotonic() > end:
                self.broken = True
                raise GrayscopeError(f"kafka topic {topic}: not acknowledged within {self.patience:.0f} s: are enough replicas in sync?")
            self._serve(0.1)
        self.bytes += size
        self._serve(0)
        return sent

    def _queued(self, topic: str, message: dict[str, Any], size: int, sent: Sent) -> bool:
        def answered(error: Any, arrived: Any) -> None:
            self.bytes -= size
            sent.offset = arrived.offset() if error is None else None
            if error is not None:
                self.broken = True
                self._refused = self._refused or GrayscopeError(self._why(error, topic))

        try:
            self._client.produce(topic, on_delivery=answered, **message)
        except BufferError:  # librdkafka's own bound
            return False
        except self._kafka.KafkaException as error:
            self.broken = self.broken or error.args[0].fatal()
            raise GrayscopeError(self._why(error.args[0], topic)) from error
        return True

    def _why(self, error: Any, topic: str) -> str:
        # Who may write to no topic at all gets no number as a producer; what waits behind that is told only that it was fatal.
        if error.name() == "CLUSTER_AUTHORIZATION_FAILED" or (error.name() == "_FATAL" and any("idempotence PID" in line for line in self._told)):
            return refusal(29, topic)
        return plain(error, topic, self._told)

    def flush(self) -> None:
        """Wait until all that was sent is acknowledged; `GrayscopeError` where something was not."""
        left = self._heard(lambda: self._client.flush(self.patience))
        self._serve(0)
        if left:
            self.broken = True
            raise GrayscopeError(f"kafka: not acknowledged within {self.patience:.0f} s: are enough replicas in sync?")

    def close(self) -> None:
        """Let go; what was not flushed may be lost."""
        for step in (self._client.purge, lambda: self._client.flush(1.0), self._client.close):
            with suppress(self._kafka.KafkaException, *CALLED_WRONG):  # shut out, it says so once more
                step()

    def _known(self, topic: str) -> None:
        """Ask once for a topic: librdkafka would keep its messages for as long as they may take."""
        if topic in self._seen:
            return
        try:
            found = self._client.list_topics(topic, timeout=self._unknown).topics.get(topic)
        except self._kafka.KafkaException as error:
            raise GrayscopeError(plain(error, topic, self._told)) from error
        if found is None or found.error is not None:
            raise GrayscopeError(refusal(3, topic) if found is None else plain(found.error, topic))
        self._seen.add(topic)

    def _serve(self, seconds: float) -> None:
        """Take answers; raise the first refusal."""
        self._heard(lambda: self._client.poll(seconds))
        if self._refused is not None:
            refused, self._refused = self._refused, None
            with suppress(self._kafka.KafkaException, *CALLED_WRONG):
                self._client.purge()
            raise refused

    def _heard(self, step: Callable[[], int]) -> int:
        """Take a step in which librdkafka calls back; shut out, it says so in whichever of them comes next."""
        try:
            return step()
        except self._kafka.KafkaException as error:  # no message will ever be taken from us
            if not self.bytes and self._refused is None:
                return 0  # nor is one on its way
            self.broken = True
            raise self._refused or GrayscopeError(self._why(error.args[0], ", ".join(sorted(self._seen)))) from error
        except CALLED_WRONG as error:
            self.broken = True
            raise self._refused or GrayscopeError(f"kafka: {shorten(self._told[-1]) if self._told else 'not acknowledged'}") from error


#: Settings of consumers, about which librdkafka would complain.
CONSUMERS = frozenset({"group.id", "group.instance.id", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms", "auto.offset.reset",
                       "group.protocol", "group.remote.assignor", "fetch.min.bytes", "fetch.max.bytes", "fetch.wait.max.ms", "max.partition.fetch.bytes",
                       "check.crcs"})  # fmt: skip
