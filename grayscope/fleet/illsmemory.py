"""Illsmemory: what goes wrong in a GPU's memory; sizes from the mode table of the algorithms reference (rows 1 to 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.noise import stream
from grayscope.fleet.place import Place
from grayscope.fleet.shapes import MEMORY, at_ticks, instants, slower

REMAPPED = "Row Remapper: New row marked for remapping, reset gpu to activate."
#: Rows after which most parts are slower (mode table, row 2).
MANY = 10


def hbm_row_spares(fault: Fault, out: Effects, place: Place) -> None:
    """Rows go one after another; before each there is a burst of corrected errors, after it a remap waits for the reset.

    `strength` is rows per hour; `extra` the share of memory bandwidth lost once more than ten rows went.
    """
    g, seconds = place.gpu(fault.subject), out.seconds
    rng = stream(out.seed, f"rows of {fault.subject}")
    gaps = 3600.0 / fault.strength * rng.uniform(0.6, 1.4, 4096)
    moments = fault.began + 60.0 + np.cumsum(gaps) - gaps[0]
    bursts = rng.geometric(1 / 150.0, 4096)
    first, last = seconds[0] - out.period - 60.0, seconds[-1] + 60.0
    now = (moments >= first) & (moments <= last) & (moments < (np.inf if fault.ended is None else fault.ended))
    corrected, rows = np.zeros(len(seconds)), np.zeros(len(seconds))
    for moment, burst in zip(moments[now].tolist(), bursts[now].tolist(), strict=True):
        corrected[(seconds > moment - 60) & (seconds <= moment)] += np.ceil(burst * out.period / 60.0)
        tick = (seconds >= moment) & (seconds < moment + out.period)
        rows[tick] += 1
        if tick.any():
            out.say(moment, place.topology.gpu_names[g], "xid", "63", REMAPPED)
    out.touch("corrected", g, corrected)
    out.touch("rows", g, rows)
    out.touch("pending", g, fault.held(seconds) * (seconds >= moments[0]))
    if fault.extra:
        out.touch("compute", g, 1 + MEMORY * (slower(fault.extra) - 1) * fault.held(seconds) * (seconds >= moments[MANY]))


def ecc_burst(fault: Fault, out: Effects, place: Place) -> None:
    """Corrected errors in bursts that breed bursts: most follow the last one within the hour.

    `strength` is clusters per hour; `extra` the median size of a burst.
    """
    moments = instants(fault, out.seed, fault.strength, children=8.0)
    sizes = np.ceil(fault.stream(out.seed, "sizes").lognormal(np.log(max(fault.extra, 1.0)), 1.2, len(moments)))
    out.touch("corrected", place.gpu(fault.subject), at_ticks(out, moments, np.minimum(sizes, 1000.0)))


def replaced(faults: Sequence[Fault]) -> list[tuple[str, float]]:
    """Return (GPU, second) of every part that another one replaces: those whose remap failed, once they are repaired."""
    return [(f.subject, f.ended) for f in faults if f.mode == "uncorrectable_memory" and f.strength > 1 and f.ended is not None]


def uncorrectable_memory(fault: Fault, out: Effects, place: Place) -> None:
    """A double-bit error kills the job; it starts again elsewhere after `extra` seconds, and everybody can see what was wrong.

    `strength` above 1: the remap fails too, and the part is replaced when it ends.
    """
    g, name = place.gpu(fault.subject), "/".join(fault.subject.split("/")[:2])
    one = np.ones(1)
    hit = at_ticks(out, one * fault.began, one)
    out.touch("uncorrected", g, hit)
    out.touch("rows_uncorrected", g, hit)
    out.touch("pending", g, fault.held(out.seconds))
    out.touch("failed", g, fault.held(out.seconds) * (fault.strength > 1))
    for job, there in place.jobs_on(g // place.topology.gpus, out.seconds):
        out.touch("stop", job, there * (out.seconds >= fault.began) * (out.seconds < fault.began + fault.extra))
    out.say(fault.began, name, "xid", "48", "DBE (double bit error) ECC error.")
    out.say(fault.began + 0.01, name, "xid", "94", "Contained memory error.", 2)
    out.say(fault.began + 2.0, name, "xid", "45", "Preemptive cleanup, due to previous errors.", 6)
    if fault.strength > 1:
        out.say(fault.began + 3.0, name, "xid", "64", "Row remapper: remap failure.")


SHAPES = {"hbm_row_spares": hbm_row_spares, "ecc_burst": ecc_burst, "uncorrectable_memory": uncorrectable_memory}
