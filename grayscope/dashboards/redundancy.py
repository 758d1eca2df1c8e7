"""Redundancy: who has how much left, how fast it goes, and whose is spent first."""

from __future__ import annotations

from typing import Any

from grayscope.dashboards import _panels as p
from grayscope.dashboards._board import asked
from grayscope.dashboards._board import board as begin

ANY, NOBODY = 'cluster=~"$cluster"', "no detector is running"
WHERE = f'{ANY},mechanism=~"$mechanism"'
LEFT: p.Steps = ((None, p.PAGE), (0.2, p.TICKET), (0.5, p.CALM))
#: Seconds; two weeks is the horizon within which a ticket is urgent.
SOON: p.Steps = ((None, p.PAGE), (1209600, p.TICKET), (7776000, p.CALM))


def board() -> Any:
    """Return the dashboard."""
    made = begin("redundancy", "Redundancy", "What hides faults is used up: where, how fast, and when it ends.",
                 [asked("mechanism", "Mechanism", "label_values(grayscope_redundancy_left_ratio, mechanism)", everything=True)], past="now-7d")  # fmt: skip
    made.with_panel(p.number(1, "Spent within two weeks", "Subjects and mechanisms whose end is near.",
                             p.or_none(f"count(grayscope_redundancy_exhaustion_seconds{{{WHERE}}} < 1209600)", ANY), width=6, nothing=NOBODY,
                             steps=((None, p.CALM), (1, p.PAGE))))  # fmt: skip
    made.with_panel(p.number(2, "Least left", "Of any mechanism.", f"min(grayscope_redundancy_left_ratio{{{WHERE}}})", width=6, unit="percentunit",
                             nothing="nothing spent", steps=LEFT))  # fmt: skip
    made.with_panel(p.number(3, "Subjects that spend", "All that have used some.",
                             p.or_none(f"count(group by (subject) (grayscope_redundancy_left_ratio{{{WHERE}}}))", ANY), width=6, nothing=NOBODY))  # fmt: skip
    made.with_panel(p.number(4, "Next to be spent", "The shortest forecast.", f"min(grayscope_redundancy_exhaustion_seconds{{{WHERE}}})", width=6, unit="s",
                             nothing="no end in sight", steps=SOON))  # fmt: skip
    made.with_panel(p.line(5, "Burn-down", "Part left, of the twelve with the least.",
                           [(f"bottomk(12, grayscope_redundancy_left_ratio{{{WHERE}}})", "{{subject}} {{mechanism}}")], width=24, unit="percentunit",
                           nothing="nothing spent", low=0, high=1, steps=LEFT))  # fmt: skip
    made.with_panel(p.listing(6, "Who is first", "Time until it is spent; select a subject to see it.",
                              f"sort(bottomk(50, grayscope_redundancy_exhaustion_seconds{{{WHERE}}}))",
                              {"subject": "Subject", "mechanism": "Mechanism", "Value": "Spent in"}, width=12, height=10, unit="s", nothing="no end in sight",
                              link=("Subject", p.SHOW), steps=SOON))  # fmt: skip
    made.with_panel(p.bars(7, "Left by mechanism", "The least of any subject.",
                           f"min by (mechanism) (grayscope_redundancy_left_ratio{{{WHERE}}})", "{{mechanism}}",
                           height=10, nothing="nothing spent", steps=LEFT))  # fmt: skip
    return made
