"""Kafkaproducer: sends bytes, acknowledged by all replicas, with a bound on what waits."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from grayscope.brokers._kafkaclients import DELIVERY, UNKNOWN
from grayscope.brokers._kafkareach import plain, reached
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError


class Producer:
    """Delivery: at least once, in order per topic and key; what `flush` returned for is on all replicas in sync.

    kafka-python itself takes any number of bytes while the brokers are silent. Here `send` waits once `buffer_memory` bytes are on the
    way, and fails after the delivery time-out.

    Parameters
    ----------
    settings : KafkaSettings
    **fixed
        Arguments of kafka-python's producer that win over the settings.
    """

    def __init__(self, settings: KafkaSettings, **fixed: Any) -> None:
        self.settings = settings
        wanted: dict[str, Any] = {
            "acks": "all", "enable_idempotence": True, "compression_type": "lz4", "batch_size": 256 << 10, "linger_ms": 5, "max_block_ms": UNKNOWN,
            "delivery_timeout_ms": DELIVERY, "request_timeout_ms": DELIVERY // 2, "allow_auto_create_topics": False, "metrics_enabled": False,
        }  # fmt: skip
        arguments = {**settings.of(KafkaProducer.DEFAULT_CONFIG, **wanted), **fixed}
        if arguments["compression_type"] == "none":
            arguments["compression_type"] = None
        self.patience = arguments["delivery_timeout_ms"] / 1000 + 5
        self._client = reached(KafkaProducer, settings, arguments)
        self._waiting: deque[tuple[Any, str, int]] = deque()
        self.bytes = 0
        #: Something was not acknowledged: what waits behind it is in doubt, and not waited for again.
        self.broken = False

    def send(
        self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]] | None = None, partition: int | None = None,
    ) -> Any:  # fmt: skip
        """Hand one message over; waits while too much is on the way. Returns the client's future of where it went.

        Raises
        ------
        GrayscopeError
            This or an earlier message was refused.
        """
        size = len(value or b"") + len(key)
        self._reap()
        while self._waiting and self.bytes + size > self.settings.buffer_memory:
            self._settle()
        try:
            future = self._client.send(topic, value=value, key=key, headers=headers or [], partition=partition)
        except KafkaTimeoutError as error:
            raise GrayscopeError(
                f"kafka topic {topic}: not known within {UNKNOWN / 1000:.0f} s: grayscope topics apply, or grant this user DESCRIBE"
            ) from error
        except (KafkaError, ValueError) as error:
            raise GrayscopeError(plain(error, topic)) from error
        self._waiting.append((future, topic, size))
        self.bytes += size
        self._reap()  # what is forbidden is known by now
        return future

    def flush(self) -> None:
        """Wait until all that was sent is acknowledged; `GrayscopeError` where something was not."""
        try:
            self._client.flush(timeout=self.patience)
        except KafkaError as error:
            self.broken = True
            raise GrayscopeError(f"kafka: not acknowledged within {self.patience:.0f} s: are enough replicas in sync? ({error})") from error
        while self._waiting:
            self._settle()

    def close(self) -> None:
        """Let go; what was not flushed may be lost."""
        self._waiting.clear()
        try:
            self._client.close(timeout=1.0)
        except KafkaError:
            # While something is on the way, kafka-python 3.0 refuses to close, and its thread would go on sending for ever.
            self._client._sender.force_close()
            with suppress(KafkaError):
                self._client.close(timeout=2.0)

    def _reap(self) -> None:
        while self._waiting and self._waiting[0][0].is_done:
            self._settle()

    def _settle(self) -> None:
        """Wait for the oldest message."""
        future, topic, size = self._waiting.popleft()
        self.bytes -= size
        try:
            future.get(timeout=self.patience)
        except KafkaError as error:
            self.broken = True
            raise GrayscopeError(plain(error, topic)) from error
