"""Kafkasettings: Kafka's own names in every spelling mean the same; what is unknown or would lose data is refused before anything is dialled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer

from grayscope.brokers import _kafkanames
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.errors import UsageError


@pytest.mark.parametrize(
    "options",
    [
        {"bootstrap.servers": "a:1,b:2", "sasl.username": "u", "sasl.password": "p", "sasl.mechanism": "SCRAM-SHA-512", "security.protocol": "sasl_ssl"},
        {"bootstrap": {"servers": ["a:1", "b:2"]},
         "sasl": {"username": "u", "password": "p", "mechanisms": "SCRAM-SHA-512"}, "security": {"protocol": "SASL_SSL"}},
        {"bootstrap_servers": "a:1,b:2",
         "sasl_plain_username": "u", "sasl_plain_password": "p", "sasl_mechanism": "SCRAM-SHA-512", "security_protocol": "SASL_SSL"},
    ],
)  # fmt: skip
def test_dots_nesting_and_underscores_are_the_same(options: dict[str, Any]) -> None:
    given = kafka_settings(options)
    assert (given.servers, given.protocol) == ("a:1,b:2", "SASL_SSL")
    for client in (KafkaProducer, KafkaConsumer):
        made = given.of(client.DEFAULT_CONFIG)
        assert (made["sasl_plain_username"], made["sasl_plain_password"], made["sasl_mechanism"]) == ("u", "p", "SCRAM-SHA-512")


def test_types_come_from_the_clients_and_other_clients_names_are_known() -> None:
    given = kafka_settings(
        {"linger.ms": "7", "ssl.check.hostname": "false", "message.timeout.ms": 1000, "statistics.interval.ms": 5, "acks": "all", "cell": "pod7"}
    )
    made = given.of(KafkaProducer.DEFAULT_CONFIG, linger_ms=5, retries=3)
    assert (made["linger_ms"], made["ssl_check_hostname"], made["delivery_timeout_ms"], made["retries"]) == (7, False, 1000, 3)
    assert (given.cell, given.topic("events")) == ("pod7", "grayscope.events")
    assert "statistics_interval_ms" not in made
    assert "session_timeout_ms" not in made


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bootstrap.server": "a"}, "unknown setting 'bootstrap.server': did you mean 'bootstrap.servers'?"),
        ({"linger.ms": 5, "linger_ms": 5}, "given twice"),
        ({"sasl.username": "a", "sasl_plain_username": "b"}, "given twice"),
        ({"linger.ms": "soon"}, "linger.ms: expected a whole number, found 'soon'"),
        ({"linger.ms": None}, "linger.ms: expected text or a number"),
        ({"acks": 1}, "acks: expected all, or nothing will do without loss; found '1'"),
        ({"enable.auto.commit": True}, "enable.auto.commit: expected false"),
        ({"security.protocol": "TLS"}, "expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, found 'TLS'"),
        ({"compression.type": "zip"}, "expected one of none, lz4"),
        ({"ssl.ca.location": "/nowhere/ca.pem"}, "ssl.ca.location: expected a file in PEM, found none at '/nowhere/ca.pem'"),
        ({"sasl.mechanism": "PLAIN"}, "security.protocol must be SASL_SSL or SASL_PLAINTEXT"),
        ({"ssl.check.hostname": "maybe"}, "expected one of true, false"),
        ({"message.bytes": 0}, "message.bytes: expected a whole number from 10000 on, found '0'"),
        ({"topic.prefix": "a/b"}, "topic.prefix: expected letters, digits, dots, _ and -, found 'a/b'"),
        ({"key_serializer": "x"}, "unknown setting 'key.serializer'"),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        kafka_settings(options)
    assert said in str(caught.value)


def test_all_problems_are_told_at_once_and_no_password_is() -> None:
    with pytest.raises(UsageError) as caught:
        kafka_settings({"sasl.password": {"file": "hush"}, "nonsense": 1, "ssl.password": ["hush"], "retries": "x"})
    assert str(caught.value).count("kafka: ") == 4
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(kafka_settings({"sasl.password": "hush"}))


def test_a_file_that_is_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    assert kafka_settings({"ssl": {"ca": {"location": str(tmp_path / "ca.pem")}}}).given["ssl_cafile"] == str(tmp_path / "ca.pem")


def test_the_names_that_are_told_here_are_those_of_the_client() -> None:
    theirs = {k: v for k, v in {**KafkaProducer.DEFAULT_CONFIG, **KafkaConsumer.DEFAULT_CONFIG}.items() if k not in _kafkanames.OBJECTS}
    assert theirs.keys() == _kafkanames.KAFKA_PYTHON.keys()

    def kind(value: object) -> type:
        return bool if isinstance(value, bool) else int if isinstance(value, (int, float)) else str

    assert {k: kind(v) for k, v in theirs.items()} == {k: kind(v) for k, v in _kafkanames.KAFKA_PYTHON.items()}


def test_who_works_through_confluent_loads_no_other_client() -> None:
    pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    parts = "_kafkaworker, _kafkalane, kafka, _confluentconsumer, _confluenttransactions, _confluentreader"
    told = f"import sys; from grayscope.brokers import {parts}; print('kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60).stdout == "False\n"


def test_a_worker_loads_nothing_that_only_files_need() -> None:
    parts = "from grayscope import assembly, settings; from grayscope.brokers import _kafkaworker, kafka; from grayscope.pipelines import _livekafka"
    files = "('pyarrow.parquet', 'pyarrow.compute', 'polars')"
    told = f"import sys; {parts}; assembly.engine(settings.Settings()); print([m for m in {files} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60).stdout == "[]\n"
