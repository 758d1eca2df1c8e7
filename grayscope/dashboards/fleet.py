"""Fleet: is anything gray, what, and can the rest be seen at all."""

from __future__ import annotations

from typing import Any

from grayscope.dashboards import _panels as p
from grayscope.dashboards._board import board as begin

WHERE, NOBODY = 'cluster=~"$cluster"', "no detector is running"


def board() -> Any:
    """Return the dashboard."""
    made = begin("fleet", "Fleet", "States over time, what is open, and how much of the fleet is seen.", ())
    for n, (state, says, colour) in enumerate((
        ("gray", "The workload suffers while the component says it is healthy.", p.PAGE),
        ("masked", "Spare capacity is being spent; nothing suffers yet.", p.TICKET),
        ("failed", "The system's own view says unhealthy.", p.PAGE),
        ("unknown", "No data: neither healthy nor accused.", p.TICKET),
    )):  # fmt: skip
        expr = p.or_none(f'count(grayscope_subject_state{{{WHERE},state="{state}"}} == 1)', WHERE)
        made.with_panel(p.number(n + 1, state.capitalize(), says, expr, width=4, nothing=NOBODY, steps=((None, p.CALM), (1, colour))))
    pages = p.or_none(f'sum(grayscope_incidents_open{{{WHERE},severity="page"}})', WHERE)
    made.with_panel(p.number(5, "Pages open", "Incidents that woke somebody.", pages, nothing=NOBODY, steps=((None, p.CALM), (1, p.PAGE))))
    made.with_panel(p.number(6, "Watched", "Subjects of all tables.", f"sum(grayscope_subjects{{{WHERE}}})", nothing=NOBODY))
    made.with_panel(p.line(7, "Subjects by state", "How many, over time; normal ones are not drawn.",
                           [(f"count by (state) (grayscope_subject_state{{{WHERE}}} == 1)", "{{state}}")], nothing="all normal", low=0))  # fmt: skip
    made.with_panel(p.line(8, "Open incidents", "By severity and mode.",
                           [(f"sum by (severity, mode) (grayscope_incidents_open{{{WHERE}}})", "{{severity}} {{mode}}")],
                           nothing="none open", low=0))  # fmt: skip
    made.with_panel(p.states(9, "Who is not normal, since when", "One row per subject; a gap is normal.", WHERE, height=10))
    made.with_panel(p.listing(10, "Not normal now", "Select a subject to see it against its peers.", f"grayscope_subject_state{{{WHERE}}} == 1",
                              {"subject": "Subject", "state": "State", "table": "Table", "cell": "Cell", "cluster": "Cluster"}, width=12, nothing="all normal",
                              link=("Subject", p.SHOW)))  # fmt: skip
    made.with_panel(p.bars(11, "Coverage, least first", "Part of the expected values that arrive; what is not seen cannot be judged.",
                           f"bottomk(12, min by (table, metric) (grayscope_coverage_ratio{{{WHERE}}}))", "{{table}} {{metric}}", nothing="nothing is covered",
                           steps=((None, p.PAGE), (0.8, p.TICKET), (0.95, p.CALM))))  # fmt: skip
    return made
