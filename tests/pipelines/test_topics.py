"""Topics: the command shows what it does, and the second time there is nothing to do."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from grayscope import plugins
from grayscope.errors import GrayscopeError
from tests.kafkaserver import Cluster


def topics(*words: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(plugins.load("pipelines", "topics"), ["apply", *words], standalone_mode=False)


@pytest.mark.slow
def test_apply_twice_is_apply_once(kafka_server: Cluster, prefix: str) -> None:
    at = {"GRAYSCOPE_KAFKA_TOPIC_PREFIX": prefix, "GRAYSCOPE_KAFKA_BOOTSTRAP_SERVERS": kafka_server.servers}
    shown = topics("--dry-run", "--exit-code", "--partitions", "2", **at)
    assert shown.return_value == 1, shown.output
    assert shown.stdout.count(f"+ {prefix}.") == 8
    assert "8 to be done" in shown.stderr
    done = topics("--partitions", "2", **at)
    assert done.stdout == shown.stdout
    assert done.return_value == 0
    again = topics("--partitions", "2", "--dry-run", "--exit-code", **at)
    assert (again.return_value, again.stdout, again.stderr) == (0, "", "nothing differs\n")
    grown = topics("--partitions", "3", "--grow", "--servers", kafka_server.servers, **{**at, "GRAYSCOPE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    assert f"~ {prefix}.telemetry: partitions 2 -> 3" in grown.stdout


def test_nobody_there_is_one_line() -> None:
    with pytest.raises(GrayscopeError, match="nobody listens there") as caught:
        raise topics("--servers", "127.0.0.1:9").exception or AssertionError
    assert "\n" not in str(caught.value)
