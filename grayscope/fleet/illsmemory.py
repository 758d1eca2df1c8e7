"""Illsmemory: what goes wrong in a GPU's memory; sizes from the mode table of the algorithms reference (rows 1 to 3).

Numbers in the functions below that those rows do not give are assumed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.illsbus import fell, reboot
from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.place import Place
from grayscope.fleet.shapes import MEMORY, at_ticks, instants, slower

REMAPPED = "Row Remapper: New row marked for remapping, reset gpu to activate."
#: Rows after which most parts are slower (mode table, row 2).
MANY = 10
#: Spare rows of one bank (telemetry reference, section 6).
SPARES = 8


def moments(fault: Fault, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return when rows of a burn-down go, and how many corrected errors come before each."""
    rng = stream(seed, f"rows of {fault.subject}")
    gaps = 3600.0 / fault.strength * rng.uniform(0.6, 1.4, 4096)
    return np.asarray(fault.began + 60.0 + np.cumsum(gaps) - gaps[0]), rng.geometric(1 / 150.0, 4096)


def hbm_row_spares(fault: Fault, out: Effects, place: Place) -> None:
    """Rows go one after another; before each there is a burst of corrected errors, after it a remap waits for the reset.

    `strength` is rows per hour; `extra` the share of memory bandwidth lost once more than ten rows went. The form
    ``bank``: all are of one bank and uncorrectable; when it has no spare left the next one fails for everybody to see.
    """
    g, seconds = place.gpu(fault.subject), out.seconds
    times, bursts = moments(fault, out.seed)
    first, last = seconds[0] - out.period - 60.0, seconds[-1] + 60.0
    end = min(np.inf if fault.ended is None else fault.ended, np.inf if fault.fails is None else fault.fails)
    now = (times >= first) & (times <= last) & (times < end)
    corrected, rows = np.zeros(len(seconds)), np.zeros(len(seconds))
    for moment, burst in zip(times[now].tolist(), bursts[now].tolist(), strict=True):
        corrected[(seconds > moment - 60) & (seconds <= moment)] += np.ceil(burst * out.period / 60.0)
        tick = (seconds >= moment) & (seconds < moment + out.period)
        rows[tick] += 1
        out.say(moment, place.topology.gpu_names[g], "xid", "63", REMAPPED)
    out.touch("corrected", g, corrected)
    out.touch("rows_uncorrected" if fault.form == "bank" else "rows", g, rows)
    out.touch("pending", g, fault.held(seconds) * (seconds >= times[0]))
    if fault.extra:
        out.touch("compute", g, 1 + MEMORY * (slower(fault.extra) - 1) * fault.held(seconds) * (seconds >= times[MANY]))
    if fault.fails is not None:
        out.touch("failed", g, fault.held(seconds) * (seconds >= fault.fails))
        _doubled(fault.fails, g, out, place, remapped=False)
        fell(fault, out, place, needed=False)


def ecc_burst(fault: Fault, out: Effects, place: Place) -> None:
    """Corrected errors in bursts that breed bursts: most follow the last one within the hour.

    `strength` is clusters per hour; `extra` the median size of a burst.
    """
    moments = instants(fault, out.seed, fault.strength, children=8.0)
    sizes = np.ceil(fault.stream(out.seed, "sizes").lognormal(np.log(max(fault.extra, 1.0)), 1.2, len(moments)))
    out.touch("corrected", place.gpu(fault.subject), at_ticks(out, moments, np.minimum(sizes, 1000.0)))


def uncorrectable_memory(fault: Fault, out: Effects, place: Place) -> None:
    """A double-bit error kills the job; it starts again elsewhere after `extra` seconds, and everybody can see what was wrong.

    `strength` above 1: the remap fails too, and the part is replaced when it ends. The node starts again then.
    """
    g = place.gpu(fault.subject)
    out.touch("rows_uncorrected", g, at_ticks(out, np.ones(1) * fault.began, np.ones(1)))
    out.touch("pending", g, fault.held(out.seconds))
    out.touch("failed", g, fault.held(out.seconds) * (fault.strength > 1))
    for job, there in place.jobs_on(g // place.topology.gpus, out.seconds):
        out.touch("stop", job, there * (out.seconds >= fault.began) * (out.seconds < fault.began + fault.extra))
    _doubled(fault.began, g, out, place, remapped=fault.strength <= 1)
    reboot(fault, out, place)


def _doubled(moment: float, g: int, out: Effects, place: Place, *, remapped: bool) -> None:
    """Count one uncorrectable error and tell of it."""
    name = place.topology.gpu_names[g]
    out.touch("uncorrected", g, at_ticks(out, np.ones(1) * moment, np.ones(1)))
    out.say(moment, name, "xid", "48", "DBE (double bit error) ECC error.")
    out.say(moment + 0.01, name, "xid", "94", "Contained memory error.", 2)
    out.say(moment + 2.0, name, "xid", "45", "Preemptive cleanup, due to previous errors.", 6)
    if not remapped:
        out.say(moment + 3.0, name, "xid", "64", "Row remapper: remap failure.")


SHAPES = {"hbm_row_spares": hbm_row_spares, "ecc_burst": ecc_burst, "uncorrectable_memory": uncorrectable_memory}
