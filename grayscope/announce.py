"""Announce: incidents as alerts: labels are identity, words are annotations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from grayscope.alert import Alert
from grayscope.incident import Incident

NAMES = {"gray": "GrayFailure", "masked": "MaskedRedundancy", "failed": "Failed", "unknown": "CoverageLost"}


class Announce:
    """The station. An escalation resolves the ticket and fires the page, for severity is part of the identity."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.firing: dict[str, Alert] = {}

    def step(self, incidents: Iterable[Incident]) -> Iterator[Alert]:
        """Yield the alerts to send, resolutions first."""
        for incident in incidents:
            new, old = self._alert(incident), self.firing.get(incident.id)
            changed = incident.history[-1][0] if incident.history else incident.noticed
            last = incident.ended if incident.ended is not None else changed
            if old is not None and (old.labels != new.labels or incident.ended is not None):
                yield Alert(old.labels, old.annotations, old.starts, last)
                del self.firing[incident.id]
            if incident.ended is None and old != new:
                self.firing[incident.id] = new
                yield new

    def _alert(self, i: Incident) -> Alert:
        labels = {"alertname": NAMES[i.state], "cluster": self.cluster, "incident": i.id, "severity": i.severity}
        why = next((str(e["why"]) for e in reversed(i.evidence) if e.get("subject") == i.subject), "")
        words = {"summary": i.summary, "subject": i.subject, "place": i.place, "state": i.state, "mode": i.mode, "why": why}
        return Alert(labels, words, _starts(i))

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Know again what fires, from the open incidents."""
        self.firing = {i.id: self._alert(i) for i in incidents}


def _starts(i: Incident) -> int:
    """Return since when the incident has been what it is now: an alert that goes on keeps its start."""
    starts = i.noticed
    for time, state, severity in reversed(i.history):
        if (state, severity) != (i.state, i.severity):
            break
        starts = time
    return starts
