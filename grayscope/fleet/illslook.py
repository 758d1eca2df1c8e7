"""Illslook: negative controls: what looks like trouble and is the network's, the work's, the operator's or the user's doing.

Phases, gaps, mute nodes and reloads are in `grayscope.fleet.decoys`, congestion in `grayscope.fleet.illsswitch`. Sizes: mode table of the
algorithms reference, rows 17 and 18.

Numbers in the functions below that those rows do not give are assumed.
"""

from __future__ import annotations

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.noise import wave
from grayscope.fleet.place import Place
from grayscope.fleet.shapes import telegraph

#: Codes that a user's mistake leaves, and what the log says.
BUGS = (("13", "Graphics SM Warp Exception: Out Of Range Address"), ("31", "MMU Fault: ENGINE GRAPHICS faulted"), ("43", "Reset Channel Verif Error"))


def cpu_contention(fault: Fault, out: Effects, place: Place) -> None:
    """The host's processors are busy with something else, now and then: its ranks are slower by up to `strength`."""
    node, on = place.node(fault.subject), telegraph(fault, out, 60.0, 120.0)
    out.touch("cpu", node, 0.6 * on)
    out.touch("compute", place.gpus(node), 1 + fault.strength * on)


def sequence_length(fault: Fault, out: Effects, place: Place) -> None:
    """Longer sequences: all ranks of a job take longer together, in waves."""
    longer = 1 + fault.strength * (0.7 + 0.3 * wave(out.seconds, 600.0)) * fault.held(out.seconds)
    for seat in place.seats_of(fault.subject):
        there = (out.seconds >= seat.since) & (out.seconds < seat.until)
        out.touch("compute", place.gpus(seat.node), np.where(there, longer, 1.0))


def maintenance(fault: Fault, out: Effects, place: Place) -> None:
    """A node is taken down, its job stands still meanwhile, and it starts again: uptime and counters begin at nought."""
    node, held = place.node(fault.subject), fault.held(out.seconds)
    out.touch("dark", node, held)
    for job, there in place.jobs_on(node, out.seconds):
        out.touch("stop", job, there * held)


def site_change(fault: Fault, out: Effects, place: Place) -> None:
    """The hall is warmer by ten degrees times `strength`, or (`extra`) the site lowers everybody's power limit by that share."""
    held = np.clip((out.seconds - fault.began) / 900.0, 0, 1) * fault.held(out.seconds)
    everywhere, gpus = np.arange(place.topology.nodes), np.arange(len(place.topology.gpu_names))
    out.touch("inlet", everywhere, 10.0 * fault.strength * held)
    if fault.extra:
        out.touch("limit", gpus, 1 - fault.extra * held)
        clock = 1 - 0.4 * fault.extra * held
        out.touch("clock", gpus, clock)
        out.touch("compute", gpus, clock**-0.9)


def user_bug(fault: Fault, out: Effects, place: Place) -> None:
    """A program breaks on all GPUs of a node, again and again, and is started again: application errors, each told twice."""
    node = place.node(fault.subject)
    code, text = BUGS[int(fault.stream(out.seed).integers(len(BUGS)))]
    for k in range(3):
        moment = fault.began + 120.0 * k
        for g in place.gpus(node).tolist():
            out.say(moment, place.topology.gpu_names[g], "xid", code, text)
            out.say(moment + 0.2, place.topology.gpu_names[g], "xid", code, text)
        for job, there in place.jobs_on(node, out.seconds):
            out.touch("stop", job, there * (out.seconds >= moment) * (out.seconds < moment + 60.0))


def xid_storm(fault: Fault, out: Effects, place: Place) -> None:
    """Somebody stops a job: every GPU of the node tells of the clean-up, many times over; the job is back two minutes later."""
    node = place.node(fault.subject)
    for g in place.gpus(node).tolist():
        for k in range(4):
            out.say(fault.began + k, place.topology.gpu_names[g], "xid", "45", "Preemptive cleanup, due to previous errors.", 1 + k)
    for job, there in place.jobs_on(node, out.seconds):
        out.touch("stop", job, there * (out.seconds >= fault.began) * (out.seconds < fault.began + 120.0))


SHAPES = {
    "cpu_contention": cpu_contention, "sequence_length": sequence_length,
    "maintenance": maintenance, "site_change": site_change, "user_bug": user_bug, "xid_storm": xid_storm,
}  # fmt: skip
