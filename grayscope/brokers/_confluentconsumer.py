"""Confluentconsumer: takes records of some topics through confluent-kafka; the same promises as `_kafkaconsumer`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from grayscope.brokers._confluentreach import connected, library, plain
from grayscope.brokers._confluentreader import Reader
from grayscope.brokers._confluentrecords import ANSWER, PASSING, QUEUED, Record, batch, record
from grayscope.brokers._kafkareasons import refusal
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError, UsageError

#: Seconds that `poll` waits for the first record.
POLL = 1.0
#: What a commit is answered with once the partitions have gone to another member.
GONE = frozenset({"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "STALE_MEMBER_EPOCH", "_ASSIGNMENT_LOST", "_NO_OFFSET", "_STATE"})


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

    joined_anew = 0

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[str], group: str | None, *, places: dict[tuple[str, int], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.topics, self.monotonic = tuple(topics), monotonic
        self.places = {} if places is None else places
        self._kafka, self._grouped = library(), group is not None
        self._most = int(settings.given.get("max_poll_records", 2000))
        #: Where each partition of ours goes on, the marks of transactions included.
        self._next: dict[tuple[str, int], int] = {}
        self._revoked: set[tuple[str, int]] = set()
        self._forming = group is not None
        self._wrong: GrayscopeError | None = None  # to be told once what came with it has been given out
        #: The client gives no more records: it must be made anew.
        self.broken, self._itself = False, ""
        self._incremental = settings.given.get("group_protocol") == "consumer"
        self._passing = PASSING if self._grouped else PASSING | {"GROUP_AUTHORIZATION_FAILED"}
        #: Given out before the first poll.
        self._heard: list[Any] = []
        self._client, self._told = connected(self._kafka.Consumer, settings, {**QUEUED, **self._arguments(settings, group)}, self._heard)
        #: Asks where partitions end: on our own connection the answer waits until a fetch has been answered, half a second where nothing comes.
        self._asking: Reader | None = None
        self._settings = settings
        try:
            parts = [(topic, p) for topic in topics for p in self._partitions(topic)]
            if self._grouped:
                self._client.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._taken, on_lost=self._taken)
            else:
                self._client.assign([self._kafka.TopicPartition(t, p, self._kafka.OFFSET_BEGINNING) for t, p in parts])
        except BaseException:
            self.close()
            raise

    def _arguments(self, settings: KafkaSettings, group: str | None) -> dict[str, Any]:
        wanted: dict[str, Any] = {"auto_offset_reset": "earliest", "session_timeout_ms": 45_000}
        if self._incremental:
            wanted["group_remote_assignor"] = "range"
        else:
            wanted["partition_assignment_strategy"] = "range"  # telemetry and events of a cell in the same hands
        arguments = settings.librdkafka(**wanted) | {
            "enable.auto.commit": False, "enable.auto.offset.store": False, "isolation.level": "read_committed", "allow.auto.create.topics": False,
            "enable.partition.eof": True, "group.id": group or settings.given.get("group_id", settings.topic_prefix),
        }  # fmt: skip
        if group is None:  # librdkafka wants a name all the same; nobody joins under it
            arguments["auto.offset.reset"] = "earliest"
            arguments.pop("group.instance.id", None)
        return arguments

    def _partitions(self, topic: str) -> list[int]:
        found = self._ask(lambda: self._client.list_topics(topic, timeout=ANSWER), topic).topics.get(topic)
        if found is not None and found.error is not None and found.error.name() != "UNKNOWN_TOPIC_OR_PART":
            raise GrayscopeError(plain(found.error, topic))
        if found is None or not found.partitions:
            raise UsageError(refusal(3, topic))
        return sorted(found.partitions)

    def poll(self) -> list[Any]:
        """Return the next records, waiting up to a second for the first; in order of the time at which they were sent."""
        found: list[Record] = []
        end, names = self.monotonic() + POLL, ", ".join(self.topics)
        while not (found or self._wrong) and (left := end - self.monotonic()) > 0:
            heard, self._heard = self._heard, []
            for message in heard or self._ask(partial(batch, self._client, self._most, left), names):
                try:
                    told = self._record(message, names)
                except GrayscopeError as error:  # what came with it has been given out, and does not come again
                    self._wrong = self._wrong or error
                else:
                    found += [told] if told is not None else []
        if self._grouped and not self.broken:
            self._itself = self._client.memberid() or self._itself
        if self._wrong and not found:
            wrong, self._wrong = self._wrong, None
            raise wrong
        return sorted(found, key=lambda r: (r.timestamp, self.topics.index(r.topic), r.partition, r.offset))

    def _record(self, message: Any, names: str) -> Record | None:
        self.broken |= message.error() is not None and _fatal(message.error())
        reached, found = record(message, names, self._passing)
        if reached:
            place = (message.topic(), message.partition())
            self._next[place] = max(self._next.get(place, 0), reached)
            # After a rebalance the client goes back to the last commit and gives out again what we hold.
            if found is not None and found.offset < self.places.get(place, 0):
                return None
        return found

    def commit(self, places: Mapping[tuple[str, int], int]) -> bool:
        """Commit the next offset of each (topic, partition); say whether the group still takes our word.

        Where it does not, the partitions have gone to another member, which gets the records again.
        """
        mine = {(tp.topic, tp.partition) for tp in self._client.assignment()}
        ours = [self._kafka.TopicPartition(t, p, o) for (t, p), o in places.items() if (t, p) in mine]
        try:
            answers = self._ask(lambda: self._client.commit(offsets=ours, asynchronous=False), ", ".join(self.topics)) if ours else []
        except GrayscopeError as error:
            if isinstance(error.__cause__, self._kafka.KafkaException) and error.__cause__.args[0].name() in GONE:
                return False
            raise
        for refused in (answer.error for answer in answers if answer.error is not None):
            if refused.name() not in GONE:
                raise GrayscopeError(plain(refused, ", ".join(self.topics)))
            return False
        return len(ours) == len(places)

    def lag(self) -> dict[tuple[str, int], int]:
        """Return how many records each partition of ours holds that were not given out."""
        ours = self._client.assignment()
        self._begun([tp for tp in ours if (tp.topic, tp.partition) not in self._next])
        ends = {(tp.topic, tp.partition): self._ends(tp)[1] for tp in ours}
        return {place: max(0, end - self._next.get(place, 0)) for place, end in ends.items()}

    def _begun(self, fresh: list[Any]) -> None:
        """Note where partitions of which nothing has come yet go on."""
        if fresh and self._grouped:
            fresh = self._ask(lambda: self._client.committed(fresh, timeout=ANSWER), ", ".join(self.topics))
        for tp in fresh:
            low = self._ends(tp)[0]
            self._next[tp.topic, tp.partition] = max(tp.offset, low) if self._grouped else low

    def _ends(self, tp: Any) -> tuple[int, int]:
        if self._asking is None:
            self._asking = Reader(self._settings)
        try:
            return self._asking.bounds(tp.topic, tp.partition)
        except GrayscopeError:  # it may know none of the brokers that are left
            self._asking.close()
            self._asking = None
            raise

    def settled(self) -> bool:
        """Say whether it is known what is ours: not while the group is being formed."""
        return not self._forming

    def assigned(self) -> set[tuple[str, int]]:
        """Return the (topic, partition) that are ours now."""
        return {(tp.topic, tp.partition) for tp in self._client.assignment()}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on from an offset, whatever was given out or committed."""
        until, place = self.monotonic() + ANSWER, self._kafka.TopicPartition(topic, partition, offset)
        while not self._sought(place, last=self.monotonic() >= until):
            time.sleep(0.02)
        self._next[topic, partition] = offset

    def _sought(self, place: Any, *, last: bool) -> bool:
        """Seek; say whether it was taken. A partition that was given to us this moment takes none yet."""
        try:
            self._client.seek(place)
        except self._kafka.KafkaException as error:
            if last or error.args[0].name() != "_STATE":
                raise GrayscopeError(plain(error, place.topic, self._told)) from error
            return False
        return True

    def member(self) -> Any:
        """Return who we are in the group, for a transaction."""
        return self._client.consumer_group_metadata()

    def itself(self) -> str:
        """Return the number under which we are, or were last, a member; ``""`` if never."""
        return self._itself

    def close(self) -> None:
        """Leave the group; nothing is committed."""
        with suppress(self._kafka.KafkaException, RuntimeError):  # the broker may be away; closed twice
            self._client.close()
        if self._asking is not None:
            self._asking.close()

    def _assigned(self, _: Any, parts: list[Any]) -> None:
        """Forget the places of partitions that have gone to another member. It must not ask the broker: a rebalance waits for it."""
        here = {(tp.topic, tp.partition) for tp in parts}
        for place in here:
            self._next.pop(place, None)
        self._forget(self._revoked - here)
        self._revoked, self._forming = set(), False

    def _taken(self, _: Any, parts: list[Any]) -> None:
        gone = {(tp.topic, tp.partition) for tp in parts}
        if self._incremental:  # what is taken is gone; else all is taken, and what stays comes back
            self._forget(gone)
        else:
            self._revoked |= gone
            self._forming = True

    def _forget(self, gone: set[tuple[str, int]]) -> None:
        for place in gone:
            self.places.pop(place, None)
            self._next.pop(place, None)

    def _ask(self, question: Callable[[], Any], topic: str) -> Any:
        try:
            return question()
        except self._kafka.KafkaException as error:
            self.broken |= _fatal(error.args[0])
            raise GrayscopeError(plain(error, topic, self._told)) from error


def _fatal(error: Any) -> bool:
    """Say whether the client is of no use after an error; what comes as a message does not tell so itself."""
    return bool(error.fatal()) or error.name() == "_FATAL"
