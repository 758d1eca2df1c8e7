"""Draw: which faults and look-alikes strike a fleet: from base rates, sped up as a scenario says; no telemetry is needed for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from grayscope.fleet.faults import Fault
from grayscope.fleet.hazards import Hazard, hazards
from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.scenario import Scenario
from grayscope.fleet.topology import LINKS, Topology

#: The worst tenth of the nodes has 41 % of the events (algorithms reference, section 10.3).
FRAIL, FRAILTY = 0.10, 0.41 / 0.10 / (0.59 / 0.90)
#: Rows per hour of a part of a bad lot: assumed.
LOT_ROWS = 2.0


def draw(scenario: Scenario, topology: Topology) -> tuple[Fault, ...]:
    """Return all faults, then all look-alikes, of a scenario; each mode has a random stream of its own."""
    table = hazards()
    out: list[Fault] = []
    for mode in (*scenario.faults, *scenario.controls):
        rng = stream(scenario.seed, f"onsets of {mode}")
        found = list(_of(mode, table[mode], scenario, topology, rng))
        out += _apart(found)
    return (*(f for f in out if f.state != "benign"), *(f for f in out if f.state == "benign"))


def expected(mode: str, scenario: Scenario, topology: Topology) -> float:
    """Return the mean number of onsets."""
    hazard = hazards()[mode]
    faster = scenario.speed.get(mode, 1.0) * (1.0 if hazard.state == "benign" else scenario.acceleration)
    lives = _lives(mode, hazard.part, _parts(hazard.part, topology), topology, 3600.0 * scenario.hours)
    if hazard.share:
        return len(lives) * min(hazard.share * scenario.speed.get(mode, 1.0), 1.0)
    return float(hazard.rate * faster * (lives[:, 1] - lives[:, 0]).sum() / 3600.0)


def _of(mode: str, hazard: Hazard, scenario: Scenario, topology: Topology, rng: np.random.Generator) -> Iterator[Fault]:
    parts = _parts(hazard.part, topology)
    mean, whole = expected(mode, scenario, topology), 3600.0 * scenario.hours
    lives = _lives(mode, hazard.part, parts, topology, whole)
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
        fault = Fault(_named(mode, subject, rng), mode, hazard.state, began, ended, strength, extra)
        yield from _lot(fault, topology, rng, whole) if mode == "batch_defect" else (_variant(fault, rng),)


def _variant(fault: Fault, rng: np.random.Generator) -> Fault:
    """Return a fault in the form that some of its kind have."""
    if fault.mode == "power_cap" and rng.random() < 0.5:  # only the spare supply is gone
        return _changed(fault, strength=0.0)
    if fault.mode == "uncorrectable_memory":
        return _changed(fault, strength=2.0 if rng.random() < 0.08 else 1.0)
    if fault.mode in ("nvlink_degrade", "disk_redundancy"):
        return _changed(fault, strength=float(np.floor(fault.strength)))
    return fault


def _changed(fault: Fault, *, strength: float) -> Fault:
    return Fault(fault.subject, fault.mode, fault.state, fault.began, fault.ended, strength, fault.extra, fault.also)


def _lot(fault: Fault, topology: Topology, rng: np.random.Generator, end: float) -> Iterator[Fault]:
    """Yield a bad lot: its parts lose rows, each at its own time, and the row of the lot names them all."""
    members = [g for i, g in enumerate(topology.gpu_names) if topology.lot(i) == fault.subject.rpartition("=")[2]]
    count = int(np.clip(rng.poisson(len(members) * fault.strength / 1000.0), 3, 24))
    chosen = sorted(rng.choice(members, min(count, len(members)), replace=False).tolist())
    yield Fault(fault.subject, fault.mode, fault.state, fault.began, None, fault.strength, also=tuple(chosen))
    for gpu in chosen:
        began = float(np.round(rng.uniform(fault.began, max(end, fault.began)), 1))
        yield Fault(gpu, "hbm_row_spares", "masked", began, None, LOT_ROWS * float(rng.uniform(0.5, 2.0)))


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
        "leaf": topology.leaf_names, "job": topology.jobs,
    }  # fmt: skip
    return known[part]


def _lives(mode: str, part: str, parts: Sequence[str], topology: Topology, end: float) -> Floats:
    """Return (first, last second) of each part, shape [P, 2]: jobs come and go, and some GPUs do not know a mode."""
    if part != "job":
        lasting = np.full(len(parts), end)
        if mode == "nvlink_errors":  # of flits, which the second kind does not have
            lasting[topology.kind_of_node[topology.node_of_gpu] > 0] = 0.0
        return np.stack([np.zeros(len(parts)), lasting], axis=1)
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
