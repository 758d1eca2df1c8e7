"""Bootstrap: how sure the figures of a score are, by drawing its truth rows and incidents again with replacement."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from grayscope.matching import COUNTED

if TYPE_CHECKING:
    from grayscope.score import Part

#: Numbers drawn at a time.
CHUNK = 2_000_000
Interval = tuple[float, float]
Floats = NDArray[np.float64]


def intervals(part: Part, *, draws: int = 1000, seed: int = 0, level: float = 0.95) -> dict[str, Interval | None]:
    """Return an interval for the figures of a part; the same part and seed always give the same numbers.

    Truth rows are drawn for recall, delay, exact share and state right; matched and false incidents for precision; the
    number of false ones is drawn as a Poisson count for their rates. Where all rows or incidents fared alike, drawing
    them again says nothing: the open end is then the exact bound of a binomial or Poisson count.

    Parameters
    ----------
    part : Part
    draws, seed : int
    level : float
        Share of draws between the two ends.

    Returns
    -------
    dict of str to (low, high) or None
        Keys as in `Part.to_dict`; None where the figure itself is, and for a precision at base rates of 0 or 1.

    Examples
    --------
    >>> from grayscope.score import score
    >>> truth = [{"subject": f"n{i}", "mode": "slow_rank", "state": "gray", "began": 0, "ended": None} for i in range(10)]
    >>> said = {"id": "a", "subject": "n1", "severity": "page", "history": [(60_000_000, "gray", "page")]}
    >>> intervals(score(truth, [said], 1.0).overall)["recall"]
    (0.0, 0.3)
    """
    chance = np.random.default_rng(seed)
    recall, right = _rows(part, chance, draws)
    precision, base = _incidents(part, chance, draws)
    with np.errstate(invalid="ignore"):
        total = precision + recall
        f1 = np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1.0), np.where(np.isnan(total), np.nan, 0.0))
    figures = part.to_dict()
    drawn = {"recall": recall, "precision": precision, "f1": f1, **right, **({"precision_at_base_rates": base} if "precision_at_base_rates" in figures else {})}
    found: dict[str, Interval | None] = {k: None if figures[k] is None else _ends(v, level) for k, v in drawn.items()}
    rows, incidents = len(part.finds), part.matched + len(part.false)
    for key, n in (("recall", rows), ("precision", incidents), ("exact_share", len(part.found)), ("state_right_share", len(part.found))):
        found[key] = _open(found[key], figures[key], n, level)
    if figures.get("precision_at_base_rates") in (0.0, 1.0):  # equal incidents say nothing, and a bound for weights is not known
        found["precision_at_base_rates"] = None
    ends = (found["precision"], found["recall"])
    if found["f1"] is not None and found["f1"][0] == found["f1"][1] and ends[0] is not None and ends[1] is not None:
        found["f1"] = _harmonic(ends[0][0], ends[1][0]), _harmonic(ends[0][1], ends[1][1])
    for severity in COUNTED:
        key = f"false_{severity}s_per_1000_gpu_weeks"
        found[key] = None if figures[key] is None else _rate(sum(i.severity == severity for i in part.false), part.gpu_weeks, chance, draws, level)
    return found


def _rows(part: Part, chance: np.random.Generator, draws: int) -> tuple[Floats, dict[str, Floats]]:
    """Draw the truth rows: recall, and what is said of the found ones; arrays of shape [draws]."""
    n = len(part.finds)
    out = np.full((5, draws), np.nan)
    delay = np.array([f.delay / 1e6 if f.incident is not None else np.nan for f in part.finds])
    exact, state = (np.array(list(v), bool) for v in ((f.exact for f in part.finds), (f.right for f in part.finds)))
    step = max(CHUNK // max(n, 1), 1)
    for first in range(0, draws if n else 0, step):
        k = min(step, draws - first)
        which = chance.integers(0, n, (k, n))
        picked = delay[which]
        hit = np.isfinite(picked)
        found = hit.sum(axis=1)
        some = found > 0
        out[0, first : first + k] = found / n
        part_of = np.where(some, found, 1)
        for row, flags in ((1, exact), (2, state)):
            out[row, first : first + k] = np.where(some, (flags[which] & hit).sum(axis=1) / part_of, np.nan)
        if some.any():
            out[3:, first + np.flatnonzero(some)] = np.nanquantile(picked[some], [0.5, 0.9], axis=1)
    return out[0], {"exact_share": out[1], "state_right_share": out[2], "delay_median_s": out[3], "delay_p90_s": out[4]}


def _incidents(part: Part, chance: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
    """Draw matched and false incidents, equal ones together: precision as it is and at base rates, each of shape [draws]."""
    groups = Counter([*((True, w) for w in part.matched_weights), *((False, i.weight) for i in part.false)])
    kinds = sorted(groups)
    n = sum(groups.values())
    if not n:
        return np.full(draws, np.nan), np.full(draws, np.nan)
    drawn = chance.multinomial(n, [groups[k] / n for k in kinds], draws).astype(np.float64)
    matched, weight = np.array([m for m, _ in kinds]), np.array([w for _, w in kinds])
    weighed: Floats = (drawn * weight)[:, matched].sum(axis=1) / (drawn * weight).sum(axis=1)
    plain: Floats = drawn[:, matched].sum(axis=1) / n
    return plain, weighed


def _ends(values: Floats, level: float) -> Interval | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _open(ends: Interval | None, share: Any, n: int, level: float) -> Interval | None:
    """Return the exact end of a share that is none or all of `n`, else what was drawn."""
    if ends is None or 0 < share < 1:
        return ends
    bound = ((1 - level) / 2) ** (1 / n)
    return (bound, 1.0) if share == 1 else (0.0, 1 - bound)


def _harmonic(p: float, r: float) -> float:
    return 2 * p * r / (p + r) if p + r else 0.0


def _rate(count: int, gpu_weeks: float, chance: np.random.Generator, draws: int, level: float) -> Interval | None:
    if not count:
        return 0.0, -math.log((1 - level) / 2) * 1000 / gpu_weeks
    return _ends(np.asarray(chance.poisson(count, draws) * (1000 / gpu_weeks), np.float64), level)
