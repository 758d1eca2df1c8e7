from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.abreast import replay_abreast
from grayscope.evidence import Evidence, Finding
from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.passing import PassThrough
from grayscope.replaying import replay
from grayscope.roster import View
from grayscope.settings import Settings
from grayscope.tick import Tick
from grayscope.verdict import Verdict

RIVALS = tuple(name for name in plugins.names("detectors") if plugins.is_rival(name))
SETTINGS = Settings(cluster="c")


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("abreast") / "trace"
    Simulation(load("mixed").but(nodes=8, hours=0.2, seed=101, acceleration=4000.0)).write(path)
    return path


@pytest.fixture(scope="module")
def together(trace: Path) -> Path:
    out = trace.parent / "together"
    costs = replay_abreast(trace, {name: out / name for name in RIVALS}, SETTINGS)
    assert {name: cost.error for name, cost in costs.items()} == dict.fromkeys(RIVALS)
    assert {cost.among for cost in costs.values()} == {len(RIVALS)}
    assert all(cost.own > 0 and cost.common > 0 for cost in costs.values())
    return out


def contents(folder: Path) -> dict[str, Any]:
    """Every file byte for byte, but for the seconds that the run took."""
    run = json.loads((folder / "run.json").read_text("utf-8"))
    assert run.pop("seconds") >= 0
    return {"run.json": run, **{p.name: p.read_bytes() for p in folder.iterdir() if p.name != "run.json"}}


@pytest.mark.parametrize("name", RIVALS)
def test_each_rival_writes_what_it_writes_alone(trace: Path, together: Path, tmp_path: Path, name: str) -> None:
    replay(trace, settings=SETTINGS, detectors=[name], out=tmp_path / "alone")
    assert contents(together / name) == contents(tmp_path / "alone")


def test_somebody_has_something_to_say(together: Path) -> None:
    assert sum(bool((together / name / "incidents.jsonl").read_text("utf-8")) for name in RIVALS) >= 4


def test_who_fails_on_the_way_is_told_and_the_others_go_on(trace: Path, together: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, ticks = plugins.load("detectors", "iaso"), iter(range(50))
    step = kind.step

    def tired(self: Any, *given: Any) -> Evidence:
        if next(ticks, None) is None:
            raise ValueError("no more")
        return step(self, *given)  # type: ignore[no-any-return]

    monkeypatch.setattr(kind, "step", tired)
    costs = replay_abreast(trace, {name: tmp_path / name for name in ("iaso", "static")}, SETTINGS)
    assert (costs["iaso"].error, costs["static"].error) == ("ValueError: no more", None)
    assert not (tmp_path / "iaso").exists()
    assert contents(tmp_path / "static") == contents(together / "static")


def test_who_doubts_cannot_run_abreast(trace: Path, tmp_path: Path) -> None:
    (cost,) = replay_abreast(trace, {"slower": tmp_path / "slower"}, SETTINGS).values()
    assert cost.error is not None
    assert "only rivals" in cost.error
    assert not (tmp_path / "slower").exists()


# -- passing through ------------------------------------------------------------------------------------------------


def stream(seed: int) -> Iterator[tuple[Tick, Evidence]]:
    """Findings that come and go on ten subjects, from two tables with their own periods."""
    rng = np.random.default_rng(seed)
    for second in range(0, 1200, 10):
        for table, period in (("gpu", 10), ("nvlink", 60)):
            if second % period == 0:
                who: Any = rng.choice(10, rng.integers(0, 4), replace=False) if rng.random() < 0.4 else []
                sides = rng.choice(["service", "redundancy", "condition", "health"], len(who))
                found = [Finding(second, f"n{s}", str(side), "d", float(rng.integers(1, 5)), metric=str(side)) for s, side in zip(who, sides, strict=True)]
                empty = np.empty((0, 1), np.float32)
                yield Tick(table, second * 1_000_000, period * 1_000_000, View(0, {}), ("a",), (), empty, np.zeros(1, bool)), Evidence(found)


@pytest.mark.parametrize("seed", range(5))
def test_looking_only_at_what_changed_says_the_same(seed: int) -> None:
    def said(everything: bool) -> list[Verdict]:
        judge = PassThrough()
        found: list[Verdict] = []
        for tick, evidence in stream(seed):
            for case in judge.cases.values() if everything else ():
                case.soonest = -1
            found += judge.step(tick, evidence)
        return found

    quick = said(everything=False)
    assert len(quick) > 50
    assert repr(quick) == repr(said(everything=True))


def test_a_pause_forgets_no_expiry() -> None:
    judge = PassThrough()
    found: list[Verdict] = []
    for tick, evidence in stream(9):
        found += judge.step(tick, evidence)
        state, judge = judge.snapshot(), PassThrough()
        judge.restore(state)
    whole = PassThrough()
    assert repr(found) == repr([v for tick, evidence in stream(9) for v in whole.step(tick, evidence)])
