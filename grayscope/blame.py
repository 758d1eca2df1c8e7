"""Blame: move workload evidence from where it was felt to the component that made others wait."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from grayscope.evidence import Evidence, Finding
from grayscope.tick import Tick

#: Share of a component's parts that stand out together to make it the component's matter.
MOST = 0.75
#: Paths that must have stood out to accuse what they share; their least share of all that cross it there; and how many
#: times the share among all paths that must be.
VOTES, SHARE, TIMES = 4, 0.05, 5
#: Ticks for which a path's vote counts.
VALID = 64
#: Sides that accuse; the others only tell what was seen.
ACCUSING = frozenset({"service", "redundancy", "condition"})

#: A component and its place on the path: to send badly and to receive badly are two things.
End = tuple[str, int]


class Blame:
    """Report a suspect rank as its GPU, all parts of one thing as that thing, and paths as what they share.

    Which rank is the suspect is settled before: in metrics that contain waiting the one that waits least stands out.
    When nearly all GPUs of a node stand out in one metric, they share a cause, and the node is the suspect. Of paths,
    what many bad ones cross and few good ones is.
    """

    def __init__(self) -> None:
        self.votes: dict[str, dict[str, int]] = {}  # table -> path -> tick of its last vote
        self.ticks: dict[str, int] = {}
        self._parts: tuple[object, object, Counter[str], Counter[End]] | None = None

    def step(self, evidence: Evidence, tick: Tick) -> Evidence:
        """Return the evidence with its subjects moved."""
        self.ticks[tick.table] = self.ticks.get(tick.table, 0) + 1
        if not len(evidence):
            return evidence
        moved = [_to_gpu(f, tick) for f in evidence]
        if any(tick.roster.crosses(f.subject) for f in moved):
            moved = list(self._voted(moved, tick))
        return Evidence(_gathered(moved, self._counted(tick)[0]))

    def _voted(self, findings: list[Finding], tick: Tick) -> Iterator[Finding]:
        """Let the paths that stood out lately vote; the most accused end takes its paths with it, then the next."""
        now, votes = self.ticks[tick.table], self.votes.setdefault(tick.table, {})
        votes |= {f.subject: now for f in findings if f.side in ACCUSING}
        for path in [p for p, seen in votes.items() if now - seen > VALID]:
            del votes[path]
        ends = {path: _ends(path, tick) for path in sorted(votes)}
        usual = TIMES * len(votes) / max(len(tick.subjects), 1)
        all_of = self._counted(tick)[1]
        suspect: dict[str, End] = {}
        while True:
            counted = Counter(e for path, both in ends.items() if path not in suspect for e in both)
            guilty = [(n / all_of[e], e) for e, n in counted.items() if n >= VOTES and n / all_of[e] >= max(SHARE, usual)]
            if not guilty:
                break
            worst = max(guilty)[1]
            suspect |= {path: worst for path, both in ends.items() if worst in both and path not in suspect}
        for f in findings:
            end = suspect.get(f.subject)
            n = sum(e == end for e in suspect.values())
            yield f if end is None else f._replace(subject=end[0], why=f"{n} of {all_of[end]} paths through it stood out, one is {f.subject}: {f.why}")

    def _counted(self, tick: Tick) -> tuple[Counter[str], Counter[End]]:
        """Return how many subjects lie directly in each component, and how many paths have each end."""
        known = self._parts
        if known is None or known[0] is not tick.subjects or known[1] is not tick.roster:
            places = ((tick.roster.key(s, "gpu") or s) if tick.table == "rank" else s for s in tick.subjects)
            parts = Counter(p.rpartition("/")[0] for p in places)
            self._parts = known = (tick.subjects, tick.roster, parts, Counter(e for s in tick.subjects for e in _ends(s, tick)))
        return known[2], known[3]

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the votes as one JSON text in an array."""
        return {"blame": np.array(json.dumps([self.ticks, self.votes]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.ticks, self.votes = json.loads(str(state["blame"]))


def _ends(subject: str, tick: Tick) -> tuple[End, ...]:
    crossed = tick.roster.crosses(subject)
    return tuple((c, i if len(crossed) == 2 else 0) for i, c in enumerate(crossed))


def _to_gpu(finding: Finding, tick: Tick) -> Finding:
    gpu = tick.roster.key(finding.subject, "gpu") if tick.table == "rank" else ""
    if not gpu or finding.side == "coverage":
        return finding
    return finding._replace(subject=gpu, why=f"{finding.why} (felt by {finding.subject})")


def _gathered(findings: list[Finding], parts: Counter[str]) -> Iterator[Finding]:
    """Yield findings with siblings replaced by their parent where nearly all of them stand out alike."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for f in findings:
        parent = f.subject.rpartition("/")[0]
        alone = f.side not in ACCUSING or parts[parent] < 2 or not parent
        alike.setdefault(("", "", f.subject) if alone else (f.detector, f.metric, parent), []).append(f)
    for (detector, _, parent), some in alike.items():
        if detector and len({f.subject for f in some}) >= max(MOST * parts[parent], 2):
            first = max(some, key=lambda f: f.strength)
            yield first._replace(subject=parent, why=f"{len(some)} of its {parts[parent]} parts alike, first {first.subject}: {first.why}")
        else:
            yield from some
