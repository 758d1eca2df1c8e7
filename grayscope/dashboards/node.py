"""Node: everything on one node beside each other."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard

from grayscope.dashboards import _panels as p
from grayscope.dashboards._board import asked
from grayscope.dashboards._board import board as begin

#: A node and all that it contains.
INSIDE = 'subject=~"$node(/.*)?"'
NOTHING = "not reported on this node"
LINES = (
    ("GPU clocks", p.CLOCK, "hertz", False),
    ("GPU temperatures", p.HEAT, "celsius", False),
    ("GPU power", "gpu_power_watts", "watt", False),
    ("Corrected memory errors", "gpu_ecc_corrected_errors_total", "cps", True),
    ("PCIe replays", "pcie_replays_total", "cps", True),
    ("Network port traffic, the busier direction", "nic_port_transferred_bytes_total", "Bps", True),
    ("Processors busy", "host_cpu_busy_ratio", "percentunit", False),
)


def board() -> Any:
    """Return the dashboard."""
    values = 'query_result(count by (node) (label_replace({__name__=~"gpu_clock_hertz|grayscope_subject_state"}, "node", "$1", "subject", "([^/]+).*")))'
    node = asked("node", "Node", values).regex('/node="([^"]+)"/')
    made = begin("node", "Node", "All components of one node over the same time.", [node])
    made.with_panel(p.states(1, "States on this node", "One row per component; a gap is normal.", INSIDE, height=6))
    for n, (title, metric, unit, rate) in enumerate(LINES):
        expr = p.of_each(metric, INSIDE, rate=rate)
        made.with_panel(p.line(2 + n, title, "One line per component.", [(expr, "{{subject}}")], unit=unit, nothing=NOTHING))
    made.with_panel(p.listing(9, "Redundancy left on this node", "All mechanisms that have spent some.", f"grayscope_redundancy_left_ratio{{{INSIDE}}}",
                              {"subject": "Subject", "mechanism": "Mechanism", "Value": "Left"}, width=12, unit="percentunit", nothing="nothing spent",
                              steps=((None, p.PAGE), (0.2, p.TICKET), (0.5, p.CALM))))  # fmt: skip
    drives = p.line(11, "Drive latency", "One line per drive.", [(p.of_each("drive_latency_seconds", INSIDE), "{{subject}}")], unit="s", nothing=NOTHING)
    return made.with_row(dashboard.Row("Drives, where they report").id(10).collapsed(True).with_panel(drives))
