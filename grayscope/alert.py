"""Alert: an incident as receivers know it: labels are identity, annotations are words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert to fire or to resolve.

    Parameters
    ----------
    labels : mapping of str to str
        ``alertname``, ``cluster``, ``incident``, ``severity``; on masked failures also ``urgency`` (``short`` or ``long``). Nothing else: a mode,
        a suspect or a place may change while the fault goes on.
    annotations : mapping of str to str
        Everything else: summary (one line: finding, mode, since, how sure, left, what to do first), finding (its first part alone), subject, place,
        mode, why, description (the explanation in detail, several lines);
        table, node and leaf of the first suspect where the roster knows; mechanism, left, exhausted_at where the ledger does.
    starts : int
        Microseconds.
    ends : int or None
        None while it fires.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts: int
    ends: int | None = None

    @property
    def firing(self) -> bool:
        """Whether it still holds."""
        return self.ends is None


class Sink(Protocol):
    """A receiver of alerts. Delivery is at least once; identity is stable, so receivers drop repeats."""

    def send(self, alerts: Sequence[Alert]) -> None:
        """Hand alerts over; must not block detection for long and must not raise when the receiver is down."""
        ...

    def close(self) -> None:
        """Deliver what can be delivered within the sink's time limit; safe to call twice."""
        ...
