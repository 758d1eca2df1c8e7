"""Illsswitch: what strikes everybody who shares a switch: faults of leaves, uplinks and spines, and congestion, which is no fault.

Sizes from the mode table of the algorithms reference (rows 16 and 22).

Numbers in the functions below that those rows do not give are assumed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.fabric import UPLINKS
from grayscope.fleet.faults import Fault
from grayscope.fleet.noise import Floats, wave
from grayscope.fleet.place import Place
from grayscope.fleet.seats import Seat
from grayscope.fleet.shapes import counts, slower
from grayscope.fleet.topology import SPINES, Ints

#: Marks per second at a port below a sick leaf, and per share of bandwidth lost to congestion: assumed.
SICK, CROWDED = 40.0, 2000.0


def switch_fault(fault: Fault, out: Effects, place: Place) -> None:
    """A leaf, its uplinks or a spine loses the share `strength` of its bandwidth: everybody who crosses it is slower together.

    The form ``uplink`` strikes only what leaves the leaf, the form ``spine`` what is hashed to that spine.
    """
    held = fault.held(out.seconds)
    if fault.form == "spine":
        spine = place.spine(fault.subject)
        out.touch("uplinks", np.arange(out.sizes["leaf"]), np.ceil(UPLINKS / SPINES * fault.strength) * held)
        out.touch("crowd", spine, fault.strength * held)
        _far(place.fabric.over(spine), fault.strength * held, out)
        return
    leaf = place.leaf(fault.subject)
    out.touch("uplinks", leaf, np.ceil(UPLINKS * fault.strength) * held)
    out.touch("queue", leaf, fault.strength * held)
    if fault.form == "uplink":
        _far(place.fabric.up(leaf), fault.strength * held, out)
        return
    below = place.under(leaf)
    out.touch("network", below, 1 + (slower(fault.strength) - 1) * held)
    out.touch("marks", below, counts(fault, out, SICK * held))


def fabric_congestion(fault: Fault, out: Effects, place: Place) -> None:
    """A spine is crowded, in steps and as its load goes: all jobs whose traffic crosses it are slower together, with marks on their ports.

    `strength` is the largest share of bandwidth that is lost.
    """
    spine = place.spine(fault.subject)
    ladder = (1 + np.floor((out.seconds - fault.began) / 240.0) % 3) / 3
    seats = list(place.fabric.over(spine))
    loss = fault.strength * ladder * load(seats, out.seconds) * fault.held(out.seconds)
    out.touch("crowd", spine, loss)
    _far(seats, loss, out)
    for seat, ports in seats:
        there = _there(seat, out.seconds)
        out.touch("marks", ports, counts(fault, out, CROWDED * loss * there, f"{seat.node}"))
        out.touch("pause", ports, 0.02 * loss * out.period * there)


def load(seats: Iterable[tuple[Seat, Ints]], seconds: Floats) -> Floats:
    """Return how loaded a spine is, from 0 to 1, shape [T]: which of the ports that ever use it are there, and a wave of half an hour.

    Examples
    --------
    >>> load([(Seat("job:1", 0, 0, 0.0, 10.0), np.array([0])), (Seat("job:2", 0, 1), np.array([1]))], np.array([0.0, 20.0])).round(2).tolist()
    [0.85, 0.43]
    """
    total, there = 0.0, np.zeros(len(seconds))
    for seat, ports in seats:
        total += len(ports)
        there += len(ports) * _there(seat, seconds)
    return np.asarray(there / max(total, 1.0) * (0.85 + 0.15 * wave(seconds, 1800.0)))


def _far(seats: Iterable[tuple[Seat, Ints]], loss: Floats, out: Effects) -> None:
    """Make what some seats send to other leaves slower by a share of bandwidth [T]."""
    for seat, ports in seats:
        out.touch("far", ports, 1 + (slower(loss) - 1) * _there(seat, out.seconds))


def _there(seat: Seat, seconds: Floats) -> Floats:
    return np.asarray((seconds >= seat.since) & (seconds < seat.until), np.float64)


SHAPES = {"switch_fault": switch_fault, "fabric_congestion": fabric_congestion}
