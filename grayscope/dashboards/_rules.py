"""Grafana's own alert rules: the content of `grayscope.alertrules` in the form that its server evaluates."""

from __future__ import annotations

import re
from typing import Any

from grayscope.alertrules import ABOUT, FAULTS, HEALTH, Rule
from grayscope.dashboards import uid

#: Filled in where the rules are put in place.
SOURCE, RUNBOOKS = "${datasource}", "${runbooks}"
#: Rules in Grafana cannot look up another series when they fire, so what a summary names is a label there.
NAMED = ("subject", "mode")
ASKED = re.compile(re.escape(ABOUT.format("LABEL", "OTHER")).replace("LABEL", r"(\w+)").replace("OTHER", '([^"]*)'))


def all_rules() -> dict[str, list[Any]]:
    """Return the models of the rules: grayscope's own health, and the faults."""
    return {"health": [model(r, "grayscope") for r in HEALTH], "faults": [model(r, "grayscope faults") for r in FAULTS]}


def key(rule: Rule) -> str:
    """Return the rule's identity in Grafana, of at most 40 characters.

    Examples
    --------
    >>> key(HEALTH[0]), max(len(key(r)) for r in FAULTS) <= 40
    ('grayscope-dead', True)
    """
    words = [rule.name.removeprefix("Grayscope"), *([rule.severity, *rule.labels.values()] if rule in FAULTS else [])]
    return "-".join(["grayscope", *words]).lower()


def model(rule: Rule, group: str) -> Any:
    """Return one rule built from the generator's models."""
    from grafana_foundation_sdk.builders import alerting
    from grafana_foundation_sdk.builders.expr import TypeThreshold
    from grafana_foundation_sdk.builders.prometheus import Dataquery
    from grafana_foundation_sdk.models.alerting import RelativeTimeRange

    split = rule in FAULTS
    title = f"{rule.name} ({', '.join((rule.severity, *rule.labels.values()))})" if split else rule.name
    expr = rule.expr.replace("(cluster, incident, severity", f"(cluster, incident, severity, {', '.join(NAMED)}") if split else rule.expr
    asked = alerting.Query("A").datasource_uid(SOURCE).relative_time_range(RelativeTimeRange(600, 0)).model(Dataquery().ref_id("A").expr(expr).instant())
    # The expression filters already: whatever it returns fires, a 0 too.
    fires = alerting.Query("B").datasource_uid("__expr__").model(TypeThreshold().ref_id("B").expression("A").conditions([_above(-1)]))
    words = {"summary": _words(rule.summary), "description": _words(rule.description), "runbook_url": f"{RUNBOOKS}/{_words(rule.runbook)}"}
    if split:
        words |= {"__dashboardUid__": uid("fleet"), "__panelId__": "9"}
    return (
        alerting.Rule(title).uid(key(rule)).rule_group(group).folder_uid("grayscope").org_id(1).condition("B").for_val(rule.hold)
        .no_data_state("OK").exec_err_state("Error").labels({"severity": rule.severity, **rule.labels}).annotations(words)
        .with_query(asked).with_query(fires).build()
    )  # fmt: skip


def _above(value: float) -> Any:
    from grafana_foundation_sdk.builders import expr as builders
    from grafana_foundation_sdk.models import expr as models

    made = builders.ExprTypeThresholdConditions().build()
    made.evaluator = models.ExprTypeThresholdConditionsEvaluator([value], "gt")
    return _Built(made)


class _Built:
    """A model where a builder is asked for."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def build(self) -> Any:
        """Return it."""
        return self.made


def _words(text: str) -> str:
    """Return a text whose look-ups are labels: with the other word where the label is empty."""
    text = ASKED.sub(lambda m: f"{{{{ with $labels.{m[1]} }}}}{{{{ . }}}}{{{{ else }}}}{m[2]}{{{{ end }}}}", text)
    return re.sub(r"\$value\b", "$values.A.Value", text)
