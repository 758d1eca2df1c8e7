"""Kafkaholder: asks through kafka-python who has a name in a group, and who signed its commits."""

from __future__ import annotations

from collections.abc import Collection

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from grayscope.brokers._kafkanamesake import Holder
from grayscope.brokers._kafkareach import plain, reached
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError

#: Milliseconds until a question is given up.
ANSWER = 15_000


def holder(settings: KafkaSettings, group: str, name: str, places: Collection[tuple[str, int]]) -> Holder:
    """Return which member of `group` has the group.instance.id `name`, and the signatures of the commits of `places`; `GrayscopeError` without an answer."""
    arguments = settings.of(KafkaAdminClient.DEFAULT_CONFIG, request_timeout_ms=ANSWER, metrics_enabled=False)
    client = reached(KafkaAdminClient, settings, arguments)
    try:
        # Asked first: it says what is wrong by its number.
        signed = client.list_group_offsets({group: [TopicPartition(*place) for place in places]})[group]
        found = client.describe_groups([group])[group]
        if found["error"] is not None:
            raise GrayscopeError(f"kafka group {group}: {found['error']}")
    except KafkaError as error:
        raise GrayscopeError(plain(error, group)) from error
    finally:
        client.close()
    member = next((m["member_id"] for m in found["members"] if m.get("group_instance_id") == name), "")
    return Holder(str(member), tuple(str(place.metadata or "") for place in signed.values()))
