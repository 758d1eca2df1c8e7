"""Incident: the suspect against the band of its peers, its own past, both sides together, and what is left."""

from __future__ import annotations

from typing import Any

from grayscope.dashboards import _panels as p
from grayscope.dashboards._board import asked
from grayscope.dashboards._board import board as begin

#: metric, title, unit, whether it is a counter; the health side, the redundancy side and the symptoms of a GPU.
BANDS = (
    ("gpu_clock_hertz", "Clock", "hertz", False),
    ("gpu_temperature_celsius", "Temperature", "celsius", False),
    ("gpu_power_watts", "Power (the load)", "watt", False),
    ("gpu_ecc_corrected_errors_total", "Corrected memory errors", "cps", True),
)
SUBJECT = 'subject="$subject"'


def board() -> Any:
    """Return the dashboard."""
    made = begin("incident", "Incident", "One suspect: against its peers, against its own past, and what redundancy is left.",
                 [asked("subject", "Subject", 'label_values({__name__=~"grayscope_subject_state|gpu_clock_hertz"}, subject)')])  # fmt: skip
    made.with_panel(p.states(1, "State of the suspect", "What grayscope said about it, over time.", SUBJECT, height=4))
    for n, (metric, title, unit, rate) in enumerate(BANDS):
        says = "Red: the suspect. Band: 5th to 95th percentile of all of its model. Far outside the band at the same load is what peers do not explain."
        made.with_panel(p.band(2 + n, f"{title} against peers", says, metric, unit=unit, nothing="not reported for this subject", rate=rate))
    made.with_panel(p.line(6, "Own past: clock now and a day before", "Has it always been like this?",
                           [(f"gpu_clock_hertz{{{SUBJECT}}}", "now"), (f"avg_over_time(gpu_clock_hertz{{{SUBJECT}}}[1d] offset 1h)", "mean of the day before")],
                           unit="hertz", nothing="no past recorded"))  # fmt: skip
    made.with_panel(p.line(7, "Both sides together", "What the system's own view says (1 healthy) beside the part of the peers' median clock that is reached.",
                           [(f"gpu_present{{{SUBJECT}}}", "health view"),
                            (f"gpu_clock_hertz{{{SUBJECT}}} / scalar(quantile(0.5, gpu_clock_hertz))", "clock, part of the median")],
                           unit="percentunit", nothing="neither side reports", low=0))  # fmt: skip
    made.with_panel(p.listing(8, "Redundancy left", "The ledger's view of this subject.", f"grayscope_redundancy_left_ratio{{{SUBJECT}}}",
                              {"mechanism": "Mechanism", "Value": "Left"}, width=12, unit="percentunit", nothing="nothing spent",
                              steps=((None, p.PAGE), (0.2, p.TICKET), (0.5, p.CALM))))  # fmt: skip
    made.with_panel(p.listing(9, "Time until it is spent", "As the ledger forecasts it.", f"grayscope_redundancy_exhaustion_seconds{{{SUBJECT}}}",
                              {"mechanism": "Mechanism", "Value": "Left for"}, width=12, unit="s", nothing="no end in sight",
                              steps=((None, p.PAGE), (1209600, p.CALM))))  # fmt: skip
    return made
