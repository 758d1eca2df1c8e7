"""A real Prometheus that holds the series of a small fleet answers every query of every dashboard: no panel is empty."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from grayscope.dashboards import NAMES, load
from tests.grafana.test_dashboards import queries

pytestmark = pytest.mark.slow
STEP, SPAN = 30, 2 * 3600
GPUS = [f"n00{n}/gpu{g}" for n in (1, 2) for g in range(4)]


def series() -> Iterator[tuple[str, str, float, float]]:
    """Yield (name, labels, value, growth per second): one suspect that spends, and what the detector says of itself."""
    own, suspect = 'cluster="c1",cell="0"', GPUS[0]
    for gpu in GPUS:
        labels = f'subject="{gpu}",sku="H100"'
        for name, value in (("clock_hertz", 1.9e9), ("temperature_celsius", 60.0), ("power_watts", 600.0), ("present", 1.0)):
            yield f"gpu_{name}", labels, value, 0.0
        yield "gpu_ecc_corrected_errors_total", labels, 0.0, 0.1
        yield "pcie_replays_total", f'subject="{gpu}/pcie"', 0.0, 0.1
    yield "nic_port_transferred_bytes_total", 'subject="n001/nic0"', 0.0, 1e9
    yield "drive_latency_seconds", 'subject="n001/nvme0"', 0.001, 0.0
    for state, subject in (("gray", suspect), ("masked", GPUS[1]), ("failed", GPUS[5]), ("unknown", GPUS[6])):
        yield "grayscope_subject_state", f'{own},table="gpu",subject="{subject}",state="{state}"', 1.0, 0.0
    yield "grayscope_incidents_open", f'{own},severity="page",mode="thermal_throttle"', 1.0, 0.0
    yield "grayscope_redundancy_left_ratio", f'{own},subject="{suspect}",mechanism="hbm_row_spares"', 0.4, 0.0
    yield "grayscope_redundancy_exhaustion_seconds", f'{own},subject="{suspect}",mechanism="hbm_row_spares"', 86400.0, 0.0
    yield "grayscope_coverage_ratio", f'{own},table="gpu",metric="gpu_clock_hertz"', 0.99, 0.0
    yield "grayscope_subjects", f'{own},table="gpu"', 8.0, 0.0
    yield "grayscope_last_tick_timestamp_seconds", own, 1.0, 1.0
    for name in ("tick_duration_seconds", "lag_messages", "rows_total", "rejected_messages_total"):
        yield f"grayscope_{name}", own, 0.0, 0.5
    yield "grayscope_dropped_rows_total", f'{own},reason="late"', 0.0, 0.5
    for name in ("sent", "lost"):
        yield f"grayscope_alerts_{name}_total", f'{own},sink="webhook"', 0.0, 0.5


def exposition(end: int) -> str:
    lines, seen = [], ""
    for name, labels, value, growth in sorted(series()):
        if name != seen:
            lines.append(f"# TYPE {name} unknown")
        seen = name
        lines += [f"{name}{{{labels}}} {value + growth * t} {end - SPAN + t}" for t in range(0, SPAN + 1, STEP)]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def ask(server: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], int]]:
    """Return how many series answer an expression."""
    promtool, command = server("promtool", "prometheus"), server("prometheus", "prometheus")
    folder, end = tmp_path_factory.mktemp("prometheus"), int(time.time()) // STEP * STEP
    (folder / "page").write_text(exposition(end))
    (folder / "config.yml").write_text("{}")
    subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", folder / "page", folder / "tsdb"], check=True, capture_output=True, timeout=120)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [command, f"--config.file={folder / 'config.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=log)

    def answered(expr: str) -> int:
        asked = urllib.parse.urlencode({"query": expr, "time": end})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{asked}", timeout=10) as answer:
            return len(json.load(answer)["data"]["result"])

    try:
        for _ in range(300):
            try:
                if answered("grayscope_subjects"):
                    break
            except OSError:
                pass
            time.sleep(0.1)
        else:
            pytest.fail((folder / "log").read_text()[-2000:])
        yield answered
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("name", NAMES)
def test_no_query_is_without_an_answer(name: str, ask: Callable[[str], int]) -> None:
    assert [f"{panel}: {expr}" for panel, expr in queries(load(name)) if not ask(expr)] == []


def test_a_metric_that_nobody_has_is_noticed(ask: Callable[[str], int]) -> None:
    assert ask("grayscope_misspelt") == 0
