"""More situations: of paths and rings, and of what a part has done before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ablation_scenes import AFTER, BEFORE, MINUTE, RETRANSMITS, SECOND, Rng, Scene, told

from grayscope.batch import Batch
from grayscope.roster import RosterRow


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
    """A port has retransmitted by itself three times; then all paths of its machine are slow, which its leaf would explain as well."""
    ends, at = 16, int(rng.integers(16))
    nics = tuple(f"n{a:02}/nic0" for a in range(ends))
    rows = [RosterRow(s, "nic", keys={"node": s[:3], "job": "job:1", "sku": "A", "rail": "rail:0"}) for s in nics]
    ways = [(a, b) for a in range(ends) for b in range(ends) if a != b]
    paths = tuple(f"n{a:02}>n{b:02}" for a, b in ways)
    rows += [RosterRow(p, "path", crosses=(nics[a], f"leaf{a}", f"leaf{b}", nics[b])) for p, (a, b) in zip(paths, ways, strict=True)]
    touched = np.array([at in way for way in ways])

    def batches() -> Iterator[Batch]:
        for t in range(1, 1080):
            spell, time = 150 < t < 800 and t % 200 > 160, np.array([t * MINUTE])
            lost = rng.poisson(5, ends) * (spell & (np.arange(ends) == at)) + (rng.random(ends) < 0.002)
            took = np.exp(0.05 * rng.standard_normal(len(paths)) + 0.4 * (touched & (t > 1020)))
            yield Batch("nic", time, nics, (RETRANSMITS,), lost.astype(np.float32)[None, None])
            yield Batch("path", time, paths, ("path_rtt_seconds",), took.astype(np.float32)[None, None])

    return Scene(tuple(rows), batches(), frozenset({nics[at]}), MINUTE)


PATHS = {f.__name__: f for f in (ring, spine, offender)}
