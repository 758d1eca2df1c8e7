"""Desk: file verdicts as incidents; one fault is one incident from the first notice to its end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from grayscope.incident import SEVERITIES, Incident, incident_id
from grayscope.modes import Modes
from grayscope.verdict import STATES, Verdict

SEVERITY = {"gray": "page", "masked": "ticket", "failed": "ticket", "unknown": "notice"}
#: Pieces of evidence that an incident keeps, and changes in its history (the first is always kept).
KEEP, CHANGES = 20, 200


class Desk:
    """The station. A verdict joins the open incident of its subject, or of something that contains it or lies in it.

    Parameters
    ----------
    cluster : str
        Part of every incident's identity.
    """

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.open: dict[str, Incident] = {}
        self.members: dict[str, dict[str, str]] = {}  # incident -> subject -> state

    def step(self, verdicts: Iterable[Verdict]) -> Iterator[Incident]:
        """Yield every incident that a verdict opened, changed or ended."""
        for verdict in verdicts:
            incident = self._find(verdict.subject, verdict.state == "normal")
            if incident is not None:
                yield self._change(incident, verdict)
            elif verdict.state != "normal":
                yield self._new(verdict)

    def _find(self, subject: str, itself: bool) -> Incident | None:
        """Return the open incident that holds the subject, else (unless `itself`) one that holds a part or the whole of it."""
        for key, members in self.members.items():
            if subject in members:
                return self.open[key]
        if itself:
            return None
        for key, members in self.members.items():
            if any(contains(m, subject) or contains(subject, m) for m in members):
                return self.open[key]
        return None

    def _new(self, v: Verdict) -> Incident:
        severity = severity_of(v)
        key = incident_id(self.cluster, v.subject, v.time)
        incident = Incident(
            key, v.subject, v.subject, v.state, severity, v.mode, min(v.since, v.time), v.time,
            history=((v.time, v.state, severity),), summary=_summary(v), evidence=(_piece(v),),
            rivals=v.rivals, probability=_rest(v.rivals),
        )  # fmt: skip
        self.open[key], self.members[key] = incident, {v.subject: v.state}
        return incident

    def _change(self, old: Incident, v: Verdict) -> Incident:
        members = self.members[old.id]
        if v.state == "normal":
            members.pop(v.subject, None)
            return self._hand_over(old, v.time) if members else self._end(old, v.time)
        members[v.subject] = v.state
        severity = "page" if v.state == "failed" and old.severity == "page" else severity_of(v)
        graver = SEVERITIES.index(severity) > SEVERITIES.index(old.severity) or (severity == old.severity and contains(v.subject, old.subject))
        new = replace(
            old, place=_common(old.place, v.subject), evidence=(*old.evidence, _piece(v))[-KEEP:],
            began=min(old.began, v.since), rivals=v.rivals or _rivals(old.subject, members), probability=_rest(v.rivals) if v.rivals else 1.0 / len(members),
        )  # fmt: skip
        if graver or v.subject == old.subject:
            new = replace(
                new, subject=v.subject, state=v.state, severity=severity, mode=v.mode or old.mode, summary=_summary(v),
                history=_longer(old, v.time, v.state, severity), rivals=v.rivals or _rivals(v.subject, members),
                escalated=v.time if severity == "page" and old.severity != "page" and old.escalated is None else old.escalated,
            )  # fmt: skip
        self.open[old.id] = new
        return new

    def _hand_over(self, old: Incident, time: int) -> Incident:
        """One member has recovered: if it was the first suspect, the gravest of those that remain takes its place."""
        members = self.members[old.id]
        new = replace(old, rivals=_rivals(old.subject, members), probability=1.0 / len(members))
        if old.subject not in members:
            lead = max(sorted(members), key=lambda m: STATES.index(members[m]))
            state = members[lead]
            severity = "page" if state == "failed" and old.severity == "page" else SEVERITY[state]
            why = next((str(e["why"]) for e in reversed(old.evidence) if e["subject"] == lead), "")
            new = replace(
                new, subject=lead, state=state, severity=severity, summary=f"{lead} is {state}: {why}",
                history=_longer(old, time, state, severity), rivals=_rivals(lead, members),
            )  # fmt: skip
        self.open[old.id] = new
        return new

    def _end(self, old: Incident, time: int) -> Incident:
        del self.open[old.id], self.members[old.id]
        _, state, severity = max(old.history, key=lambda h: (SEVERITIES.index(h[2]), STATES.index(h[1])))
        return replace(old, state=state, severity=severity, ended=time)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all open incidents as one JSON text in an array."""
        return {"desk": np.array(json.dumps([[asdict(i) for i in self.open.values()], self.members]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        incidents, self.members = json.loads(str(state["desk"]))
        self.open = {}
        for fields in incidents:
            fields["history"] = tuple(map(tuple, fields["history"]))
            fields["rivals"] = tuple(map(tuple, fields["rivals"]))
            fields["evidence"] = tuple(fields["evidence"])
            self.open[fields["id"]] = Incident(**fields)


def _longer(old: Incident, time: int, state: str, severity: str) -> tuple[tuple[int, str, str], ...]:
    """Return the history with one more change; something that flaps for weeks keeps its first and its latest."""
    history = (*old.history, (time, state, severity))
    return history if len(history) <= CHANGES else (history[0], *history[-CHANGES + 1 :])


def severity_of(v: Verdict) -> str:
    """Return how loud a verdict is: by its state, but never louder than its mode may be by that side."""
    mode = Modes.load().modes.get(v.mode)
    loud = SEVERITY[v.state]
    return min(loud, mode.severity, key=SEVERITIES.index) if mode is not None and v.side in mode.sides else loud


def contains(place: str, subject: str) -> bool:
    """Say whether a subject lies in a place, or is a path that ends there.

    Examples
    --------
    >>> contains("n1", "n1/gpu0"), contains("n1", "n10"), contains("n7", "n3>n7"), contains("n1", "n1")
    (True, False, True, False)
    """
    return subject.startswith(f"{place}/") or (">" in subject and ">" not in place and place in subject.split(">"))


def _summary(v: Verdict) -> str:
    return f"{v.subject} is {v.state}: {v.why}"


def _piece(v: Verdict) -> dict[str, object]:
    return {"time": v.time, "subject": v.subject, "state": v.state, "side": v.side, "metric": v.metric, "strength": v.strength, "why": v.why}


def _rivals(subject: str, members: Mapping[str, str]) -> tuple[tuple[str, float], ...]:
    return tuple((m, 1.0 / len(members)) for m in sorted(members) if m != subject)


def _rest(rivals: tuple[tuple[str, float], ...]) -> float:
    return round(1.0 - sum(chance for _, chance in rivals), 4)


def _common(a: str, b: str) -> str:
    """Return the smallest place that contains both.

    Examples
    --------
    >>> _common("n1/gpu0", "n1/gpu0/pcie"), _common("n1/gpu0", "n1/gpu3"), _common("n1", "n2")
    ('n1/gpu0', 'n1', 'site')
    """
    shared = []
    for x, y in zip(a.split("/"), b.split("/"), strict=False):
        if x != y:
            break
        shared.append(x)
    return "/".join(shared) or "site"
