"""Situations of which the reference tells, drawn at random: few ticks of a small fleet, straight into the engine, with who is to be accused of it.

Simulated traces are quiet, and hold each of these too seldom to show what a part is for. The same seed gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.incident import Incident
from grayscope.message import Message
from grayscope.roster import RosterRow
from grayscope.settings import Settings

Floats = NDArray[np.float64]
Rng = np.random.Generator
SECOND, MINUTE = 1_000_000, 60_000_000
RETRANSMITS = 'nic_port_retransmits_total{cause="ack_timeout"}'
#: Ticks before what happens, and after it.
BEFORE, AFTER = 150, 120


class Scene(NamedTuple):
    """Who is there, what they tell, and who is to be accused, nobody if it only looks like trouble.

    Until when it was so, microseconds, 0: to the end; as what it is to be said, if that matters; the table that is told once a minute; and from
    when on what is said counts: what was before is only remembered.
    """

    rows: tuple[RosterRow, ...]
    batches: Iterator[Message]
    wanted: frozenset[str]
    period: int = 10 * SECOND
    until: int = 0
    severity: str = ""
    minutely: str = ""
    since: int = 0


def play(scene: Scene, detectors: Sequence[str]) -> tuple[list[Incident], int]:
    """Return the last word on every incident, and when the last of what they tell was, microseconds."""
    periods = dict.fromkeys(("rank", "gpu", "nic", "node", "drive", "comm", "path"), scene.period) | {scene.minutely: MINUTE}
    engine = assembly.engine(Settings(detectors=tuple(detectors)), periods=periods)
    outputs, end = [engine.step(scene.rows)], 0
    for message in scene.batches:
        end = int(message.times[-1]) if isinstance(message, Batch) else end
        outputs.append(engine.step(message))
    outputs.append(engine.flush())
    return list({i.id: i for output in outputs for i in output.incidents}.values()), end


def fleet(jobs: Sequence[int], gpus: int, racks: int = 1) -> tuple[RosterRow, ...]:
    """Return jobs of so many machines each, dealt over racks."""
    rows, node = [], 0
    for job, machines in enumerate(jobs):
        for place in range(machines):
            keys = {"node": f"n{node:02}", "job": f"job:{job}", "sku": "A", "role": "dp", "rack": f"rack{place % racks}"}
            rows.append(RosterRow(f"n{node:02}", "node", keys=keys))
            for g in range(gpus):
                gpu = f"n{node:02}/gpu{g}"
                rows += [RosterRow(gpu, "gpu", keys=keys), RosterRow(f"job:{job}/r{place * gpus + g:03}", "rank", keys={**keys, "gpu": gpu})]
            node += 1
    return tuple(rows)


def of(rows: Sequence[RosterRow], table: str) -> list[RosterRow]:
    """Return the rows of one table."""
    return [r for r in rows if r.table == table]


def told(table: str, names: Sequence[str], metrics: tuple[str, ...], values: Iterator[Floats], period: int = 10 * SECOND) -> Iterator[Batch]:
    """Yield the values [M, S] of one tick after another."""
    for t, one in enumerate(values, 1):
        yield Batch(table, np.array([t * period]), tuple(names), metrics, one.astype(np.float32)[None])


def slower(
    rows: tuple[RosterRow, ...], size: Floats, rng: Rng, wanted: set[str], wander: float = 0.0, after: int = AFTER, when: Sequence[slice] = (slice(None),)
) -> Scene:
    """Return ranks of which each takes longer by its `size` [S], a logarithm, `when` it is so of the ticks `after` some; jobs wander in common."""
    ranks = of(rows, "rank")
    job = np.unique([r.keys["job"] for r in ranks], return_inverse=True)[1]
    offset, bad = 0.02 * rng.standard_normal(len(ranks)), np.zeros(BEFORE + after, bool)
    for span in when:
        bad[BEFORE:][span] = True

    def values() -> Iterator[Floats]:
        phase = np.zeros(job.max() + 1)
        for now in bad:
            phase = 0.9 * phase + wander * rng.standard_normal(len(phase))
            yield np.exp(offset + phase[job] + 0.01 * rng.standard_normal(len(ranks)) + size * now)[None]

    return Scene(rows, told("rank", [r.subject for r in ranks], ("compute_seconds",), values()), frozenset(wanted))


def few(rng: Rng) -> Scene:
    """One rank of a job of two or three gets slower: no group to hold it against."""
    rows = fleet([int(rng.integers(2, 4))] * 12, 1)
    at, ranks = int(rng.integers(12)), of(rows, "rank")
    return slower(rows, rng.uniform(0.05, 0.2) * (np.arange(len(ranks)) == at), rng, {ranks[at].keys["gpu"]}, 0.02)


def steady(rng: Rng) -> Scene:
    """One rank gets slower by a few times its noise, and stays so."""
    rows, at = fleet([8], 4), int(rng.integers(32))
    return slower(rows, rng.uniform(0.03, 0.06) * (np.arange(32) == at), rng, {of(rows, "rank")[at].keys["gpu"]}, after=600)


def back(rng: Rng) -> Scene:
    """One rank is slower for twenty minutes, twice, with as long or twice as long between: one matter."""
    rows, at = fleet([8], 4), int(rng.integers(32))
    when = slice(0, 120), slice(int(rng.integers(240, 360)), None)
    return slower(rows, 0.1 * (np.arange(32) == at), rng, {of(rows, "rank")[at].keys["gpu"]}, after=480, when=when)


def over(rng: Rng) -> Scene:
    """One rank is slower for an hour, and then no more."""
    rows, at = fleet([8], 4), int(rng.integers(32))
    scene = slower(rows, 0.1 * (np.arange(32) == at), rng, {of(rows, "rank")[at].keys["gpu"]}, after=720, when=(slice(0, 360),))
    return scene._replace(until=(BEFORE + 360) * scene.period)


def kinds(rng: Rng) -> Scene:
    """Parts all over a job become slower at once by as much: two kinds of work or of parts, and nobody's fault."""
    rows, some = fleet([8], 4), int(rng.integers(5, 16))
    return slower(rows, 0.1 * np.isin(np.arange(32), 2 * rng.choice(16, some, replace=False) + rng.integers(2)), rng, set())


def rack(rng: Rng) -> Scene:
    """All machines of a rack get slower, in four jobs: one matter."""
    rows, n = fleet([8] * 4, 2, 4), int(rng.integers(4))
    bad = np.array([r.keys["rack"] == f"rack{n}" for r in of(rows, "rank")])
    return slower(rows, rng.uniform(0.05, 0.2) * bad, rng, {f"rack{n}"})


def nested(rng: Rng) -> Scene:
    """One rank is slower, and is waited for in a tensor group of four, a pipeline of two stages and eight copies, one after the other."""
    shape, rows = (8, 2, 4), []
    for r, (d, p, t) in enumerate(np.ndindex(shape)):
        gpu, group = f"n{r // 8:02}/gpu{r % 8}", {"tensor": f"{d}.{p}", "pipeline": f"{d}.{t}", "data": f"{p}.{t}"}
        rows.append(RosterRow(f"job:1/r{r:03}", "rank", keys={"gpu": gpu, "node": gpu[:3], "job": "job:1", "role": f"pp{p}", **group}))
    at = int(rng.integers(64))
    size = rng.uniform(0.05, 0.3) * (np.arange(64) == at).reshape(shape)

    def values() -> Iterator[Floats]:
        for t in range(BEFORE + AFTER):
            ends = [1 + 0.01 * rng.standard_normal(shape) + size * (t > BEFORE)]
            for over in ((2,), (1,), (0, 1, 2)):
                ends.append(np.broadcast_to(ends[-1].max(axis=over, keepdims=True), shape))
            yield np.stack([b - a + 0.02 + 0.003 * np.abs(rng.standard_normal(shape)) for a, b in pairwise(ends)]).reshape(3, -1)

    metrics = tuple(f'collective_wait_seconds{{group="{g}"}}' for g in ("tensor", "pipeline", "data"))
    return Scene(tuple(rows), told("rank", [r.subject for r in rows], metrics, values()), frozenset({rows[at].keys["gpu"]}))


SCENES = {f.__name__: f for f in (few, steady, back, over, kinds, rack, nested)}
