"""Lemons: who is late again and again is found, with its job's size taken into account; a replaced part starts afresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from grayscope import plugins
from grayscope.align import Align
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.evidence import Finding
from grayscope.roster import RosterRow
from grayscope.stand import Stand
from grayscope.standing import Standing
from grayscope.tick import Tick

MINUTE = 60_000_000
NODES, GPUS = 8, 4
TIMES = 300


def walk(late: Callable[[int, int], bool], jobs: int = 5, serial: Callable[[int, int], str] = lambda g, _job: f"S{g}") -> Iterator[tuple[Tick, Standing]]:
    """Yield the ticks of one job after another on the same GPUs; ``late(tick, gpu)`` says whose computing takes 20 % longer."""
    rng, catalogue = np.random.default_rng(3), Catalogue.load()
    align, stand = Align(lambda _: False, {"rank": MINUTE}), Stand(catalogue)
    rows: list[RosterRow] = []
    for job in range(jobs):
        since, until = job * TIMES * MINUTE + 1, (job + 1) * TIMES * MINUTE + 1
        for g in range(NODES * GPUS):
            gpu = f"n{g // GPUS}/gpu{g % GPUS}"
            rows.append(RosterRow(f"job:{job}/r{g}", "rank", since, until, {"gpu": gpu, "node": f"n{g // GPUS}", "job": f"job:{job}", "role": "dp"}))
            rows.append(RosterRow(gpu, "gpu", since, until, {"serial": serial(g, job)}))
    messages: list[tuple[RosterRow, ...] | Batch] = [tuple(rows)]
    for t in range(jobs * TIMES):
        names = tuple(f"job:{t // TIMES}/r{g}" for g in range(NODES * GPUS))
        slow = np.array([1.2 if late(t, g) else 1.0 for g in range(NODES * GPUS)])
        values = (slow * np.exp(rng.normal(0, 0.02, len(names)))).astype(np.float32)
        messages.append(Batch("rank", np.array([(t + 1) * MINUTE]), names, ("compute_seconds",), values[None, None]))
    for message in messages:
        for tick in align.step(message):
            yield tick, stand.step(tick)


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
    assert last.why.startswith("5 episodes as one of the worst of its role, in 5 jobs: ")
    assert last.value > 10 * last.expected


def test_gpus_of_one_node_by_turns_are_the_nodes_matter() -> None:
    assert accused(said(walk(lambda t, g: g == 8 + (t // TIMES) % 4 and spell(t)))) == {"n2"}


def test_one_job_alone_proves_it_only_with_many_episodes_far_apart() -> None:
    assert said(walk(lambda t, g: g == 6 and t < TIMES and spell(t), jobs=4)) == []
    again = said(walk(lambda t, g: g == 6 and spell(t, every=150, begins=60), jobs=1))
    assert again == []


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
