"""Kafkaconsumer: takes records of some topics as a member of a group, and commits only what it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import CommitFailedError, FencedInstanceIdError, IllegalGenerationError, KafkaError, RebalanceInProgressError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata, TopicPartition

from grayscope.brokers._kafkareach import plain, reached
from grayscope.brokers._kafkareasons import refusal
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError, UsageError

#: Milliseconds. A poll that ends while the group is being formed again loses its place for ever (kafka-python 3.0.12), so none is shorter.
POLL = 1000
#: Seconds without any partition after which the group is joined anew; doubles up to the last. Until a dead member is given up, joining takes as long.
LONELY, LONGEST = 60.0, 300.0
#: What a commit is answered with once the partitions have gone to another member.
GONE = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class Consumer:
    """Records of topics: as a member of a group, or without one, all from the beginning.

    Parameters
    ----------
    settings : KafkaSettings
    topics : sequence of str
        Full names; they must exist.
    group : str or None
        None: all partitions, from the beginning each time, nothing is committed.
    places : dict, optional
        Next offset of each (topic, partition) after what was given out. A partition that comes back after the group was formed anew goes
        on from there; one that has gone to another member is taken out.
    """

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group: str | None, *, places: dict[tuple[str, int], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.topics, self.monotonic, self.joined_anew = tuple(topics), monotonic, 0
        #: Another member has our name: this client will not be let in again.
        self.broken, self._itself = False, ""
        self.places = {} if places is None else places
        wanted = {"auto_offset_reset": "earliest", "session_timeout_ms": 45_000, "max_poll_records": 2000, "metrics_enabled": False}
        fixed = {"enable_auto_commit": False, "isolation_level": "read_committed", "allow_auto_create_topics": False, "group_id": group}
        arguments = {**settings.of(KafkaConsumer.DEFAULT_CONFIG, **wanted), **fixed}
        if group is None:
            arguments |= {"group_instance_id": None, "auto_offset_reset": "earliest"}
        self._client = reached(KafkaConsumer, settings, arguments)
        self._listener = _Listener(self.places)
        self._lonely, self._patience = self.monotonic(), LONELY
        try:
            # Asked before the group is joined: new metadata in the middle of joining is what the client trips over.
            parts = {topic: self._partitions(topic) for topic in topics}
            self._grouped = group is not None
            if self._grouped:
                self._client.subscribe(list(topics), listener=self._listener)
            else:
                self._client.assign([TopicPartition(topic, p) for topic, numbers in parts.items() for p in sorted(numbers)])
        except BaseException:
            self.close()
            raise

    def _partitions(self, topic: str) -> set[int]:
        found = self._ask(lambda: self._client.partitions_for_topic(topic), topic)
        if not found:
            raise UsageError(f"kafka topic {topic}: there is none, or this user may not see it: grayscope topics apply")
        return set(found)

    def poll(self) -> list[Any]:
        """Return the next records, waiting up to a second for the first; in order of the time at which they were sent."""
        found = self._ask(lambda: self._client.poll(timeout_ms=POLL), ", ".join(self.topics))
        self._watch()
        if self._grouped and self._silenced():
            self.broken = True
            raise GrayscopeError(refusal(FencedInstanceIdError.errno, self.topics[0]))
        # After a rebalance the client goes back to the last commit and gives out again what we hold.
        fresh = (r for records in found.values() for r in records if r.offset >= self.places.get((r.topic, r.partition), 0))
        return sorted(fresh, key=lambda r: (r.timestamp, self.topics.index(r.topic), r.partition, r.offset))

    def _silenced(self) -> bool:
        """Say whether the client was told that it is shut out: kafka-python 3.0 then gives up its heartbeats, says nothing, and goes on."""
        coordinator = self._client._coordinator
        self._itself = coordinator._generation.member_id or self._itself
        return coordinator.stable() and not (coordinator._heartbeat_enabled or coordinator.rejoining or coordinator.rejoin_needed)

    def _watch(self) -> None:
        if not self._grouped or self._client.assignment():
            self._lonely, self._patience = self.monotonic(), LONELY
        elif self.monotonic() - self._lonely > self._patience:
            # More members than partitions is a reason too, so the next look is later.
            self._lonely, self._patience = self.monotonic(), min(2 * self._patience, LONGEST)
            self.joined_anew += 1
            self._client.unsubscribe()
            self._client.subscribe(list(self.topics), listener=self._listener)

    def commit(self, places: Mapping[tuple[str, int], int]) -> bool:
        """Commit the next offset of each (topic, partition); say whether the group still takes our word.

        Where it does not, the partitions have gone to another member, which gets the records again.
        """
        ours = {TopicPartition(t, p): OffsetAndMetadata(o, "", -1) for (t, p), o in places.items()}
        ours = {tp: o for tp, o in ours.items() if tp in self._client.assignment()}
        try:
            if ours:
                self._ask(lambda: self._client.commit(ours), ", ".join(self.topics))
        except GrayscopeError as error:
            if isinstance(error.__cause__, GONE):
                return False
            raise
        return len(ours) == len(places)

    def settled(self) -> bool:
        """Say whether it is known what is ours: always, `poll` waits until the group is formed."""
        return True

    def assigned(self) -> set[tuple[str, int]]:
        """Return the (topic, partition) that are ours now."""
        return {(tp.topic, tp.partition) for tp in self._client.assignment()}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on from an offset, whatever was given out or committed."""
        self._client.seek(TopicPartition(topic, partition), offset)

    def member(self) -> Any:
        """Return what says which member of the group we are, for a transaction."""
        return self._client.group_metadata()

    def itself(self) -> str:
        """Return the number under which we are, or were last, a member; ``""`` if never."""
        return self._itself

    def lag(self) -> dict[tuple[str, int], int]:
        """Return how many records each partition of ours holds that were not given out."""
        ours = list(self._client.assignment())
        ends = self._ask(lambda: self._client.end_offsets(ours), ", ".join(self.topics)) if ours else {}
        return {(tp.topic, tp.partition): max(0, end - int(self._client.position(tp) or 0)) for tp, end in ends.items()}

    def close(self) -> None:
        """Leave the group; nothing is committed."""
        with suppress(KafkaError):  # the broker may be away
            self._client.close(autocommit=False, timeout_ms=2000)

    def _ask(self, question: Callable[[], Any], topic: str) -> Any:
        try:
            return question()
        except KafkaError as error:
            self.broken |= isinstance(error, FencedInstanceIdError)
            raise GrayscopeError(plain(error, topic)) from error


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Forgets the places of partitions that have gone to another member. It must not ask the broker: a rebalance waits for it."""

    def __init__(self, places: dict[tuple[str, int], int]) -> None:
        self.places = places

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        pass

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        for gone in self.places.keys() - {(tp.topic, tp.partition) for tp in assigned}:
            del self.places[gone]
