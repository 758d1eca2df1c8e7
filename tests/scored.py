"""Truth rows and incidents for the tests of the score, in minutes."""

from __future__ import annotations

from typing import Any

from grayscope.score import Part, score

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def fault(subject: str = "n1/gpu0", state: str = "gray", began: int = 10 * MINUTE, ended: int | None = 70 * MINUTE, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "mode": "slow_rank", "state": state, "began": began, "ended": ended, **more}


def said(*history: tuple[int, str, str], subject: str = "n1/gpu0", ended: int | None = None, rivals: tuple[str, ...] = (), name: str = "a") -> dict[str, Any]:
    severity = min((v for _, _, v in history), key=["page", "ticket", "notice"].index)
    pairs = [{"subject": r, "probability": 0.1} for r in rivals]
    return {"id": name, "subject": subject, "severity": severity, "mode": "slow_rank", "rivals": pairs, "history": history, "ended": ended}


def paged(minute: int, **more: Any) -> dict[str, Any]:
    return said((minute * MINUTE, "gray", "page"), **more)


def overall(truth: list[dict[str, Any]], incidents: list[dict[str, Any]], **more: Any) -> Part:
    return score(truth, incidents, 10.0, **more).overall
