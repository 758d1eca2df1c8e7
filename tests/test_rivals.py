"""Rivals: they run alone, without blame, and what they find passes straight to the desk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from grayscope import assembly, plugins
from grayscope.batch import Batch
from grayscope.catalogue import Metric
from grayscope.columns import Field, Memory
from grayscope.engine import Engine, EngineSettings, Output
from grayscope.errors import UsageError
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.passing import ABSENT, PassThrough
from grayscope.rivals import CERTAIN, called, groups, keep, loaded, measures, mode_of, served, timed
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.stand import Stand
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.verdict import Verdict

S = 1_000_000
RIVALS = [name for name in plugins.names("detectors") if plugins.is_rival(name)]


class Script:
    """A rival that accuses whoever its script names at a tick."""

    rival: ClassVar[bool] = True

    def __init__(self, script: Mapping[int, tuple[str, ...]]) -> None:
        self.script, self.ticks = script, 0

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        self.ticks += 1
        return Evidence(Finding(tick.time, s, "service", "script", CERTAIN, "slow_component", why="said so") for s in self.script.get(self.ticks, ()))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        return {"ticks": np.array(self.ticks)}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.ticks = int(state["ticks"])


def batches(ticks: int, first: int = 1) -> Iterator[Batch]:
    names = tuple(f"n0/gpu{i}" for i in range(8))
    for t in range(first, first + ticks):
        yield Batch("gpu", np.array([t * 10 * S]), names, ("gpu_power_watts",), np.full((1, 1, 8), 500.0, np.float32))


def ran(engine: Engine, ticks: int, first: int = 1) -> list[Output]:
    outputs = [engine.step(batch) for batch in batches(ticks, first)]
    return [*outputs, engine.flush()]


def tick(number: int, table: str = "gpu", period: int = 10 * S) -> Tick:
    return Tick(table, number * period, period, View(0, {}), ("a",), (), np.empty((0, 1), np.float32), np.zeros(1, bool))


def says(side: str = "service", subject: str = "a", **more: Any) -> Evidence:
    return Evidence([Finding(5, subject, side, "rival", CERTAIN, **more)])


# -- the engine -----------------------------------------------------------------------------------------------------


def test_a_mixture_is_refused_and_says_so() -> None:
    mixed = [plugins.detector("minder"), plugins.detector("slower")]
    with pytest.raises(UsageError, match=r"rivals are scored alone: minder cannot run together with slower"):
        Engine(mixed)
    with pytest.raises(UsageError, match=r"static.*health"):
        assembly.engine(Settings(detectors=("static", "health")))
    assert len(Engine([plugins.detector("minder"), plugins.detector("nvrx")]).detectors) == 2


def test_rivals_are_never_on_by_default() -> None:
    assert set(RIVALS) == {"ecdf", "eroica", "greyhound", "iaso", "minder", "nvrx", "perseus", "static", "votes007"}
    assert not set(RIVALS) & set(plugins.default_detectors())
    for name in plugins.names("detectors"):
        assert plugins.is_rival(name) == plugins.load("detectors", name).rival


def test_in_at_once_out_after_a_short_absence_as_one_incident() -> None:
    engine = Engine([Script({5: ("n0/gpu1",), 7: ("n0/gpu1",)})], settings=EngineSettings(periods={"gpu": 10 * S}))
    outputs = ran(engine, 20)
    verdicts = [v for o in outputs for v in o.verdicts]
    assert [(v.time // (10 * S), v.state, v.previous) for v in verdicts] == [(5, "gray", "normal"), (7 + ABSENT + 1, "normal", "gray")]
    incidents = {i.id: i for o in outputs for i in o.incidents}
    (incident,) = incidents.values()
    assert (incident.subject, incident.severity, incident.ended) == ("n0/gpu1", "page", (7 + ABSENT + 1) * 10 * S)


def test_blame_is_off() -> None:
    everybody = tuple(f"n0/gpu{i}" for i in range(8))
    rival = ran(Engine([Script({5: everybody})], settings=EngineSettings(periods={"gpu": 10 * S})), 6)
    assert sorted(v.subject for o in rival for v in o.verdicts) == list(everybody)
    own = Script({5: everybody})
    own.__class__ = type("Own", (Script,), {"rival": False})
    blamed = ran(Engine([own], settings=EngineSettings(periods={"gpu": 10 * S})), 6)
    assert {v.subject for o in blamed for v in o.verdicts} == {"n0"}


def test_a_pause_changes_nothing() -> None:
    def engine() -> Engine:
        return Engine([Script({5: ("n0/gpu1",), 6: ("n0/gpu1", "n0/gpu2"), 7: ("n0/gpu2",)})], settings=EngineSettings(periods={"gpu": 10 * S}))

    whole = [v for o in ran(engine(), 20) for v in o.verdicts]
    first, second = engine(), engine()
    before = [v for o in ran(first, 6) for v in o.verdicts]
    second.restore({k: v.copy() for k, v in first.snapshot().items()})
    after = [v for o in ran(second, 14, 7) for v in o.verdicts]
    assert repr([*before, *after]) == repr(whole)


# -- passing through ------------------------------------------------------------------------------------------------


def passed(script: list[Evidence], table: str = "gpu", judge: PassThrough | None = None) -> list[Verdict]:
    judge = judge or PassThrough()
    return [v for i, e in enumerate(script) for v in judge.step(tick(i + 1, table), e)]


@pytest.mark.parametrize(
    ("side", "state"), [("service", "gray"), ("redundancy", "masked"), ("condition", "masked"), ("health", "failed"), ("coverage", "unknown")]
)
def test_each_side_is_a_state_symptoms_included(side: str, state: str) -> None:
    (verdict,) = passed([says(side, why="w", metric="m", mode="slow_rank")])
    assert (verdict.state, verdict.why, verdict.metric, verdict.mode, verdict.since) == (state, "w", "m", "slow_rank", 5)


def test_the_gravest_finding_decides_and_leaves_the_lesser_behind() -> None:
    both = Evidence([*says("redundancy", metric="x"), *says("service", metric="y")])
    verdicts = passed([both, *[says("redundancy", metric="x")] * 8])
    assert [(v.previous, v.state) for v in verdicts] == [("normal", "gray"), ("gray", "masked")]


def test_another_table_that_ticks_on_ends_what_fell_asleep() -> None:
    judge = PassThrough()
    list(judge.step(tick(1, "rank"), says()))
    verdicts = [v for t in range(2, 12) for v in judge.step(tick(t), NOTHING)]
    assert [(v.state, v.time) for v in verdicts] == [("normal", (1 + ABSENT + 1) * 10 * S)]
    assert judge.cases == {}


def test_a_slow_table_has_time_between_its_ticks() -> None:
    judge = PassThrough()
    found = [v for n in range(1, 4) for v in judge.step(tick(n, "nvlink", 60 * S), says())]
    between = [v for t in range(19, 36) for v in judge.step(tick(t), NOTHING)]
    assert [v.state for v in found] == ["gray"]
    assert between == []
    assert judge.doubted == frozenset()


# -- what they share ------------------------------------------------------------------------------------------------


def test_which_rows_are_judged() -> None:
    names = (
        "collective_wait_seconds", "compute_seconds", "nccl_net_events_total", "step_seconds", "unheard_of",
    )  # fmt: skip
    subjects = tuple(f"job:1/r{i}" for i in range(4))
    roster = Roster([RosterRow(s, "rank", keys={"gpu": f"n1/gpu{s[-1]}"}) for s in subjects]).at(0)
    at = Tick("rank", 10 * S, 10 * S, roster, subjects, names, np.ones((5, 4), np.float32), np.zeros(4, bool))
    from grayscope.catalogue import Catalogue

    standing = Stand(Catalogue.load()).step(at)
    assert measures(standing).tolist() == served(standing).tolist() == timed(standing).tolist() == [1]
    assert loaded(standing).tolist() == []
    assert called(at, subjects[2]) == "n1/gpu2"
    assert called(tick(1), "a") == "a"


def test_a_ring_is_full_once_per_round() -> None:
    memory = Memory({"recent": Field(np.float32, np.nan, (4,), per_metric=False)})
    full = [keep(memory.of(tick(t)), "recent", np.array([t], np.float32), 3, 2) for t in range(1, 13)]
    assert [i + 1 for i, done in enumerate(full) if done] == [6, 12]
    assert sorted(memory.tables["gpu"].arrays["recent"][:3, 0].tolist()) == [8, 10, 12]


def test_a_look_alike_is_nothing_that_a_rival_knows() -> None:
    assert mode_of(Metric("x", "nic", side="service", mode="fabric_congestion")) == "slow_component"
    assert mode_of(Metric("x", "nic", side="redundancy")) == ""
    assert mode_of(Metric("x", "rank", side="service", mode="slow_rank")) == "slow_rank"


def test_symptoms_are_no_performance() -> None:
    from grayscope.catalogue import Catalogue

    names = ('gpu_clock_hertz{domain="sm"}', "gpu_power_watts", 'gpu_temperature_celsius{sensor="gpu"}')
    subjects = ("n1/gpu0", "n1/gpu1")
    at = Tick("gpu", 10 * S, 10 * S, View(0, {}), subjects, names, np.ones((3, 2), np.float32), np.zeros(2, bool))
    standing = Stand(Catalogue.load()).step(at)
    assert (measures(standing).tolist(), timed(standing).tolist(), loaded(standing).tolist()) == ([0], [], [])


def test_communicators_are_compared_within_their_job() -> None:
    from grayscope.catalogue import Catalogue

    subjects = ("comm:1-a", "comm:1-b", "comm:2-a", "comm:2-b")
    roster = Roster([RosterRow(s, "comm", keys={"job": s[:6], "role": "rail"}) for s in subjects]).at(0)
    at = Tick("comm", 10 * S, 10 * S, roster, subjects, ("collective_transfer_seconds",), np.ones((1, 4), np.float32), np.zeros(4, bool))
    standing = Stand(Catalogue.load()).step(at)
    label, n = groups(at, standing, served(standing))
    assert (label.tolist(), n) == ([[0, 0, 1, 1]], 2)


@pytest.mark.parametrize(("line", "marked"), [("rival = True", True), ("rival: bool = True", True), ("rival = False", False), ("pass", False)])
def test_the_mark_is_read_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, marked: bool) -> None:
    (tmp_path / "some_one.py").write_text(f'"""Someone: breaks when imported."""\nclass SomeOne:\n    {line}\nraise SystemExit\n')
    monkeypatch.setattr("grayscope.detectors.__path__", [str(tmp_path)])
    assert plugins.is_rival("some_one") == marked
