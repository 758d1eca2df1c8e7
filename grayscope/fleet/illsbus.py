"""Illsbus: what a failure that everybody sees does to a node: a GPU off the bus, a job that starts again, a reboot after the repair.

Numbers are assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.place import Place

#: Seconds after a failure until a job runs elsewhere, until a lost GPU is back, and that a node needs to start: assumed.
RESTART, REPAIR, BOOT = 600.0, 2400.0, 240.0


def fell(fault: Fault, out: Effects, place: Place, *, needed: bool) -> None:
    """Stop the jobs of a node from the moment a fault fails; `needed`: until the repair, unless they have moved away."""
    if fault.fails is None:
        return
    until = fault.fails + (REPAIR if needed else RESTART)
    node = place.node(fault.subject)
    for job, there in place.jobs_on(node, out.seconds):
        out.touch("stop", job, there * (out.seconds >= fault.fails) * (out.seconds < until))
    reboot(fault, out, place)


def reboot(fault: Fault, out: Effects, place: Place) -> None:
    """Start the node again when the repair ends: it tells nothing meanwhile, and whoever works there waits."""
    if fault.ended is None:
        return
    node = place.node(fault.subject)
    begins = max(fault.ended - BOOT, fault.began if fault.fails is None else fault.fails)
    down = ((out.seconds >= begins) & (out.seconds < fault.ended)).astype(np.float64)
    out.touch("dark", node, down)
    for job, there in place.jobs_on(node, out.seconds):
        out.touch("stop", job, there * down)


def fails(faults: Sequence[Fault]) -> Iterator[tuple[Fault, float]]:
    """Yield every fault that ends a job, with the second at which that job is back on another node, where there is a spare one."""
    for fault in faults:
        if fault.mode == "uncorrectable_memory":
            yield fault, fault.began + fault.extra
        elif fault.fails is not None:
            yield fault, fault.fails + RESTART


def boots(faults: Sequence[Fault]) -> Iterator[tuple[str, float]]:
    """Yield (node, second at which it is back) of every reboot: after maintenance, and after a repair."""
    for fault in faults:
        if fault.ended is not None and (fault.mode in ("maintenance", "uncorrectable_memory") or fault.fails is not None):
            yield fault.subject.split("/")[0], fault.ended


def replaced(faults: Sequence[Fault]) -> list[tuple[str, float]]:
    """Return (GPU, second) of every part that another one replaces: those whose remap failed, once they are repaired."""
    out = []
    for fault in faults:
        broken = (fault.mode == "uncorrectable_memory" and fault.strength > 1) or fault.form == "bank"
        if broken and fault.ended is not None:
            out.append(("/".join(fault.subject.split("/")[:2]), fault.ended))
    return out
