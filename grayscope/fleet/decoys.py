"""Decoys: what looks like trouble and is none: a phase of the job, a gap in the monitoring, a mute node, a reload."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.faults import Fault, jitter, onset
from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.topology import Topology

#: How long a driver takes to come back, seconds: assumed.
RELOAD = 60.0


def decoys(topology: Topology, hours: float, seed: int) -> tuple[Fault, ...]:
    """Return the demo's decoys; each is over before the trace is, but for the imbalance of the pipeline's stages."""
    rng = stream(seed, "decoys")
    span = min(900.0, 600.0 * hours)
    phase = onset(hours, 0.55) + jitter(rng)
    mute, gap = onset(hours, 0.40) + jitter(rng), onset(hours, 0.85) + jitter(rng)
    reload, spare = onset(hours, 0.25) + jitter(rng), topology.node_names[-1]
    working = [n for n, j in zip(topology.node_names, topology.job_of_node, strict=True) if j]
    out = [
        Fault(topology.jobs[0], "phase_change", "benign", phase, phase + span, 0.5),
        Fault("site", "monitoring_gap", "benign", gap, gap + 180.0),
        Fault(str(rng.choice(working)), "silent", "benign", mute, mute + span),
        Fault(spare, "driver_reload", "benign", reload, reload + RELOAD),
    ]
    if len(topology.jobs) > 1:
        out.append(Fault(topology.jobs[1], "workload_imbalance", "benign", 0.0, None, 0.12))
    return tuple(out)


def phases(decoys: Sequence[Fault], topology: Topology, seconds: Floats) -> Floats:
    """Return the factor on every rank's compute time, shape [T, R]: all ranks of a job, or one stage of it, together."""
    out = np.ones((len(seconds), len(topology.rank_gpu)))
    for decoy in decoys:
        if decoy.mode in ("phase_change", "workload_imbalance") and decoy.subject in topology.jobs:
            members = topology.rank_job == topology.jobs.index(decoy.subject)
            if decoy.mode == "workload_imbalance":
                members &= topology.rank_stage == 1
            out[np.ix_(decoy.during(seconds, np.inf), members)] *= 1 + decoy.strength
    return out


def idle(decoys: Sequence[Fault], topology: Topology, seconds: Floats) -> Floats:
    """Return the share of a step's work that is real work, shape [T, R]: an evaluation or a checkpoint waits for storage."""
    only = [d for d in decoys if d.mode == "phase_change"]
    return 1.0 / phases(only, topology, seconds)


def silent(decoys: Sequence[Fault], topology: Topology, seconds: Floats) -> NDArray[np.bool_]:
    """Say which nodes report nothing at all, shape [T, N]."""
    out = np.zeros((len(seconds), topology.nodes), bool)
    for decoy in decoys:
        when = decoy.during(seconds, np.inf)
        if decoy.mode == "monitoring_gap":
            out[when] = True
        elif decoy.mode == "silent":
            out[when, topology.node_names.index(decoy.subject)] = True
    return out


def reloads(decoys: Sequence[Fault], topology: Topology) -> list[tuple[int, float]]:
    """Return (node, moment at which its driver is back) of every reload; the devices are mute until then."""
    back = {"driver_reload": RELOAD, "maintenance": None}
    found = [d for d in decoys if d.mode in back]
    return [(topology.node_names.index(d.subject), d.began + (back[d.mode] or (d.ended or np.inf) - d.began)) for d in found]


def mute_devices(decoys: Sequence[Fault], topology: Topology, seconds: Floats) -> NDArray[np.bool_]:
    """Say on which nodes the GPUs cannot be read while the driver reloads, shape [T, N]."""
    out = np.zeros((len(seconds), topology.nodes), bool)
    for node, back in reloads([d for d in decoys if d.mode == "driver_reload"], topology):
        out[(seconds >= back - RELOAD) & (seconds < back), node] = True
    return out
