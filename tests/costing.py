"""Suspects and a run of costs for the tests: a stand and the costs, tick after tick."""

from __future__ import annotations

from grayscope.catalogue import Catalogue
from grayscope.costs import Costs
from grayscope.evidence import Evidence, Finding
from grayscope.stand import Stand

S = 1_000_000


def accused(subject: str, mode: str, mechanism: str = "", strength: float = 50.0, time: int = 0) -> Evidence:
    return Evidence([Finding(time, subject, "redundancy", "ledger", strength, mode, mechanism, since=time)])


class Run:
    """A stand and the costs, tick after tick."""

    def __init__(self) -> None:
        self.stand, self.costs, self.time = Stand(Catalogue.load()), Costs(), 0

    def play(self, make: object, seconds: dict[int, float], ticks: int, said: Evidence | None = None, **more: str) -> list[Finding]:
        found: list[Finding] = []
        for _ in range(ticks):
            self.time += 10 * S
            tick = make(self.time, seconds, **more)  # type: ignore[operator]
            if said is not None:
                self.costs.hear(Evidence(f._replace(time=self.time) for f in said), tick)
            found += self.costs.step(tick, self.stand.step(tick), 0, {"job:1": 2.3, "job:2": 2.3})
        return found
