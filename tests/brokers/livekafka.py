"""Helpers for tests of live workers on a real Kafka: start one as a process of its own, kill it, read what was said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grayscope.brokers._kafkareader import Reader
from grayscope.brokers._kafkasettings import kafka_settings

ROOT = Path(__file__).parents[2]


def environment(options: Mapping[str, str]) -> dict[str, str]:
    """What leads a command to the topics of a test."""
    names = {"topic.prefix": "TOPIC_PREFIX", "bootstrap.servers": "BOOTSTRAP_SERVERS", "client": "CLIENT"}
    return {f"GRAYSCOPE_KAFKA_{names[name]}": value for name, value in options.items()}


def worker(options: Mapping[str, str], log: Path, name: str = "w1", *words: str, first: str = "") -> subprocess.Popen[bytes]:
    """Start ``grayscope live`` in a process of its own, which does `first` before; what it tells goes to `log`."""
    program = f"{first}\nimport grayscope\ngrayscope.__path__.append({str(ROOT)!r})\nfrom grayscope.cli import main\nmain()\n"
    argv = [sys.executable, "-c", program, "live", "--worker", name, "--listen", "", *words]
    with log.open("ab") as out:
        return subprocess.Popen(argv, env={**os.environ, **environment(options), "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out)


def records(options: Mapping[str, str], topic: str) -> list[Any]:
    """Return all committed records of a topic, in order within its partitions."""
    settings = kafka_settings({**options, "client": "kafka-python"})  # whichever wrote it
    found: list[Any] = []
    with Reader(settings) as reader:
        for partition in reader.partitions(settings.topic(topic)):
            found += reader.read(settings.topic(topic), partition, *reader.bounds(settings.topic(topic), partition))
    return found


def said(options: Mapping[str, str], topic: str) -> list[dict[str, Any]]:
    """Return what the committed messages of a topic tell."""
    return [json.loads(r.value) for r in records(options, topic) if r.value is not None]


def taken(options: Mapping[str, str]) -> list[tuple[int, str, int]]:
    """Return (partition, kind, offset) of all records that workers have taken for good, each as often as that was recorded."""
    told = [(r.partition, item) for r in records(options, "order") for item in json.loads(r.value)["items"]]
    return [(partition, item[0], offset) for partition, item in told if item[0] != "r" for offset in range(item[1], item[2])]


def eventually(holds: Callable[[], bool], log: Path, seconds: float = 60.0) -> None:
    """Wait until something holds; fail with the end of the log."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(0.1)
