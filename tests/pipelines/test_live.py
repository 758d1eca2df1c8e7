"""Live: in one process the same as a replay, what its pages show, and which settings are wrong."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import grayscope
from grayscope import plugins
from grayscope.brokers.parquet import Parquet
from grayscope.errors import UsageError
from grayscope.results import read_results
from tests.pipelines.livetrace import run, write

config: Any = __import__("grayscope.pipelines._liveconfig", fromlist=["load_live"])
inside: Any = __import__("grayscope.pipelines._liveinside", fromlist=["Inside"])
pages: Any = __import__("grayscope.pipelines._livepages", fromlist=["Health"])


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("live") / "trace")


def test_in_one_process_it_says_what_a_replay_says(trace: Path, tmp_path: Path) -> None:
    done = run("live", "--trace", trace, "--out", tmp_path / "live", "--listen", "")
    grayscope.replay(trace, out=tmp_path / "replay")
    ours, theirs = read_results(tmp_path / "live"), read_results(tmp_path / "replay")
    assert len(theirs.verdicts) > 0
    for name in ("verdicts", "incidents", "ledger", "coverage"):
        assert getattr(ours, name).equals(getattr(theirs, name)), name
    assert "page    FIRING" in done.stdout


def test_its_page_shows_what_is_watched_unless_a_trace_flies_by(trace: Path) -> None:
    from grayscope import assembly
    from grayscope.settings import Settings
    from grayscope.trace import Trace

    for show in (True, False):
        health = pages.Health([plugins.sink("prometheus", cluster="c")])
        within = inside.Inside(assembly.engine(Settings(), periods=Trace.open(trace).periods), health.pages and [health.pages], health, "c", show=show)
        for message in itertools.islice(Parquet(trace).receive(), 40):
            within.send(message)
        for accept in ("", "application/openmetrics-text"):
            text = health.page("/metrics", accept)[2]
            assert ('gpu_clock_hertz{domain="sm",subject="n001/gpu0",sku="' in text) == show
            assert ('compute_seconds{subject="job:1/r0",' in text) == show
            assert 'grayscope_lag_messages{cluster="c"} 0.0' in text
            assert 'grayscope_rejected_messages_total{cluster="c"} 0.0' in text
            assert text.count("# EOF") == bool(accept)


def test_results_of_a_worker_are_not_written_here(tmp_path: Path) -> None:
    done = CliRunner().invoke(plugins.load("pipelines", "live"), ["--servers", "127.0.0.1:1", "--out", str(tmp_path / "x")], standalone_mode=False)
    assert isinstance(done.exception, UsageError)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("[live]\ncheckpont = 1", "unknown setting 'checkpont'"), ("live = 3", "expected a section"), ("[live]\nperiods = 3", "periods"),
     ('[live.periods]\ngpu = "soon"', "periods.gpu"), ("[live]\ncheckpoint = true", "checkpoint"), ("[live]\nworker = 3", "worker"), ("[live", "not TOML")],
)  # fmt: skip
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=wrong):
        config.load_live(path)


def test_health_tells_what_is_wrong() -> None:
    now = 0.0
    health = pages.Health(still=10.0, monotonic=lambda: now)
    assert health.page("/readyz", "")[0] == 503
    assert health.page("/healthz", "")[0] == 200
    health.turn({"grayscope_rows_total": 3.0}, ready=True)
    assert health.page("/readyz", "")[0] == 200
    assert "# TYPE grayscope_rows_total counter\ngrayscope_rows_total 3\n" in health.page("/metrics", "")[2]
    now = 11.0
    assert health.page("/healthz", "")[0] == 503
    assert health.page("/nothing", "") is None
