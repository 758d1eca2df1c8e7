"""Itself: does grayscope run, keep up, see everything, and reach whom it tells."""

from __future__ import annotations

from typing import Any

from grayscope.dashboards import _panels as p
from grayscope.dashboards._board import board as begin

WHERE = 'cluster=~"$cluster"'


def board() -> Any:
    """Return the dashboard."""
    made = begin("itself", "grayscope itself", "Is the detector alive, up to date, and heard?", ())
    made.with_panel(p.number(1, "Last tick, seconds ago", "Grows when nothing arrives or nothing is judged.",
                             f"time() - max(grayscope_last_tick_timestamp_seconds{{{WHERE}}})", width=6, unit="s", nothing="no detector is running",
                             steps=((None, p.CALM), (120, p.TICKET), (300, p.PAGE))))  # fmt: skip
    made.with_panel(p.number(2, "Behind", "Messages not read yet.", f"sum(grayscope_lag_messages{{{WHERE}}})", width=6, nothing="no detector is running",
                             steps=((None, p.CALM), (1000, p.TICKET), (10000, p.PAGE))))  # fmt: skip
    made.with_panel(p.number(3, "Alerts lost", "Given up after all tries, last day.", f"sum(increase(grayscope_alerts_lost_total{{{WHERE}}}[1d]))", width=6,
                             nothing="no sink", steps=((None, p.CALM), (1, p.PAGE))))  # fmt: skip
    made.with_panel(p.number(4, "Rejected", "Messages that could not be read, last day.",
                             f"sum(increase(grayscope_rejected_messages_total{{{WHERE}}}[1d]))", width=6,
                             steps=((None, p.CALM), (1, p.TICKET))))  # fmt: skip
    made.with_panel(p.line(5, "Tick time", "How long one step of the line takes, by worker.",
                           [(f"max by (cluster, instance) (grayscope_tick_duration_seconds{{{WHERE}}})", "{{cluster}} {{instance}}")],
                           unit="s", nothing="no detector is running", low=0, steps=((None, p.CALM), (1, p.TICKET))))  # fmt: skip
    made.with_panel(p.line(6, "Lag", "Messages not read yet, by worker.",
                           [(f"sum by (cluster, instance) (grayscope_lag_messages{{{WHERE}}})", "{{cluster}} {{instance}}")],
                           nothing="no detector is running", low=0))  # fmt: skip
    made.with_panel(p.line(7, "Rows", "Judged, and dropped by reason.",
                           [(f"sum(rate(grayscope_rows_total{{{WHERE}}}[$__rate_interval]))", "taken"),
                            (f"sum by (reason) (rate(grayscope_dropped_rows_total{{{WHERE}}}[$__rate_interval]))", "dropped: {{reason}}")],
                           unit="cps", nothing="nothing arrives", low=0))  # fmt: skip
    made.with_panel(p.line(8, "Alerts by receiver", "Sent, and lost.",
                           [(f"sum by (sink) (rate(grayscope_alerts_sent_total{{{WHERE}}}[$__rate_interval]))", "{{sink}} sent"),
                            (f"sum by (sink) (rate(grayscope_alerts_lost_total{{{WHERE}}}[$__rate_interval]))", "{{sink}} lost")],
                           unit="cps", nothing="no sink", low=0))  # fmt: skip
    made.with_panel(p.line(9, "Coverage", "Part of the expected values that arrive, the least per table.",
                           [(f"min by (table) (grayscope_coverage_ratio{{{WHERE}}})", "{{table}}")], width=24, unit="percentunit", nothing="nothing is covered",
                           low=0, high=1, steps=((None, p.PAGE), (0.8, p.TICKET), (0.95, p.CALM))))  # fmt: skip
    return made
