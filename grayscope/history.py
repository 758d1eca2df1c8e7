"""History: who was suspected how often in the last weeks, beside how often a part of its kind with its hours usually is.

A part that was to blame before is likelier to be to blame again: where the data cannot tell suspects apart, that weighs. It says nothing by
itself, and makes nothing louder. Hours correct for who was there (and in how large a job); each ended incident counts for all that it named, by
their chances, so that a part is not suspected for having been named first. Links belong to the card that they are replaced with.
Source: lemon nodes (HPCA 2025) for repeat offenders, empirical Bayes (gamma and Poisson) for how much a few incidents say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from grayscope.evidence import Evidence
from grayscope.failing import is_part, part_of
from grayscope.failures import Failures
from grayscope.incident import Incident
from grayscope.modes import MAINTENANCE
from grayscope.recurrence import FADES, Recurrence, shape_of, size_class
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick

HOUR = 3_600_000_000
#: Hours at most that one look stands for: while nobody looked, nobody could be suspected.
MOST = 2.0
#: Weight that a history has at most. It must not outweigh what is measured: an odds of 20 is what three nats of evidence say.
WEIGHS = 20.0
#: Suspicions below which nothing is told.
TOLD = 0.95


class History:
    """Suspicions and hours of all parts, by kind, fading over 28 days; and who fails in job after job.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.

    Examples
    --------
    >>> History().weight("n1/gpu3"), History().told("n1/gpu3")
    (1.0, '')
    """

    def __init__(self, false_pages: float = 1.0) -> None:
        self.failures = Failures(false_pages)
        self.kinds: dict[str, Recurrence] = {}
        self.serials: dict[str, str] = {}  # of those that were suspected: memory ends with the part
        self.last = 0
        self._view: View | None = None
        self._there: tuple[View, dict[str, list[RosterRow]], Counter[tuple[str, str]]] | None = None
        self._known: dict[str, tuple[float, float, float]] | None = None

    def look(self, tick: Tick) -> None:
        """Take note of who is there, once an hour."""
        self._view = tick.roster
        self.failures.look(tick)
        if self.last and tick.time - self.last < HOUR:
            return
        hours, self.last = (tick.time - self.last) / HOUR if self.last else 0.0, tick.time
        self._settle(tick.roster)
        for counts in self.kinds.values():
            counts.fade(hours)
        parts, jobs = self._parts(tick.roster)
        for table, rows in parts.items():
            counts = self.kinds.setdefault(table, Recurrence())
            size = np.array([_size(row, jobs) for row in rows], np.intp)
            counts.add_hours(counts.places([row.subject for row in rows]), size, min(hours, MOST))
            counts.forget([name for name in counts.faded() if name not in tick.roster.rows])
        self._known = None

    def step(self, evidence: Evidence, tick: Tick, planned: Callable[[str, int], bool]) -> Evidence:
        """Return the evidence with who has failed in job after job; `planned` tells of a part and a moment whether somebody worked there."""
        return self.failures.step(evidence, tick, planned)

    def _settle(self, view: View) -> None:
        """Forget the suspicions of parts that were replaced."""
        for name, serial in list(self.serials.items()):
            now = view.serial(name)
            if now and serial and now != serial:
                for counts in self.kinds.values():
                    counts.forget([name])
                del self.serials[name]
            elif now or not any(name in counts.names for counts in self.kinds.values()):
                self.serials.pop(name)
                self.serials |= {name: now} if now else {}

    def add(self, ended: Incident) -> None:
        """Count an incident that has ended for all that it suspected, by their chances; once, however often it came back."""
        if ended.severity == "notice" or ended.mode == MAINTENANCE or _counted(ended) or self._view is None:
            return
        for name, chance in ((ended.subject, ended.probability), *ended.rivals):
            row = self._view.rows.get(part := part_of(name))
            counts = self.kinds.get(row.table) if row is not None else None
            if row is not None and counts is not None and part in counts.names:
                counts.add_episode(counts.names[part], _size(row, self._parts(self._view)[1]), chance)
                self.serials[part] = self._view.serial(part) or self.serials.get(part, "")
        self._known = None

    def _parts(self, view: View) -> tuple[dict[str, list[RosterRow]], Counter[tuple[str, str]]]:
        """Return the parts of each table, and how many of each work for each job; worked out again only when the roster has changed."""
        if self._there is None or self._there[0] is not view:
            parts: dict[str, list[RosterRow]] = {}
            for row in view.rows.values():
                if is_part(row):
                    parts.setdefault(row.table, []).append(row)
            self._there = view, parts, Counter((row.table, row.keys.get("job", "")) for rows in parts.values() for row in rows)
        return self._there[1:]

    def weight(self, name: str) -> float:
        """Return how many times as likely as others of its kind a component is to be to blame, before anything is measured: 1 to 20."""
        known = self._all()
        return known.get(part_of(name), (0.0, 0.0, 1.0))[2] if known else 1.0

    def told(self, name: str) -> str:
        """Return what is known of a component's past in words, ``""`` where that says nothing."""
        return "; ".join(text for text in (self.failures.told(name), self._suspected(name)) if text)

    def _suspected(self, name: str) -> str:
        observed, expected, weight = self._all().get(part_of(name), (0.0, 0.0, 1.0))
        if observed < TOLD or weight <= 1.0:
            return ""
        whose = "" if part_of(name) == name else f" ({part_of(name)})"
        times = "once" if f"{observed:.1f}" == "1.0" else f"{round(observed, 1):g} times"
        return f"{name}{whose} has been suspected {times} in {FADES / 24:.0f} days, {expected:.1g} would be usual: weighs {weight:.1f} times"

    def _all(self) -> Mapping[str, tuple[float, float, float]]:
        """Return the suspicions, those expected, and the weight, of all that were suspected."""
        if self._known is None:
            self._known = {}
            for counts in self.kinds.values():
                if not counts.episodes.any():
                    continue
                observed, expected = counts.compared()
                shape = shape_of(observed, expected)  # of all, itself among them: one offender in a quiet fleet shows that parts differ
                for name, at in counts.names.items():
                    if observed[at] > 0 and expected[at] > 0:
                        o, e = float(observed[at]), float(expected[at])
                        self._known[name] = o, e, round(min(max((o + shape) / (e + shape), 1.0), WEIGHS), 2)
        return self._known

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        kept = {f"{kind}#{key}": array for kind, counts in self.kinds.items() for key, array in counts.snapshot().items()}
        kept |= {f"failures#{key}": array for key, array in self.failures.snapshot().items()}
        return kept | {"history": np.array(json.dumps([list(self.kinds), self.serials, self.last]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        kinds, self.serials, self.last = json.loads(str(state["history"]))
        if known := {key.partition("#")[2]: array for key, array in state.items() if key.startswith("failures#")}:
            self.failures.restore(known)
        self.kinds = {kind: Recurrence() for kind in kinds}
        for kind, counts in self.kinds.items():
            counts.restore({key.rpartition("#")[2]: array for key, array in state.items() if key.rpartition("#")[0] == kind})
        self._known = None


def _size(row: RosterRow, jobs: Mapping[tuple[str, str], int]) -> int:
    """Return the class of the job that a part works for; who works for none is in the first."""
    job = row.keys.get("job", "")
    return size_class(jobs[row.table, job]) if job else 0


def _counted(ended: Incident) -> bool:
    """Say whether an incident was a page or a ticket before it ended the last time."""
    away = [at for at, (_, state, _) in enumerate(ended.history) if state == "normal"]
    return bool(away) and any(severity != "notice" for *_, severity in ended.history[: away[-1]])
