"""Blame: move workload evidence from where it was felt to the component that made others wait."""

from __future__ import annotations

from grayscope.evidence import Evidence, Finding
from grayscope.tick import Tick


class Blame:
    """Report a suspect rank as its GPU, where the roster knows it.

    Which rank is the suspect is settled before: in metrics that contain waiting the one that waits least stands out.
    """

    def step(self, evidence: Evidence, tick: Tick) -> Evidence:
        """Return the evidence with ranks replaced by their GPUs."""
        if tick.table != "rank" or not len(evidence):
            return evidence
        return Evidence(self._moved(f, tick.roster.key(f.subject, "gpu")) for f in evidence)

    @staticmethod
    def _moved(finding: Finding, gpu: str) -> Finding:
        if not gpu or finding.side == "coverage":
            return finding
        return finding._replace(subject=gpu, why=f"{finding.why} (felt by {finding.subject})")
