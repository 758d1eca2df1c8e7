"""How many ranks that became slower, for good or again and again, anybody could find in time: the bound of the data, not of a detector.

What a rank takes for the same work wanders, for minutes at a time. Here an oracle is told which rank became slower, and when that began and ended, and
knows how the noise of that very fleet hangs together in time: it weighs every sample as well as can be (a matched filter), and says by how many standard
errors the rank was slower beside its peers than in its own last hour. A detector is told none of this: it looks at all ranks at all times and may be
wrong as often as promised, so that it needs more standard errors the more often it may look. What is below that is out of anybody's reach.

Lemon nodes are asked about, too: the oracle is told which GPU of them is slow and when. Of a machine short of power it takes the mean of all its ranks.
Who was slow from the first moment on, or from that of its job, has no past to be compared with; such rows are counted and not weighed.

Of those that rise out of the noise of a single sample at once, it also says after how long they were found.

Usage: python benchmarks/rank_limit.py [--scenario weak] [--seed 1] [--nodes 16] [--hours 12] [--json]
       python benchmarks/rank_limit.py --trace TRACE [--results RESULTS]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.horizons import looks
from grayscope.matching import Find, Row
from grayscope.replaying import replay
from grayscope.roster import RosterRow
from grayscope.score import score
from grayscope.trace import Trace

Floats = NDArray[np.float64]
METRIC, ALONE, MACHINES = "compute_seconds", ("slow_rank", "lemon_node"), ("power_cap",)
MODES = (*ALONE, *MACHINES)
#: Seconds of its own past that a rank is compared with, and of a slow time that are looked at.
PAST, MOST = 3600, 7200
#: Robust spreads of a single sample from which on a row is a clear step.
CLEAR = 3.0
#: Of a subject, a week: false pages promised; spans of twice, four times ... the shortest that one looks for.
PROMISED, SPANS = 1e-3, 8


class Weighed(NamedTuple):
    """One row of truth: how long (seconds) and by which share slower, by how many standard errors, of which are needed, and who found it.

    `step` is the share in robust spreads of single samples, `delay` how long (seconds) after a fault's onset it was found: None if it was not, and
    of a later row of the same fault.
    """

    mode: str
    subject: str
    state: str
    began: int
    seconds: float
    share: float
    z: float
    needed: float
    found: bool
    step: float
    delay: float | None

    @property
    def findable(self) -> bool:
        """Say whether it stands out by more than the best detector needs."""
        return self.z >= self.needed


def needed(ticks: float, period: float) -> float:
    """Return the standard errors at which a detector that looks for such spans, and all others, is wrong as seldom as promised.

    Examples
    --------
    >>> round(needed(60, 10.0), 1), round(needed(6, 10.0), 1)
    (5.3, 5.7)
    """
    return -NormalDist().inv_cdf(PROMISED / (SPANS * looks(1, round(period * 1e6)) / max(ticks, 1.0)))


def together(away: Floats, lags: int) -> Floats:
    """Return the covariance [lags] of noise [T, R] with itself so many ticks later, NaN left out, tapered so that it ends at none and stays a real one.

    Examples
    --------
    >>> together(np.array([[1.0], [-1.0], [1.0], [-1.0]]), 2).tolist()
    [1.0, -0.375]
    """
    filled = np.nan_to_num(away - np.nanmean(away, axis=0))
    n = max(np.isfinite(away).sum(), 1)
    return np.array([(filled[: max(len(filled) - k, 0)] * filled[k:]).sum() / n * (1 - k / lags) for k in range(lags)])


def matched(own: Floats, slow: Floats, covariance: Floats) -> tuple[float, float]:
    """Return by how much [T] values are larger where `slow` is 1, and by how many standard errors, with an unknown offset and known noise.

    Examples
    --------
    >>> share, z = matched(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.25, 0.0]))
    >>> round(share, 6), round(z, 6)
    (1.0, 2.0)
    """
    there = np.flatnonzero(np.isfinite(own))
    apart = np.abs(there[:, None] - there[None, :])
    whole = np.where(apart < len(covariance), covariance[np.minimum(apart, len(covariance) - 1)], 0.0)
    design = np.stack([np.ones(len(there)), slow[there]], axis=1)
    weights = np.linalg.solve(whole, design)
    spread = np.linalg.inv(design.T @ weights)
    share = float((spread @ weights.T @ own[there])[1])
    return share, share / float(np.sqrt(spread[1, 1]))


class Ranks:
    """How much longer than the median of its job and role the rank on each GPU took, as logarithms [T, GPUs]; of `whole` machines, their ranks' mean."""

    def __init__(self, trace: Trace, whole: bool = False) -> None:
        table = pq.read_table(trace.files["rank"], columns=["time", "subject", METRIC])
        self.period = trace.periods["rank"] / 1e6
        self.times, t = np.unique(table["time"].cast("int64").to_numpy(), return_inverse=True)
        names, r = np.unique(table["subject"].to_numpy().astype(str), return_inverse=True)
        took = np.full((len(self.times), len(names)), np.nan)
        took[t, r] = np.log(np.maximum(table[METRIC].to_numpy(), 1e-30))
        column = {name: i for i, name in enumerate(names.tolist())}
        seats = [row for row in trace.roster.rows if row.table == "rank" and row.subject in column]
        self.gpus = {gpu: i for i, gpu in enumerate(sorted({row.keys["gpu"] for row in seats}))}
        self.away = np.full((len(self.times), len(self.gpus)), np.nan)
        groups: dict[tuple[str, str], list[int]] = {}
        for row in seats:
            groups.setdefault((row.keys["job"], row.keys.get("role", "")), []).append(column[row.subject])
        self._fill(seats, column, took, groups)
        if whole:
            self._together()

    def _fill(self, seats: list[RosterRow], column: dict[str, int], took: Floats, groups: dict[tuple[str, str], list[int]]) -> None:
        there = np.isfinite(took)
        middle = {k: np.nanmedian(np.where(there[:, m].any(axis=1, keepdims=True), took[:, m], 0.0), axis=1) for k, m in groups.items()}
        for row in seats:
            here = slice(*np.searchsorted(self.times, [-(2**62) if row.since is None else row.since, 2**62 if row.until is None else row.until]))
            beside = took[here, column[row.subject]] - middle[row.keys["job"], row.keys.get("role", "")][here]
            mine = self.away[here, self.gpus[row.keys["gpu"]]]
            mine[:] = np.where(np.isfinite(beside), beside, mine)

    def _together(self) -> None:
        """Let each machine be one, by the mean of its GPUs."""
        nodes = sorted({gpu.partition("/")[0] for gpu in self.gpus})
        means = np.full((len(self.times), len(nodes)), np.nan)
        for n, node in enumerate(nodes):
            some = self.away[:, [i for gpu, i in self.gpus.items() if gpu.startswith(f"{node}/")]]
            came = np.isfinite(some).sum(axis=1)
            means[:, n] = np.where(came, np.nansum(some, axis=1), np.nan) / np.maximum(came, 1)
        self.gpus, self.away = {node: n for n, node in enumerate(nodes)}, means

    def _well(self, troubled: set[str]) -> list[int]:
        return [i for gpu, i in self.gpus.items() if gpu not in troubled and gpu.partition("/")[0] not in troubled]

    def noise(self, troubled: set[str]) -> Floats:
        """Return the covariance of what GPUs take that nothing is wrong with, nor with their machine."""
        return together(self.away[:, self._well(troubled)], int(PAST / self.period))

    def spread(self, troubled: set[str]) -> float:
        """Return the robust spread of single samples, of the same GPUs."""
        away = self.away[:, self._well(troubled)]
        return float(1.4826 * np.nanmedian(np.abs(away - np.nanmedian(away, axis=0))))

    def weigh(self, find: Find, onset: int, others: list[Row], covariance: Floats, spread: float) -> Weighed | None:
        """Return what a row of truth, of a fault since `onset` with `others`, shows to one who knows all about it; None where no rank was timed, or no past."""
        row = find.row
        gpu = next((name for name in (row.subject, *row.also) if name in self.gpus), None)
        if gpu is None:
            return None
        end = min(row.ended, row.began + int(MOST * 1e6))
        first, begin, stop = np.searchsorted(self.times, [onset - int(PAST * 1e6), row.began, end])
        own, times = self.away[first:stop, self.gpus[gpu]].copy(), self.times[first:stop]
        for other in others:
            own[(times >= other.began) & (times < min(other.ended, row.began))] = np.nan
        slow = (np.arange(first, stop) >= begin).astype(np.float64)
        ticks = int(np.isfinite(own[slow > 0]).sum())
        if not ticks or not np.isfinite(own[slow == 0]).any():
            return None
        share, z = matched(own, slow, covariance)
        lasted = (min(row.ended, int(self.times[-1])) - row.began) / 1e6
        there = find.incident is not None
        delay = find.delay / 1e6 if there and row.began == onset and not others else None
        return Weighed(row.mode, gpu, row.state, row.began, lasted, share, z, needed(ticks, self.period), there, share / spread, delay)


def weighed(path: Path, incidents: Path) -> Iterator[Weighed]:
    """Yield the rows of a trace's truth about slow ranks, lemon nodes and machines short of power, as far as any rank was timed there and has a past."""
    trace = Trace.open(path)
    truth = trace.truth()
    assert truth is not None
    finds = score(truth, pq.read_table(incidents), 1.0).overall.finds
    troubled = {name for f in finds for name in (f.row.subject, f.row.subject.rpartition("/")[0], *f.row.also)}
    for whole, modes in ((False, ALONE), (True, MACHINES)):
        if any(f.row.mode in modes for f in finds):
            yield from _of(Ranks(trace, whole), finds, modes, troubled)


def _of(ranks: Ranks, finds: Sequence[Find], modes: tuple[str, ...], troubled: set[str]) -> Iterator[Weighed]:
    covariance, spread = ranks.noise(troubled), ranks.spread(troubled)
    onset = 0
    until: dict[str, int] = {}
    for find in sorted((f for f in finds if f.row.mode in modes), key=lambda f: (f.row.subject, f.row.mode, f.row.began)):
        onset = onset if find.row.began <= until.get(find.row.subject, -1) else find.row.began
        until = {find.row.subject: find.row.ended}
        others = [f.row for f in finds if (f.row.subject, f.row.mode) == (find.row.subject, find.row.mode) and f.row.began < find.row.began]
        if (found := ranks.weigh(find, onset, others, covariance, spread)) is not None:
            yield found


def counts(rows: list[Weighed]) -> dict[str, int]:
    """Return how many rows there are, how many stand out far enough, how many were found, and how many were found or not against that."""
    return {
        "rows": len(rows), "findable": sum(r.findable for r in rows), "found": sum(r.found for r in rows),
        "findable and found": sum(r.findable and r.found for r in rows), "found though not findable": sum(r.found and not r.findable for r in rows),
    }  # fmt: skip


def delays(rows: list[Weighed]) -> list[float]:
    """Return after how many seconds the clear steps that were found were so."""
    return sorted(r.delay for r in rows if r.step >= CLEAR and r.delay is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="weak")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--trace", type=Path, help="one that is there, instead of a simulated one")
    parser.add_argument("--results", type=Path, help="of that trace, instead of a replay of it")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trace, results = args.trace or Path(folder, "trace"), args.results or Path(folder, "results")
        if args.trace is None:
            Simulation(load(args.scenario).but(nodes=args.nodes, hours=args.hours, seed=args.seed)).write(trace)
        if args.results is None:
            replay(trace, out=results)
        rows = list(weighed(trace, results / "incidents.parquet"))
        period = Trace.open(trace).periods["rank"] / 1e6
    late = delays(rows)
    middle = float(np.median(late)) if late else None
    if args.json:
        print(json.dumps({**counts(rows), "clear steps found": len(late), "their median delay": middle, "period": period, "each": [r._asdict() for r in rows]}))
        return
    for r in sorted(rows, key=lambda r: -r.z / r.needed):
        said = "found" if r.found else "MISSED" if r.findable else "missed"
        print(f"{r.mode:10s} {r.subject:12s} {r.state:6s} {r.seconds / 60:6.1f} min {r.share:6.1%} slower  z {r.z:6.1f} of {r.needed:.1f} needed  {said}")
    for mode in MODES:
        print(f"{mode}: " + ", ".join(f"{what} {n}" for what, n in counts([r for r in rows if r.mode == mode]).items()))
    if middle is not None:
        print(f"{len(late)} steps of {CLEAR:.0f} spreads and more: half found within {middle:.0f} s, {middle / period:.0f} samples")


if __name__ == "__main__":
    main()
