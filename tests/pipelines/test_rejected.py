"""Rejected: what was set aside is listed with its reason, shown as it is, and goes back only if it can be read, and only to where it may come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.brokers.kafka import Kafka
from grayscope.errors import UsageError
from grayscope.event import Event
from grayscope.frames import encode

pytestmark = pytest.mark.slow


def test_from_poison_to_a_second_life(topics: dict[str, str], tmp_path: Path) -> None:
    name, broker = topics["topic.prefix"], Kafka(**topics)
    for value in (b"\xff\x00\x1b[2Jpoison", b"{}"):
        broker._out().send(f"{name}.events", b"pod7", value)
    broker.flush()
    list(broker.receive())
    assert broker.commit()
    # As a reader of an older version would have set it aside, and as a liar might.
    good = encode(Event(42, "n1", "xid", "94"))
    for source in (f"{name}.events", "__consumer_offsets"):
        headers = [("key", b"pod7"), ("reason", b"too new"), ("topic", source.encode()), ("partition", b"0"), ("offset", b"9")]
        broker._out().send(f"{name}.rejected", b"k", good, headers)
    broker.flush()

    def call(*words: str) -> Any:
        env = {"GRAYSCOPE_KAFKA_TOPIC_PREFIX": name, "GRAYSCOPE_KAFKA_BOOTSTRAP_SERVERS": topics["bootstrap.servers"]}
        return CliRunner(env=env).invoke(plugins.load("pipelines", "rejected"), words, standalone_mode=False)

    listed = [json.loads(line) for line in call("list", "--json").stdout.splitlines()]
    assert [(m["number"], m["bytes"]) for m in listed] == [(0, 12), (1, 2), (2, len(good)), (3, len(good))]
    assert listed[0]["source"].startswith(f"{name}.events/")
    assert "those of an Arrow IPC stream or of a JSON object" in listed[0]["reason"]
    assert "\x1b" not in call("list").stdout
    shown = call("show", "0", "--out", str(tmp_path / "message"))
    assert "ff 00 1b 5b 32 4a 70 6f" in shown.stdout
    assert (tmp_path / "message").read_bytes() == b"\xff\x00\x1b[2Jpoison"
    assert isinstance(call("show", "0", "--out", str(tmp_path / "message")).exception, UsageError)
    assert isinstance(call("show", "77").exception, UsageError)

    done = call("retry", "1", "2", "3")
    assert done.return_value == 1
    lines = done.stdout.splitlines()
    assert "a version from 1 to 1" in lines[0]
    assert lines[1] == f"2: sent to {name}.events"
    assert "expected to come from one of" in lines[2]
    found = [m for m in broker.receive() if not isinstance(m, Batch)]
    broker.close()
    assert found == [Event(42, "n1", "xid", "94")]
