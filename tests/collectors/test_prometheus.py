"""Prometheus: the HTTP API, against a fake server that knows just enough of it and also misbehaves."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.errors import GrayscopeError, UsageError
from grayscope.trace import Trace
from grayscope.tracecheck import validate
from grayscope.tracewriter import TraceWriter

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
END = START + 600 * SECOND
Series = tuple[dict[str, str], Callable[[float], float | None]]


class FakePrometheus:
    """A server that is no Prometheus: it evaluates plain selectors and `count` over functions of time."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self.fail: list[tuple[int, str, dict[str, str]]] = []
        self.most, self.looks = 0, 60
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self, urlsplit(self.path).query)

            def do_POST(self) -> None:
                fake.answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, query: str) -> None:
        path, form = urlsplit(handler.path).path.removeprefix("/api/v1/"), {k: v[0] for k, v in parse_qs(query).items()}
        self.asked.append((handler.command, path, form))
        self.headers.append(dict(handler.headers.items()))
        code, text, headers = self.fail.pop(0) if self.fail else (200, json.dumps({"status": "success", "data": self.data(path, form)}), {})
        body = text.encode()
        handler.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def data(self, path: str, form: dict[str, str]) -> Any:
        if path == "label/__name__/values":
            return sorted({labels["__name__"] for labels, _ in self.series})
        pattern = re.search(r'__name__=(~?)"([^"]*)"', form["query"])
        assert pattern is not None
        wanted = pattern[2] if pattern[1] else re.escape(pattern[2])
        chosen = [s for s in self.series if re.fullmatch(wanted, s[0]["__name__"])]
        if path == "query":
            found = [(labels, at(float(form["time"]))) for labels, at in chosen]
            return {"resultType": "vector", "result": [{"metric": m, "value": [float(form["time"]), repr(v)]} for m, v in found if v is not None]}
        times = np.arange(float(form["start"]), float(form["end"]) + 1e-3, float(form["step"])).tolist()
        if form["query"].startswith("max(count_over_time("):
            return {"resultType": "matrix", "result": [{"metric": {}, "values": [[times[0], str(self.looks)]]}]}
        if form["query"].startswith("count("):
            return {"resultType": "matrix", "result": [{"metric": {}, "values": [[t, str(sum(at(t) is not None for _, at in chosen))] for t in times]}]}
        lists = [(labels, [[t, repr(v)] for t in times if (v := at(t)) is not None]) for labels, at in chosen]
        self.most = max(self.most, sum(len(values) for _, values in lists))
        return {"resultType": "matrix", "result": [{"metric": labels, "values": values} for labels, values in lists if values]}

    def add(self, name: str, gpu: int, at: Callable[[float], float | None], **labels: str) -> None:
        self.series.append(({"__name__": name, "gpu": str(gpu), "Hostname": "n017", "instance": "n017:9400", "job": "dcgm", **labels}, at))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    server = FakePrometheus()
    yield server
    server.close()


def source(fake: FakePrometheus, start: int = START, end: int = END, step: int = 10 * SECOND, **settings: Any) -> Any:
    return plugins.collector("prometheus", fake.url, start, end, step, timeout=5.0, sleep=lambda _: None, **settings)


def imported(out: Path, collector: Any) -> dict[str, int]:
    with TraceWriter(out) as writer:
        counts: dict[str, int] = collector.write(writer)
    return counts


def test_a_range_becomes_a_trace(fake: FakePrometheus, tmp_path: Path) -> None:
    for g in range(3):
        fake.add("DCGM_FI_DEV_SM_CLOCK", g, lambda t, g=g: 1980.0 - g if g or t < 1_700_000_300 else None)  # type: ignore[misc]
        fake.add("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", g, lambda t: (t - 1_699_999_000) // 10)
    fake.add("up", 0, lambda _: 1.0)
    counts = imported(tmp_path / "t", source(fake))
    assert counts == {"names": 2, "series": 6, "pages": 1, "samples": 61 * 6 - 31, "rows": 61 * 6 - 31, "roster": 6}
    assert validate(tmp_path / "t") == []
    trace = Trace.open(tmp_path / "t")
    assert trace.periods == {"gpu": 10 * SECOND, "pcie": 10 * SECOND}
    batches = [m for m in Parquet(tmp_path / "t").receive() if isinstance(m, Batch)]
    replays = np.concatenate([b.values[:, 0, :].ravel() for b in batches if b.table == "pcie"])
    assert np.isnan(replays).sum() == 3
    assert np.nanmin(replays) == np.nanmax(replays) == 1.0, "totals were imported, increments come out"
    assert {m for _, what, f in fake.asked if what == "query_range" for m in re.findall('"(.*?)"', f["query"])} == {
        "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
    }  # fmt: skip
    assert {method for method, what, _ in fake.asked if what == "query_range"} == {"POST"}


def test_pages_stay_small_and_meet_without_seam(fake: FakePrometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = source(fake)
    module = sys.modules[type(collector).__module__]
    monkeypatch.setattr(module, "PER_ANSWER", 60)
    for g in range(5):
        fake.add("DCGM_FI_DEV_GPU_TEMP", g, lambda t: t - 1_700_000_000)
        fake.add("DCGM_FI_DEV_POWER_USAGE", g, lambda _: 300.0)
    counts = imported(tmp_path / "t", collector)
    assert fake.most <= 60
    assert (counts["pages"], counts["rows"], counts["samples"]) == (6, 61 * 5, 61 * 10)
    assert counts["roster"] == 5
    values = [b.values[0, b.metrics.index('gpu_temperature_celsius{sensor="gpu"}')] for b in Parquet(tmp_path / "t").receive() if isinstance(b, Batch)]
    assert np.array(values)[:, 0].tolist() == list(range(0, 601, 10))
    monkeypatch.setattr(module, "PER_SERIES", 4)
    assert imported(tmp_path / "u", source(fake))["pages"] == 16


@pytest.mark.parametrize(("looks", "step"), [(61, 10), (40, 15), (20, 30), (10, 60), (0, 300), (9999, 1)])
def test_the_scrape_interval_is_found_out(fake: FakePrometheus, tmp_path: Path, looks: int, step: int) -> None:
    fake.looks = looks
    fake.add("DCGM_FI_DEV_GPU_TEMP", 0, lambda _: 60.0)
    assert imported(tmp_path / "t", source(fake, step=0))["rows"] == 600 // step + 1
    assert Trace.open(tmp_path / "t").periods == {"gpu": step * SECOND}


def test_the_series_that_began_later_wins_over_an_echo(fake: FakePrometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = source(fake)
    monkeypatch.setattr(sys.modules[type(collector).__module__], "PER_ANSWER", 40)
    # It ended at 300 s; what comes after is the server looking back.
    fake.add("DCGM_FI_DEV_GPU_TEMP", 0, lambda t: 50.0 if t <= 1_700_000_450 else None, hpc_job="a")
    fake.add("DCGM_FI_DEV_GPU_TEMP", 0, lambda t: 60.0 if t >= 1_700_000_300 else None, hpc_job="b")
    counts = imported(tmp_path / "t", collector)
    assert counts["rejected: duplicate"] == 16
    values = [b.values.item() for b in Parquet(tmp_path / "t").receive() if isinstance(b, Batch)]
    assert values == [50.0] * 30 + [60.0] * 31
    rows = Trace.open(tmp_path / "t").roster.rows
    assert [(r.keys["job"], r.since, r.until) for r in rows] == [("a", None, START + 300 * SECOND), ("b", START + 300 * SECOND, None)]
    assert validate(tmp_path / "t") == []


def test_one_name_per_metric_and_subject(fake: FakePrometheus, tmp_path: Path) -> None:
    fake.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0, lambda _: 0.5)
    fake.add("DCGM_FI_DEV_GPU_UTIL", 0, lambda _: 80.0)
    fake.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1, lambda _: 0.25)
    counts = imported(tmp_path / "t", source(fake))
    assert counts["rejected: second_name"] == 61
    assert validate(tmp_path / "t") == []
    first = next(m for m in Parquet(tmp_path / "t").receive() if isinstance(m, Batch))
    assert dict(zip(first.subjects, first.values.ravel().tolist(), strict=True)) == {"n017/gpu0": pytest.approx(0.8), "n017/gpu1": 0.25}


def test_matchers_and_token_are_sent(fake: FakePrometheus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYSCOPE_PROMETHEUS_TOKEN", "s3cret\n")
    fake.add("DCGM_FI_DEV_GPU_TEMP", 0, lambda _: 60.0)
    imported(tmp_path / "t", source(fake, match=['cluster="a"', '{team=~"x|y"}']))
    assert fake.asked[-1][2]["query"] == '{__name__="DCGM_FI_DEV_GPU_TEMP",cluster="a",team=~"x|y"}'
    assert {h["Authorization"] for h in fake.headers} == {"Bearer s3cret"}
    for bad in ('cluster="a"} or up{x="', "cluster", 'a="b",c="d"', ""):
        with pytest.raises(UsageError, match="match"):
            source(fake, match=[bad])


def test_a_busy_server_is_asked_again_with_patience(fake: FakePrometheus, tmp_path: Path) -> None:
    waited: list[float] = []
    fake.add("DCGM_FI_DEV_GPU_TEMP", 0, lambda _: 60.0)
    fake.fail = [(503, "starting", {}), (429, "", {"Retry-After": "7"})]
    collector = plugins.collector("prometheus", fake.url, START, END, 10 * SECOND, sleep=waited.append)
    assert imported(tmp_path / "t", collector)["rows"] == 61
    assert waited == [0.5, 7.0]
    fake.fail = [(503, "starting", {})] * 6
    with pytest.raises(GrayscopeError, match=r"503 .*: still busy after 5 retries"):
        imported(tmp_path / "u", collector)
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize(
    ("code", "body", "text"),
    [
        (422, '{"status":"error","errorType":"execution","error":"query processing would load too many samples"}', "422 .*: execution: query processing"),
        (400, '{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution"}', "400 .*: bad_data: exceeded"),
        (401, "Unauthorized", "401 .*: expected a token in GRAYSCOPE_PROMETHEUS_TOKEN"),
        (404, "<html>", "404"),
        (200, "<html>", "not a Prometheus server"),
        (200, '{"status":"success","data":{"a":1}}', "names: expected a list"),
        (200, '{"status":"error","error":"odd"}', "expected success, found odd"),
        (200, "[" * 100_000, "not a Prometheus server"),
    ],
)
def test_errors_say_what_the_server_says(fake: FakePrometheus, tmp_path: Path, code: int, body: str, text: str) -> None:
    fake.fail = [(code, body, {})]
    with pytest.raises(GrayscopeError, match=text):
        imported(tmp_path / "t", source(fake))
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    "result",
    [
        None,
        [1],
        [{"metric": {"a": 1}, "values": []}],
        [{"metric": {}, "values": [[1]]}],
        [{"metric": {"__name__": "DCGM_FI_DEV_GPU_TEMP", "gpu": "0", "node": "n"}, "values": [[1, "x"]]}],
        [{"metric": {"__name__": "DCGM_FI_DEV_GPU_TEMP", "gpu": "0", "node": "n"}, "values": [["x", "1"]]}],
        [{"metric": {"__name__": "DCGM_FI_DEV_GPU_TEMP", "gpu": "0", "node": "n"}, "values": [[1e300, "1"]]}],
    ],
)
def test_answers_of_another_shape_are_named(fake: FakePrometheus, tmp_path: Path, result: object, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.add("DCGM_FI_DEV_GPU_TEMP", 0, lambda _: 60.0)
    good = fake.data
    monkeypatch.setattr(fake, "data", lambda path, form: {"result": result} if path == "query_range" and "count" not in form["query"] else good(path, form))
    with pytest.raises(GrayscopeError, match="expected"):
        imported(tmp_path / "t", source(fake))


def test_live_looks_give_increments(fake: FakePrometheus) -> None:
    clock = iter(range(1_700_000_000, 1_800_000_000, 10))
    fake.add("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", 0, lambda t: (t - 1_699_999_990) / 5)
    fake.add("DCGM_FI_DEV_GPU_TEMP", 0, lambda _: 60.0)
    fake.add("DCGM_FI_DEV_GPU_TEMP", 1, lambda _: float("nan"))
    fake.add("up", 0, lambda _: 1.0)
    collector = plugins.collector("prometheus", fake.url, clock=lambda: float(next(clock)))
    roster, first = collector.collect()
    assert {r.subject for r in roster} == {"n017/gpu0", "n017/gpu0/pcie", "n017/gpu1"}
    assert (first.table, first.subjects) == ("gpu", ("n017/gpu0",))
    second = {m.table: m for m in collector.collect()}
    assert second["pcie"].values.item() == 2.0
    assert int(second["gpu"].times[0]) == START + 10 * SECOND
    fake.close()
    assert collector.collect() == []
    assert "no answer" in collector.last_error
    assert collector.rejected["unreachable"] == 1


def test_ranges_that_make_no_sense(fake: FakePrometheus) -> None:
    with pytest.raises(UsageError, match="end after the start"):
        source(fake, END, START)
    with pytest.raises(UsageError, match="step"):
        source(fake, step=999)
