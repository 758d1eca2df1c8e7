"""Lemons: who is late again and again is found, with its job's size taken into account; a replaced part starts afresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import assembly, plugins
from grayscope.align import Align
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.evidence import Finding
from grayscope.roster import RosterRow
from grayscope.settings import Settings
from grayscope.stand import Stand
from grayscope.standing import Standing
from grayscope.tick import Tick

MINUTE = 60_000_000
NODES, GPUS = 8, 4
TIMES, SHORT = 300, 200


def through(size: float, born: float, without: str = "") -> set[tuple[str, str, str]]:
    """Return whom the whole line accuses in ten jobs on GPUs that differ by `born` for ever, one of them slower by `size` for 24 minutes in each job."""
    rng = np.random.default_rng(5)
    settings = Settings(detectors=tuple(d for d in plugins.default_detectors() if d != without))
    engine = assembly.engine(settings, periods={"rank": MINUTE})
    offset = rng.normal(0, born, NODES * GPUS)

    def times(t: int) -> NDArray[np.float64]:
        slow = np.array([size if g == 6 and 100 <= t % SHORT < 124 else 0.0 for g in range(NODES * GPUS)])
        return np.exp(slow + offset + rng.normal(0, 0.02, NODES * GPUS))

    outputs = [*(engine.step(message) for message in messages(times, 10, SHORT)), engine.flush()]
    return {(i.subject, i.severity, i.mode) for output in outputs for i in output.incidents if i.severity != "notice"}


def walk(late: Callable[[int, int], bool], jobs: int = 5, serial: Callable[[int, int], str] = lambda g, _job: f"S{g}") -> Iterator[tuple[Tick, Standing]]:
    """Yield the ticks of one job after another on the same GPUs; ``late(tick, gpu)`` says whose computing takes 20 % longer."""
    rng = np.random.default_rng(3)
    align, stand = Align(lambda _: False, {"rank": MINUTE}), Stand(Catalogue.load())

    def times(t: int) -> NDArray[np.float64]:
        slow = np.array([1.2 if late(t, g) else 1.0 for g in range(NODES * GPUS)])
        return slow * np.exp(rng.normal(0, 0.02, NODES * GPUS))

    for message in messages(times, jobs, TIMES, serial):
        for tick in align.step(message):
            yield tick, stand.step(tick)


def messages(
    times: Callable[[int], NDArray[np.float64]], jobs: int, long: int, serial: Callable[[int, int], str] = lambda g, _job: f"S{g}"
) -> Iterator[tuple[RosterRow, ...] | Batch]:
    """Yield the roster and the rows of one job after another on the same GPUs, `long` ticks each; ``times(tick)`` says how long computing takes them."""
    rows: list[RosterRow] = []
    for job in range(jobs):
        since, until = job * long * MINUTE + 1, (job + 1) * long * MINUTE + 1
        for g in range(NODES * GPUS):
            gpu = f"n{g // GPUS}/gpu{g % GPUS}"
            rows.append(RosterRow(f"job:{job}/r{g}", "rank", since, until, {"gpu": gpu, "node": f"n{g // GPUS}", "job": f"job:{job}", "role": "dp"}))
            rows.append(RosterRow(gpu, "gpu", since, until, {"serial": serial(g, job)}))
    yield tuple(rows)
    for t in range(jobs * long):
        names = tuple(f"job:{t // long}/r{g}" for g in range(NODES * GPUS))
        yield Batch("rank", np.array([(t + 1) * MINUTE]), names, ("compute_seconds",), times(t).astype(np.float32)[None, None])


def said(walked: Iterator[tuple[Tick, Standing]]) -> list[Finding]:
    detector = plugins.detector("lemons")
    return [f for tick, standing in walked for f in detector.step(tick, standing)]


def spell(t: int, every: int = TIMES, begins: int = 100) -> bool:
    """Say whether a time lies in the half hour that comes once in `every` ticks."""
    return begins <= t % every < begins + 30


def accused(found: list[Finding]) -> set[str]:
    return {f.subject for f in found if f.strength >= 6.9}


def test_a_gpu_that_is_late_for_half_an_hour_in_every_job_is_a_lemon() -> None:
    found = said(walk(lambda t, g: g == 6 and spell(t)))
    assert accused(found) == {"n1/gpu2"}
    last = found[-1]
    assert (last.mode, last.side) == ("lemon_node", "service")
    assert last.why.startswith("slower than its peers and than before in 5 jobs: ")
    assert last.value > 10 * last.expected


def test_gpus_of_one_node_by_turns_are_the_nodes_matter() -> None:
    assert accused(said(walk(lambda t, g: g == 8 + (t // TIMES) % 4 and spell(t)))) == {"n2"}


def test_what_nothing_else_finds_is_found_by_the_whole_line() -> None:
    """Two and a half percent for 24 minutes in each of ten jobs, among parts that differ by one percent for ever."""
    assert through(0.025, 0.01) == {("n1/gpu2", "ticket", "lemon_node")}


@pytest.mark.parametrize("born", [0.01, 0.03, 0.08])
def test_healthy_parts_that_differ_for_ever_are_no_lemons(born: float) -> None:
    assert through(0.0, born) == set()


def test_who_is_always_slower_is_not_late_again_and_again() -> None:
    """A part that is 4 % slower than its peers in all jobs and at all times has no episodes."""
    rng = np.random.default_rng(1)
    detector, stand, align = plugins.detector("lemons"), Stand(Catalogue.load()), Align(lambda _: False, {"rank": MINUTE})
    always = np.where(np.arange(NODES * GPUS) == 6, 0.04, 0.0)
    for message in messages(lambda _: np.exp(always + rng.normal(0, 0.02, NODES * GPUS)), 6, SHORT):
        for tick in align.step(message):
            assert len(detector.step(tick, stand.step(tick))) == 0
    assert detector.past["n1/gpu2"].suffered == 0


def test_one_job_alone_proves_nothing() -> None:
    assert said(walk(lambda t, g: g == 6 and t < TIMES and spell(t), jobs=4)) == []
    assert said(walk(lambda t, g: g == 6 and spell(t, every=100, begins=70), jobs=1)) == []


def test_what_strikes_everybody_by_turns_makes_nobody_a_lemon() -> None:
    assert accused(said(walk(lambda t, g: g == (t // 40) % (NODES * GPUS) and spell(t, every=40, begins=0)))) == set()


def test_a_replaced_gpu_starts_afresh() -> None:
    swapped = said(walk(lambda t, g: g == 6 and spell(t), serial=lambda g, job: f"S{g}-{job if g == 6 else 0}"))
    assert "n1/gpu2" not in accused(swapped)


def test_memory_goes_on_after_a_pause_between_jobs() -> None:
    walked = list(walk(lambda t, g: g == 6 and spell(t)))
    whole, first, second = (plugins.detector("lemons") for _ in range(3))
    half = len(walked) // 2
    expected = [f for tick, standing in walked for f in whole.step(tick, standing)]
    early = [f for tick, standing in walked[:half] for f in first.step(tick, standing)]
    second.restore({k: v.copy() for k, v in first.snapshot().items()})
    assert repr(early + [f for tick, standing in walked[half:] for f in second.step(tick, standing)]) == repr(expected)
