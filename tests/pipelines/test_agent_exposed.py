"""Exposed: what a scrape of the agent gives is read back by our own exporter to the same numbers; hostile names stay data."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.roster import RosterRow

exposed: Any = __import__("grayscope.pipelines._exposed", fromlist=["Exposed"])
exposition: Any = __import__("grayscope.collectors._exposition", fromlist=["Exposition"])
naming: Any = __import__("grayscope.collectors._naming", fromlist=["Naming"])
series: Any = __import__("grayscope.collectors._series", fromlist=["Series"])
ROWS = {"n1/gpu0": RosterRow("n1/gpu0", "gpu", keys={"sku": "H100", "job": "42", "serial": "S1"})}
OWN = [("grayscope_build_info", "gauge", {"version": "1"}, 1.0), ("grayscope_agent_published_total", "counter", {}, 5.0)]


def batch(power: float, energy: float, time: int = 0) -> Batch:
    metrics = ("gpu_power_watts", "gpu_energy_joules_total", 'gpu_clock_hertz{domain="sm"}')
    return Batch("gpu", np.array([time]), ("n1/gpu0",), metrics, np.array([[[power], [energy], [np.nan]]], np.float32))


def test_gauges_are_the_latest_and_counters_add_up() -> None:
    page = exposed.Exposed()
    page.take([batch(300, 5), batch(310, 7, 10)])
    text = page.text(ROWS, OWN)
    assert 'gpu_power_watts{subject="n1/gpu0",sku="H100",serial="S1",job_id="42"} 310.0' in text
    assert 'gpu_energy_joules_total{subject="n1/gpu0",sku="H100",serial="S1",job_id="42"} 12.0' in text
    assert "gpu_clock_hertz" not in text
    assert "# TYPE gpu_energy_joules_total counter" in text
    modern = page.text(ROWS, OWN, openmetrics=True)
    assert "# TYPE gpu_energy_joules counter" in modern
    assert modern.endswith("# EOF\n")


def test_our_own_exporter_reads_it_back() -> None:
    page, names = exposed.Exposed(), naming.Naming()
    page.take([batch(300, 5)])
    read = series.Series(names)
    look = exposition.Exposition(read)
    look.begin()
    (long,) = read.settle(look.read(page.text(ROWS, OWN).encode(), 5))
    assert dict(zip(read.metric, long.values.tolist(), strict=False)) == {"gpu_power_watts": 300.0, "gpu_energy_joules_total": 5.0}
    assert list(read.subjects) == ["n1/gpu0"]
    keys = dict(next(iter(read.identities))[2])
    assert (keys["sku"], keys["job"], keys["serial"]) == ("H100", "42", "S1")


def test_what_comes_does_not_wait_for_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    page, free = exposed.Exposed(), list[bool]()
    page.take([batch(300, 5)])

    def families(samples: Any, *_: Any) -> Iterator[str]:
        free.append(not page._lock.locked())
        return (name for name, *_ in samples)

    monkeypatch.setattr(exposed, "families", families)
    assert page.lines({}) == ["gpu_energy_joules_total", "gpu_power_watts"]
    assert free == [True]


def test_what_nobody_reports_any_more_is_not_shown() -> None:
    page = exposed.Exposed()
    page.take([batch(300, 5)])
    other = Batch("gpu", np.array([exposed.STALE + 1]), ("n1/gpu1",), ("gpu_power_watts",), np.full((1, 1, 1), 1, np.float32))
    page.take([other])
    assert 'subject="n1/gpu0"' not in page.text({}, ())


def test_names_that_churn_make_room_for_those_that_come() -> None:
    page, metric = exposed.Exposed(most=3), ("gpu_power_watts",)

    def look(names: tuple[str, ...], time: int) -> None:
        page.take([Batch("gpu", np.array([time]), names, metric, np.ones((1, 1, len(names)), np.float32))])

    look(("a", "b", "c", "d"), 0)
    assert page.lost == 1
    look(("e", "f"), exposed.STALE)
    assert page.lost == 1
    text = page.text({}, ())
    assert [name for name in "abcdef" if f'subject="{name}"' in text] == ["e", "f"]


def test_ranks_are_told_by_job_role_and_gpu_and_read_back() -> None:
    page, names = exposed.Exposed(), naming.Naming()
    row = RosterRow("job:7/r3", "rank", keys={"job": "job:7", "role": "stage0", "gpu": "n1/gpu0", "node": "n1"})
    page.take([Batch("rank", np.array([0]), ("job:7/r3",), ("compute_seconds",), np.ones((1, 1, 1), np.float32))])
    text = page.text({"job:7/r3": row}, ())
    assert 'compute_seconds{subject="job:7/r3",job_id="job:7",role="stage0",gpu_subject="n1/gpu0"} 1.0' in text
    read = series.Series(names)
    look = exposition.Exposition(read)
    look.begin()
    read.settle(look.read(text.encode(), 5))
    assert list(read.subjects) == ["job:7/r3"]
    assert "slot" not in dict(next(iter(read.identities))[2])


def test_promtool_finds_nothing_to_say_about_any_metric_but_that_some_count_bits(server: Callable[[str, str], str]) -> None:
    page, catalogue = exposed.Exposed(), Catalogue.load()
    for m in catalogue.metrics.values():
        page.take([Batch(m.table, np.array([0]), ("n1/x",), (m.name,), np.ones((1, 1, 1), np.float32))])
    assert page.lost == 0
    run = [server("promtool", "prometheus"), "check", "metrics"]
    done = subprocess.run(run, input="\n".join([*page.lines({}), ""]), capture_output=True, text=True, timeout=60, check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "_bits_total" not in line] == []


@pytest.mark.parametrize(
    "name", ['a"b', "a b", "a{", 'a{b="c}', 'a{b="c"d"}', "a{b=c}", 'a{b="c",}', "a{,}", "", "a\nb", "1a", "grayscope_rows_total", 'a{b="c"}\n']
)
def test_a_metric_whose_name_would_break_the_page_is_counted_and_not_shown(name: str) -> None:
    page = exposed.Exposed()
    page.take([Batch("gpu", np.array([0]), ("n1",), (name, "fan_speed_rpm"), np.ones((1, 2, 1), np.float32))])
    assert [line for line in page.text({}, ()).splitlines() if not line.startswith("#")] == ['fan_speed_rpm{subject="n1"} 1.0']
    assert page.lost == 1


@pytest.mark.parametrize("inner", ['subject="a"', 'sku="b"', 'job_id="7"', 'a="1",a="2"', 'a="1,b=2",b="3",b="4"', '__name__="x"', 'a="",__meta="x"'])
def test_a_label_that_would_be_there_twice_does_not_lose_the_page(inner: str) -> None:
    page = exposed.Exposed()
    page.take([Batch("gpu", np.array([0]), ("n1",), (f"foo{{{inner}}}", 'foo{a="subject=,a=",b="1"}'), np.ones((1, 2, 1), np.float32))])
    assert [line for line in page.text({}, ()).splitlines() if not line.startswith("#")] == ['foo{a="subject=,a=",b="1",subject="n1"} 1.0']
    assert page.lost == 1


def test_a_gauge_keeps_its_name_whole_in_openmetrics() -> None:
    page = exposed.Exposed()
    page.take([Batch("gpu", np.array([0]), ("n1",), ("theirs_total",), np.ones((1, 1, 1), np.float32))])
    assert page.text({}, (), openmetrics=True).splitlines()[1:3] == ["# TYPE theirs_total gauge", 'theirs_total{subject="n1"} 1.0']


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_no_name_breaks_out_of_its_line(subject: str, sku: str) -> None:
    page = exposed.Exposed()
    page.take([Batch("gpu", np.array([0]), (subject,), ("gpu_power_watts",), np.ones((1, 1, 1), np.float32))])
    lines = page.text({subject: RosterRow(subject, "gpu", keys={"sku": sku})}, ()).split("\n")
    assert len(lines) == 4
    assert lines[2].startswith('gpu_power_watts{subject="')
    assert lines[2].endswith("} 1.0")
