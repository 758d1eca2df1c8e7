"""Exporter: one look over HTTP; against a fake exporter on the loopback that also misbehaves."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.errors import InputError, UsageError

NOW = 1_700_000_000.0


class FakeExporter:
    """A server that is no exporter: it answers with whatever `reply` writes."""

    def __init__(self) -> None:
        self.text = ""
        self.reply: Callable[[BaseHTTPRequestHandler], None] = self.plain
        self.asked: list[dict[str, str]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.asked.append({"path": self.path, **dict(self.headers.items())})
                fake.reply(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def plain(self, handler: BaseHTTPRequestHandler) -> None:
        self.send(handler, self.text.encode())

    @staticmethod
    def send(handler: BaseHTTPRequestHandler, body: bytes, *, code: int = 200, length: int | None = None, **headers: str) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake() -> Iterator[FakeExporter]:
    server = FakeExporter()
    yield server
    server.close()


def line(name: str, gpu: int, value: object, serial: str = "A") -> str:
    return f'{name}{{gpu="{gpu}",UUID="{serial}{gpu}",modelName="H100",Hostname="n017"}} {value}\n'


def replay(gpu: int, value: object, serial: str = "A") -> str:
    return line("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", gpu, value, serial)


def exporter(fake: FakeExporter, **settings: Any) -> Any:
    ticking = iter(np.arange(1000.0))
    return plugins.collector("exporter", fake.url, clock=lambda: NOW + 10 * float(next(ticking)), **settings)


def batches(collector: Any) -> dict[str, Batch]:
    return {m.table: m for m in collector.collect() if isinstance(m, Batch)}


def test_a_look_is_roster_then_one_batch_per_table(fake: FakeExporter) -> None:
    fake.text = "".join(line("DCGM_FI_DEV_SM_CLOCK", g, 1980) + line("DCGM_FI_DEV_GPU_TEMP", g, 60 + g) + replay(g, 5) for g in (1, 0))
    source = exporter(fake)
    roster, first = source.collect()
    assert {(r.subject, r.keys["serial"], r.since) for r in roster if r.table == "gpu"} == {("n017/gpu0", "A0", None), ("n017/gpu1", "A1", None)}
    assert isinstance(first, Batch)
    assert (first.table, first.times.tolist()) == ("gpu", [int(NOW * 1e6)]), "counters say nothing on first sight"
    fake.text = fake.text.replace(" 5\n", " 8\n")
    second = batches(source)
    assert set(second) == {"gpu", "pcie"}
    where = second["gpu"].subjects.index("n017/gpu1")
    values = dict(zip(second["gpu"].metrics, second["gpu"].values[0, :, where].tolist(), strict=True))
    assert values == {'gpu_clock_hertz{domain="sm"}': 1.98e9, 'gpu_temperature_celsius{sensor="gpu"}': 61.0}
    assert second["pcie"].values.ravel().tolist() == [3.0, 3.0]
    assert second["gpu"].subjects is batches(source)["gpu"].subjects, "later stations look for the very same tuple"
    assert {a["path"] for a in fake.asked} == {"/metrics"}


def test_own_times_are_kept(fake: FakeExporter) -> None:
    fake.text = line("DCGM_FI_DEV_GPU_TEMP", 0, "60 1700000003000") + line("DCGM_FI_DEV_GPU_TEMP", 1, "60 1700000004000") + line("DCGM_FI_DEV_GPU_TEMP", 2, 60)
    found = batches(exporter(fake))["gpu"]
    assert (found.times - int(NOW * 1e6)).tolist() == [0, 3_000_000, 4_000_000]
    assert np.isfinite(found.values[:, 0, :]).tolist() == [[False, False, True], [True, False, False], [False, True, False]]


def test_a_restart_is_no_burst(fake: FakeExporter) -> None:
    source, seen = exporter(fake), []
    for total in (1_000_000, 1_000_002, 3, 4, "NaN", 9):
        fake.text = replay(0, total) + line("DCGM_FI_DEV_GPU_TEMP", 0, 50)
        found = batches(source).get("pcie")
        seen.append(found.values.item() if found is not None else None)
    assert seen == [None, 2.0, None, 1.0, None, 5.0], "what came while nothing was reported is counted, what a reset shows is not"


def test_another_card_does_not_inherit_the_old_ones_totals(fake: FakeExporter) -> None:
    source = exporter(fake)
    for total in (10, 12):
        fake.text = replay(0, total)
        source.collect()
    fake.text = replay(0, 5000, serial="B")
    (rows,) = source.collect()
    assert [(r.subject, r.keys["serial"], r.since) for r in rows] == [("n017/gpu0/pcie", "B0", int((NOW + 20) * 1e6))]
    fake.text = replay(0, 5001, serial="B")
    assert batches(source)["pcie"].values.item() == 1.0


def test_a_dead_target_is_counted_and_comes_back(fake: FakeExporter) -> None:
    source = exporter(fake, timeout=2.0)
    fake.reply = lambda h: fake.send(h, b"no", code=500)
    assert [source.collect() for _ in range(2)] == [[], []]
    assert source.rejected["unreachable"] == 2
    assert "500" in source.last_error
    fake.reply, fake.text = fake.plain, line("DCGM_FI_DEV_GPU_TEMP", 0, 60)
    assert len(source.collect()) == 2
    fake.close()
    first = source.last_error
    assert source.collect() == []
    assert source.last_error != first
    assert "no answer" in source.last_error


def test_redirects_are_not_followed(fake: FakeExporter) -> None:
    fake.reply = lambda h: fake.send(h, b"", code=302, Location="file:///etc/hostname")
    source = exporter(fake)
    assert source.collect() == []
    assert "302" in source.last_error


def test_a_body_that_ends_early_gives_what_is_whole(fake: FakeExporter) -> None:
    body = (line("DCGM_FI_DEV_GPU_TEMP", 0, 60) + line("DCGM_FI_DEV_GPU_TEMP", 1, 123)).encode()[:-2]
    fake.reply = lambda h: fake.send(h, body, length=len(body) + 5000)
    source = exporter(fake, timeout=2.0)
    assert batches(source)["gpu"].subjects == ("n017/gpu0",)
    assert {k: source.rejected[k] for k in ("cut_off", "truncated")} == {"cut_off": 1, "truncated": 1}


def test_a_body_without_end_is_refused(fake: FakeExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[type(exporter(fake)).__module__]
    monkeypatch.setattr(module, "LARGEST", 1000)
    fake.text = line("DCGM_FI_DEV_GPU_TEMP", 0, 60) * 100
    source = exporter(fake)
    assert source.collect() == []
    assert "at most 1000 bytes" in source.last_error


def test_a_server_that_drips_is_given_up(fake: FakeExporter) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        fake.send(handler, b"", length=1 << 20)
        try:
            for _ in range(200):
                handler.wfile.write(b"#\n")
                time.sleep(0.02)
        except OSError:
            pass

    fake.reply = drip
    source = exporter(fake, timeout=0.3)
    assert source.collect() == []
    assert "no answer" in source.last_error


def test_hostile_text_does_no_harm(fake: FakeExporter) -> None:
    fake.text = (
        f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",hostname="{"x" * 10_000_000}"}} 1\n' + 'DCGM_FI_DEV_GPU_TEMP{gpu="0",hostname="a/b\\nc"} 1\n'
        + line("DCGM_FI_DEV_GPU_TEMP", 0, 60) * 2 + line("DCGM_FI_DEV_GPU_TEMP", 1, "NaN") + line("DCGM_FI_DEV_GPU_TEMP", 2, 1e300)
        + line("DCGM_FI_DEV_GPU_TEMP", 3, 1e18) + "\x00\xff garbage { } \n<html>\n"
    )  # fmt: skip
    source = exporter(fake)
    found = batches(source)["gpu"]
    assert set(found.subjects) == {"a_b_c/gpu0", "n017/gpu0", "n017/gpu3"}
    assert found.values.max() == np.float32(1e18)
    reasons = {"long_line": 1, "sanitized": 1, "duplicate": 1, "not_a_number": 1, "blank": 1}
    assert {k: source.rejected[k] for k in reasons} == reasons


def test_names_that_churn_do_not_kill_the_watch(fake: FakeExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    source = exporter(fake)
    fake.text = replay(0, 1)
    source.collect()
    good = source.live.rates.batch

    def full(raw: object) -> object:
        raise InputError("counters: too many")

    monkeypatch.setattr(source.live.rates, "batch", full)
    assert source.collect() == []
    assert source.rejected["too_many"] == 1
    assert source.live.rates.batch != good
    seen = []
    for total in (5, 7):
        fake.text = replay(0, total)
        seen.append([b.values.item() for b in batches(source).values()])
    assert seen == [[], [2.0]]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "n017:9400", "http://", "http://user:secret@n017/", "http://n017:99999/", "http://n 1/"])
def test_only_plain_web_addresses(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        plugins.collector("exporter", url)
    assert "secret" not in str(caught.value)
