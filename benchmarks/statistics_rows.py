"""Rows of a comparison of statistics: each with its threshold set in three ways, what it said falsely and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration_counts import interval, spread, verdict
from calibration_noise import NOISES
from statistics_runs import FAULTS, NAMES, Seen

#: How a threshold is set.
THEORY, LEARNED, HINDSIGHT = "theory", "learned", "hindsight"
BEFORE, AFTER, ALL = slice(0, 1), slice(1, 2), slice(None)


@dataclass(frozen=True)
class Row:
    """One statistic in one kind of noise at one size, its threshold set in one way, over all seeds."""

    noise: str
    tests: int
    statistic: str
    way: str
    promised: float
    false: int
    found: dict[str, tuple[list[int], int]]
    early: int

    @property
    def word(self) -> str:
        """Return whether the promise was kept: kept, broken or not shown."""
        return verdict(self.false, 1000.0, self.promised)

    def share(self, fault: str) -> float:
        """Return the share that was found."""
        delays, ill = self.found[fault]
        return len(delays) / ill

    def median(self, fault: str) -> float | None:
        """Return the median delay in looks, None where fewer than half were found."""
        return spread(*self.found[fault])[0]


def level(seen: Seen, k: int, way: str) -> float:
    """Return a statistic's threshold: by its theory, by what was seen before the onset, or by all that was seen."""
    if way == THEORY:
        return seen.levels[k]
    phases = BEFORE if way == LEARNED else ALL
    return seen.allowing(k, round(seen.promised(phases)), phases)


def rows(runs: Sequence[Seen]) -> list[Row]:
    """Return a row for each noise, size, statistic and way of setting thresholds."""
    order = [n.name for n in NOISES]
    cases = sorted({(s.task.noise, s.task.tests) for s in runs}, key=lambda c: (order.index(c[0]), c[1]))
    of = {case: [s for s in runs if (s.task.noise, s.task.tests) == case] for case in cases}
    return [_row(of[case], k, way) for case in cases for k in range(len(NAMES)) for way in (THEORY, LEARNED, HINDSIGHT)]


def _row(runs: Sequence[Seen], k: int, way: str) -> Row:
    counted = AFTER if way == LEARNED else ALL
    levels = [level(s, k, way) for s in runs]
    found: dict[str, tuple[list[int], int]] = {}
    for fault in FAULTS:
        each = [s.delays(k, at, fault) for s, at in zip(runs, levels, strict=True)]
        found[fault] = ([d for delays, _ in each for d in delays], sum(n for _, n in each))
    false = sum(s.false(k, at, counted) for s, at in zip(runs, levels, strict=True))
    task = runs[0].task
    return Row(task.noise, task.tests, NAMES[k], way, sum(s.promised(counted) for s in runs), false, found, sum(s.early[k] for s in runs))


def document(told: Sequence[Row]) -> list[dict[str, object]]:
    """Return the figures as JSON would have them."""
    return [
        {"noise": r.noise, "tests": r.tests, "statistic": r.statistic, "threshold": r.way, "promised": r.promised, "false": r.false,
         "interval": interval(r.false), "verdict": r.word, "early": r.early, "found": {f: r.share(f) for f in FAULTS},
         "median_looks": {f: r.median(f) for f in FAULTS}}
        for r in told
    ]  # fmt: skip
