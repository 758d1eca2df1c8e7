"""Events: storms, repeats, programs, clears, decay: few true findings from many lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.align import Align, AlignSettings
from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.evidence import Finding
from grayscope.judge import Judge
from grayscope.roster import Roster, RosterRow, View
from grayscope.tick import Tick

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
GPUS = tuple(f"n{n}/gpu{g}" for n in range(4) for g in range(8))
NODES = ("n0", "n1", "n2", "n3")
STANDING: Any = None


def roster(job: str = "a", parts: tuple[str, ...] = GPUS) -> View:
    return Roster([*(RosterRow(s, "gpu", keys={"job": f"job:{job if s in parts else 'big'}"}) for s in GPUS), *(RosterRow(s, "node") for s in NODES)]).at(0)


def tick(time: int, events: Iterable[Event] = (), table: str = "gpu", view: View | None = None) -> Tick:
    names = GPUS if table == "gpu" else NODES
    return Tick(table, time, 10 * SECOND, view or roster(), names, ("x",), np.zeros((1, len(names)), np.float32), np.zeros(len(names), bool), tuple(events))


def xid(time: int, subject: str, code: str, text: str = "", count: int = 1) -> Event:
    return Event(time, subject, "xid", code, text, count)


def feed(*ticks: Tick) -> list[list[Finding]]:
    detector = plugins.detector("events")
    return [list(detector.step(t, STANDING)) for t in ticks]


def test_eight_hundred_thousand_lines_that_are_29_facts() -> None:
    detector, lines = plugins.detector("events"), 0
    wrong = [GPUS[i] for i in range(29)]
    for k in range(20):
        events = [xid(k * 10 * SECOND + i, wrong[i % 29], "95", f"Uncontained {i % 3}", 10) for i in range(4000)]
        lines += sum(e.count for e in events)
        said = list(detector.step(tick((k + 1) * 10 * SECOND, sorted(events)), STANDING))
    assert lines == 800_000
    assert len(detector.facts.known) == 29
    assert sum(f.lines for f in detector.facts.known.values()) == lines
    # Three whole nodes and five parts of the fourth.
    assert sorted(f.subject for f in said) == ["n0", "n1", "n2", *(f"n3/gpu{g}" for g in range(5))]
    assert {(f.side, f.mode) for f in said} == {("health", "uncorrectable_memory")}


def test_every_event_counts_once_though_every_table_brings_it() -> None:
    event = xid(5 * SECOND, "n0/gpu1", "48")
    memory = Event(6 * SECOND, "n0", "edac", "UE")
    said = feed(tick(10 * SECOND), tick(10 * SECOND, table="node"), tick(20 * SECOND, [event, memory]), tick(20 * SECOND, [event, memory], "node"))
    assert [(f.subject, f.value) for f in said[2]] == [("n0/gpu1", 1.0)]
    assert [(f.subject, f.value, f.mode) for f in said[3]] == [("n0", 1.0, "host_memory_errors")]


def test_align_brings_every_event_to_every_table_and_the_detector_takes_it_once() -> None:
    align = Align(lambda _: False, {"gpu": 10 * SECOND, "node": 60 * SECOND}, AlignSettings())
    detector, brought = plugins.detector("events"), 0
    align_ticks = list(align.step((RosterRow("n0/gpu0", "gpu"), RosterRow("n0", "node"))))
    for t in range(1, 60):
        align_ticks += align.step(Batch("gpu", np.array([t * 10 * SECOND]), ("n0/gpu0",), ("gpu_power_watts",), np.ones((1, 1, 1), np.float32)))
        if t % 6 == 0:
            align_ticks += align.step(Batch("node", np.array([t * 10 * SECOND]), ("n0",), ("fan_speed_rpm",), np.ones((1, 1, 1), np.float32)))
        align_ticks += align.step(xid(t * 10 * SECOND - 3, "n0/gpu0", "63"))
    for one in [*align_ticks, *align.flush()]:
        brought += len(one.events)
        detector.step(one, STANDING)
    (fact,) = detector.facts.known.values()
    assert brought > fact.lines > 50
    assert fact.lines == len({e.time for one in align_ticks for e in one.events})


def test_a_storm_of_clean_ups_is_a_notice_on_the_job() -> None:
    events = [xid(k * SECOND, s, "45", "Preemptive cleanup", 1 + k) for k in range(4) for s in GPUS]
    judge, detector = Judge(), plugins.detector("events")
    first = tick(10 * SECOND, sorted(events))
    verdicts = list(judge.step(first, detector.step(first, STANDING)))
    assert [(v.subject, v.state, v.mode) for v in verdicts] == [("job:a", "unknown", "xid_storm")]
    assert feed(tick(10 * SECOND, [xid(1, "n0/gpu0", "45"), xid(2, "n1/gpu0", "45")])) == [[]]  # two are nothing


@pytest.mark.parametrize("code", ["13", "31", "43"])
def test_a_program_s_fault_is_the_job_s(code: str) -> None:
    (said,) = feed(tick(10 * SECOND, [xid(1, "n0/gpu0", code)]))
    assert [(f.subject, f.mode) for f in said] == [("job:a", "user_bug")]
    assert all(f.mode == "user_bug" for findings in _jobs(code, ["a", "a", "a"], GPUS[:1]) for f in findings)


def _jobs(code: str, jobs: list[str], hit: tuple[str, ...], parts: tuple[str, ...] = GPUS) -> list[list[Finding]]:
    """One job a day, each of which leaves the code on the same parts."""
    detector, said = plugins.detector("events"), []
    for day, job in enumerate(jobs):
        now = (day + 1) * DAY
        ticks = [tick(now + k * 10 * SECOND, sorted(xid(now - 1, s, code) for s in hit) if k == 0 else (), view=roster(job, parts)) for k in range(24)]
        said += [list(detector.step(t, STANDING)) for t in ticks]
    return said


def test_the_same_fault_in_several_jobs_on_one_part_is_the_part_s() -> None:
    accused = [f for findings in _jobs("13", ["a", "b"], ("n2/gpu5",)) for f in findings if f.mode != "user_bug"]
    assert {(f.subject, f.side, f.mode) for f in accused} == {("n2/gpu5", "redundancy", "lemon_node")}
    assert min(f.time for f in accused) > 2 * DAY
    assert "in jobs a, b" in accused[0].why


@pytest.mark.parametrize("code", ["13", "31", "43"])
def test_a_program_of_one_part_that_fails_twice_on_it_accuses_nobody(code: str) -> None:
    """No other part ran the program and was spared."""
    assert {f.mode for findings in _jobs(code, ["a", "b", "c"], ("n2/gpu5",), ("n2/gpu5",)) for f in findings} == {"user_bug"}
    assert "lemon_node" in {f.mode for findings in _jobs(code, ["a", "b"], ("n2/gpu5",), ("n2/gpu4", "n2/gpu5")) for f in findings}


def test_faults_of_all_parts_in_several_jobs_are_the_programs() -> None:
    assert {f.mode for findings in _jobs("13", ["a", "b", "c"], GPUS[:8]) for f in findings} == {"user_bug"}
    assert {f.mode for findings in _jobs("31", ["a", "b", "c"], ("n0/gpu0", "n1/gpu0", "n2/gpu0")) for f in findings} == {"user_bug"}


def test_what_spends_spares_is_masked_and_fades() -> None:
    detector = plugins.detector("events")
    (fresh,) = detector.step(tick(10 * SECOND, [xid(1, "n0/gpu3", "63", "Row Remapper: New row\nmarked")]), STANDING)
    assert (fresh.side, fresh.mechanism) == ("redundancy", "hbm_row_spares")
    assert "\n" not in fresh.why
    later = [list(detector.step(tick(8 * HOUR + k * 10 * SECOND), STANDING)) for k in range(8)]
    (faded,) = (f for findings in later for f in findings)
    assert faded.strength == pytest.approx(fresh.strength / 2, rel=0.01)
    gone = [list(detector.step(tick(10 * DAY + k * 10 * SECOND), STANDING)) for k in range(8)]
    assert not any(gone)


def test_what_takes_it_back() -> None:
    down = Event(1, "n0/gpu2", "xid", "154", "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)")
    up = Event(20 * SECOND - 1, "n0/gpu2", "xid", "154", "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)")
    said = feed(tick(10 * SECOND, [down]), tick(20 * SECOND, [up]), *(tick((k + 3) * 10 * SECOND) for k in range(10)))
    assert [len(s) for s in said] == [1, *[0] * 11]
    lost, reset = xid(1, "n1/gpu2", "79"), Event(20 * SECOND - 1, "n1", "health", "reset")
    said = feed(tick(10 * SECOND, [lost]), tick(20 * SECOND, [reset]), *(tick((k + 3) * 10 * SECOND) for k in range(10)))
    assert [[f.mode for f in s] for s in said] == [["gpu_lost"], *[[]] * 11]


def test_a_link_warning_must_come_again() -> None:
    warnings = [Event(k * HOUR, "n0/gpu1", "sxid", "20001", "Non-fatal, Link 3", 3) for k in range(5)]
    said = feed(*(tick(k * HOUR + SECOND, [w]) for k, w in enumerate(warnings)))
    assert [len(s) for s in said] == [0, 0, 0, 0, 1]
    assert "5 times, 15 lines" in said[-1][0].why


def test_further_lines_of_one_fault_do_not_hide_how_grave_it_is() -> None:
    texts = ("Fatal, Link 63 LTSSM Fault Up", "Severity 1 Engine instance 62", "Data {0x10000000, 0x10000000}")
    (said,) = feed(tick(10 * SECOND, [Event(k, "n0", "sxid", "20034", text) for k, text in enumerate(texts)]))
    assert [(f.subject, f.side, f.value) for f in said] == [("n0", "health", 3.0)]


def test_unknown_codes_are_counted_and_accuse_nobody() -> None:
    detector = plugins.detector("events")
    said = [list(detector.step(tick((k + 1) * 10 * SECOND, [xid(k * 10 * SECOND, "n0/gpu0", f"9{k:05d}", "?", 2)]), STANDING)) for k in range(3000)]
    assert not any(said)
    assert 1000 < len(detector.facts.unknown) <= 1100
    assert detector.facts.unknown["xid:902999"] in (0, 2)


def test_a_pause_in_the_middle_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    codes = ["13", "45", "48", "63", "94", "20001"]
    ticks = []
    for k in range(60):
        now = (k + 1) * 10 * MINUTE
        events = {xid(now - int(rng.integers(1, MINUTE)), GPUS[rng.integers(32)], codes[rng.integers(6)]) for _ in range(4)}
        ticks.append(tick(now, sorted(events), view=roster(f"j{k // 20}")))
    whole, first, second = (plugins.detector("events") for _ in range(3))
    before = [repr(list(whole.step(t, STANDING))) for t in ticks]
    for t in ticks[:31]:
        first.step(t, STANDING)
    second.restore({k: np.array(v) for k, v in first.snapshot().items()})
    assert [repr(list(second.step(t, STANDING))) for t in ticks[31:]] == before[31:]
    assert json.loads(str(second.snapshot()["events"])) == json.loads(str(whole.snapshot()["events"]))


def test_memory_is_bounded() -> None:
    detector = plugins.detector("events")
    for k in range(3):
        events = sorted(xid(k * HOUR + i, f"m{k}x{i}/gpu0", "48") for i in range(25_000))
        detector.step(tick((k + 1) * HOUR, events), STANDING)
        detector.step(tick((k + 1) * HOUR + 1, [xid(k * HOUR, "n0/gpu0", "48")]), STANDING)
    assert len(detector.facts.known) <= 1 << 16
    assert len(detector.facts.seen) <= 1 << 18
