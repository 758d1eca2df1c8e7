"""Confluentholder: `_kafkaholder` through confluent-kafka."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from grayscope.brokers._confluentproducer import CONSUMERS
from grayscope.brokers._confluentreach import connected, library, plain
from grayscope.brokers._confluentrecords import ANSWER
from grayscope.brokers._kafkanamesake import Holder
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError


def holder(settings: KafkaSettings, group: str, name: str, places: Collection[tuple[str, int]]) -> Holder:
    """Return which member of `group` has the group.instance.id `name`, and the signatures of the commits of `places`; `GrayscopeError` without an answer."""
    kafka = library()
    client, told = connected(_made, settings, {k: v for k, v in settings.librdkafka().items() if k not in CONSUMERS})
    try:
        found = client.describe_consumer_groups([group], request_timeout=ANSWER)[group].result(2 * ANSWER)
        asked = [kafka.ConsumerGroupTopicPartitions(group, [kafka.TopicPartition(*place) for place in places])]
        signed = client.list_consumer_group_offsets(asked, request_timeout=ANSWER)[group].result(2 * ANSWER).topic_partitions if places else []
    except kafka.KafkaException as error:
        raise GrayscopeError(plain(error, group, told)) from error
    except TimeoutError as error:
        raise GrayscopeError(f"kafka group {group}: no answer") from error
    member = next((m.member_id for m in found.members if m.group_instance_id == name), "")
    return Holder(str(member), tuple(str(place.metadata or "") for place in signed))


def _made(arguments: dict[str, Any]) -> Any:
    from confluent_kafka.admin import AdminClient

    class Admin(AdminClient):
        def close(self) -> None:
            """Do nothing: it lets go when it is forgotten."""

    return Admin(arguments)
