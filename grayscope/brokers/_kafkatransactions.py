"""Kafkatransactions: a producer whose messages and offsets count all together or not at all, and whose older namesake is shut out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata, TopicPartition

from grayscope.brokers._kafkaclients import PATIENCE, TAKEOVER, TRANSACTION
from grayscope.brokers._kafkanamesake import signature
from grayscope.brokers._kafkaproducer import Producer
from grayscope.brokers._kafkareach import plain
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError

#: Milliseconds: so often the client is told to look again for what it waits for.
NUDGE = 500


class Transactions(Producer):
    """Delivery: exactly once for readers of committed messages.

    Making one ends what an older producer of the same name had begun, and fences it: nothing of it can be committed any more.

    Parameters
    ----------
    settings : KafkaSettings
    name : str
        The ``transactional.id``.
    """

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self.name, self._signature = name, signature(settings.given)
        super().__init__(settings, transactional_id=name, transaction_timeout_ms=TRANSACTION, max_block_ms=TAKEOVER)
        try:
            self._do(self._client.init_transactions)
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Begin; everything sent until `commit` belongs together."""
        self._do(self._client.begin_transaction)

    def places(self, offsets: Mapping[tuple[str, int], int], group: Any) -> None:
        """Add the next offset of each (topic, partition), as a member of `group`, to what is committed; signed."""
        told = {TopicPartition(t, p): OffsetAndMetadata(o, self._signature, -1) for (t, p), o in offsets.items()}
        self._do(lambda: self._ended(lambda: self._client._transaction_manager.send_offsets_to_transaction(told, group)))

    def commit(self) -> None:
        """Commit. After `GrayscopeError` it may or may not have happened: whoever goes on has to look."""
        self.flush()
        self._do(lambda: self._ended(self._client._transaction_manager.begin_commit))

    def close(self) -> None:
        """Let go; an open transaction is aborted."""
        if self._client._transaction_manager is not None:
            with suppress(KafkaError, GrayscopeError):
                if self._client._transaction_manager._test_has_ongoing_transaction() and not self.broken:
                    self._ended(self._client._transaction_manager.begin_abort)
        super().close()

    def _ended(self, begin: Callable[[], Any]) -> None:
        """Begin a step and wait for its end.

        kafka-python 3.0 waits without a bound, and once the coordinator has died its thread can sleep on the request for ever.
        """
        result, until = begin(), time.monotonic() + PATIENCE / 1000
        self._client._sender.wakeup()
        while not result.wait(timeout_ms=NUDGE):
            if time.monotonic() > until:
                raise KafkaTimeoutError(f"no answer within {PATIENCE / 1000:.0f} s")
            self._client._sender.wakeup()

    def _do(self, step: Any) -> None:
        try:
            step()
        except (KafkaError, ValueError) as error:
            self.broken = True
            raise GrayscopeError(f"kafka transaction {self.name}: {plain(error, self.settings.topic('*'))}") from error
