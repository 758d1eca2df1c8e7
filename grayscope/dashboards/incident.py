"""Incident: the suspect against the band of its peers, its own past, both sides together, and what is left."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models import dashboard as models

from grayscope.dashboards import _panels as p
from grayscope.dashboards._board import asked
from grayscope.dashboards._board import board as begin

#: metric, title, unit, whether it is a counter; the health side, the redundancy side and the symptoms of a GPU.
BANDS = (
    (p.CLOCK, "Clock", "hertz", False),
    (p.HEAT, "Temperature", "celsius", False),
    ("gpu_power_watts", "Power (the load)", "watt", False),
    ("gpu_ecc_corrected_errors_total", "Corrected memory errors", "cps", True),
)
SUBJECT = 'subject="$subject"'
#: The GPU that a suspect is, or is a part of: of n1/gpu0/pcie it is n1/gpu0.
GPU = 'label_replace(label_replace(vector(1), "own", "$subject", "", ""), "gpu", "$1", "own", "(.+?)(/(pcie|nvlink[0-9]+))?")'
#: With what is a part of it.
WHOLE = 'subject=~"$gpu(/.*)?"'
OF_RANK = "gpu_subject, job_id, role"
OWN_RANK = p.of_each("compute_seconds", 'gpu_subject="$gpu"', by=OF_RANK)
RANKS = f"({p.of_each('compute_seconds', '', by=OF_RANK)} and on(job_id, role) group by (job_id, role) ({OWN_RANK}))"
OWN_CLOCK = p.of_each(p.CLOCK, 'subject="$gpu"', by="subject, sku")
CLOCKS = f"({p.of_each(p.CLOCK, '', by='subject, sku')} and on(sku) group by (sku) ({OWN_CLOCK}))"
PAST = " or ".join(f'max by (subject) (avg_over_time({p.CLOCK[:-1]},subject="$gpu"}}[1d]{when}))' for when in (" offset 1h", ""))
HEALTHY = 'min(gpu_present{subject="$gpu"} or on(__name__) 1 - clamp_max(gpu_row_remap_failed{subject="$gpu"}, 1))'


def board() -> Any:
    """Return the dashboard."""
    gpu = asked("gpu", "GPU", f"query_result({GPU})").regex('/gpu="([^"]+)"/').hide(models.VariableHide.HIDE_VARIABLE)
    made = begin("incident", "Incident", "One suspect: against its peers, against its own past, and what redundancy is left.",
                 [asked("subject", "Subject", 'label_values({__name__=~"grayscope_subject_state|gpu_clock_hertz"}, subject)'), gpu])  # fmt: skip
    made.with_panel(p.states(1, "State of the suspect", "What grayscope said about it, over time.", SUBJECT, height=4))
    says = "Red: the suspect, or the GPU that it is a part of. Band: 5th to 95th percentile of all of its model. What peers do not explain is outside the band."
    for n, (metric, title, unit, rate) in enumerate(BANDS):
        made.with_panel(p.band(2 + n, f"{title} against peers", says, metric, unit=unit, nothing="not reported for this subject", rate=rate))
    made.with_panel(p.line(6, "Own past: clock now and a day before", "Has it always been like this?",
                           [(p.of_each(p.CLOCK, 'subject="$gpu"'), "now"),
                            (PAST, "mean of the day before, or of what there is")],
                           unit="hertz", nothing="no past recorded"))  # fmt: skip
    made.with_panel(p.line(7, "Both sides together",
                           "What the system's own view says (1: present, no repair failed) beside what the workload gets, as part of the peers' median.",
                           [(HEALTHY, "health view"), (f"quantile(0.5, {RANKS}) / scalar({OWN_RANK})", "speed of its rank, part of the median"),
                            (f"{OWN_CLOCK} / scalar(quantile(0.5, {CLOCKS}))", "clock, part of the median")],
                           unit="percentunit", nothing="neither side reports", low=0))  # fmt: skip
    made.with_panel(p.listing(8, "Redundancy left", "The ledger's view of this subject, its GPU and the parts of that.",
                              f"grayscope_redundancy_left_ratio{{{WHOLE}}}",
                              {"subject": "Subject", "mechanism": "Mechanism", "Value": "Left"}, width=12, unit="percentunit", nothing="nothing spent",
                              steps=((None, p.PAGE), (0.2, p.TICKET), (0.5, p.CALM))))  # fmt: skip
    made.with_panel(p.listing(9, "Time until it is spent", "As the ledger forecasts it.", f"grayscope_redundancy_exhaustion_seconds{{{WHOLE}}}",
                              {"subject": "Subject", "mechanism": "Mechanism", "Value": "Left for"}, width=12, unit="s", nothing="no end in sight",
                              steps=((None, p.PAGE), (1209600, p.CALM))))  # fmt: skip
    rank = "Red: the rank on this GPU. Band: 5th to 95th percentile of the ranks with the same job and role. Waiting for others is not in it."
    made.with_panel(p.band(10, "Work of its rank against peers", rank, "compute_seconds", unit="s", nothing="no rank reports on this GPU",
                           peers="job_id, role", me="gpu_subject"))  # fmt: skip
    return made
