"""Saidrows: verdicts and incidents as the messages that others read; docs/messages.md describes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from grayscope.frames import VERSION
from grayscope.incident import Incident
from grayscope.verdict import Verdict
from grayscope.wording import utc

#: Bytes of one such message; what a long summary or much evidence adds beyond is left out, the evidence first.
LARGEST = 500_000


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON would have it: times as RFC 3339, unknown as null.

    Examples
    --------
    >>> verdict_dict(Verdict(1_000_000, "n1/gpu3", "gray", "normal", 30.0, "slow", 0))["time"]
    '1970-01-01T00:00:01Z'
    """
    v = verdict
    return {
        "time": utc(v.time), "subject": v.subject, "table": v.table or None, "state": v.state, "previous": v.previous,
        "strength": _number(v.strength), "why": v.why, "since": utc(v.since), "mode": v.mode or None, "mechanism": v.mechanism or None,
        "metric": v.metric or None, "side": v.side or None, "left": _number(v.left),
        "exhausted_at": None if v.exhausted_at is None else utc(v.exhausted_at),
        "rivals": [{"subject": s, "probability": p} for s, p in v.rivals],
    }  # fmt: skip


def incident_dict(incident: Incident) -> dict[str, Any]:
    """Return an incident as JSON would have it: times as RFC 3339, unknown as null.

    Examples
    --------
    >>> incident_dict(Incident("ab", "n1", "n1", "gray", "page", "", 0, 0, ended=1_000_000))["ended"]
    '1970-01-01T00:00:01Z'
    """
    moment = {name: utc(t) if (t := getattr(incident, name)) is not None else None for name in ("began", "noticed", "escalated", "ended")}
    return {
        "id": incident.id, "subject": incident.subject, "place": incident.place, "state": incident.state, "severity": incident.severity,
        "mode": incident.mode or None, **moment, "history": [{"time": utc(t), "state": s, "severity": v} for t, s, v in incident.history],
        "probability": incident.probability, "rivals": [{"subject": s, "probability": p} for s, p in incident.rivals],
        "summary": incident.summary, "evidence": pieces(incident),
    }  # fmt: skip


def pieces(incident: Incident) -> list[dict[str, Any]]:
    """Return an incident's evidence as JSON would have it."""
    return [_dated(piece) for piece in incident.evidence]


def _dated(piece: Mapping[str, Any]) -> dict[str, Any]:
    """Return a piece of evidence with its times, and those of its signals, in words."""
    told = {k: (utc(v) if k in ("time", "since", "exhausted_at") and isinstance(v, int) else v) for k, v in piece.items()}
    return told | {"signals": [_dated(s) for s in piece["signals"]]} if "signals" in piece else told


def verdict_frame(verdict: Verdict, cell: str) -> bytes:
    """Return a verdict as one message."""
    return _frame("verdict", cell, verdict_dict(verdict))


def incident_frame(incident: Incident, cell: str) -> bytes:
    """Return an incident as it stands as one message."""
    frame = _frame("incident", cell, incident_dict(incident))
    return frame if len(frame) <= LARGEST else _frame("incident", cell, incident_dict(incident) | {"evidence": []})


def _frame(kind: str, cell: str, told: dict[str, Any]) -> bytes:
    return json.dumps({"grayscope": VERSION, "kind": kind, "cell": cell, **told}, separators=(",", ":")).encode()


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
