"""Confluentreach: make a client of confluent-kafka, or say in one line why not.

librdkafka never gives up: it tries for ever and says why to a callback and to the terminal. So its words are kept here, quietly, a few of them, and
read when there is something to explain.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from grayscope.brokers._kafkareasons import MEANING, TRIES, dialled, explain, looked, refusal
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError, MissingPackage, UsageError, shorten

#: Seconds until a known reason is believed: another broker of the list may still answer.
FIRST = 1.0
#: What librdkafka says, and what it means; the first that fits speaks.
SAYS = (
    ("Unsupported SASL mechanism", MEANING["UnsupportedSaslMechanism"]),
    ("Request not valid in current SASL state", MEANING["IllegalSaslState"]),
    ("SASL authentication error", MEANING["SaslAuthenticationFailed"]),
    ("certificate has expired", MEANING["certificate has expired"]),
    ("alert certificate expired", MEANING["ALERT_CERTIFICATE_EXPIRED"]),
    ("alert certificate unknown", MEANING["ALERT_CERTIFICATE_UNKNOWN"]),
    ("alert unknown ca", MEANING["ALERT_UNKNOWN_CA"]),
    ("certificate verify failed", MEANING["CERTIFICATE_VERIFY_FAILED"]),
    ("certificate required", MEANING["CERTIFICATE_REQUIRED"]),
    ("bad certificate", MEANING["BAD_CERTIFICATE"]),
    ("PLAINTEXT broker listener", MEANING["WRONG_VERSION_NUMBER"]),
    ("wrong version number", MEANING["WRONG_VERSION_NUMBER"]),
    ("Failed to resolve", MEANING["DNS Resolution failure"]),
    ("Connection refused", MEANING["ECONNREFUSED"]),
    ("isconnected", ""),
    ("SSL handshake failed", ""),
    ("brokers are down", ""),  # a listener that hangs up is told in no other way
)
#: Beside kafka-python's: what a user adds a handler for gets both.
quiet = logging.getLogger("kafka.confluent")
quiet.addHandler(logging.NullHandler())  # or Python would print what is grave


def library() -> Any:
    """Return the package; `MissingPackage` where it is not installed."""
    try:
        import confluent_kafka
    except ModuleNotFoundError as error:
        raise MissingPackage("broker confluent needs confluent-kafka: pip install 'grayscope[confluent]'") from error
    return confluent_kafka


def connected(
    make: Callable[..., Any], settings: KafkaSettings, arguments: Mapping[str, Any], heard: list[Any] | None = None
) -> tuple[Any, deque[str]]:  # fmt: skip
    """Return ``make(arguments)`` once the cluster has answered, and what it says from now on.

    What a consumer gives out until then is added to `heard`: that this user may not join the group is said once, and may be said that early.

    Raises
    ------
    GrayscopeError
        It has not; one line says why and what to do.
    """
    told: deque[str] = deque(maxlen=50)
    why = dialled(settings.servers)
    if not why:
        try:
            client = make({**arguments, "error_cb": lambda error: told.append(str(error.str())[:1000]), "logger": quiet})
        except library().KafkaException as error:
            raise UsageError(f"kafka: {shorten(error.args[0].str(), 300)}") from error
        why = _waited(client, settings, told, [] if heard is None else heard)
    if why:
        raise GrayscopeError(f"kafka at {shorten(settings.servers)} ({settings.protocol}): {why}")
    return client, told


def _waited(client: Any, settings: KafkaSettings, told: deque[str], heard: list[Any]) -> str:
    """Return why the cluster does not answer, ``""`` once it does."""
    begin, why, known, patience = time.monotonic(), "", False, 0.1
    while (waited := time.monotonic() - begin) < sum(TRIES):
        found = client.poll(0)  # this is when it says what is wrong
        if found is not None and not isinstance(found, int):  # a producer counts
            heard.append(found)
        with suppress(library().KafkaException):  # not yet
            # Asked for its cluster's name instead, it often needs a second.
            client.list_topics(settings.topic("roster"), timeout=patience)
            told.clear()
            return ""
        why, known = explain(told, settings, SAYS)
        patience = min(2 * patience, FIRST)
        if waited > FIRST and (known or (why and told and waited > TRIES[0])):
            break
    client.close()
    return looked(why, settings) or why


def plain(error: Any, topic: str, told: deque[str] | None = None) -> str:
    """Return in one line what a refused request on a topic means; `error` is librdkafka's, or what holds it."""
    library()
    error = error.args[0] if isinstance(error, Exception) else error
    why = f": {shorten(told[-1])}" if told else ""
    if "same group.instance.id" in error.str():  # told as fatal, without its number
        return refusal(82, topic)
    silent = f"no answer{why}"
    meaning = {"_MSG_TIMED_OUT": f"not acknowledged in time{why}: is the broker up, are enough replicas in sync?", "_TIMED_OUT": silent,
               "_TRANSPORT": silent, "_DESTROY_BROKER": silent, "_ALL_BROKERS_DOWN": f"no broker answers{why}"}.get(error.name())  # fmt: skip
    number = {"_UNKNOWN_TOPIC": 3, "_UNKNOWN_PARTITION": 3}.get(error.name(), error.code())
    return f"kafka topic {topic}: {meaning}" if meaning else refusal(number, topic) or f"kafka topic {topic}: {shorten(error.str())}"
