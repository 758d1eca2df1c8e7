"""Kafkasettings: Kafka's own names for settings, in any of their spellings, checked before anything is dialled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grayscope.brokers._kafkanames import (
    ALIASES,
    CLIENTS,
    COMPRESSIONS,
    FIXED,
    INSTEAD,
    JAVA,
    KAFKA_PYTHON,
    LEAST,
    LIBRDKAFKA,
    NEEDED,
    OURS,
    OWN,
    PROTOCOLS,
    PROXY,
    PYTHON,
    TUNING,
)  # fmt: skip
from grayscope.errors import UsageError, shorten
from grayscope.plugins import nearest


@dataclass(frozen=True)
class KafkaSettings:
    """Checked settings: `given` by kafka-python's names, and our own."""

    given: Mapping[str, Any] = field(repr=False)  # holds the password
    topic_prefix: str
    cell: str
    message_bytes: int
    buffer_memory: int
    #: ``kafka-python`` or ``confluent``.
    client: str

    @property
    def servers(self) -> str:
        """Addresses, comma-separated."""
        return str(self.given.get("bootstrap_servers", "localhost:9092"))

    @property
    def protocol(self) -> str:
        """One of `PROTOCOLS`."""
        return str(self.given.get("security_protocol", "PLAINTEXT"))

    def of(self, defaults: Mapping[str, Any], **wanted: Any) -> dict[str, Any]:
        """Return the arguments of a client of kafka-python that knows the names in `defaults`: `wanted`, then what was given.

        Raises
        ------
        UsageError
            A setting that cannot be left out is one that only librdkafka knows.
        """
        if unknown := self.given.keys() & NEEDED.keys():
            raise UsageError(f"kafka: {', '.join(map(_dotted, sorted(unknown)))}: kafka-python has nothing like it: pip install 'grayscope[confluent]'")
        return {k: v for k, v in {**wanted, **self.given}.items() if k in defaults}

    def librdkafka(self, **wanted: Any) -> dict[str, Any]:
        """Return the arguments of a client of confluent-kafka: `wanted`, then what was given; both by kafka-python's names.

        Raises
        ------
        UsageError
            A setting that cannot be left out is one that only kafka-python knows.
        """
        if unknown := self.given.keys() & PROXY:
            raise UsageError(f"kafka: {', '.join(map(_dotted, sorted(unknown)))}: confluent-kafka has nothing like it: set client to kafka-python")
        said = {k: v for k, v in {**wanted, **self.given}.items() if v is not None and k not in PYTHON | OURS | JAVA.keys()}
        if said.get("group_protocol") == "consumer":  # the broker decides these
            said = {k: v for k, v in said.items() if k not in ("session_timeout_ms", "heartbeat_interval_ms")}
        if "ssl_certfile" in said:  # one file may hold both
            said.setdefault("ssl_keyfile", said["ssl_certfile"])
        host = {} if said.pop("ssl_check_hostname", True) else {"ssl.endpoint.identification.algorithm": "none"}
        return {**{LIBRDKAFKA.get(k, _dotted(k)): v for k, v in said.items()}, **host}

    @property
    def idle(self) -> list[str]:
        """Names of what was given and does nothing in the chosen client."""
        return sorted(_dotted(k) for k in self.given if k in JAVA or k in (PYTHON if self.client == "confluent" else TUNING))

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
            if key not in known:
                hint = INSTEAD.get(said) or nearest(_dotted(said), map(_dotted, (*known, *ALIASES)))
                raise UsageError(f"unknown setting {shorten(_dotted(said))!r}: {hint}")
            if raw != "":
                given[key] = _value(_dotted(said), key, raw, known[key])
        except UsageError as error:
            problems.append(f"kafka: {error}")
    if "sasl_mechanism" in given and not str(given.get("security_protocol", "")).startswith("SASL"):
        problems.append("kafka: sasl.mechanism is set, so security.protocol must be SASL_SSL or SASL_PLAINTEXT")
    if problems:
        raise UsageError("\n".join(problems))
    own = {key: given.pop(key, default) for key, default in OWN.items()}
    if own["client"] == "auto":
        own["client"] = "confluent" if find_spec("confluent_kafka") and not given.keys() & PROXY else "kafka-python"
    return KafkaSettings({k: v for k, v in given.items() if k not in FIXED}, **own)


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
    return {**KAFKA_PYTHON, **NEEDED, **TUNING, **JAVA, **dict.fromkeys(FIXED, ""), **OWN}


def _dotted(name: str) -> str:
    return name.replace("_", ".")


def _flat(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name with underscores, value): `"a.b" = 1`, `a.b = 1` and `a_b = 1` are the same."""
    for key, value in options.items():
        name = above + str(key).replace(".", "_").replace("-", "_").lower()
        if isinstance(value, Mapping):
            yield from _flat(value, name + "_")
        else:
            yield name, value


def _value(said: str, key: str, raw: Any, default: Any) -> Any:
    secret = any(word in key for word in ("password", "secret", "key_pem", "passphrase", "oauthbearer_config"))
    if isinstance(raw, (list, tuple)) and key == "bootstrap_servers":
        raw = ",".join(map(str, raw))
    if not isinstance(raw, (str, int, float, bool)):
        raise UsageError(f"{said}: expected text or a number, found {'something else' if secret else shorten(raw)}")
    text = str(raw).strip() if not secret else str(raw)
    if key in FIXED and text.lower() not in FIXED[key]:
        raise UsageError(f"{said}: expected {FIXED[key][0]}, or nothing will do without loss; found {shorten(text)!r}")
    if key in FIXED:
        return text
    if key == "security_protocol":
        return _one_of(said, text.upper(), PROTOCOLS)
    if key in ("compression_type", "client"):
        return _one_of(said, text.lower(), COMPRESSIONS if key == "compression_type" else CLIENTS)
    if key == "ssl_endpoint_identification_algorithm":
        return _one_of(said, text.lower(), ("https", "none")) == "https"
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
