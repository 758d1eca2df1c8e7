"""Kafkaworker: a member of the group of detectors: takes over the lanes that the group gives it, and lets go of those it takes away."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from grayscope.alert import Alert
from grayscope.brokers import _kafkaclients as clients
from grayscope.brokers._kafkaclients import Consumer
from grayscope.brokers._kafkaintroductions import Introductions
from grayscope.brokers._kafkalane import Lane
from grayscope.brokers._kafkanamesake import Namesake
from grayscope.brokers._kafkaorder import TOPICS
from grayscope.brokers._kafkasettings import KafkaSettings, kafka_settings
from grayscope.errors import GrayscopeError, UsageError
from grayscope.roster import RosterRow

#: Milliseconds. Static members are given up after the first; the last bounds how long a lane may take to open.
SESSION, HEARTBEAT, POLL = 15_000, 3_000, 600_000
#: Seconds until a lane that failed is opened again.
PAUSE = 2.0


class Worker:
    """Delivery: exactly once from the records to what is said in Kafka; `turn` returns the alerts that may go out.

    Parameters
    ----------
    options : dict
        As of the broker ``kafka``.
    name : str
        Of this worker, unique in the group, the same after a restart: then its lanes wait for it.
    lane : callable
        Makes the lane of a number: ``lane(settings, number, group)``.
    gone : callable
        Told of each cell that another worker judges from now on.
    """

    def __init__(
        self, options: dict[str, Any], name: str, lane: Callable[[KafkaSettings, int, str], Lane], *, tell: Callable[[str], None] = lambda _: None,
        gone: Callable[[str], None] = lambda _: None, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        defaults = {"session_timeout_ms": SESSION, "heartbeat_interval_ms": HEARTBEAT, "max_poll_interval_ms": POLL, "group_instance_id": name}
        found = kafka_settings(options)
        if found.given.get("group_protocol") == "consumer":
            raise UsageError("kafka: group.protocol: expected classic (or nothing) for workers, that need telemetry and events at once; found consumer")
        self.settings = replace(found, given={**defaults, **found.given})
        self.group = str(self.settings.given.get("group_id", f"{self.settings.topic_prefix}.live"))
        self.lane, self.tell, self.gone, self.monotonic = lane, tell, gone, monotonic
        self.lanes: dict[int, Lane] = {}
        self.reopened = 0
        self.places: dict[tuple[str, int], int] = {}
        self._topics = {self.settings.topic(name): kind for kind, name in TOPICS.items()}
        self.roster = Introductions(lambda: self._made([self.settings.topic("roster")], None), tell)
        self._consumer: Consumer | None = None
        self._joined = False
        self._not_before: dict[int, float] = {}
        self._told: dict[int, str] = {}  # what was last wrong with a lane
        self._committed: set[int] = set()  # lanes in which we have signed
        self._namesake = Namesake(self.settings, self.group, int(self.settings.given["session_timeout_ms"]) / 1000, clients.holder, monotonic)
        self._number = ""  # under which we are a member
        self._shut_out: str | None = None  # the same, once we are not any more

    def turn(self, quiet: float = 30.0) -> list[Alert]:
        """Take what has come within about a second; return the alerts of what has been committed.

        Cells from which nothing has come for `quiet` seconds are told that time has passed.

        Raises
        ------
        UsageError
            Among others: another process that began later has this worker's name. Nothing is left to close.
        """
        if self._consumer is not None and self._consumer.broken:
            self._leave(self._consumer)
        if self._shut_out is not None:
            self._alone(self._shut_out)
            self._committed.clear()  # whoever signed after us has gone
        elif self._consumer is not None and self._consumer.itself() != self._number:
            if self._number and self._committed:  # asleep for too long; somebody may have been let in meanwhile
                self._alone(self._consumer.itself())
            self._number = self._consumer.itself()
        consumer = self._consumer or self._join()
        try:
            records = consumer.poll()
        except GrayscopeError:
            if consumer.broken:  # by whom is known at once, mostly
                self._leave(consumer)
                self._alone(consumer.itself())
            raise
        try:
            self.roster.ask()
        except GrayscopeError:
            self._again(consumer)
            raise
        if not consumer.settled():
            return []  # what was polled comes again: the group goes on from what was committed
        news = self.roster.take()
        alerts: list[Alert] = []
        held = {*self.lanes}  # what came for others is asked for again once they are open
        self._assigned(consumer)
        for number in sorted(held & self.lanes.keys()):
            self._run(number, lambda lane, n=number: self._take(lane, news, [r for r in records if r.partition == n]))  # type: ignore[misc]
        for number in [n for n in self.lanes if n not in held]:
            alerts += self.lanes[number].again
            self._run(number, lambda lane: lane.introduce(self.roster.known()))
        for number in sorted(self.lanes):
            self._run(number, lambda lane: self._settle(lane, quiet, alerts))
        return alerts

    def _leave(self, consumer: Consumer) -> None:
        """Let go of a client that is shut out; the lanes are kept."""
        self._consumer, self._shut_out = None, consumer.itself()
        consumer.close()

    def _alone(self, member: str) -> None:
        """Return if nobody else has our name; let go of everything where somebody has."""
        try:
            self._namesake.ours(member, self._places())
        except UsageError:  # the other one says what is to be said
            for lane in self.lanes.values():
                lane.close()
                for cell in lane.cells.engines:
                    self.gone(cell)
            self.lanes = {}
            raise
        self._shut_out = None

    def _still(self, consumer: Consumer) -> bool:
        """Say whether our name is still ours: a lane that another one shut us out of must not be taken back."""
        try:
            self._namesake.ours(consumer.itself(), self._places())
        except UsageError:  # the next turn says so
            consumer.broken = True
        except GrayscopeError:
            consumer.broken = self._namesake.doubted
        else:
            return True
        return False

    def _places(self) -> list[tuple[str, int]]:
        return [(topic, number) for topic in self._topics for number in sorted(self._committed)]

    def keep(self) -> None:
        """Write a part of what checkpoints are due; after `turn`, once its alerts are out, which must not wait for it."""
        if self._consumer is not None and self._consumer.broken:
            return  # another one may have the lanes by now
        for number in sorted(self.lanes):
            self._run(number, _kept)

    def _join(self) -> Consumer:
        """Read the whole roster, then join the group."""
        self.roster.ask()
        self._consumer = self._made(list(self._topics), self.group)
        self._joined = True
        return self._consumer

    def _made(self, topics: list[str], group: str | None) -> Consumer:
        try:
            return clients.consumer(self.settings, topics, group, places=self.places if group else None)
        except UsageError as error:
            if self._joined:  # they were there: a broker that has just come back knows none of them yet
                raise GrayscopeError(str(error)) from error
            raise

    def _again(self, consumer: Consumer) -> None:
        """Ask once more for what was polled and not taken; a lane for which that cannot be done is opened anew."""
        ours = consumer.assigned()
        for number in sorted(self.lanes):
            self._run(number, lambda lane: self._sought(consumer, lane, ours))

    def _sought(self, consumer: Consumer, lane: Lane, ours: set[tuple[str, int]]) -> None:
        for topic, kind in self._topics.items():
            if (topic, lane.number) in ours:
                consumer.seek(topic, lane.number, lane.places[kind])

    def _assigned(self, consumer: Consumer) -> None:
        """Open the lanes that are ours now, close those that are not any more."""
        ours = consumer.assigned()
        both = {p for t, p in ours} if all((t, p) in ours for _, p in ours for t in self._topics) else self._split(ours)
        for number in self.lanes.keys() - both:
            lane = self.lanes.pop(number)
            lane.close()
            for cell in lane.cells.engines:
                self.gone(cell)
            self.tell(f"lane {number} has gone to another worker")
        fresh = [number for number in sorted(both - self.lanes.keys()) if self.monotonic() >= self._not_before.get(number, 0.0)]
        if any(number in self._not_before for number in fresh) and not self._still(consumer):
            return
        for number in fresh:
            self._open(consumer, number)

    def _split(self, ours: set[tuple[str, int]]) -> set[int]:
        raise UsageError(f"kafka: telemetry and events must have equally many partitions, so that both come to one worker; found {sorted(ours)}: "
                         "grayscope topics apply --grow")  # fmt: skip

    def _open(self, consumer: Consumer, number: int) -> None:
        lane = self.lane(self.settings, number, self.group)
        try:
            lane.open()
            for topic, kind in self._topics.items():
                self.places[topic, number] = lane.places[kind]
                consumer.seek(topic, number, lane.places[kind])
        except GrayscopeError as error:
            self._failed(number, lane, error)
            return
        self.lanes[number] = lane
        self._told.pop(number, None)
        known = f"{len(lane.cells.engines)} cells, sequence {lane.sequence}"
        self.tell(f"lane {number} is open: {known}, {lane.replayed} records played again")

    def _run(self, number: int, step: Callable[[Lane], None]) -> None:
        lane = self.lanes.get(number)
        if lane is None:
            return
        try:
            step(lane)
        except GrayscopeError as error:
            del self.lanes[number]
            self._failed(number, lane, error)

    def _failed(self, number: int, lane: Lane, error: GrayscopeError) -> None:
        """Forget a lane: what was committed is in Kafka, all else is taken again."""
        if self._told.get(number) != (told := str(error)):  # it is tried again and again
            self._told[number] = told
            self.tell(f"lane {number}: {told}")
        lane.close()
        self.reopened += 1
        self._not_before[number] = self.monotonic() + PAUSE

    def _take(self, lane: Lane, news: list[RosterRow], records: list[Any]) -> None:
        lane.introduce(news)
        for record in records:
            lane.take(self._topics[record.topic], record)

    def _settle(self, lane: Lane, quiet: float, alerts: list[Alert]) -> None:
        lane.beat(quiet)
        if lane.due():
            alerts += lane.commit(self._member())
            self._committed.add(lane.number)
        for topic, kind in self._topics.items():
            self.places[topic, lane.number] = lane.places[kind]

    def _member(self) -> Any:
        if self._consumer is None:
            raise GrayscopeError("kafka: this worker is not in its group at the moment")
        return self._consumer.member()

    def lag(self) -> dict[tuple[str, int], int]:
        """Return how many records of each partition of ours wait."""
        return self._consumer.lag() if self._consumer is not None else {}

    def close(self, alerts: list[Alert] | None = None) -> None:
        """Commit, leave a checkpoint, leave; the next one begins where this one stops."""
        for number in sorted(self.lanes):
            self._run(number, lambda lane: self._last(lane, alerts if alerts is not None else []))
        for lane in self.lanes.values():
            lane.close()
        self.lanes = {}
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None
        self.roster.close()

    def _last(self, lane: Lane, alerts: list[Alert]) -> None:
        if lane.waiting():
            alerts += lane.commit(self._member())
        if self._shut_out is None:
            lane.keep(now=True)


def _kept(lane: Lane) -> None:
    lane.keep()
