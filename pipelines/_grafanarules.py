"""Grafana's alert rules in place: one request each, so that rules of others beside them stay; a person's changes are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from grayscope.dashboards import load_rules
from grayscope.errors import UsageError, shorten
from grayscope.settings import seconds
from grayscope.sinks._posting import RefusedError

from ._grafanaapply import Apply, Step, difference, digest

#: The annotation in which a rule says what we wrote; whoever changes the rule leaves it behind.
MARKED = "grayscope_written"
#: Rules stay editable by people; without it Grafana locks them.
EDITABLE = {"X-Disable-Provenance": "true"}
RULES = "/v1/provisioning/alert-rules"
#: What of a query's model is meant; servers add more.
MEANT = ("expr", "expression", "type", "conditions")
#: Grafana asks for the first two; with the others one incident is one notification.
GROUPED = ["grafana_folder", "alertname", "cluster", "incident"]


def rules(to: Apply, paths: str, runbooks: str, contact: str = "", webhook: str = "") -> Iterator[Step]:
    """Yield what becomes of the contact point, where one is named, and of each rule.

    Parameters
    ----------
    to : Apply
    paths : str
        ``push`` or ``rules``, see `grayscope.alertrules`.
    runbooks : str
        Address of the pages of what to do.
    contact : str
        Contact point that gets the alerts, whatever the notification policies say; empty: they decide.
    webhook : str
        URL of the contact point, if it is to be made.
    """
    if contact:
        yield _contact(to, contact, webhook)
    source = str(to.source().get("uid"))
    for rule in load_rules(paths):
        yield _rule(to, filled(rule, source, runbooks.rstrip("/"), contact))


def essence(rule: dict[str, Any]) -> dict[str, Any]:
    """Return what a rule says, without what a server adds or writes in another way."""
    queries = [
        {"refId": q.get("refId"), "datasourceUid": q.get("datasourceUid"), **{k: v for k, v in (q.get("model") or {}).items() if k in MEANT}}
        for q in rule.get("data") or []
    ]
    for query in queries:
        query["conditions"] = [c.get("evaluator") for c in query.get("conditions") or []]
    said = {k: v for k, v in (rule.get("annotations") or {}).items() if k != MARKED}
    plain = {k: rule.get(k) for k in ("title", "ruleGroup", "condition", "noDataState", "execErrState")}
    sent_to = (rule.get("notification_settings") or {}).get("receiver", "")
    return {**plain, "for": _held(rule.get("for")), "isPaused": bool(rule.get("isPaused")), "labels": rule.get("labels") or {}, "annotations": said,
            "contact": sent_to, "data": queries}  # fmt: skip


def _held(text: Any) -> Any:
    try:
        return seconds(str(text))
    except UsageError:
        return text


def provisioned(paths: str, source: str, runbooks: str, folder: str) -> dict[str, Any]:
    """Return the rules as a file that Grafana reads when it starts.

    Examples
    --------
    >>> [g["name"] for g in provisioned("rules", "prom1", "docs", "grayscope")["groups"]]
    ['grayscope', 'grayscope faults']
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for rule in load_rules(paths):
        made = filled(rule, source, runbooks.rstrip("/"))
        del made["folderUID"], made["orgID"], made["annotations"][MARKED]  # such rules cannot be edited: nothing to compare with
        groups.setdefault(made.pop("ruleGroup"), []).append(made)
    return {"apiVersion": 1, "groups": [{"orgId": 1, "name": n, "folder": folder, "interval": "1m", "rules": found} for n, found in groups.items()]}


def filled(rule: dict[str, Any], source: str, runbooks: str, contact: str = "") -> dict[str, Any]:
    """Return a rule with what only the place knows: data source, runbooks, contact point; marked with what it says."""
    made: dict[str, Any] = json.loads(json.dumps(rule))
    for query in made["data"]:
        query["datasourceUid"] = query["datasourceUid"].replace("${datasource}", source)
    made["annotations"] = {k: v.replace("${runbooks}", runbooks) for k, v in made["annotations"].items()}
    if contact:
        made["notification_settings"] = {"receiver": contact, "group_by": GROUPED}
    made["annotations"][MARKED] = digest(essence(made))
    return made


def _rule(to: Apply, rule: dict[str, Any]) -> Step:
    name, path = str(rule["title"]), f"{RULES}/{rule['uid']}"
    try:
        there = to.server.ask("GET", path)
    except RefusedError as error:
        if error.code != 404:
            raise
        if not to.dry_run:
            to.server.ask("POST", RULES, rule, headers=EDITABLE)
        return Step("rule", name, "created")
    diff = difference(essence(there), essence(rule))
    if not diff:
        return Step("rule", name, "same")
    theirs = (there.get("annotations") or {}).get(MARKED) != digest(essence(there))
    if theirs and not to.force:
        return Step("rule", name, "kept", "changed since grayscope wrote it: --force overwrites it", diff)
    if not to.dry_run:
        to.server.ask("PUT", path, {**rule, "folderUID": there.get("folderUID") or rule["folderUID"]}, headers=EDITABLE)
    return Step("rule", name, "updated", "what a person changed was overwritten" if theirs else "", diff)


def _contact(to: Apply, name: str, webhook: str) -> Step:
    path = "/v1/provisioning/contact-points"
    known = [str(p.get("name")) for p in to.server.ask("GET", path, kind=list)]
    if name in known:
        return Step("contact point", name, "same")
    if not webhook:
        there = ", ".join(shorten(k) for k in known[:10]) or "none"
        raise UsageError(f"grafana {to.server.where}: contact point: expected {name!r}, found {there}: make it in Grafana, or give --contact-webhook")
    if not to.dry_run:
        to.server.ask("POST", path, {"name": name, "type": "webhook", "settings": {"url": webhook}}, headers=EDITABLE)
    return Step("contact point", name, "created")
