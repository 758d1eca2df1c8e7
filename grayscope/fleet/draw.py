"""Draw: which faults and look-alikes strike a fleet: from base rates, sped up as a scenario says; no telemetry is needed for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from grayscope.errors import InputError
from grayscope.fleet.couplings import again, forms, lot
from grayscope.fleet.fabric import Fabric
from grayscope.fleet.faults import Fault
from grayscope.fleet.hazards import Hazard, hazards
from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.scenario import Scenario
from grayscope.fleet.topology import LINKS, Topology

#: The worst tenth of the nodes has 41 % of the events (algorithms reference, section 10.3).
FRAIL, FRAILTY = 0.10, 0.41 / 0.10 / (0.59 / 0.90)

#: Onsets beyond which a scenario is refused: a bound of ours, a thousand times what any packaged one plants; assumed.
ONSETS = 200_000


def draw(scenario: Scenario, topology: Topology) -> tuple[Fault, ...]:
    """Return all faults, then all look-alikes, of a scenario, each by time; every mode has random streams of its own."""
    _bounded(scenario, topology)
    out: list[Fault] = []
    for mode in (*scenario.faults, *scenario.controls):
        out += _of(mode, hazards()[mode], scenario, topology, stream(scenario.seed, f"onsets of {mode}"))
    fabric = Fabric(topology)
    kinds = {mode: stream(scenario.seed, f"forms of {mode}") for mode in hazards()}
    made = (f for raw in again(out, topology, scenario.seed) for f in _made(raw, scenario, fabric, kinds[raw.mode]))
    found = list(_apart(list(made)))
    return (*(f for f in found if f.state != "benign"), *(f for f in found if f.state == "benign"))


def _bounded(scenario: Scenario, topology: Topology) -> None:
    """Refuse a scenario that would plant more than anybody can look at."""
    total = sum(expected(mode, scenario, topology) for mode in (*scenario.faults, *scenario.controls))
    if total > ONSETS:
        raise InputError.at("scenario", "acceleration", f"at most {ONSETS:,} onsets in all", f"about {total:,.0f}")


def _made(raw: Fault, scenario: Scenario, fabric: Fabric, rng: np.random.Generator) -> Iterator[Fault]:
    """Yield what a drawn onset is, and what comes with it."""
    return lot(raw, scenario, fabric, rng, 3600.0 * scenario.hours) if raw.mode == "batch_defect" else forms(raw, scenario, fabric, rng)


def faster(mode: str, scenario: Scenario) -> float:
    """Return how many times more often than in the field a mode is drawn; parts that are born so follow no rate over time.

    Examples
    --------
    >>> s = Scenario("s", acceleration=100.0, speed={"hang": 2.0, "slow_silicon": 3.0})
    >>> [faster(m, s) for m in ("hang", "slow_silicon", "silent")]
    [200.0, 3.0, 1.0]
    """
    hazard = hazards()[mode]
    return scenario.speed.get(mode, 1.0) * (1.0 if hazard.state == "benign" or hazard.share else scenario.acceleration)


def expected(mode: str, scenario: Scenario, topology: Topology) -> float:
    """Return the mean number of onsets."""
    hazard = hazards()[mode]
    lives = _lives(hazard.part, _parts(hazard.part, topology), topology, 3600.0 * scenario.hours)
    if hazard.share:
        return len(lives) * min(hazard.share * faster(mode, scenario), 1.0)
    return float(hazard.rate * faster(mode, scenario) * (lives[:, 1] - lives[:, 0]).sum() / 3600.0)


def _of(mode: str, hazard: Hazard, scenario: Scenario, topology: Topology, rng: np.random.Generator) -> Iterator[Fault]:
    parts = _parts(hazard.part, topology)
    mean, whole = expected(mode, scenario, topology), 3600.0 * scenario.hours
    lives = _lives(hazard.part, parts, topology, whole)
    count = int(rng.binomial(len(parts), mean / max(len(parts), 1))) if hazard.share else int(rng.poisson(mean))
    if not count:
        return
    weights = _weights(hazard, parts, lives, topology, scenario.seed)
    which = rng.choice(len(parts), count, replace=not hazard.share, p=weights)
    for subject, (since, end) in zip((parts[i] for i in which.tolist()), lives[which].tolist(), strict=True):
        began = since if hazard.share else float(np.round(rng.uniform(since, end), 1))
        weak = bool(rng.random() < scenario.weak)
        strength, extra, hours = hazard.draw_strength(rng, weak), hazard.draw_extra(rng, weak), hazard.draw_hours(rng)
        last = None if end >= whole else end
        ended = last if hours is None or began + 3600 * hours >= end else began + max(3600 * hours, 30.0)
        yield Fault(_named(mode, subject, rng), mode, hazard.state, began, ended, strength, extra)


def _apart(faults: Sequence[Fault]) -> Iterator[Fault]:
    """Yield those that do not overlap with an earlier one of the same kind on the same part."""
    until: dict[tuple[str, str], float] = {}
    for fault in sorted(faults, key=lambda f: (f.began, f.subject)):
        key = fault.subject, fault.mode
        if until.get(key, -1.0) < fault.began:
            until[key] = np.inf if fault.ended is None else fault.ended + 600.0
            yield fault


# -- parts ----------------------------------------------------------------------------------------------------------


def _parts(part: str, topology: Topology) -> Sequence[str]:
    if part == "lot":
        return sorted({f"batch:lot={topology.lot(g)}" for g in range(0, len(topology.gpu_names), topology.gpus)})
    if part == "site":
        return ("site",)
    known: dict[str, Sequence[str]] = {
        "gpu": topology.gpu_names, "nic": topology.nic_names, "node": topology.node_names, "drive": topology.drive_names,
        "leaf": topology.leaf_names, "spine": Fabric(topology).names, "job": topology.jobs,
    }  # fmt: skip
    return known[part]


def _lives(part: str, parts: Sequence[str], topology: Topology, end: float) -> Floats:
    """Return (first, last second) of each part, shape [P, 2]: jobs come and go."""
    if part != "job":
        return np.array([[0.0, end]] * len(parts))
    lives = {s.job: (max(s.since, 0.0), min(s.until, end)) for s in topology.seating}
    return np.array([lives[job] for job in parts])


def _weights(hazard: Hazard, parts: Sequence[str], lives: Floats, topology: Topology, seed: int) -> Floats:
    """Return the chance of each part: some nodes are frail, and what is in them is; who lives longer is struck more often."""
    weights = np.ones(len(parts)) if hazard.share else lives[:, 1] - lives[:, 0]
    if hazard.part in ("gpu", "nic", "node", "drive"):
        frail = np.where(stream(seed, "frailty").random(topology.nodes) < FRAIL, FRAILTY, 1.0)
        weights = weights * np.repeat(frail, len(parts) // topology.nodes)
    return np.asarray(weights / weights.sum())


def _named(mode: str, subject: str, rng: np.random.Generator) -> str:
    """Return the subject's own name: which link of a GPU it is."""
    if mode == "nvlink_errors":
        return f"{subject}/nvlink{int(rng.integers(LINKS))}"
    return f"{subject}/pcie" if mode in ("pcie_errors", "pcie_width") else subject
