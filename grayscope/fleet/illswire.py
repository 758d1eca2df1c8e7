"""Illswire: what goes wrong on the wires inside a node; sizes from the mode table of the algorithms reference (rows 4 to 7).

Numbers in the functions below that those rows do not give are assumed.
"""

from __future__ import annotations

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.illsbus import fell
from grayscope.fleet.noise import Floats, stream, wave
from grayscope.fleet.place import Place
from grayscope.fleet.shapes import INSIDE, counts, ramp, slower, telegraph
from grayscope.fleet.topology import LINKS


def nvlink_errors(fault: Fault, out: Effects, place: Place) -> None:
    """Corrupted flits in episodes (on NVLink 5: codewords): replays rise where they are sent, and a part of the node's bandwidth is lost while they do.

    `strength` is replays per second, `extra` the share of bandwidth between the node's GPUs that is lost.
    """
    link = place.nvlink(fault.subject)
    on = telegraph(fault, out, 1800.0, 900.0)
    if place.topology.kind_of_node[link // LINKS // place.topology.gpus]:
        _corrected(fault, link, on, out)
    else:
        replays = counts(fault, out, fault.strength * on)
        out.touch("replays", link, replays)
        out.touch("crc", link, np.floor(0.02 * replays))  # the other direction's share: assumed
    begins = np.flatnonzero(on > telegraph(fault, out, 1800.0, 900.0, ago=out.period))
    for moment in out.seconds[begins].tolist():  # a switch's warning about link quality, told thrice (telemetry reference, 4.1 and 5.5)
        out.say(moment, fault.subject, "sxid", "20001", f"Non-fatal, Link {link % LINKS} TX Replay Error", 3)
    if fault.extra:
        _inside(link // LINKS // place.topology.gpus, (slower(fault.extra) - 1) * on, out, place)


def _corrected(fault: Fault, link: int, on: Floats, out: Effects) -> None:
    """Do the same to an NVLink 5: bit errors rise by two to four decades within an hour, and blocks that FEC cannot save are sent again.

    Decades, recoveries per hour and symbol errors per second are assumed.
    """
    level = on * ramp(fault, out.seconds, 3600.0)
    out.touch("decades", link, (1.5 + 0.6 * np.log10(fault.strength)) * level)
    out.touch("retried", link, counts(fault, out, fault.strength * level, "retried"))
    out.touch("mended", link, counts(fault, out, level / 300.0, "mended"))
    if fault.extra:
        out.touch("crc", link, counts(fault, out, 0.05 * level, "symbols"))


def nvlink_degrade(fault: Fault, out: Effects, place: Place) -> None:
    """`strength` of the 18 links of a GPU are lost: the node's transfers are as slow as that GPU; no log tells (mode table: health checks do not see it)."""
    g, held = place.gpu(fault.subject), fault.held(out.seconds)
    lost = int(fault.strength)
    out.touch("links_lost", g, lost * held)
    out.touch("joined", g * LINKS + np.arange(lost), 1 - held)
    _inside(g // place.topology.gpus, (slower(lost / LINKS) - 1) * held, out, place)


def _inside(node: int, longer: Floats, out: Effects, place: Place) -> None:
    """Make a node's own transfers longer by a share [T]: a part of what its ranks do between the job's collectives."""
    out.touch("inside", node, 1 + longer)
    out.touch("compute", place.gpus(node), 1 + INSIDE * longer)


def pcie_errors(fault: Fault, out: Effects, place: Place) -> None:
    """Replays that rise over an hour to `strength` per minute and follow the temperature; `extra` of the transfer speed is lost.

    The form ``lost``: in the end the GPU falls off the bus.
    """
    g, level = place.gpu(fault.subject), ramp(fault, out.seconds, 3600.0)
    rate = fault.strength / 60.0 * level * (1 + 0.3 * wave(out.seconds, 5400.0))
    out.touch("link_errors", g, counts(fault, out, rate))
    for moment in fault.began + 900.0 * np.arange(1, 200):  # logs are rate-limited and undercount
        if fault.during(np.array([moment]), np.inf)[0] and (fault.fails is None or moment < fault.fails):
            out.say(float(moment), fault.subject, "aer", "RxErr", "PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)", 10)
    if fault.extra:
        out.touch("compute", g, 1 + 0.1 * (slower(fault.extra) - 1) * level)  # a tenth of a step waits for the host: assumed
    if fault.fails is not None:
        out.touch("lost", g, fault.held(out.seconds) * (out.seconds >= fault.fails))
        out.say(fault.fails, place.topology.gpu_names[g], "xid", "79", "GPU has fallen off the bus.")
        fell(fault, out, place, needed=True)


def pcie_width(fault: Fault, out: Effects, place: Place) -> None:
    """Bad lanes: corrected errors for five minutes, then the link trains again at `strength` lanes and is quiet.

    `extra` is the share by which the GPU's steps take longer; 0 where transfers hide behind computing.
    """
    g, held = place.gpu(fault.subject), fault.held(out.seconds)
    errors = stream(out.seed, f"lanes of {fault.subject}").poisson(2.0, int(300 / out.period) + 1)
    age = np.floor((out.seconds - (fault.began - 300)) / out.period).astype(np.intp)
    before = (age >= 0) & (out.seconds < fault.began)
    noise = np.zeros(len(out.seconds))
    noise[before] = errors[age[before]]
    out.touch("link_errors", g, noise)
    out.touch("lanes", g, np.where(held > 0, fault.strength, 16.0))
    if fault.extra:
        out.touch("compute", g, 1 + fault.extra * held)
        out.touch("pause", g, 0.05 * out.period * held)  # the host takes what arrives too slowly: assumed share


SHAPES = {"nvlink_errors": nvlink_errors, "nvlink_degrade": nvlink_degrade, "pcie_errors": pcie_errors, "pcie_width": pcie_width}
