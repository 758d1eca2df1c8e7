"""Kafkasettings: Kafka's own names for settings, in any of their spellings, checked before anything is dialled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer

from grayscope.errors import UsageError, shorten
from grayscope.plugins import nearest

#: Settings of our own, with their defaults.
OWN: dict[str, Any] = {"topic_prefix": "grayscope", "cell": "cluster", "message_bytes": 900_000, "buffer_memory": 64 << 20}
#: Smallest values of them: names alone need some room.
LEAST = {"message_bytes": 10_000, "buffer_memory": 1}
#: Other clients' names for the same (librdkafka's CONFIGURATION.md, Kafka's producer and consumer configurations).
ALIASES = {
    "metadata_broker_list": "bootstrap_servers", "sasl_username": "sasl_plain_username", "sasl_password": "sasl_plain_password",
    "sasl_mechanisms": "sasl_mechanism", "ssl_ca_location": "ssl_cafile", "ssl_truststore_location": "ssl_cafile", "ssl_certificate_location": "ssl_certfile",
    "ssl_keystore_location": "ssl_certfile", "ssl_key_location": "ssl_keyfile", "ssl_key_password": "ssl_password", "ssl_crl_location": "ssl_crlfile",
    "ssl_cipher_suites": "ssl_ciphers", "compression_codec": "compression_type", "queue_buffering_max_ms": "linger_ms", "message_send_max_retries": "retries",
    "message_max_bytes": "max_request_size", "message_timeout_ms": "delivery_timeout_ms", "max_in_flight": "max_in_flight_requests_per_connection",
    "fetch_message_max_bytes": "max_partition_fetch_bytes", "fetch_wait_max_ms": "fetch_max_wait_ms", "check_crc": "check_crcs",
    "topic_metadata_refresh_interval_ms": "metadata_max_age_ms", "socket_timeout_ms": "request_timeout_ms", "request_required_acks": "acks",
    "client_dns_lookup": "client_dns_lookup", "max_poll_interval_ms": "max_poll_interval_ms",
}  # fmt: skip
#: Known elsewhere, without a counterpart in kafka-python: taken, without effect here.
IDLE = frozenset({"statistics_interval_ms", "log_level", "debug", "socket_keepalive_enable", "queue_buffering_max_messages", "queue_buffering_max_kbytes",
                  "queued_min_messages", "queued_max_messages_kbytes", "broker_address_family", "log_connection_close", "group_protocol"})  # fmt: skip
#: What keeps the promise that nothing is lost; another value is refused.
FIXED = {"acks": ("all", "-1"), "enable_idempotence": ("true",), "enable_auto_commit": ("false",), "allow_auto_create_topics": ("false",),
         "isolation_level": ("read_committed",)}  # fmt: skip
#: Objects of Python, which no file can hold.
OBJECTS = frozenset({"key_serializer", "value_serializer", "key_deserializer", "value_deserializer", "partitioner", "socket_options", "ssl_context", "selector",
                     "metric_reporters", "kafka_client", "sasl_oauth_token_provider", "default_offset_commit_callback", "partition_assignment_strategy",
                     "consumer_timeout_ms", "api_version", "transactional_id", "transaction_timeout_ms", "socks5_proxy"})  # fmt: skip
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
COMPRESSIONS = ("none", "lz4", "zstd", "gzip", "snappy")


@dataclass(frozen=True)
class KafkaSettings:
    """Checked settings: `given` by kafka-python's names, and our own."""

    given: Mapping[str, Any] = field(repr=False)  # holds the password
    topic_prefix: str
    cell: str
    message_bytes: int
    buffer_memory: int

    @property
    def servers(self) -> str:
        """Addresses, comma-separated."""
        return str(self.given.get("bootstrap_servers", "localhost:9092"))

    @property
    def protocol(self) -> str:
        """One of `PROTOCOLS`."""
        return str(self.given.get("security_protocol", "PLAINTEXT"))

    def of(self, defaults: Mapping[str, Any], **wanted: Any) -> dict[str, Any]:
        """Return the arguments of a client that knows the names in `defaults`: `wanted`, then what was given."""
        return {k: v for k, v in {**wanted, **self.given}.items() if k in defaults}

    def topic(self, name: str) -> str:
        """Return the full name of one of our topics."""
        return f"{self.topic_prefix}.{name}"


def kafka_settings(options: Mapping[str, Any]) -> KafkaSettings:
    """Check settings; every wrong one is listed in one `UsageError`.

    Examples
    --------
    >>> s = kafka_settings({"bootstrap": {"servers": "k1:9092"}, "ssl.ca.location": "", "linger_ms": "5"})
    >>> s.servers, s.of({"linger_ms": 0})
    ('k1:9092', {'linger_ms': 5})
    """
    known = _known()
    given: dict[str, Any] = {}
    problems: list[str] = []
    for said, raw in _flat(options):
        key = ALIASES.get(said, said)
        try:
            if key in given:
                raise UsageError(f"{said}: given twice, in two spellings")
            if key not in known and key not in OWN and key not in IDLE:
                dotted = (k.replace("_", ".") for k in (*known, *OWN, *ALIASES, *IDLE))
                raise UsageError(f"unknown setting {shorten(said.replace('_', '.'))!r}: {nearest(said.replace('_', '.'), dotted)}")
            if raw != "":
                given[key] = _value(said.replace("_", "."), key, raw, {**known, **OWN}.get(key))
        except UsageError as error:
            problems.append(f"kafka: {error}")
    if "sasl_mechanism" in given and not str(given.get("security_protocol", "")).startswith("SASL"):
        problems.append("kafka: sasl.mechanism is set, so security.protocol must be SASL_SSL or SASL_PLAINTEXT")
    if problems:
        raise UsageError("\n".join(problems))
    own = {key: given.pop(key, default) for key, default in OWN.items()}
    return KafkaSettings({k: v for k, v in given.items() if k not in IDLE and k not in FIXED}, **own)


def merged(*sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of several places; the later one wins, however it spells the name.

    Examples
    --------
    >>> merged({"sasl": {"username": "a", "password": "p"}}, {"sasl_plain_username": "b"})
    {'sasl_plain_username': 'b', 'sasl_plain_password': 'p'}
    """
    found: dict[str, Any] = {}
    for section in sections:
        flat = [(ALIASES.get(name, name), value) for name, value in _flat(section)]
        if len({name for name, _ in flat}) < len(flat):
            kafka_settings(section)  # says which name is there twice
        found.update(flat)
    return found


def _known() -> dict[str, Any]:
    both = {**KafkaProducer.DEFAULT_CONFIG, **KafkaConsumer.DEFAULT_CONFIG}
    return {k: v for k, v in both.items() if k not in OBJECTS}


def _flat(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name with underscores, value): `"a.b" = 1`, `a.b = 1` and `a_b = 1` are the same."""
    for key, value in options.items():
        name = above + str(key).replace(".", "_").replace("-", "_").lower()
        if isinstance(value, Mapping):
            yield from _flat(value, name + "_")
        else:
            yield name, value


def _value(said: str, key: str, raw: Any, default: Any) -> Any:
    secret = "password" in key
    if isinstance(raw, (list, tuple)) and key == "bootstrap_servers":
        raw = ",".join(map(str, raw))
    if not isinstance(raw, (str, int, float, bool)):
        raise UsageError(f"{said}: expected text or a number, found {'something else' if secret else shorten(raw)}")
    text = str(raw).strip() if not secret else str(raw)
    if key in FIXED and text.lower() not in FIXED[key]:
        raise UsageError(f"{said}: expected {FIXED[key][0]}, or nothing will do without loss; found {shorten(text)!r}")
    if key in FIXED:
        return text
    if key == "security_protocol" or key == "compression_type":
        return _one_of(said, text.upper() if key == "security_protocol" else text.lower(), PROTOCOLS if key == "security_protocol" else COMPRESSIONS)
    if key in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile") and not Path(text).is_file():
        raise UsageError(f"{said}: expected a file in PEM, found none at {shorten(text)!r}")
    if key == "topic_prefix" and not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", text):
        raise UsageError(f"{said}: expected letters, digits, dots, _ and -, found {shorten(text)!r}")
    if isinstance(default, bool):
        return _one_of(said, text.lower(), ("true", "false")) == "true"
    if isinstance(default, (int, float)) or key in ("receive_buffer_bytes", "send_buffer_bytes"):
        return _number(said, text, LEAST.get(key, 0))
    return text


def _one_of(said: str, text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise UsageError(f"{said}: expected one of {', '.join(choices)}, found {shorten(text)!r}")
    return text


def _number(said: str, text: str, least: int) -> int:
    try:
        found = int(text)
    except ValueError:
        found = -1
    if not least <= found < 2**31:
        raise UsageError(f"{said}: expected a whole number{f' from {least} on' if least else ''}, found {shorten(text)!r}")
    return found
