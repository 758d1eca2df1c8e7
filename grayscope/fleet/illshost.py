"""Illshost: what goes wrong in the machine around the GPUs; sizes from the mode table of the algorithms reference (rows 9, 10).

Numbers in the functions below that those rows do not give are assumed.
"""

from __future__ import annotations

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.illsdevice import CLOCKED
from grayscope.fleet.place import Place
from grayscope.fleet.shapes import at_ticks, instants, ramp

#: GPUs slow down at this temperature, by at most so much of their clock, over so many degrees: assumed for air-cooled H100.
SLOWDOWN, MOST, WIDTH = 87.0, 0.25, 12.0
#: Degrees that a node gains when its fan stands still: the reference has +5 to +15 for a degraded one.
STILL = 25.0


def power_cap(fault: Fault, out: Effects, place: Place) -> None:
    """A power supply is gone; where the rest cannot carry the node, all its GPUs lose the share `strength` of their clock."""
    node, held = place.node(fault.subject), fault.held(out.seconds)
    gpus = place.gpus(node)
    out.touch("supplies", node, 1 - held)
    if fault.strength:
        clock = 1 - fault.strength * held
        out.touch("brake", gpus, 0.9 * held)
        out.touch("clock", gpus, clock)
        out.touch("limit", gpus, 1 - np.minimum(1.3 * fault.strength, 0.6) * held)
        out.touch("compute", gpus, np.asarray(clock**CLOCKED))
    out.say(fault.began, fault.subject, "health", "psu", "Power Supply redundancy lost")


def fan_degraded(fault: Fault, out: Effects, place: Place) -> None:
    """A fan loses the share `strength` of its speed; over half an hour the node warms, and the GPUs in the worst places throttle."""
    node = place.node(fault.subject)
    level = ramp(fault, out.seconds, 1800.0)
    out.touch("fan", node, 1 - fault.strength * fault.held(out.seconds))
    out.touch("fans", node, 1 - fault.held(out.seconds) * (fault.strength >= 0.5))
    if fault.strength >= 0.5:
        out.say(fault.began, fault.subject, "health", "fan", "Fan redundancy lost")
    warmer = STILL * fault.strength * level
    for g in place.gpus(node).tolist():
        out.touch("heat", g, warmer)
        bite = np.clip((usual(place, g) + warmer - SLOWDOWN) / WIDTH, 0, 1) * (level > 0)
        out.touch("hot", g, 0.9 * bite)
        out.touch("clock", g, 1 - MOST * bite)
        out.touch("compute", g, np.asarray((1 - MOST * bite) ** CLOCKED, np.float64))


def usual(place: Place, g: int) -> float:
    """Return the temperature of a GPU that works, all fans running."""
    watts = place.topology.of_kind("idle")[g] + place.topology.of_kind("busy")[g] * place.lottery.power[g]
    return float(24.0 + 14.0 + place.lottery.place[g] + place.lottery.heat[g] * min(watts, 700.0))


def host_memory_errors(fault: Fault, out: Effects, place: Place) -> None:
    """Corrected errors of a DIMM in bursts, `strength` clusters per hour; handling them slows the node's ranks by `extra`."""
    node = place.node(fault.subject)
    moments = instants(fault, out.seed, fault.strength, children=10.0, gap=120.0)
    sizes = np.ceil(fault.stream(out.seed, "sizes").lognormal(2.0, 1.0, len(moments)))
    errors = at_ticks(out, moments, sizes)
    out.touch("edac", node, errors)
    if fault.extra:
        out.touch("compute", place.gpus(node), 1 + fault.extra * (errors > 0).astype(np.float64))
    for moment, size in zip(moments[:400].tolist(), sizes[:400].tolist(), strict=True):
        out.say(moment, fault.subject, "edac", "ce", "memory read error on CPU_SrcID#0_MC#1_Chan#0_DIMM#0", int(size))


def slow_drive(fault: Fault, out: Effects, place: Place) -> None:
    """A drive answers `strength` times later; ranks that read while they work are slower by `extra`."""
    d, held = place.drive(fault.subject), fault.held(out.seconds)
    out.touch("latency", d, 1 + (fault.strength - 1) * held)
    if fault.extra:
        out.touch("compute", place.gpus(place.node(fault.subject)), 1 + fault.extra * held)


def disk_redundancy(fault: Fault, out: Effects, place: Place) -> None:
    """A disk of the node's array is gone; the array says that it is active. The form ``wear``: a drive uses up its spare blocks.

    `strength` of the form ``wear`` is the share of spare blocks that goes per hour.
    """
    if fault.form == "wear":
        hours = np.maximum(out.seconds - fault.began, 0.0) / 3600.0
        out.touch("spent", place.drive(fault.subject), fault.strength * hours)
        return
    out.touch("disks_lost", place.node(fault.subject), fault.held(out.seconds))


def bond_degraded(fault: Fault, out: Effects, place: Place) -> None:
    """A member of the host's network bond is gone, or (the form ``churn``) up but in no aggregate: storage has half the way; `extra` slows ranks."""
    node, held = place.node(fault.subject), fault.held(out.seconds)
    out.touch("bond_alone", node, held)
    if fault.form != "churn":
        out.touch("bond_down", node, held)
        out.say(fault.began, fault.subject, "link", "bond", "bond0: (slave eth1): link status definitely down, disabling slave")
    if fault.extra:
        out.touch("compute", place.gpus(node), 1 + fault.extra * held)


SHAPES = {
    "power_cap": power_cap, "fan_degraded": fan_degraded, "host_memory_errors": host_memory_errors,
    "slow_drive": slow_drive, "disk_redundancy": disk_redundancy, "bond_degraded": bond_degraded,
}  # fmt: skip
