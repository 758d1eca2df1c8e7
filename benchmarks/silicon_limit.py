"""How many parts that were slow ever since anybody could find among parts that healthily differ: the bound of the data, not of a detector.

Healthy GPUs of one kind differ for ever. A part that is 2 to 10 % slower hides among them however long one looks, for no average makes them alike. Here an
oracle sees, without any noise, how long each GPU of a simulated fleet takes for the same work, and accuses from the best cut on that there is for a wanted
precision: whoever finds more of them knows something that telemetry does not say.

Usage: python benchmarks/silicon_limit.py [--nodes 16] [--fleets 400] [--json]
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.hazards import hazards
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.scenario import load
from grayscope.fleet.topology import Topology

Floats = NDArray[np.float64]
PRECISIONS = (0.98, 0.95, 0.9, 0.5)
SPREAD = 1.4826


def drawn(nodes: int, gpus: int, share: float, weak: bool, seed: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return by how many robust spreads each GPU of a fleet is slower than most, and which were made slow."""
    lottery, rng = Lottery.draw(Topology(nodes, gpus, seed), seed), np.random.default_rng([seed, 1])
    slow = rng.random(len(lottery.compute)) < share
    strength = np.array([hazards()["slow_silicon"].draw_strength(rng, weak) for _ in range(int(slow.sum()))])
    took = np.log(lottery.compute)
    took[slow] += np.log1p(strength)
    away = took - np.median(took)
    return away / (SPREAD * np.median(np.abs(away))), slow


def recall_at(z: Floats, slow: NDArray[np.bool_], precision: float) -> float:
    """Return the largest share of the slow that a cut finds of which at least `precision` of the accused are slow.

    Examples
    --------
    >>> recall_at(np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False]), 0.6)
    1.0
    >>> recall_at(np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False]), 0.9)
    0.5
    """
    hits = np.cumsum(slow[np.argsort(-z)])
    good = hits >= precision * np.arange(1, len(z) + 1)
    return float(hits[good].max(initial=0) / max(int(slow.sum()), 1))


def limits(nodes: int, fleets: int) -> dict[str, dict[str, float]]:
    """Return the recall at each precision, for the strengths of scenario `weak` and for those of all others."""
    found = {}
    for name, scenario, weak in (("weak: 2 to 10 %", "weak", True), ("5 to 50 %", "mixed", False)):
        plan, hazard = load(scenario), hazards()["slow_silicon"]
        share = (hazard.share or 0.0) * plan.speed.get("slow_silicon", 1.0)
        parts = [drawn(nodes, plan.gpus, share, weak, seed) for seed in range(1, fleets + 1)]
        z, slow = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        found[name] = {"slow parts": float(slow.sum()), **{f"recall at precision {p:g}": round(recall_at(z, slow, p), 3) for p in PRECISIONS}}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--fleets", type=int, default=400)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args()
    found = limits(args.nodes, args.fleets)
    if args.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        print(f"{name}: {figures.pop('slow parts'):.0f} slow parts in {args.fleets} fleets of {args.nodes} nodes; an oracle finds")
        for what, share in figures.items():
            print(f"  {what:24s} {share:.0%}")


if __name__ == "__main__":
    main()
