"""The page of metrics: clean by promtool, bounded, and not to be broken by names."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from grayscope.alert import Alert
from grayscope.engine import Coverage, Output
from grayscope.ledger import DAY, Entry
from grayscope.planned import Planned
from grayscope.sinks.prometheus import Prometheus
from grayscope.verdict import Verdict

HOSTILE = ('n1"} 1\nx{a="', "n2\\", "n3\r\u2028<script>", "n" * 10_000 + "a", "n" * 10_000 + "b", "${jndi:x}", "")
NOW = 1_700_000_000_000_000


def fake(states: dict[str, str] | None = None, firing: dict[str, Alert] | None = None, ledger: dict[str, dict[str, Entry]] | None = None) -> Any:
    cases = {s: SimpleNamespace(table="gpu", state=state) for s, state in (states or {}).items()}
    coverage = {("gpu", "gpu_clock_hertz"): Coverage(80, 60, 8, 8, NOW, NOW)}
    return SimpleNamespace(
        judge=SimpleNamespace(cases=cases), planned=Planned(), announce=SimpleNamespace(firing=firing or {}, ledger=ledger or {}), coverage=coverage,
        counts={"rows": 80, "late": 3, "late_events": 1, "ticks": 10}, ticks=10,
    )  # fmt: skip


def alert(incident: str, severity: str = "page", mode: str = "thermal_throttle", **labels: str) -> Alert:
    return Alert(
        {"alertname": "A", "cluster": "c1", "incident": incident, "severity": severity, **labels}, {"subject": "n1", "state": "gray", "mode": mode}, NOW
    )


def verdict(subject: str, state: str, previous: str = "normal") -> Verdict:
    return Verdict(NOW, subject, state, previous, 9.0, "", NOW, table="gpu")


def text(sink: Prometheus, openmetrics: bool = False) -> str:
    return sink.page(openmetrics)[0].decode()


def busy() -> Prometheus:
    ledger = {"n1/gpu0": {"hbm_row_spares/rows": Entry(NOW, "n1/gpu0", "hbm_row_spares", 8, 6, 2, "rows", exhausted_at=NOW + DAY)}}
    engine = fake(dict.fromkeys(HOSTILE, "gray"), {"ab": alert("ab"), "cd": alert("cd", "ticket", "psu", urgency="short")}, ledger)
    sink = Prometheus('c"1')
    sink.see(Output(), engine, "cell\n0")
    sink.own |= {"grayscope_lag_messages": 5.0, "grayscope_tick_duration_seconds": 0.01, "grayscope_x_total": 1.0, 'bad"name': 1.0, "grayscope_y": float("nan")}
    sink.others = {"webhook": SimpleNamespace(sent=3, lost=1), 'am"': SimpleNamespace(sent=2, lost=0), "silent": object()}
    return sink


def test_promtool_finds_nothing_to_say_and_hostile_names_stay_values(server: Callable[[str, str], str]) -> None:
    command = server("promtool", "prometheus")
    body, kind = busy().page()
    told = subprocess.run([command, "check", "metrics"], input=body, capture_output=True, timeout=60)
    assert (told.returncode, told.stdout + told.stderr) == (0, b"")
    assert kind.startswith("text/plain; version=0.0.4")
    lines = [x for x in body.decode().split("\n") if x and not x.startswith("#")]
    assert sum(x.startswith("grayscope_subject_state{") for x in lines) == len(HOSTILE)
    assert len({x.rpartition(" ")[0] for x in lines}) == len(lines), "every series once"
    assert all(re.fullmatch(r'[a-z_]+\{([a-z]+="([^"\\\n]|\\.)*",?)*\} [0-9.e+-]+', x) for x in lines)
    assert max(map(len, lines)) < 1000


def test_what_a_page_tells() -> None:
    page = text(busy())
    labels = r'cluster="c\\"1",cell="cell\\n0"'.replace("\\\\", "\\")
    for line in (
        f'grayscope_incidents_open{{{labels},severity="page",mode="thermal_throttle"}} 1.0',
        f'grayscope_redundancy_left_ratio{{{labels},subject="n1/gpu0",mechanism="hbm_row_spares"}} 0.25',
        f'grayscope_redundancy_exhaustion_seconds{{{labels},subject="n1/gpu0",mechanism="hbm_row_spares"}} 86400.0',
        f'grayscope_coverage_ratio{{{labels},table="gpu",metric="gpu_clock_hertz"}} 0.75',
        f"grayscope_last_tick_timestamp_seconds{{{labels}}} 1700000000.0",
        f'grayscope_dropped_rows_total{{{labels},reason="late"}} 3.0',
        f'grayscope_dropped_events_total{{{labels},reason="late"}} 1.0',
        'grayscope_alerts_lost_total{cluster="c\\"1",sink="webhook"} 1.0',
        'grayscope_lag_messages{cluster="c\\"1"} 5.0',
    ):
        assert line in page.split("\n"), line
    assert 'incident="cd",severity="ticket",urgency="short"' in page
    assert "grayscope_y" not in page
    assert "bad" not in page


def test_openmetrics_ends_and_names_counters_without_their_suffix() -> None:
    body, kind = busy().page(openmetrics=True)
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert b"# TYPE grayscope_rows counter\n" in body
    assert b"\ngrayscope_rows_total{" in body


def test_a_subject_that_is_normal_again_has_no_series() -> None:
    sink, engine = Prometheus("c1"), fake()
    sink.see(Output(verdicts=(verdict("n1", "gray"), verdict("n2", "masked"))), engine, "")
    assert text(sink).count("grayscope_subject_state{") == 2
    sink.see(Output(verdicts=(verdict("n1", "normal", "gray"),)), engine, "")
    assert 'subject="n1"' not in text(sink)
    assert 'subject="n2",state="masked"' in text(sink)


def test_an_ended_incident_is_gone_and_so_is_a_cell_that_was_left() -> None:
    sink, engine = Prometheus("c1"), fake(firing={"ab": alert("ab")})
    sink.see(Output(), engine, "0")
    assert "grayscope_incident_info" in text(sink)
    engine.announce.firing = {}
    sink.see(Output(alerts=(alert("ab"),)), engine, "0")
    assert "grayscope_incident_info" not in text(sink)
    assert 'cell="0"' in text(sink)
    sink.leave("0")
    assert 'cell="0"' not in text(sink)


def test_a_restored_engine_is_read_as_a_whole() -> None:
    sink = Prometheus("c1")
    sink.see(Output(), fake({"n1": "gray"}), "0")
    sink.see(Output(), fake({"n2": "failed", "n3": "normal"}), "0")
    page = text(sink)
    assert 'subject="n2",state="failed"' in page
    assert 'subject="n1"' not in page
    assert 'subject="n3"' not in page


def test_the_gravest_are_shown_and_the_others_counted() -> None:
    sink = Prometheus("c1", most=2)
    sink.see(Output(), fake({"a": "unknown", "b": "masked", "c": "failed", "d": "gray"}), "")
    page = text(sink)
    assert [s for s in "abcd" if f'subject="{s}"' in page] == ["c", "d"]
    assert 'grayscope_series_not_shown{cluster="c1",kind="subject_state"} 2.0' in page


def test_coverage_is_that_of_the_last_minutes() -> None:
    sink, engine = Prometheus("c1"), fake()
    sink.see(Output(), engine, "")
    for minute in range(1, 31):
        engine.ticks = engine.counts["ticks"] = 10 + minute
        engine.coverage["gpu", "gpu_clock_hertz"].add(NOW, 8, 0 if minute > 15 else 8)
        engine.coverage["gpu", "gpu_clock_hertz"].last = NOW + minute * 60_000_000
        sink.see(Output(), engine, "")
        if minute == 15:
            assert 'metric="gpu_clock_hertz"} 1.0' in text(sink)
    assert 'metric="gpu_clock_hertz"} 0.0' in text(sink)
