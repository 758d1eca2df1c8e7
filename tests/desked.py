"""Verdicts for a desk, and the one incident that it returns."""

from __future__ import annotations

from grayscope.desk import Desk
from grayscope.incident import Incident
from grayscope.verdict import Verdict


def say(time: int, subject: str, state: str, previous: str = "normal", **more: object) -> Verdict:
    return Verdict(time, subject, state, previous, 8.0, f"{subject} does {state}", time - 1, **more)  # type: ignore[arg-type]


def one(desk: Desk, verdict: Verdict) -> Incident:
    (incident,) = desk.step([verdict])
    return incident


def late(time: int, gpu: int, state: str = "gray") -> Verdict:
    return say(time, f"n1/gpu{gpu}", state, mode="slow_rank", side="service")
