"""Illsdevice: what makes a GPU slow or still; sizes from the mode table of the algorithms reference (rows 8, 19, 21).

Numbers in the functions below that those rows do not give are assumed.
"""

from __future__ import annotations

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.noise import wave
from grayscope.fleet.place import Place
from grayscope.fleet.shapes import telegraph

#: How compute time follows the clock: assumed, most kernels are bound by it.
CLOCKED = -0.9


def thermal_throttle(fault: Fault, out: Effects, place: Place) -> None:
    """Heat builds up over six minutes; from a third of it on the clock gives way, in a saw of the control loop.

    `strength` is the share of clock lost at last.
    """
    g, age = place.gpu(fault.subject), out.seconds - fault.began
    level = np.clip(age / 360.0, 0, 1) * fault.held(out.seconds)
    bite = np.clip((level - 0.3) / 0.7, 0, 1) * (1 + 0.1 * wave(out.seconds, 140.0))
    clock = 1 - fault.strength * bite
    out.touch("heat", g, 17.0 * level)
    out.touch("hot", g, np.clip(0.85 * bite, 0, 1))
    out.touch("clock", g, clock)
    out.touch("compute", g, clock**CLOCKED)


def slow_rank(fault: Fault, out: Effects, place: Place) -> None:
    """The same work takes longer by the share `strength`, and no counter of the device says why."""
    out.touch("compute", place.gpu(fault.subject), 1 + fault.strength * fault.held(out.seconds))


def slow_silicon(fault: Fault, out: Effects, place: Place) -> None:
    """A part that was slower by the share `strength` from its first day: its clock says half of it."""
    g, held = place.gpu(fault.subject), fault.held(out.seconds)
    out.touch("clock", g, 1 - 0.5 * fault.strength * held / (1 + fault.strength))
    out.touch("compute", g, 1 + fault.strength * held)


def hang(fault: Fault, out: Effects, place: Place) -> None:
    """One rank does not enter the collective: all others spin in it, look fully busy and do nothing, until the timeout."""
    g, held = place.gpu(fault.subject), fault.held(out.seconds)
    for job, there in place.jobs_on(g // place.topology.gpus, out.seconds):
        out.touch("stop", job, there * held)
        for seat in place.seats_of(place.topology.jobs[job]):
            mates = place.gpus(seat.node)
            sitting = (out.seconds >= seat.since) & (out.seconds < seat.until)
            out.touch("spin", mates[mates != g], there * held * sitting)
    if fault.ended is not None:
        out.say(fault.ended - 1.0, "/".join(fault.subject.split("/")[:2]), "nccl", "timeout", "Watchdog caught collective operation timeout.")


def lemon_node(fault: Fault, out: Effects, place: Place) -> None:
    """A node that is well whenever it is checked: under load one of its GPUs is slow again and again, for about 20 minutes.

    `strength` is the share by which it is slower; between episodes pass about `extra` seconds.
    """
    gpus = place.gpus(place.node(fault.subject))
    g = int(fault.stream(out.seed, "which").choice(gpus))
    out.touch("compute", g, 1 + fault.strength * telegraph(fault, out, 1200.0, fault.extra or 3600.0))


SHAPES = {
    "thermal_throttle": thermal_throttle, "slow_rank": slow_rank, "slow_silicon": slow_silicon, "hang": hang, "lemon_node": lemon_node,
}  # fmt: skip
