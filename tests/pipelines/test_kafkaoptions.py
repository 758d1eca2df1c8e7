"""Kafkaoptions: file, environment, flags; the later one wins in any spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grayscope import plugins
from grayscope.errors import UsageError
from grayscope.settings import Settings, load_settings

module: Any = __import__("grayscope.pipelines._kafkaoptions", fromlist=["kafka_options"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "g.toml"
    path.write_text('[kafka]\nbootstrap.servers = "file:1"\n"linger.ms" = 9\nsasl = {username = "u", mechanism = "PLAIN"}\nsecurity_protocol = "SASL_SSL"\n')
    return path


def test_the_later_one_wins(file: Path) -> None:
    environ = {"GRAYSCOPE_KAFKA_BOOTSTRAP_SERVERS": "environment:1", "GRAYSCOPE_KAFKA_SASL_PASSWORD": "p", "GRAYSCOPE_NODE": "n1"}
    found = module.kafka_options(file, {"bootstrap_servers": None}, cell="pod3", environ=environ)
    assert (found["bootstrap_servers"], found["sasl_plain_username"], found["sasl_plain_password"], found["cell"]) == ("environment:1", "u", "p", "pod3")
    assert module.kafka_options(file, {"bootstrap.servers": "flag:1"}, environ=environ)["bootstrap_servers"] == "flag:1"
    assert module.kafka_options(None, {}, cell="a", environ={"GRAYSCOPE_CONFIG": str(file), "GRAYSCOPE_KAFKA_CELL": "b"})["cell"] == "b"
    assert plugins.broker("kafka", **found).settings.protocol == "SASL_SSL"


def test_other_readers_of_the_file_leave_the_section_alone(file: Path) -> None:
    assert load_settings(file, {"GRAYSCOPE_KAFKA_CLIENT_ID": "x"}) == Settings()


def test_what_is_wrong_is_said_at_once(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown setting 'linger\.mss'"):
        module.kafka_options(file, {}, environ={"GRAYSCOPE_KAFKA_LINGER_MSS": "1"})
    file.write_text("kafka = 7\n")
    with pytest.raises(UsageError, match="expected a section, found 7"):
        module.kafka_options(file, {}, environ={})
    file.write_text('[kafka]\nlinger.ms = 1\n"linger.ms" = 2\n')
    with pytest.raises(UsageError, match="given twice"):
        module.kafka_options(file, {}, environ={})
    with pytest.raises(UsageError, match="cannot be read"):
        module.kafka_options(tmp_path / "none", {}, environ={})


@pytest.mark.parametrize(
    ("client", "idle"),
    [("kafka-python", "batch.num.messages, metrics.recording.level"), ("confluent", "metrics.enabled, metrics.recording.level")],
)
def test_what_does_nothing_is_named_in_one_line(client: str, idle: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = {"client": client, "batch.num.messages": "5", "metrics.enabled": "false", "metrics.recording.level": "INFO", "linger.ms": 9}
    module.kafka_options(None, flags, environ={})
    assert capsys.readouterr().err == f"grayscope: kafka: {idle}: no effect with {client}\n"
    module.kafka_options(None, {"client": client, "linger.ms": 9}, environ={})
    assert capsys.readouterr().err == ""
