"""Scoreboard: the scores of many runs side by side: a tidy table, runs taken together, and where the home side loses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from grayscope.score import SINCE_ONSET, Part, Score

#: The detector set that is compared with each rival.
HOME = "grayscope"
#: Under which mode the figures of all modes stand.
ALL = "all"
FIGURES = (
    "precision", "precision_at_base_rates", "recall", "f1", "exact_share", "named_share", "exact_share_at_best", "state_right_share", "delay_median_s",
    "delay_p90_s", "false_pages_per_1000_gpu_weeks", "false_tickets_per_1000_gpu_weeks", "ledger_intervals_share",
)  # fmt: skip
COUNTS = ("rows", "found", "matched", "false", "repeats", "repeats_at_best", "ledger_intervals")
SCHEMA = pa.schema(
    [("detector", pa.string()), ("scenario", pa.string()), ("kind", pa.string()), ("seed", pa.int64()), ("mode", pa.string()),
     *((name, pa.int64()) for name in COUNTS), *((name, pa.float64()) for name in FIGURES), *((f"recall_after_{s}s", pa.float64()) for s in SINCE_ONSET),
     ("gpu_weeks", pa.float64()), ("cpu_seconds", pa.float64()), ("cpu_seconds_alone", pa.float64())]
)  # fmt: skip


PAGES = "false pages per 1,000 GPU-weeks"
#: Figure, its key, and whether less is better.
OVERALL = (
    ("exact share", "exact_share", False), ("median delay in seconds", "delay_median_s", True), (PAGES, "false_pages_per_1000_gpu_weeks", True),
    ("false tickets per 1,000 GPU-weeks", "false_tickets_per_1000_gpu_weeks", True), ("repeats", "repeats", True),
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One detector set on one trace.

    Parameters
    ----------
    detector, scenario : str
        A scenario's name, or that of a recorded set.
    kind : str
        ``simulated`` or ``real``.
    seed : int
    score : Score
    gpu_weeks : float
        Subject-weeks that it watched.
    cpu_seconds : float
        Spent on the replay: its own and an equal share of what it had in common with others.
    cpu_seconds_alone : float
        What it would have cost alone.
    """

    detector: str
    scenario: str
    kind: str
    seed: int
    score: Score
    gpu_weeks: float
    cpu_seconds: float
    cpu_seconds_alone: float


def tidy(runs: Iterable[Run]) -> pa.Table:
    """Return one row per detector, scenario, seed and mode, that of all modes first; sorted."""
    rows = [row for run in sorted(runs, key=lambda r: (r.kind, r.scenario, r.seed, r.detector)) for row in _rows(run)]
    return pa.Table.from_pylist(rows, SCHEMA)


def _rows(run: Run) -> Iterator[dict[str, Any]]:
    for mode, part in ((ALL, run.score.overall), *run.score.modes.items()):
        figures = part.to_dict()
        after = {f"recall_after_{s}s": figures["recall_after_s"][str(s)] for s in SINCE_ONSET}
        whole = mode == ALL and part is run.score.overall
        yield {
            "detector": run.detector, "scenario": run.scenario, "kind": run.kind, "seed": run.seed, "mode": mode,
            **{k: figures.get(k) for k in (*COUNTS, *FIGURES)}, **after,
            "gpu_weeks": run.gpu_weeks, "cpu_seconds": run.cpu_seconds if whole else None, "cpu_seconds_alone": run.cpu_seconds_alone if whole else None,
        }  # fmt: skip


def pooled(runs: Sequence[Run], mode: str = ALL) -> Part:
    """Return the runs of one detector as if they had been one: every truth row and every incident counts the same."""
    parts = [p for r in runs if (p := r.score.overall if mode == ALL else r.score.modes.get(mode)) is not None]
    finds, false, repeats = ([x for p in parts for x in getattr(p, name)] for name in ("finds", "false", "repeats"))
    ledger, faults = ((sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)) for pairs in ([p.ledger for p in parts], [p.faults for p in parts]))
    exact, found, doubled = (sum(p.best[k] for p in parts) for k in range(3))
    return Part(finds, sum(p.matched for p in parts), false, repeats, sum(r.gpu_weeks for r in runs), ledger, faults, (exact, found, doubled))


def names(runs: Iterable[Run], key: Callable[[Run], str] = lambda r: r.detector) -> list[str]:
    """Return the detectors (or what `key` gives), the home side first, then by name."""
    return sorted({key(r) for r in runs}, key=lambda n: (n != HOME, n))


def modes(runs: Iterable[Run]) -> list[str]:
    """Return the modes that truth names anywhere."""
    return sorted({f.row.mode for r in runs for f in r.score.overall.finds})


@dataclass(frozen=True)
class Loss:
    """One figure at which a rival is ahead of the home side; `where` is a scenario or a mode."""

    where: str
    figure: str
    ours: float | None
    theirs: float
    rival: str


def losses(runs: Sequence[Run]) -> list[Loss]:
    """Return where the best rival is ahead: overall, F1 by scenario (false pages where nothing was to be found), recall by mode.

    Of the rivals that find nothing at all, nobody asks how soon they do or how quiet they are.
    """
    finders = [r for r in runs if r.detector == HOME or pooled([x for x in runs if x.detector == r.detector]).found]
    found = [
        _lost(runs, "everything", "F1", lambda own: pooled(own).f1),
        _lost(runs, "everything", "recall", lambda own: pooled(own).recall),
        *(_lost(finders, "everything", figure, lambda own, k=key: pooled(own).to_dict()[k], less) for figure, key, less in OVERALL),  # type: ignore[misc]
    ]
    scenarios = names(runs, lambda r: r.scenario)
    for scenario in scenarios if len(scenarios) > 1 else ():
        here = [r for r in runs if r.scenario == scenario]
        if any(r.score.overall.finds for r in here):
            found.append(_lost(here, scenario, "F1", lambda own: pooled(own).f1))
        else:
            found.append(_lost([r for r in finders if r.scenario == scenario], scenario, PAGES, lambda own: pooled(own).false_rate("page"), less=True))
    found += [_lost(runs, mode, "recall", lambda own, m=mode: pooled(own, m).recall) for mode in modes(runs)]  # type: ignore[misc]
    return [loss for loss in found if loss is not None]


def _lost(runs: Sequence[Run], where: str, figure: str, value: Callable[[list[Run]], float | None], less: bool = False) -> Loss | None:
    by = {d: value([r for r in runs if r.detector == d]) for d in names(runs)}
    rivals = [(v, d) for d, v in by.items() if v is not None and d != HOME]
    if HOME not in by or not rivals:
        return None
    best, name = min(rivals) if less else max(rivals, key=lambda r: (r[0], r[1]))
    ours = by[HOME]
    ahead = ours is None or (best < ours if less else best > ours)
    return Loss(where, figure, ours, best, name) if ahead and (less or best > 0) else None
