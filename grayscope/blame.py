"""Blame: move workload evidence from where it was felt to the component that made others wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from grayscope.evidence import Evidence, Finding
from grayscope.tick import Tick

#: Share of a component's parts that stand out together to make it the component's matter.
MOST = 0.75
#: Sides that accuse; the others only tell what was seen.
ACCUSING = frozenset({"service", "redundancy", "condition"})


class Blame:
    """Report a suspect rank as its GPU, where the roster knows it, and all parts of one thing as that thing.

    Which rank is the suspect is settled before: in metrics that contain waiting the one that waits least stands out.
    When nearly all GPUs of a node stand out in one metric, they share a cause, and the node is the suspect.
    """

    def __init__(self) -> None:
        self._known: tuple[object, object, Counter[str]] | None = None

    def step(self, evidence: Evidence, tick: Tick) -> Evidence:
        """Return the evidence with ranks replaced by their GPUs, and siblings by what contains them."""
        if not len(evidence):
            return evidence
        moved = [self._moved(f, tick) for f in evidence]
        return Evidence(self._gathered(moved, self._parts(tick)))

    @staticmethod
    def _moved(finding: Finding, tick: Tick) -> Finding:
        gpu = tick.roster.key(finding.subject, "gpu") if tick.table == "rank" else ""
        if not gpu or finding.side == "coverage":
            return finding
        return finding._replace(subject=gpu, why=f"{finding.why} (felt by {finding.subject})")

    def _parts(self, tick: Tick) -> Counter[str]:
        """Return how many of the table's subjects lie directly in each component."""
        known = self._known
        if known is None or known[0] is not tick.subjects or known[1] is not tick.roster:
            places = ((tick.roster.key(s, "gpu") or s) if tick.table == "rank" else s for s in tick.subjects)
            self._known = known = (tick.subjects, tick.roster, Counter(p.rpartition("/")[0] for p in places))
        return known[2]

    @staticmethod
    def _gathered(findings: list[Finding], parts: Counter[str]) -> Iterator[Finding]:
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
