"""Alertrules: the rules that Prometheus and Grafana evaluate, as data: grayscope's own health always, the faults only where nothing pushes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PATHS = ("push", "rules")
#: One incident each, and nothing else in its labels: whatever else is told of it may change while it fires.
EACH = "max by (cluster, incident, severity{more}) (grayscope_incident_info{{{where}}}) == 1"
#: What an incident is about now, asked for when the rule fires.
ABOUT = '{{{{ with query (printf "grayscope_incident_info{{incident=%q}}" $labels.incident) }}}}{{{{ or (. | first | label "{0}") "{1}" }}}}{{{{ end }}}}'


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule for alerts.

    Parameters
    ----------
    name : str
    expr : str
        PromQL that any Prometheus from 2.42 on reads.
    hold : str
        Time for which it must hold.
    severity, summary, description, runbook : str
        `runbook` is a page and an anchor under the address of all runbooks; all but `severity` may hold templates.
    labels : mapping of str to str
        Further ones.
    """

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    description: str
    runbook: str
    labels: Mapping[str, str] = field(default_factory=dict)


def rules(paths: str = "push") -> tuple[Rule, ...]:
    """Return the rules for how faults reach people.

    Examples
    --------
    >>> [r.name for r in rules()][:2], len(rules("rules")) > len(rules())
    (['GrayscopeDead', 'GrayscopeStill'], True)
    """
    return (*HEALTH, *FAULTS) if paths == "rules" else HEALTH


HEALTH = (
    Rule(
        "GrayscopeDead", "absent(grayscope_build_info)", "5m", "page", "grayscope does not run",
        "No detector has been scraped for 5 minutes: nothing is judged, and no fault will be told.", "own/health.md#dead",
    ),
    Rule(
        "GrayscopeStill", "time() - max by (cluster, cell) (grayscope_last_tick_timestamp_seconds) > 300", "2m", "page",
        "grayscope judges nothing in {{ $labels.cluster }}, cell {{ $labels.cell }}",
        "The newest tick is {{ $value | humanizeDuration }} old: nothing arrives, or the detector is far behind.", "own/health.md#still",
    ),
    Rule(
        "GrayscopeBehind", "sum by (cluster, instance) (grayscope_lag_messages) > 10000", "5m", "ticket",
        "grayscope is behind in {{ $labels.cluster }}", "{{ $value | humanize }} messages wait to be read by {{ $labels.instance }}.", "own/health.md#behind",
    ),
    Rule(
        "GrayscopeSlow", "max by (cluster, cell) (grayscope_tick_duration_seconds) > 5", "10m", "ticket",
        "grayscope is slow in {{ $labels.cluster }}", "A tick takes {{ $value | humanizeDuration }}; soon it will be behind.", "own/health.md#behind",
    ),
    Rule(
        "GrayscopeCoverageLost", "min by (cluster, cell, table) (grayscope_coverage_ratio) < 0.5", "15m", "ticket",
        "Telemetry of {{ $labels.table }} is missing in {{ $labels.cluster }}",
        "Of one metric only {{ $value | humanizePercentage }} of what is expected arrives; what is not seen cannot be judged.", "own/health.md#coverage",
    ),
    Rule(
        "GrayscopeUnseen", 'count by (cluster, table) (grayscope_subject_state{state="unknown"} == 1) > 0', "15m", "notice",
        "{{ $value }} of {{ $labels.table }} in {{ $labels.cluster }} send no data", "They are neither healthy nor accused.", "own/health.md#coverage",
    ),
    Rule(
        "GrayscopeRejects", "sum by (cluster) (increase(grayscope_rejected_messages_total[15m])) > 0", "0m", "ticket",
        "grayscope cannot read messages in {{ $labels.cluster }}", "{{ $value | humanize }} in 15 minutes; they are kept aside with the reason.",
        "own/health.md#rejected",
    ),
    Rule(
        "GrayscopeAlertsLost", "sum by (cluster, sink) (increase(grayscope_alerts_lost_total[15m])) > 0", "0m", "page",
        "Alerts to {{ $labels.sink }} are lost in {{ $labels.cluster }}", "The receiver refused them, or did not take them in time.", "own/health.md#lost",
    ),
)  # fmt: skip


def _fault(name: str, severity: str, state: str, says: str, hold: str, **labels: str) -> Rule:
    """Return the rule for incidents of one state (or of some, ``a|b``) and severity; labels that split it further are part of the identity."""
    where = ",".join(f'{k}{"=~" if "|" in v else "="}"{v}"' for k, v in {"state": state, "severity": severity, **labels}.items())
    more = "".join(f", {k}" for k in labels)
    subject, mode, page = (ABOUT.format(*x) for x in (("subject", "?"), ("mode", "mode unknown"), ("mode", "README")))
    text = f"{mode}: open the incident's dashboard, or ask grayscope for incident {{{{ $labels.incident }}}}."
    return Rule(name, EACH.format(more=more, where=where), hold, severity, f"{subject} {says}", text, f"{page}.md", labels)


#: A page that is only masked at the moment is one still (`grayscope.eased`).
FAULTS = (
    _fault("GrayFailure", "page", "gray|masked", "is gray, or was so within the hour: the workload suffers from it while it says that it is healthy", "0m"),
    _fault("GrayFailure", "ticket", "gray", "is slower than its peers", "0m"),
    _fault("MaskedRedundancy", "ticket", "masked", "spends its redundancy, and that will soon be gone", "0m", urgency="short"),
    _fault("MaskedRedundancy", "ticket", "masked", "spends its redundancy", "5m", urgency="long"),
    _fault("Failed", "page", "failed", "has failed after it was gray", "0m"),
    _fault("Failed", "ticket", "failed", "has failed", "1m"),
)

#: What contains others speaks for them: sections of Alertmanager's own configuration.
ROUTING = """\
# Merge into alertmanager.yml: one incident is one notification, and what contains others speaks for them.
route:
  group_by: [cluster, incident]
  receiver: default
  routes:
    - matchers: [severity="notice"]
      group_by: [cluster, alertname]
      receiver: default
inhibit_rules:
  # A leaf switch that is guilty speaks for the nodes and ports below it.
  - source_matchers: [table="leaf", severity="page"]
    target_matchers: [table!="leaf"]
    equal: [cluster, leaf]
  # A node that is guilty speaks for what is in it.
  - source_matchers: [table="node", severity="page"]
    target_matchers: [table!="node", node!=""]
    equal: [cluster, node]
receivers:
  - name: default
"""
