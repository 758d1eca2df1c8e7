"""Couplings: what comes with what: forms of a fault, twins, bad lots, and nodes that are struck again because they were struck before.

Shares are those of the algorithms reference, section 10.4 ("Couplings"), or *assumed* beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from grayscope.fleet.fabric import Fabric
from grayscope.fleet.faults import Fault
from grayscope.fleet.hazards import hazards
from grayscope.fleet.illsbus import REPAIR
from grayscope.fleet.illsmemory import SPARES, moments
from grayscope.fleet.noise import stream
from grayscope.fleet.scenario import Scenario
from grayscope.fleet.topology import DRIVES, Topology

#: Share of boards that are slower after more than ten remapped rows (SuperBench; mode table, row 2).
SLOWED = 0.83
#: PCIe errors come with Xid 79 in 0.43 to 0.63 of the cases, failures of a link with a fault of the GPU beside it in 0.02 to 0.06 (same section).
LOST, TWIN = (0.43, 0.63), (0.02, 0.06)
#: Seconds from the first PCIe errors to the loss, at least and on average beyond that: assumed.
WARNING = (600.0, 7200.0)
#: Share of burn-downs that stay in one bank, of switch faults that are of uplinks and of spines, of disks that wear out,
#: and of bond members that are up in vain: assumed.
BANK, UPLINK, SPINE, WEAR, CHURN = 0.3, 0.25, 0.25, 0.5, 0.5
#: Share of onsets that strike a node that was struck before (assumed). SuperBench (algorithms reference, section 3): a node's mean
#: time between incidents falls from 719 h to 152 h once it has had one; with this share it falls four- to fivefold in the first
#: months (tests/fleet/test_couplings.py).
AGAIN = 0.25
#: What parts of a bad lot suffer from (mode table, row 23: "as #2/#3"), and how many parts at most: assumed.
LOT_MODES, LOT_MOST = ("hbm_row_spares", "uncorrectable_memory", "ecc_burst"), 24


def forms(fault: Fault, scenario: Scenario, fabric: Fabric, rng: np.random.Generator) -> Iterator[Fault]:
    """Yield a fault in the form that some of its kind have, and what comes with it."""
    if fault.mode == "hbm_row_spares" and rng.random() >= SLOWED:
        fault = replace(fault, extra=0.0)
    if fault.mode == "power_cap" and rng.random() < 0.5:  # only the spare supply is gone
        fault = replace(fault, strength=0.0)
    elif fault.mode == "uncorrectable_memory":
        fault = replace(fault, strength=2.0 if rng.random() < 0.08 else 1.0)
    elif fault.mode == "nvlink_degrade":
        fault = replace(fault, strength=float(np.floor(fault.strength)))
    elif fault.mode == "disk_redundancy":
        fault = _worn(fault, rng) if rng.random() < WEAR else replace(fault, strength=1.0)
    elif fault.mode == "pcie_errors" and rng.random() < rng.uniform(*LOST):
        fault = _lost(fault, rng)
    elif fault.mode == "hbm_row_spares" and rng.random() < BANK:
        fault = _in_one_bank(fault, scenario.seed)
    elif fault.mode == "bond_degraded" and rng.random() < CHURN:
        fault = replace(fault, form="churn")
    elif fault.mode == "lemon_node":  # who names the one GPU of it that is slow says more, not less
        fault = replace(fault, also=(f"{fault.subject}/gpu{int(fault.stream(scenario.seed, 'which').choice(scenario.gpus))}",))
    elif fault.mode == "fabric_congestion":
        fault = replace(fault, also=fabric.jobs_over[fabric.names.index(fault.subject)])
    elif fault.mode == "switch_fault":
        fault = _switch(fault, fabric, rng)
    yield fault
    if fault.mode in ("rail_failover", "link_flap") and rng.random() < rng.uniform(*TWIN):
        gpu = fault.subject.replace("/nic", "/gpu")
        yield Fault(gpu, "uncorrectable_memory", "failed", fault.began, fault.began + REPAIR, 1.0, 600.0, by=fault.mode)


def _worn(fault: Fault, rng: np.random.Generator) -> Fault:
    """Return a drive that uses up its spare blocks, 0.5 to 5 percent points per hour (assumed; far faster than in the field), for good."""
    rate = float(np.exp(rng.uniform(np.log(0.005), np.log(0.05))))
    return replace(fault, subject=f"{fault.subject}/nvme{int(rng.integers(DRIVES))}", form="wear", strength=rate, ended=None)


def _lost(fault: Fault, rng: np.random.Generator) -> Fault:
    """Return PCIe errors that end with the GPU off the bus."""
    fails = fault.began + WARNING[0] + float(rng.exponential(WARNING[1]))
    if fault.ended is not None and fails > fault.ended:
        fails = fault.began + 0.8 * (fault.ended - fault.began)
    return replace(fault, form="lost", fails=fails, ended=fails + REPAIR)


def _in_one_bank(fault: Fault, seed: int) -> Fault:
    """Return a burn-down in one bank: the row after its last spare cannot be replaced, and later the part is."""
    fails = float(moments(fault, seed)[0][SPARES])
    return replace(fault, form="bank", fails=fails, ended=fails + REPAIR)


def _switch(fault: Fault, fabric: Fabric, rng: np.random.Generator) -> Fault:
    kind = rng.random()
    if kind < SPINE:
        return replace(fault, form="spine", subject=str(rng.choice(fabric.names)))
    return replace(fault, form="uplink") if kind < SPINE + UPLINK else fault


# -- many at once, one again and again --------------------------------------------------------------------------------


def lot(fault: Fault, scenario: Scenario, fabric: Fabric, rng: np.random.Generator, end: float) -> Iterator[Fault]:
    """Yield a bad lot and what its parts suffer: the hazards of three modes times `strength`, at least three parts; the lot names them all."""
    topology = fabric.topology
    members = [g for i, g in enumerate(topology.gpu_names) if topology.lot(i) == fault.subject.rpartition("=")[2]]
    faster = fault.strength * scenario.acceleration * len(members) * (end - fault.began) / 3600.0
    counts = [int(rng.poisson(faster * hazards()[m].rate * scenario.speed.get(m, 1.0))) for m in LOT_MODES]
    counts[0] = max(counts[0], 3 - sum(counts[1:]))
    modes = rng.permutation(np.repeat(LOT_MODES, counts))[: min(LOT_MOST, len(members))]
    chosen = sorted(rng.choice(members, len(modes), replace=False).tolist())
    yield replace(fault, ended=None, also=tuple(chosen))
    for gpu, mode in zip(chosen, modes.tolist(), strict=True):
        hazard = hazards()[mode]
        began = float(np.round(rng.uniform(fault.began, max(end, fault.began)), 1))
        hours = hazard.draw_hours(rng)
        ended = None if hours is None or began + 3600 * hours > end else began + 3600 * hours
        part = Fault(gpu, mode, hazard.state, began, ended, hazard.draw_strength(rng, False), hazard.draw_extra(rng, False), by=fault.mode)
        yield from (replace(f, by=fault.mode) for f in forms(part, scenario, fabric, rng))


def again(faults: Sequence[Fault], topology: Topology, seed: int) -> Iterator[Fault]:
    """Yield the faults by time; a share of them strikes a node of the same kind that was struck before, at the same part of it."""
    rng = stream(seed, "struck again")
    struck: dict[int, list[int]] = {}
    index = {name: i for i, name in enumerate(topology.node_names)}
    for fault in sorted(faults, key=lambda f: (f.began, f.subject, f.mode)):
        head, _, rest = fault.subject.partition("/")
        at = index.get(head, -1)
        if at < 0 or fault.by or hazards()[fault.mode].share:
            yield fault
            continue
        before = struck.setdefault(int(topology.kind_of_node[at]), [])
        if before and rng.random() < AGAIN:
            at = before[int(rng.integers(len(before)))]
        before.append(at)
        yield replace(fault, subject="/".join([topology.node_names[at], *([rest] if rest else [])]))
