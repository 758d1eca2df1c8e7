"""Spent: which redundancy a fault spends, and when it would be used up, continued past the end of the trace."""

from __future__ import annotations

from collections.abc import Callable

from grayscope.fleet.faults import Fault
from grayscope.fleet.illsfabric import CLIFF
from grayscope.fleet.illsmemory import SPARES, moments
from grayscope.fleet.machines import wear
from grayscope.fleet.place import Place
from grayscope.modes import Modes

#: Spare rows of one GPU (telemetry reference, section 6), and the share of spare blocks below which a drive warns of its end
#: (NVMe specification: bit 0 of the critical warning; the threshold of 10 % is what most drives say, assumed).
ROWS, THRESHOLD = 512, 0.10
#: What faults of a mode spend that the table of modes does not say, because detectors cannot always tell.
ALSO = {"switch_fault": "adaptive_routing", "link_corruption": "rdma_retransmit", "uncorrectable_memory": "hbm_row_spares", "batch_defect": "hbm_row_spares"}


def mechanism(fault: Fault, place: Place) -> str | None:
    """Return the redundancy that a fault spends; None where it spends none.

    Examples
    --------
    >>> from grayscope.fleet.lottery import Lottery
    >>> from grayscope.fleet.topology import Topology
    >>> t = Topology(2, 2, second=1)
    >>> place = Place(t, Lottery.draw(t, 1))
    >>> [mechanism(Fault(f"n00{n}/gpu0/nvlink1", "nvlink_errors", "masked", 0.0), place) for n in (1, 2)]
    ['nvlink_replay', 'nvlink_plr']
    """
    if fault.mode == "nvlink_errors" and place.topology.kind_of_node[place.node(fault.subject)]:
        return "nvlink_plr"
    if fault.mode == "fan_degraded" and fault.strength < 0.5:  # slower, but none is lost
        return None
    return Modes.load().modes[fault.mode].mechanism or ALSO.get(fault.mode)


def exhausted(fault: Fault, place: Place) -> float | None:
    """Return the second at which a fault has used up what hides it; None where nothing is spent or no end is known.

    Rows go at their planted rate to the last of 512, or to the last spare of their bank; an optic's margin at its drift to
    the cliff; a drive's spare blocks to the threshold. The only spare of supplies, fans, mirrored disks and bonds is
    spent at once. Rails, links, lanes and uplinks that are lost stay so: what is left is never used up; errors that are corrected
    have no published budget. A fault that ends before that stops spending.
    """
    find = ENDS.get(fault.mode)
    found = None if find is None else find(fault, place)
    return found if found is None or fault.ended is None or found <= fault.ended else None


def _rows(fault: Fault, place: Place) -> float:
    if fault.form == "bank":
        return float(moments(fault, place.topology.seed)[0][SPARES - 1])
    return fault.began + ROWS / fault.strength * 3600


def _margin(fault: Fault, place: Place) -> float:
    return fault.began + (CLIFF - float(place.lottery.errors[place.nic(fault.subject)])) / fault.strength * 3600


def _disks(fault: Fault, place: Place) -> float:
    if fault.form != "wear":
        return fault.began
    left = 1.0 - float(wear(place.topology)[place.drive(fault.subject)]) - THRESHOLD
    return fault.began + left / fault.strength * 3600


def _fan(fault: Fault, place: Place) -> float | None:
    return fault.began if mechanism(fault, place) else None


def _failed_row(fault: Fault, _: Place) -> float | None:
    return fault.began if fault.strength > 1 else None


def _at_once(fault: Fault, _: Place) -> float:
    return fault.began


ENDS: dict[str, Callable[[Fault, Place], float | None]] = {
    "hbm_row_spares": _rows, "fec_margin": _margin, "disk_redundancy": _disks, "power_cap": _at_once, "fan_degraded": _fan, "bond_degraded": _at_once,
    "uncorrectable_memory": _failed_row,
}  # fmt: skip
