"""Ills: every kind of fault by its mode's name, and what all faults of a fleet do together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from grayscope.fleet import illsdevice, illsfabric, illshost, illslook, illsmemory, illsswitch, illswire
from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.noise import Floats
from grayscope.fleet.place import Place

Shape = Callable[[Fault, Effects, Place], None]
SHAPES: dict[str, Shape] = {
    **illsdevice.SHAPES, **illsmemory.SHAPES, **illswire.SHAPES, **illsfabric.SHAPES,
    **illsswitch.SHAPES, **illshost.SHAPES, **illslook.SHAPES,
}  # fmt: skip
#: Seconds before it begins in which a fault may announce itself, and after it ends in which it is undone.
LEAD = 3600.0


def effects(faults: Sequence[Fault], place: Place, seconds: Floats, period: float, seed: int) -> Effects:
    """Return what all faults together do at `seconds`, shape [T]; they are numbered in the order given."""
    out = Effects(seconds, period, seed, place.topology.sizes)
    for number, fault in enumerate(faults):
        over = fault.ended is not None and seconds[0] > fault.ended + LEAD
        if fault.mode in SHAPES and not over and seconds[-1] >= fault.began - LEAD:
            out.fault = number
            SHAPES[fault.mode](fault, out, place)
    return out
