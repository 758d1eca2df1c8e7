"""Kafkatopics: which topics there are, how each must be, and what makes a cluster's so."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from grayscope.brokers._kafkareach import plain, reached
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError

DAY = 86_400_000
#: Tenths of a second within which brokers learn from the controller what has changed.
SHOWN = 100
#: Name -> (partitions: as many as asked for, or one; configuration). Topics whose key is the cell have equally many, so that a cell's
#: telemetry, events and state meet in one worker. A compacted topic keeps the last message of every key.
TOPICS: dict[str, tuple[bool, dict[str, str]]] = {
    "telemetry": (True, {"cleanup.policy": "delete", "retention.ms": str(DAY)}),
    "events": (True, {"cleanup.policy": "delete", "retention.ms": str(7 * DAY)}),
    "roster": (False, {"cleanup.policy": "compact"}),
    "order": (True, {"cleanup.policy": "delete", "retention.ms": str(7 * DAY)}),
    "state": (True, {"cleanup.policy": "compact", "segment.bytes": str(256 << 20)}),
    "verdicts": (True, {"cleanup.policy": "compact"}),
    "incidents": (True, {"cleanup.policy": "compact"}),
    "rejected": (False, {"cleanup.policy": "delete", "retention.ms": str(7 * DAY)}),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `what` is ``create``, ``partitions``, a name of the configuration, or ``replication`` (which is only told)."""

    topic: str
    what: str
    found: str
    wanted: str
    config: tuple[tuple[str, str], ...] = ()

    @property
    def applicable(self) -> bool:
        """Say whether `apply` does it: replicas move by Kafka's own tools only, and partitions never become fewer."""
        return self.what != "replication" and not (self.what == "partitions" and int(self.wanted) < int(self.found))

    def __str__(self) -> str:
        if self.what == "create":
            return f"+ {self.topic}: {self.wanted}"
        if not self.applicable:
            return f"! {self.topic}: {self.what} {self.found}, expected {self.wanted}: left as it is"
        return f"~ {self.topic}: {self.what} {self.found} -> {self.wanted}"


class Topics:
    """The topics of a cluster; use it as a context manager.

    Parameters
    ----------
    settings : KafkaSettings
    partitions : int
        Of topics by cell: at most so many workers share the work.
    replication : int or None
        Copies; by default three, or as many as there are brokers.
    """

    def __init__(self, settings: KafkaSettings, *, partitions: int = 12, replication: int | None = None) -> None:
        self.settings, self.partitions = settings, partitions
        self._admin = reached(KafkaAdminClient, settings, settings.of(KafkaAdminClient.DEFAULT_CONFIG))
        self.replication = replication or min(3, len(self._ask(self._admin.describe_cluster)["brokers"]))

    def changes(self, *, grow: bool = False) -> list[Change]:
        """Return what differs; more partitions move keys from one to another, so that counts only if `grow`."""
        wanted = {self.settings.topic(name): entry for name, entry in TOPICS.items()}
        told = self._ask(self._admin.describe_topics, sorted(wanted))
        there = {t["name"]: t["partitions"] for t in told if t["error_code"] == 0}
        config = self._config(sorted(there))
        return [change for topic, entry in wanted.items() for change in self._of(topic, entry, there.get(topic), config.get(topic, {}), grow)]

    def _of(self, topic: str, entry: tuple[bool, dict[str, str]], parts: list[Any] | None, found: dict[str, str], grow: bool) -> Iterator[Change]:
        count, config = self.partitions if entry[0] else 1, {**entry[1], "min.insync.replicas": "2" if self.replication > 2 else "1"}
        if parts is None:
            text = f"{count} partitions, {self.replication} replicas, {', '.join(f'{k}={v}' for k, v in config.items())}"
            yield Change(topic, "create", str(count), text, tuple(config.items()))
            return
        yield from (Change(topic, key, found.get(key, "?"), value) for key, value in config.items() if found.get(key) != value)
        if len(parts) != count and (grow or len(parts) > count):
            yield Change(topic, "partitions", str(len(parts)), str(count))
        if (copies := min(len(p["replica_nodes"]) for p in parts)) != self.replication:
            yield Change(topic, "replication", str(copies), str(self.replication))

    def apply(self, changes: Sequence[Change]) -> None:
        """Make it so; returns when the cluster shows it."""
        doable = [c for c in changes if c.applicable]
        new = {
            c.topic: {"num_partitions": int(c.found), "replication_factor": self.replication, "configs": dict(c.config)} for c in doable if c.what == "create"
        }
        if new:
            self._ask(self._admin.create_topics, new)
            # The answer comes before every broker knows them.
            self._ask(self._admin.wait_for_topics, sorted(new))
        more = {c.topic: int(c.wanted) for c in doable if c.what == "partitions"}
        if more:
            self._ask(self._admin.create_partitions, more)
        altered: dict[str, dict[str, str]] = {}
        for c in doable:
            if c.what not in ("create", "partitions"):
                altered.setdefault(c.topic, {})[c.what] = c.wanted
        if altered:
            self._ask(self._admin.alter_configs, [ConfigResource(ConfigResourceType.TOPIC, topic, configs=config) for topic, config in altered.items()])
        for _ in range(SHOWN):
            if not {c for c in self.changes(grow=True) if c.applicable} & {*doable}:
                return
            time.sleep(0.1)
        raise GrayscopeError(f"kafka: the cluster took the changes, but does not show them after {SHOWN / 10:.0f} s: ask again")

    def _config(self, topics: list[str]) -> dict[str, dict[str, str]]:
        if not topics:
            return {}
        told = self._ask(self._admin.describe_configs, [ConfigResource(ConfigResourceType.TOPIC, t) for t in topics], config_filter="all")
        return {topic: {key: str(entry["value"]) for key, entry in config.items()} for topic, config in told.get("topic", {}).items()}

    def _ask(self, question: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return question(*arguments, **named)
        except KafkaError as error:
            raise GrayscopeError(plain(error, f"{self.settings.topic_prefix}.*")) from error

    def __enter__(self) -> Topics:
        return self

    def __exit__(self, *_: object) -> None:
        self._admin.close()
