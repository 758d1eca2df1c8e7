"""What every detector promises; found by themselves, so a new file in detectors/ is held to it without being named."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.catalogue import SIDES
from grayscope.evidence import SCHEMA, Evidence, Finding
from grayscope.judge import Judge
from grayscope.message import Message
from grayscope.modes import Modes
from tests.contract.conftest import fleet, walk

Walked = list[tuple[Any, Any]]
Heard = Callable[[str], list[Finding]]
#: Of pure noise.
TICKS = 2160

pytestmark = pytest.mark.parametrize("name", plugins.names("detectors"))


def said(detector: Any, walked: Walked) -> list[Finding]:
    return [f for tick, standing in walked for f in detector.step(tick, standing)]


@pytest.fixture(scope="module")
def heard(walked: Walked) -> Heard:
    """What each detector says of the fleet, heard once."""
    return cache(lambda name: said(plugins.detector(name), walked))


def rival(name: str) -> bool:
    return bool(plugins.load("detectors", name).rival)


def test_evidence_follows_the_schema(name: str, walked: Walked, heard: Heard) -> None:
    modes, places = Modes.load().modes, {s for tick, _ in walked[:20] for s in tick.subjects} | {"n0", "n1", "n2", "site", "job:j1"}
    findings = heard(name)
    for f in findings:
        assert f.detector == name
        assert f.side in SIDES
        assert math.isfinite(f.strength)
        assert f.subject in places
        assert f.mode in modes or f.mode == ""
        assert f.why
        assert "\n" not in f.why
    assert Evidence(findings).to_arrow().schema == SCHEMA


def test_something_is_found_in_a_fleet_with_every_kind_of_trouble(name: str, heard: Heard) -> None:
    if rival(name):
        pytest.skip("a rival may miss what it was not made for")
    if "gpu" not in getattr(plugins.load("detectors", name), "tables", {"gpu"}):
        pytest.skip("made for other tables: its own test shows what it finds there")
    assert heard(name)


def test_the_same_ticks_give_the_same_evidence(name: str, walked: Walked, heard: Heard) -> None:
    assert repr(heard(name)) == repr(said(plugins.detector(name), walked))


def test_a_pause_changes_nothing(name: str, walked: Walked) -> None:
    whole, first = plugins.detector(name), plugins.detector(name)
    half = len(walked) // 2 + 3
    said(whole, walked[:half])
    said(first, walked[:half])
    state = {k: v.copy() for k, v in first.snapshot().items()}
    second = plugins.detector(name)
    second.restore(state)
    assert repr(said(second, walked[half:])) == repr(said(whole, walked[half:]))  # repr: NaN equals NaN
    ours, theirs = second.snapshot(), whole.snapshot()
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[k], theirs[k], equal_nan=ours[k].dtype.kind == "f") for k in ours)


def rename(subject: str) -> str:
    node, gpu = subject.split("/")
    return f"x{7 - int(node[1:])}/gpu{9 - int(gpu[3:])}"


@pytest.fixture(scope="module")
def named_twice() -> tuple[Walked, Walked]:
    return walk(fleet()), walk(fleet(rename=rename))


def test_names_do_not_matter(name: str, named_twice: tuple[Walked, Walked]) -> None:
    plain, renamed = (said(plugins.detector(name), ticks) for ticks in named_twice)
    key = {s: rename(s) for s in named_twice[0][0][0].subjects} | {f"n{i}": f"x{7 - i}" for i in range(3)}
    ours = sorted((f.time, key.get(f.subject, f.subject), f.metric, f.mode, f.strength) for f in plain)
    theirs = sorted((f.time, f.subject, f.metric, f.mode, f.strength) for f in renamed)
    assert [o[:4] for o in ours] == [t[:4] for t in theirs]
    assert np.allclose([o[4] for o in ours], [t[4] for t in theirs], atol=1e-5)


@pytest.fixture(scope="module")
def holed() -> Walked:
    rng = np.random.default_rng(1)

    def messages() -> Iterator[Message]:
        for message in fleet(ticks=200):
            if isinstance(message, Batch):
                values = message.values.copy()
                values[0, rng.integers(values.shape[1])] = np.nan
                values[0, :, rng.integers(values.shape[2], size=4)] = np.nan
                values[0, 0] = np.nan
                yield Batch(message.table, message.times, message.subjects, message.metrics, values)
            else:
                yield message

    return walk(messages())


def test_holes_are_survived(name: str, holed: Walked) -> None:
    assert all(math.isfinite(f.strength) for f in said(plugins.detector(name), holed))


@pytest.fixture(scope="module")
def alone() -> Walked:
    return walk(fleet(subjects=("n0/gpu3",)))


def test_one_alone_is_never_accused(name: str, alone: Walked) -> None:
    findings = said(plugins.detector(name), alone)
    assert [f for f in findings if f.side in ("service", "redundancy", "condition")] == []


def test_memory_is_bounded_in_time(name: str, walked: Walked) -> None:
    detector = plugins.detector(name)
    said(detector, walked[: len(walked) // 2])
    early = sum(a.nbytes for a in detector.snapshot().values())
    said(detector, walked[len(walked) // 2 :])
    assert sum(a.nbytes for a in detector.snapshot().values()) <= early * 1.05 + 4096


@pytest.fixture(scope="module")
def noisy() -> Walked:
    return walk(_noise(TICKS))


def test_noise_alarms_no_more_than_configured(name: str, noisy: Walked) -> None:
    """One false page per subject-day is configured; counted are pages and tickets on pure noise."""
    false_pages = 7000.0
    detector, judge, pages = plugins.detector(name, false_pages=false_pages), Judge(false_pages), 0
    for tick, standing in noisy:
        verdicts = judge.step(tick, detector.step(tick, standing))
        pages += sum(v.state in ("gray", "masked", "failed") for v in verdicts)
    accepted = 64 * TICKS / 8640
    if rival(name):
        print(f"{name}: {pages} alarms on noise, {accepted:.0f} configured")
        return
    assert pages <= accepted


def _noise(ticks: int) -> Iterator[Message]:
    """Yield 64 healthy subjects: offsets that stay, noise with a memory and with heavy tails, rare harmless counts."""
    rng = np.random.default_rng(11)
    subjects = tuple(f"n{i // 8}/gpu{i % 8}" for i in range(64))
    metrics = ('gpu_clock_hertz{domain="sm"}', 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}', 'gpu_temperature_celsius{sensor="gpu"}')
    offset, noise = rng.normal(0, 0.3, (3, 64)), np.zeros((3, 64))
    for t in range(ticks):
        noise = 0.6 * noise + rng.standard_t(5, (3, 64))
        values = np.stack([1.9e9 * np.exp(0.003 * (noise[0] + offset[0])), rng.poisson(0.01, 64), 70 + noise[2] + offset[2]])
        yield Batch("gpu", np.array([(t + 1) * 10_000_000]), subjects, metrics, values[None].astype(np.float32))
