"""Agentconfig: sections of the one settings file; every wrong key at once, with the nearest right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grayscope.errors import UsageError
from grayscope.settings import load_settings

config: Any = __import__("grayscope.pipelines._agentconfig", fromlist=["load_agent"])
TEXT = """
cluster = "c1"
[agent]
node = "n017"
period = "2s"
disabled = ["rocm"]
[broker]
name = "rolling"
path = "/traces"
[collectors.dcgm]
use = "exporter"
url = "http://127.0.0.1:9400"
period = "15s"
[collectors.openmetrics]
enabled = false
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "g.toml"
    path.write_text(TEXT)
    return path


def test_a_source_has_its_own_period_and_options(file: Path) -> None:
    found = config.load_agent(file, {})
    assert (found.node, found.period, dict(found.broker)) == ("n017", 2.0, {"name": "rolling", "path": "/traces"})
    assert found.source("dcgm") == config.Source("dcgm", "exporter", 15.0, 10.0, {"url": "http://127.0.0.1:9400"}, True)
    assert found.source("openmetrics") is found.source("rocm") is None
    assert found.source("nvml").period == 2.0


def test_the_rest_of_the_file_is_for_the_others_and_the_later_word_wins(file: Path) -> None:
    assert load_settings(file, {"GRAYSCOPE_NODE": "x"}).cluster == "c1"
    found = config.load_agent(file, {"GRAYSCOPE_NODE": "n2", "GRAYSCOPE_DISABLED_COLLECTORS": "nvml, rocm", "GRAYSCOPE_ROOT": "/host"}, {"node": "n3"})
    assert (found.node, found.disabled, found.root) == ("n3", ("nvml", "rocm"), "/host")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[agent]\nperod = 1", "agent: unknown setting 'perod': did you mean 'period'?"),
        ("[agent]\nperiod = 'soon'", "period: expected a duration from 10ms to 1d, found 'soon'"),
        ("[agent]\nperiod = true", "period: expected a duration"),
        ("[agent]\nnode = 'a/b'", "agent: node: expected a name without a slash"),
        ("[agent]\nspool_bytes = 1", "spool_bytes: expected a number of bytes"),
        ("[agent]\ndisabled = [1]", "disabled: expected names of sources"),
        ("[collectors.exportr]\nurl = 'x'", "collectors.exportr: no collector is called 'exportr': did you mean 'exporter'?"),
        ("[collectors.exporter]\nperiod = -1", "collectors.exporter.period: expected a duration"),
        ("agent = 3", "agent: expected a section, found 3"),
        ("[agent", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "g.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        config.load_agent(path, {})
    assert words in str(error.value)
