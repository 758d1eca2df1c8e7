"""Announce: incidents as alerts: labels are identity, words are annotations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from grayscope.alert import Alert
from grayscope.eased import is_eased
from grayscope.explaining import explain, headline
from grayscope.incident import Incident
from grayscope.ledger import DAY, Entry, urgency
from grayscope.ledgerwords import end_in_words, left_in_words
from grayscope.remaining import nearest, spends
from grayscope.roster import View
from grayscope.seat import seat

NAMES = {"gray": "GrayFailure", "masked": "MaskedRedundancy", "failed": "Failed", "unknown": "CoverageLost"}


def name_of(state: str, severity: str) -> str:
    """Return what an alert is called: a page that is eased for the moment keeps its name, or it would ring again.

    Examples
    --------
    >>> name_of("masked", "ticket"), name_of("gray", "page"), name_of("masked", "page")
    ('MaskedRedundancy', 'GrayFailure', 'GrayFailure')
    """
    return NAMES.get("gray" if is_eased(state, severity) else state, "")


class Announce:
    """The station. An escalation resolves the ticket and fires the page, for severity is part of the identity.

    A masked failure is urgent by when its redundancy ends: label ``urgency``, ``short`` within the horizon, else (and where nothing is known)
    ``long``. It may become short while the alert fires, never long again: a forecast that wavers about the horizon would ring each time.

    Parameters
    ----------
    cluster : str
    horizon : int
        Microseconds.
    """

    def __init__(self, cluster: str, horizon: int = 14 * DAY) -> None:
        self.cluster, self.horizon = cluster, horizon
        #: subject -> mechanism and unit -> the ledger's latest row, of what has been spent at all.
        self.ledger: dict[str, dict[str, Entry]] = {}
        self.firing: dict[str, Alert] = {}

    def step(self, incidents: Iterable[Incident], ledger: Iterable[Entry] = (), roster: View | None = None) -> Iterator[Alert]:
        """Yield the alerts to send, resolutions first; the roster says where a subject sits."""
        for entry in ledger:
            self._keep(entry)
        for incident in incidents:
            old = self.firing.get(incident.id)
            new = self._alert(incident, old, roster)
            changed = incident.history[-1][0] if incident.history else incident.noticed
            last = incident.ended if incident.ended is not None else changed
            if old is not None and (old.labels != new.labels or incident.ended is not None):
                over = {"finding": incident.summary} if incident.ended is not None else {}  # it may say that it goes on elsewhere
                yield Alert(old.labels, {**old.annotations, **over}, old.starts, last)
                del self.firing[incident.id]
            if incident.ended is None and (old is None or _told(old) != _told(new)):
                yield self._fire(incident, new)

    def _fire(self, i: Incident, alert: Alert) -> Alert:
        """Add the detail, only now: most changes of an incident tell a receiver nothing."""
        words = {**alert.annotations, "description": explain(i, self._nearest(i))}
        self.firing[i.id] = replace(alert, annotations=words)
        return self.firing[i.id]

    def _alert(self, i: Incident, old: Alert | None = None, roster: View | None = None) -> Alert:
        labels = {"alertname": name_of(i.state, i.severity), "cluster": self.cluster, "incident": i.id, "severity": i.severity}
        spent = self._nearest(i)
        if labels["alertname"] == NAMES["masked"]:
            near = spent is not None and urgency(spent, i.history[-1][0] if i.history else i.noticed, self.horizon) == "short"
            labels["urgency"] = "short" if near or (old is not None and old.labels == {**labels, "urgency": "short"}) else "long"
        why = next((str(e["why"]) for e in reversed(i.evidence) if e.get("subject") == i.subject), "")
        words = {
            "summary": headline(i, spent),
            "finding": i.summary,
            "subject": i.subject,
            "place": i.place,
            "state": i.state,
            "mode": i.mode,
            "why": why,
            **seat(i.subject, roster),
        }
        if spent is not None:
            words |= {"mechanism": spent.mechanism, "left": left_in_words(spent), "exhausted_at": end_in_words(spent)}
        return Alert(labels, words, _starts(i))

    def _keep(self, entry: Entry) -> None:
        of = self.ledger.setdefault(entry.subject, {})
        of[f"{entry.mechanism}/{entry.unit}"] = entry
        if not entry.spent > 0:
            del of[f"{entry.mechanism}/{entry.unit}"]
        if not of:
            del self.ledger[entry.subject]

    def _nearest(self, i: Incident) -> Entry | None:
        """Return what ends first of all that the first suspect has spent; where no budget is known, what the incident is about."""
        return nearest(self.ledger.get(i.subject, {}).values(), spends(i))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the rows of the ledger, and what fires (by what was known then)."""
        firing = [[key, dict(a.labels), dict(a.annotations), a.starts] for key, a in self.firing.items()]
        ledger = [list(e) for of in self.ledger.values() for e in of.values()]
        return {"announce": np.array(json.dumps([firing, ledger]))}

    def restore(self, incidents: Iterable[Incident], state: Mapping[str, np.ndarray[Any, Any]] | None = None) -> None:
        """Know again what fires: as it was told, else from the open incidents."""
        told, ledger = json.loads(str(state["announce"])) if state else ([], [])
        self.ledger = {}
        for entry in ledger:
            self._keep(Entry(*entry))
        known = {key: Alert(labels, words, starts) for key, labels, words, starts in told}
        self.firing = {}
        for i in incidents:
            if i.id in known:
                self.firing[i.id] = known[i.id]
            else:
                self._fire(i, self._alert(i))


def _told(a: Alert) -> tuple[object, ...]:
    """Return what a receiver is told anew when it changes; detail, and how sure, go along but are no news of their own."""
    return (a.labels, a.starts, {k: v for k, v in a.annotations.items() if k not in ("summary", "description")})


def _starts(i: Incident) -> int:
    """Return since when the incident has been what it is now: an alert that goes on keeps its start."""
    starts = i.noticed
    for time, state, severity in reversed(i.history):
        if (name_of(state, severity), severity) != (name_of(i.state, i.severity), i.severity):
            break
        starts = time
    return starts
