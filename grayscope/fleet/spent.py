"""Spent: when each redundancy that a fault spends would be used up, continued past the end of the trace."""

from __future__ import annotations

from grayscope.fleet.faults import Fault
from grayscope.fleet.illsfabric import CLIFF
from grayscope.fleet.place import Place

#: Spare rows of one GPU (telemetry reference, section 6).
ROWS = 512


def exhausted(fault: Fault, place: Place) -> float | None:
    """Return the second at which a fault has used up what hides it; None where nothing is spent or no end is known.

    Rows go at their planted rate to the last of 512; an optic's margin at its drift to the cliff. A fault that ends
    before that stops spending.
    """
    if fault.mode == "hbm_row_spares":
        found = fault.began + ROWS / fault.strength * 3600
    elif fault.mode == "fec_margin":
        found = fault.began + (CLIFF - float(place.lottery.errors[place.nic(fault.subject)])) / fault.strength * 3600
    else:
        return None
    return found if fault.ended is None or found <= fault.ended else None
