"""Confluenttransactions: `_kafkatransactions` through confluent-kafka: all together or not at all, and an older namesake is shut out."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from grayscope.brokers._confluentproducer import CALLED_WRONG, Producer
from grayscope.brokers._kafkaclients import DELIVERY, PATIENCE, TAKEOVER, TRANSACTION
from grayscope.brokers._kafkanamesake import signature
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError, shorten

#: Seconds that a step may take beyond the time-out that it was given; steps that are waited for no longer, with their clients, until no more are made.
GRACE, MOST = 3.0, 8
_LEFT: list[threading.Thread] = []


class Transactions(Producer):
    """Delivery: exactly once for readers of committed messages, as `_kafkatransactions.Transactions`; no step is waited for for ever."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self.name, self._stuck, self._signature = name, False, signature(settings.given)
        _LEFT[:] = [thread for thread in _LEFT if thread.is_alive()]
        if len(_LEFT) >= MOST:
            raise GrayscopeError(f"kafka transaction {name}: {MOST} steps that were begun before still wait for their coordinator: start this worker again")
        # librdkafka takes no message that may be on its way for longer than its transaction.
        longest = max(TRANSACTION, int(settings.given.get("delivery_timeout_ms", DELIVERY)))
        super().__init__(settings, {"transactional_id": name, "transaction_timeout_ms": longest})
        try:
            self._do(lambda: self._client.init_transactions(TAKEOVER / 1000), TAKEOVER)
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Begin; everything sent until `commit` belongs together."""
        self._do(self._client.begin_transaction)

    def places(self, offsets: Mapping[tuple[str, int], int], group: Any) -> None:
        """Add the next offset of each (topic, partition), as a member of `group`, to what is committed; signed."""
        told = [self._kafka.TopicPartition(t, p, o, self._signature) for (t, p), o in offsets.items()]
        self._do(lambda: self._client.send_offsets_to_transaction(told, group, PATIENCE / 1000))

    def commit(self) -> None:
        """Commit. After `GrayscopeError` it may or may not have happened: whoever goes on has to look."""
        self.flush()
        self._do(lambda: self._client.commit_transaction(PATIENCE / 1000))

    def close(self) -> None:
        """Let go; an open transaction is aborted."""
        if self._stuck:
            return  # the client takes no other call before that one ends; it is shut out by whoever comes next
        if not self.broken:
            with suppress(GrayscopeError):  # there may be none
                self._do(lambda: self._client.abort_transaction(PATIENCE / 1000))
            if self._stuck:
                return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shut out, it would warn that it can abort nothing
            super().close()

    def _do(self, step: Callable[[], Any], patience: int | None = None) -> None:
        """Take a step; `patience` in milliseconds.

        librdkafka 2.16 can wait for ever, whatever its time-out, for a group's coordinator that died and came back: so it waits in a thread
        that nobody waits for.
        """
        done: Future[None] = Future()
        seconds = (PATIENCE if patience is None else patience) / 1000 + GRACE
        thread = threading.Thread(target=_taken, args=(step, done), daemon=True, name=f"kafka {self.name}")
        thread.start()
        try:
            done.result(seconds)
        except self._kafka.KafkaException as error:
            self.broken = True
            raise GrayscopeError(f"kafka transaction {self.name}: {self._why(error.args[0], self.settings.topic('*'))}") from error
        except CALLED_WRONG as error:  # a step calls back, too
            self.broken = True
            raise GrayscopeError(f"kafka transaction {self.name}: {shorten(self._told[-1]) if self._told else 'not acknowledged'}") from error
        except TimeoutError as error:
            self.broken = self._stuck = True
            _LEFT.append(thread)
            raise GrayscopeError(f"kafka transaction {self.name}: no answer within {seconds:.0f} s") from error


def _taken(step: Callable[[], Any], done: Future[None]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told where it is waited for
        done.set_exception(error)
    else:
        done.set_result(None)
