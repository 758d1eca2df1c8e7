"""Fleet: cells that tell what they show through a real Kafka, each window once, and the cell that is slower than the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from grayscope import assembly, plugins
from grayscope.batch import Batch
from grayscope.brokers.kafka import Kafka
from grayscope.errors import UsageError
from grayscope.frames import decode, encode
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.settings import Settings
from grayscope.summaries import Summaries
from tests.brokers.livekafka import environment, eventually, records, said, worker

config: Any = __import__("grayscope.pipelines._liveconfig", fromlist=["load_live"])
fleet: Any = __import__("grayscope.pipelines.fleet", fromlist=["groups"])
SECOND, PODS, TICKS = 1_000_000, 5, 480


def run(name: str, *words: object, **environ: str) -> Any:
    done = CliRunner(env=environ).invoke(plugins.load("pipelines", name), [str(w) for w in words], standalone_mode=False)
    assert done.exception is None, (done.output, done.exception)
    return done


def test_a_window_is_the_period_of_groups(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[live]\nsummary = "60s"\nperiods = { nvlink = "45s", gpu = "10s" }\n')
    settings, live = fleet.groups(Settings(), config.load_live(tmp_path / "c.toml", environ={}))
    assert (settings.period, settings.lateness, live.summary) == (60.0, 900.0, 0.0)
    assert dict(live.periods) == {"nvlink": 90.0, "gpu": 60.0}


@pytest.mark.parametrize(("text", "wrong"), [("", "set summary"), ('[live]\nsummary = "60s"', "name its brokers"), ("[live]\nsummary = true", "live: summary")])
def test_what_is_missing_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    done = CliRunner(env={"GRAYSCOPE_KAFKA_BOOTSTRAP_SERVERS": ""}).invoke(
        plugins.load("pipelines", "fleet"), ["--config", str(tmp_path / "c.toml")], standalone_mode=False
    )
    assert isinstance(done.exception, UsageError)
    assert wrong in str(done.exception)


def pods() -> dict[str, list[Message]]:
    """Return what five cells report of one job; in the last one all ranks become 5 % slower."""
    rng = np.random.default_rng(103)
    common = rng.normal(0, 0.01, TICKS)
    found: dict[str, list[Message]] = {}
    for pod in range(PODS):
        names = tuple(f"job:1/r{100 * pod + r}" for r in range(8))
        rows = tuple(RosterRow(s, "rank", keys={"job": "1", "role": "rank", "cell": f"pod{pod}"}) for s in names)
        late = np.where(np.arange(TICKS) > TICKS // 2, 0.05 * (pod == PODS - 1), 0.0)
        values = (0.4 * np.exp((common + late)[:, None] + rng.normal(0, 0.01, (TICKS, 8)))).astype(np.float32)
        batches = [Batch("rank", np.array([(t + 1) * 10 * SECOND]), names, ("compute_seconds",), values[None, None, t]) for t in range(TICKS)]
        found[f"pod{pod}"] = [rows, *batches]
    return found


def expected(told: dict[str, list[Message]]) -> set[bytes]:
    """Return the numbers that the cells tell, of engines that nothing happens to."""
    found: set[bytes] = set()
    for pod, messages in told.items():
        engine = assembly.engine(Settings())
        engine.summaries = Summaries(pod, engine.catalogue, 20 * SECOND)
        found |= {encode(m) for message in messages for m in engine.step(message).summaries if isinstance(m, Batch)}
    return found


@pytest.mark.slow
def test_a_slow_cell_is_found_and_nothing_is_told_twice_though_workers_die(topics: dict[str, str], tmp_path: Path) -> None:
    path, log = tmp_path / "c.toml", tmp_path / "log"
    path.write_text('[live]\nsummary = "20s"\ncheckpoint = "1s"\n')
    patient = tmp_path / "patient.toml"  # cells are taken one after the other here, so they are up to 800 seconds behind each other
    patient.write_text(f'lateness = "15m"\n{path.read_text()}')
    below = {**topics, "topic.prefix": f"{topics['topic.prefix']}.fleet"}
    alone = CliRunner(env=environment(topics)).invoke(
        plugins.load("pipelines", "live"), ["--config", str(path), "--once", "--worker", "w1", "--listen", ""], standalone_mode=False
    )
    assert isinstance(alone.exception, UsageError)
    assert "topics apply --fleet" in str(alone.exception)
    run("topics", "apply", "--fleet", "--partitions", 4, **environment(topics))
    assert "nothing differs" in run("topics", "apply", "--fleet", "--partitions", 4, **environment(topics)).stderr
    told = pods()
    for low in range(0, TICKS + 1, 80):
        high = min(low + 80, TICKS + 1)
        _feed(topics, told, low, high)
        before = len(records(below, "telemetry"))
        if low in (80, 240):
            process = worker(topics, log, "w1", "--config", str(path))
            try:
                eventually(lambda n=before: len(records(below, "telemetry")) > n, log)  # type: ignore[misc]
            finally:
                process.kill()
                process.wait(30)
        run("live", "--config", path, "--once", "--worker", "w1", "--listen", "", **environment(topics))
        if low in (160, 320):
            run("fleet", "--config", patient, "--once", "--worker", "f1", "--listen", "", **environment(topics))
    done = run("fleet", "--config", patient, "--once", "--worker", "f1", "--listen", "", **environment(topics))
    frames = [encode(decode(r.value)) for r in records(below, "telemetry")]
    assert len(frames) == len(set(frames))
    assert set(frames) == expected(told)
    incidents = said(below, "incidents")
    assert len({i["id"] for i in incidents}) == 1
    assert incidents[-1]["subject"] == "cell:pod4/rank:job=1,role=rank"
    assert "cell:pod4/rank:job=1,role=rank is gray" in done.stdout
    assert said(topics, "incidents") == []  # inside no cell does anybody differ


def _feed(options: dict[str, str], told: dict[str, list[Message]], low: int, high: int) -> None:
    for pod, messages in told.items():
        kafka = Kafka(**options, cell=pod)
        for message in messages[low:high]:
            kafka.send(message)
        kafka.close()
