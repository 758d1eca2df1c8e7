"""Alertwire: an alert as Alertmanager's API takes it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

from grayscope.alert import Alert
from grayscope.promtext import bounded
from grayscope.wording import utc

#: Where the suspect sits: labels, so that what contains others can inhibit them.
PLACES = ("leaf", "node", "table")
#: Characters of a label and of an annotation.
LABEL, WORDS = 256, 8192


def placed(alert: Alert, known: Mapping[str, str] | None = None) -> Alert:
    """Return the alert with the labels that Alertmanager gets: `known` if it fires already, for labels are its identity.

    Examples
    --------
    >>> placed(Alert({"alertname": "A"}, {"leaf": "leaf04", "node": "", "why": "x"}, 0)).labels
    {'alertname': 'A', 'leaf': 'leaf04'}
    """
    labels = known or {**alert.labels, **{k: alert.annotations[k] for k in PLACES if alert.annotations.get(k)}}
    return Alert({k: bounded(v, LABEL) for k, v in labels.items() if v}, alert.annotations, alert.starts, alert.ends)


def wire(alert: Alert, now: float, hold: float, *, runbooks: str = "", link: str = "") -> dict[str, Any]:
    """Return one alert of a ``POST /api/v2/alerts``.

    Parameters
    ----------
    alert : Alert
    now, hold : float
        Seconds since 1970, and for how long a firing alert holds without being told again.
    runbooks : str
        Address under which the page of each mode is.
    link : str
        Address of a picture of the subject; ``{subject}`` in it is replaced.

    Examples
    --------
    >>> a = Alert({"alertname": "A"}, {"mode": "psu", "subject": "n1/gpu0"}, 5_000_000)
    >>> w = wire(a, 100.0, 60.0, runbooks="https://x/", link="https://g/?s={subject}")
    >>> w["startsAt"], w["endsAt"], w["annotations"]["runbook_url"], w["generatorURL"]
    ('1970-01-01T00:00:05Z', '1970-01-01T00:02:40Z', 'https://x/psu.md', 'https://g/?s=n1%2Fgpu0')
    """
    moment = round(now * 1e6)
    ends = max(moment, alert.starts) + round(hold * 1e6) if alert.ends is None else max(alert.starts, min(alert.ends, moment))
    words = {k: bounded(v, WORDS) for k, v in alert.annotations.items() if v and k not in PLACES}
    if runbooks:  # the list of all pages where the mode is not known
        words["runbook_url"] = f"{runbooks.rstrip('/')}/{urllib.parse.quote(alert.annotations.get('mode') or 'README', safe='')}.md"
    subject = urllib.parse.quote(bounded(alert.annotations.get("subject", "")), safe="")
    times = {"startsAt": utc(alert.starts), "endsAt": utc(ends)}
    return {"labels": dict(alert.labels), "annotations": words, **times, **({"generatorURL": link.replace("{subject}", subject)} if link else {})}
