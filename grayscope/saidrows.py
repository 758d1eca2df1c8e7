"""Saidrows: verdicts and incidents as the messages that others read; docs/messages.md describes them."""

from __future__ import annotations

import json
import math
from typing import Any

from grayscope.frames import VERSION
from grayscope.incident import Incident
from grayscope.results import incident_dict
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
