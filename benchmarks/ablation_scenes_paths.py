"""More situations: of paths and rings, and of what a part has done before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ablation_scenes import AFTER, BEFORE, MINUTE, RETRANSMITS, SECOND, Rng, Scene, told

from grayscope.batch import Batch
from grayscope.roster import RosterRow

#: Times as often as others that parts are in trouble that were so before: hours between failures of nodes, before and after (reference).
AGAIN = 719 / 152


def ring(rng: Rng) -> Scene:
    """A port retransmits, which is read once a minute, and the rail's communicator that crosses it is slower: one matter."""
    at, nics = int(rng.integers(64)), tuple(f"n{i // 8:02}/nic{i % 8}" for i in range(64))
    rows = [RosterRow(s, "nic", keys={"node": s[:3], "job": "job:1", "sku": "A", "rail": f"rail:{s[-1]}"}) for s in nics]
    rings = tuple(f"comm:1-rail{g}" for g in range(8))
    rows += [RosterRow(c, "comm", keys={"job": "job:1", "role": "dp"}, crosses=tuple(s for s in nics if s[-1] == c[-1])) for c in rings]

    def batches() -> Iterator[Batch]:
        for t in range(1, BEFORE + AFTER):
            now, time = t > BEFORE, np.array([t * 10 * SECOND])
            lost = rng.poisson(5, 64) * (now & (np.arange(64) == at)) + (rng.random(64) < 0.002)
            took = np.exp(0.01 * rng.standard_normal(8) + 0.2 * (now & (np.arange(8) == at % 8)))
            if t % 6 == 0:
                yield Batch("nic", time, nics, (RETRANSMITS,), lost.astype(np.float32)[None, None])
            yield Batch("comm", time, rings, ("collective_transfer_seconds",), took.astype(np.float32)[None, None])

    return Scene(tuple(rows), batches(), frozenset({nics[at]}), minutely="nic")


def spine(rng: Rng) -> Scene:
    """One spine of four holds up what crosses it; of the few probed paths of one port most cross it."""
    rows, ends, bad, near = [], 24, int(rng.integers(4)), int(rng.integers(24))
    for a, b in ((a, (a + k) % ends) for a in range(ends) for k in (1, 2, 3)):
        by = bad if near in (a, b) and rng.random() < 0.8 else int(rng.integers(4))
        crosses = (f"p{a}", f"leaf{a % 6}", f"spine{by}", f"leaf{b % 6}", f"p{b}")
        rows.append(RosterRow(f"p{a}>p{b}", "path", keys={"source": f"p{a}", "target": f"p{b}"}, crosses=crosses))
    on = np.array([f"spine{bad}" in r.crosses for r in rows])
    offset = 0.1 * rng.standard_normal(len(rows))
    values = (np.exp(offset + 0.1 * rng.standard_normal(len(rows)) + 0.4 * (on & (t > BEFORE)))[None] for t in range(BEFORE + AFTER))
    return Scene(tuple(rows), told("path", [r.subject for r in rows], ("path_rtt_seconds",), values), frozenset({f"spine{bad}"}))


def offender(rng: Rng) -> Scene:
    """One of four spines loses links in three jobs, one after the other, and what crosses it is slower. Then links are lost while no job is there.

    Nothing is slower then, so that nothing tells the spines apart. Who was in trouble before is so 719 h / 152 h times as often as who was not
    (the reference's figures of nodes): so likely it is drawn again, and else one of the others, of whom nobody can know.
    """
    ends, spines, jobs = 8, 4, 3
    bad = int(rng.integers(spines))
    odds = np.where(np.arange(spines) == bad, AGAIN, 1.0)
    last = int(rng.choice(spines, p=odds / odds.sum()))
    leaves, by = tuple(f"leaf{n}" for n in range(ends)), np.arange(16) % spines
    rows = [RosterRow(s, "leaf") for s in leaves] + [RosterRow(f"spine{k}", "spine") for k in range(spines)]
    ways = [(leaves[g % ends], f"spine{k}", leaves[(g + 3) % ends]) for g, k in enumerate(by)]
    wires = [RosterRow(f"n{g}>n{k}", "path", crosses=(leaf, f"spine{k}")) for g, leaf in enumerate(leaves) for k in range(spines)]
    for j in range(jobs):
        times = (1 + 300 * j) * MINUTE, (201 + 300 * j) * MINUTE
        rows += [RosterRow(f"comm:{j}-{g}", "comm", *times, {"job": f"job:{j}", "role": "dp"}, crosses=way) for g, way in enumerate(ways)]

    def batches() -> Iterator[Batch]:
        for t in range(1, 1240):
            j, at = divmod(t, 300)
            runs = j < jobs and 1 <= at < 200
            lost, time = (runs and at > 150) or t > 1200, np.array([t * MINUTE])
            links = np.full(ends, 14.0 if lost else 16.0)
            yield Batch("leaf", time, leaves, ("leaf_uplinks_active",), links.astype(np.float32)[None, None])
            if runs:
                took = np.exp(0.02 * rng.standard_normal(len(by)) + 0.4 * (lost & (by == bad)))
                yield Batch("comm", time, tuple(f"comm:{j}-{g}" for g in range(len(by))), ("collective_transfer_seconds",), took.astype(np.float32)[None, None])

    return Scene((*rows, *wires), batches(), frozenset({f"spine{last}"}), MINUTE, since=1200 * MINUTE)


PATHS = {f.__name__: f for f in (ring, spine, offender)}
