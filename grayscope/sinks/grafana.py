"""Grafana: every incident as annotations on the dashboards: a mark while it is open, a region once it has ended."""

from __future__ import annotations

import hashlib
import html
import json
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grayscope.alert import Alert
from grayscope.dashboards import uid
from grayscope.errors import GrayscopeError, InputError
from grayscope.grafana import Server
from grayscope.sinks._delivery import AGE, PAUSES, Delivery
from grayscope.sinks._posting import RefusedError

#: Dashboard and panel of each annotation: who is not normal since when, and the state of the suspect.
PLACES = ((uid("fleet"), 9), (uid("incident"), 1))
#: Where it goes if a dashboard is not there: to the organisation, found by its tags.
ANYWHERE = ("", 0)
#: Characters of a tag that Grafana keeps; of a text.
TAG, TEXT = 100, 4000


class Grafana:
    """Write annotations from a thread of its own: at least once, in order, looked up before they are made, so that none is doubled.

    A dead Grafana never blocks detection; what is given up is counted in `lost`. A token that is refused (401, 403) is a mistake that no retry mends: it is
    told once in `said`, nothing more is sent, and all that comes later counts as lost.

    Parameters
    ----------
    url : str
        Of Grafana's start page.
    token, token_file : str
        Of a service account (role Editor); by default from ``GRAYSCOPE_GRAFANA_TOKEN``.
    timeout : float
        Seconds of silence.
    pauses : sequence of float
        Seconds before each further try; the last one holds from there on.
    age : float
        Seconds after which an annotation is given up.
    spool : str
        Folder in which waiting annotations outlive a restart.
    ca, cert, key : str
        Files for TLS.
    """

    def __init__(
        self, url: str, *, token: str = "", token_file: str = "", timeout: float = 5.0, pauses: Sequence[float] = PAUSES, age: float = AGE, spool: str = "",
        sleep: Callable[[float], object] | None = None, clock: Callable[[], float] = time.time, ca: str = "", cert: str = "", key: str = "",
    ) -> None:  # fmt: skip
        self.server = Server(url, token=token, token_file=token_file, timeout=timeout, ca=ca, cert=cert, key=key)
        self.url, self.stopped = self.server.url, ""
        name = "grafana-" + hashlib.blake2b(self.url.encode(), digest_size=4).hexdigest()
        self.delivery = Delivery(self._deliver, name, pauses=pauses, age=age, spool=spool, sleep=sleep, clock=clock)

    @property
    def sent(self) -> int:
        """Alerts that were taken."""
        return self.delivery.sent

    @property
    def lost(self) -> int:
        """Alerts that were given up."""
        return self.delivery.lost

    @property
    def said(self) -> str:
        """The last trouble."""
        return self.stopped or self.delivery.said

    def send(self, alerts: Sequence[Alert]) -> None:
        """Queue the alerts and return at once."""
        firing = {a.labels.get("incident", "") for a in alerts if a.firing}
        for alert in alerts:
            if alert.firing or alert.labels.get("incident", "") not in firing:  # an escalation ends the ticket, not the incident
                self.delivery.put(json.dumps(note(alert, self.url)).encode())

    def close(self, limit: float = 30.0) -> None:
        """Deliver what is queued within `limit` seconds, one more try each; the rest is counted in `lost`."""
        self.delivery.close(limit)
        self.server.close()

    def _deliver(self, data: bytes) -> None:
        if self.stopped:
            raise GrayscopeError(self.stopped)
        try:
            self._write(json.loads(data))
        except RefusedError as error:
            if error.code in (401, 403):
                self.stopped = f"{error}; nothing more is sent until a restart"
            raise

    def _write(self, wanted: dict[str, Any]) -> None:
        asked = {"tags": wanted["tags"][:2], "type": "annotation", "limit": 100}
        found = self.server.ask("GET", "/annotations", params=asked, kind=list)
        if not all(isinstance(n, dict) and isinstance(n.get("id"), int) for n in found):
            raise InputError.at(f"grafana {self.server.where}", "annotations", "each with an id", found)
        there = {(str(n.get("dashboardUID") or ""), int(n.get("panelId") or 0)): n for n in found}
        missing = False
        for place in PLACES:
            missing |= not self._place(place, there.get(place), wanted)
        if missing:
            self._place(ANYWHERE, there.get(ANYWHERE), wanted)

    def _place(self, place: tuple[str, int], old: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
        """Make or change one annotation; False if its dashboard is not there."""
        if old is not None:
            start = int(old.get("time") or wanted["time"])  # the incident's first; an alert that escalates begins anew
            body = {"time": start, "timeEnd": max(wanted["timeEnd"] or start, start), "text": wanted["text"], "tags": wanted["tags"]}
            if any(old.get(k) != v for k, v in body.items()):
                self.server.ask("PATCH", f"/annotations/{old['id']}", body)
            return True
        body = {k: v for k, v in wanted.items() if v}
        if place != ANYWHERE:
            body |= {"dashboardUID": place[0], "panelId": place[1]}
        try:
            self.server.ask("POST", "/annotations", body)
        except RefusedError as error:
            # Servers differ in the status; the contract documents only 400.
            if place != ANYWHERE and (error.code == 404 or (error.code == 400 and "dashboard" in str(error).lower())):
                return False
            raise
        return True


def note(alert: Alert, url: str) -> dict[str, Any]:
    """Return the annotation of an alert; its first two tags find it again.

    Examples
    --------
    >>> made = note(Alert({"incident": "ab12", "severity": "page"}, {"summary": "n1 is <slow>", "mode": "slow_rank"}, 5_000_000), "http://g")
    >>> made["time"], made["timeEnd"], made["tags"], made["text"].splitlines()[0]
    (5000, 0, ['grayscope', 'incident:ab12', 'severity:page', 'mode:slow_rank'], 'page: n1 is &lt;slow&gt;')
    """
    words, subject = alert.annotations, alert.annotations.get("subject", "")
    node = words.get("node") or subject.partition("/")[0]
    start = max(alert.starts // 1000, 1)
    return {
        "time": start,
        "timeEnd": max(alert.ends // 1000, start) if alert.ends is not None else 0,
        "tags": [
            "grayscope",
            *(_tag(k, v) for k, v in (("incident", alert.labels.get("incident")), ("severity", alert.labels.get("severity")),
                                      ("mode", words.get("mode")), ("node", node), ("cluster", alert.labels.get("cluster"))) if v),
        ],
        "text": _text(alert.labels, words, subject, url, ended=alert.ends is not None),
    }  # fmt: skip


def _text(labels: Mapping[str, str], words: Mapping[str, str], subject: str, url: str, *, ended: bool) -> str:
    """Return the words: plain, for Grafana reads a text as HTML."""
    head = f"{labels.get('severity', '')}{', ended' if ended else ''}: {words.get('summary') or subject}"
    lines = [html.escape(_clean(line)[: TEXT // 4]) for line in (head, words.get("why", ""), words.get("left", "") and f"left: {words['left']}") if line]
    if subject:
        where = f"{url}/d/{uid('incident')}?var-subject={urllib.parse.quote(subject[:300], safe='')}"
        lines.append(f'<a href="{html.escape(where)}">show {html.escape(_clean(subject)[:300])} against its peers</a>')
    return "\n".join(lines)


def _tag(key: str, value: str) -> str:
    return _clean(f"{key}:{value}")[:TAG]


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
