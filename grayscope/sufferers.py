"""Sufferers: who is late in a job only because somebody else in it is, told by who shows a cause of its own.

Tasks of one job share disks, networks and machines. When one of them is held up, others that need the same are late with
it, by as much and at the same time; only the one that is held up shows on what (its own time in storage, its own staging).
So as long as somebody in a job is known to be late with a cause, those who are late without one are its sufferers. Where
nobody shows a cause, nobody is cleared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Jobs that are followed at once: the one that was heard of longest ago gives way.
JOBS = 1024


class Sufferers:
    """Who in each job is late with a cause of its own, and until when that clears the others."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, int]] = {}

    def late(self, job: str, node: str, time: int, until: int, cause: bool) -> None:
        """Take note of a late row: with a cause, or of somebody who has shown one, it is another's excuse `until` then (microseconds)."""
        if not job or not (cause or self._holds(job, node, time)):
            return
        others = {n: t for n, t in self.held.pop(job, {}).items() if t >= time}
        self.held[job] = {**others, node: max(until, others.get(node, until))}  # back in as the latest
        if len(self.held) > JOBS:
            del self.held[next(iter(self.held))]

    def excuse(self, job: str, node: str, time: int) -> str:
        """Return who holds up a node that is late without a cause, ``""`` if nobody does or the node has shown one itself.

        Examples
        --------
        >>> known = Sufferers()
        >>> known.late("j", "n1", 0, 100, True)
        >>> known.excuse("j", "n2", 50), known.excuse("j", "n1", 50), known.excuse("j", "n2", 101), known.excuse("k", "n2", 50)
        ('n1', '', '', '')
        """
        if self._holds(job, node, time):
            return ""
        return min((n for n, until in self.held.get(job, {}).items() if until >= time), default="")

    def _holds(self, job: str, node: str, time: int) -> bool:
        return self.held.get(job, {}).get(node, time - 1) >= time

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all of it as one JSON text in an array."""
        return {"sufferers": np.array(json.dumps(list(self.held.items())))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.held = dict(json.loads(str(state["sufferers"])))
