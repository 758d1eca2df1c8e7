"""Illsfabric: what goes wrong on NICs and cables; sizes from the mode table of the algorithms reference (rows 11 to 15).

Numbers in the functions below that those rows do not give are assumed.
"""

from __future__ import annotations

import numpy as np

from grayscope.fleet.effects import Effects
from grayscope.fleet.faults import Fault
from grayscope.fleet.noise import wave
from grayscope.fleet.place import Place
from grayscope.fleet.shapes import at_ticks, counts, instants, slower

#: Bit error ratio before correction, log10, beyond which corrected words begin to fail: 2.4e-4 (algorithms reference,
#: section 7.2).
CLIFF = float(np.log10(2.4e-4))


def fec_margin(fault: Fault, out: Effects, place: Place) -> None:
    """An optic's error ratio drifts up by `strength` decades per hour, in a saw with its temperature; past the cliff packets are lost and the link flaps.

    Drifts of 0.05 to 0.5 decades per day are assumed in the reference; scenarios state by how much they speed it up.
    """
    n, age = place.nic(fault.subject), np.maximum(out.seconds - fault.began, 0.0) / 3600.0
    level = np.minimum(fault.strength * age + 0.12 * wave(out.seconds, 7200.0) * (age > 0), 6.0) * fault.held(out.seconds)
    out.touch("margin", n, level)
    beyond = np.clip(place.lottery.errors[n] + level - CLIFF, 0.0, 1.0)
    if beyond.any():
        out.touch("symbols", n, counts(fault, out, 5.0 * beyond, "symbols"))
        out.touch("retransmits", n, counts(fault, out, 1.5 * beyond, "retransmits"))
        out.touch("network", n, slower(0.6 * beyond))  # how much bandwidth it costs is assumed
        downs = counts(fault, out, 2.0 / 3600.0 * beyond, "downs")
        for field in ("downs", "recoveries"):
            out.touch(field, n, downs)
        for job, there in place.jobs_on(n // place.topology.gpus, out.seconds):
            out.touch("stall", job, there * np.minimum(3.0 * downs / out.period, 0.9))
        for moment in out.seconds[downs > 0].tolist():
            out.say(moment, fault.subject, "link", "down", "Link down")
            out.say(moment + 3.0, fault.subject, "link", "up", "Link up")


def link_flap(fault: Fault, out: Effects, place: Place) -> None:
    """The link goes down for 1 to 10 s, `strength` clusters per hour; the collective stands still meanwhile."""
    n = place.nic(fault.subject)
    moments = instants(fault, out.seed, fault.strength, children=2.0, gap=240.0)
    lengths = fault.stream(out.seed, "lengths").uniform(1.0, 10.0, len(moments))
    down = np.minimum(at_ticks(out, moments, lengths), out.period)
    many = at_ticks(out, moments, np.ones(len(moments)))
    for field in ("downs", "recoveries"):
        out.touch(field, n, many)
    out.touch("up", n, np.where(down >= out.period / 2, 0.0, 1.0))
    out.touch("retransmits", n, counts(fault, out, many / out.period * 3.0, "retransmits"))
    for job, there in place.jobs_on(n // place.topology.gpus, out.seconds):
        out.touch("stall", job, there * down / out.period)
    for moment, length in zip(moments.tolist(), lengths.tolist(), strict=True):
        out.say(moment, fault.subject, "link", "down", "Link down")
        out.say(moment + length, fault.subject, "link", "up", "Link up")


def rail_failover(fault: Fault, out: Effects, place: Place) -> None:
    """A NIC is gone and the node's other rails carry its bytes: `strength` of the bandwidth is lost (1 of 8, less with good routing)."""
    n, held = place.nic(fault.subject), fault.held(out.seconds)
    mates = place.gpus(n // place.topology.gpus)
    mates = mates[mates != n]
    out.touch("bytes", n, 1 - held)
    out.touch("up", n, 1 - held)
    out.touch("bytes", mates, 1 + held / max(len(mates), 1))
    out.touch("network", mates, 1 + (slower(fault.strength) - 1) * held)
    once = np.ones(1)
    out.touch("downs", n, at_ticks(out, once * fault.began, once))
    out.say(fault.began, fault.subject, "link", "down", "Link down")


def nic_errors(fault: Fault, out: Effects, place: Place) -> None:
    """Symbol errors and retransmits at `strength` per minute; `extra` of the port's bandwidth is lost."""
    n, held = place.nic(fault.subject), fault.held(out.seconds)
    out.touch("symbols", n, counts(fault, out, fault.strength / 120.0 * held, "symbols"))
    out.touch("retransmits", n, counts(fault, out, fault.strength / 60.0 * held, "retransmits"))
    out.touch("network", n, 1 + (slower(fault.extra) - 1) * held)


def nic_rate(fault: Fault, out: Effects, place: Place) -> None:
    """The port came up at the share `strength` of its rate; what goes over it takes as much longer."""
    n, held = place.nic(fault.subject), fault.held(out.seconds)
    out.touch("rate", n, 1 - (1 - fault.strength) * held)
    out.touch("network", n, 1 + (1 / fault.strength - 1) * held)


def link_corruption(fault: Fault, out: Effects, place: Place) -> None:
    """Packets are lost at the share `strength`, whatever the load; recovering them costs `extra` of the bandwidth."""
    n, held = place.nic(fault.subject), fault.held(out.seconds)
    lost = 6.0e6 * fault.strength * held  # packets of 4 kB per second at half the rate
    out.touch("spoilt", n, counts(fault, out, np.minimum(lost, 200.0), "spoilt"))
    out.touch("retransmits", n, counts(fault, out, np.minimum(lost, 200.0) / 4, "retransmits"))
    out.touch("network", n, 1 + (slower(fault.extra) - 1) * held)


SHAPES = {
    "fec_margin": fec_margin, "link_flap": link_flap, "rail_failover": rail_failover, "nic_errors": nic_errors,
    "nic_rate": nic_rate, "link_corruption": link_corruption,
}  # fmt: skip
