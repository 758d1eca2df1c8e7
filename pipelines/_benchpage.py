"""Benchpage: what a page about a bench says: tables, two plots, where grayscope loses and what the numbers do not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from grayscope.bootstrap import intervals
from grayscope.drawing import Axis, chart
from grayscope.score import PATIENCE, SINCE_ONSET, Part
from grayscope.scoreboard import HOME, Run, losses, modes, names, pooled

from ._benchforms import Code, Heading, Piece, Plot, Points, Table, between, duration, shown

BY_SCENARIO = (("F1", "f1"), ("Precision", "precision"), ("Recall", "recall"), ("False pages per 1,000 GPU-weeks", "false_pages_per_1000_gpu_weeks"))
RECORDED = (
    "Published telemetry with labels, imported through the maps of the repository. Rates count weeks of whatever a set observes, drives for instance. Workflow "
    "runs have one label per run and host, for limits that were set on purpose while a run of minutes lasted; half of those slow nothing (workflow-runs.md)."
)
#: The scenario whose faults take the longest to find: it has a plot of its own.
WEAK = "weak"
CURVES = (
    "The right end of each line is what a detector said, at once; further to the left, who believes it only once it has gone on for "
    f"{', '.join(duration(float(s)) for s in PATIENCE[1:])}. Of who says nothing there is a dot."
)
#: Times since onset that get a line but no label: it would touch its neighbour's.
CROWDED = (300, 1800, 3 * 86_400)
SHARES = [(k / 5, f"{k / 5:g}") for k in range(6)]


@dataclass(frozen=True)
class Bench:
    """What a bench did.

    Parameters
    ----------
    runs : sequence of Run
    sources : sequence of sequence of str
        One row per scenario: name, size, seeds, what it is.
    failed : mapping of str to str
        Units that failed, and why.
    commands : str
        What to type to do the same.
    ran_on : str
    notes : sequence of str
        Sentences for the part that says what the numbers do not.
    seeds : str
        Which of the seeds were tuned on.
    """

    runs: Sequence[Run]
    sources: Sequence[Sequence[str]]
    failed: Mapping[str, str]
    commands: str
    ran_on: str
    notes: Sequence[str] = field(default_factory=tuple)
    seeds: str = ""


def pieces(bench: Bench) -> Iterator[Piece]:
    """Yield the page."""
    simulated, real = ([r for r in bench.runs if r.kind == kind] for kind in ("simulated", "real"))
    yield Heading("Benchmark", 1)
    yield "This page is written by `grayscope bench`: do not edit it. `grayscope` is every detector that is on by default; the others are rivals, each alone."
    yield Heading("How to repeat it")
    yield Code(bench.commands)
    yield f"{bench.ran_on} A second run takes everything from the cache and gives the same numbers, CPU time apart."
    if bench.failed:
        yield Heading("What failed")
        yield Table(("piece of work", "why"), [(name, why) for name, why in bench.failed.items()], numbers=False)
    if simulated:
        yield from _simulated(simulated, bench)
    if real:
        yield from _real(real)
    yield Heading("What the numbers do not say")
    yield Points(bench.notes)


def _simulated(runs: Sequence[Run], bench: Bench) -> Iterator[Piece]:
    own = {d: [r for r in runs if r.detector == d] for d in names(runs)}
    parts = {d: pooled(rs) for d, rs in own.items()}
    yield Heading("Simulated scenarios")
    yield Table(("scenario", "size", "seeds", "what it is"), bench.sources, numbers=False)
    if bench.seeds:
        yield bench.seeds
    yield Heading("All scenarios together", 3)
    yield "In parentheses: 95 % intervals, truth rows and incidents drawn again 1,000 times with replacement."
    yield _overall(own, parts)
    yield Plot("recall", "Recall against observation time", _recall(parts))
    if weak := [r for r in runs if r.scenario == WEAK]:
        yield Plot(
            "weak", f"Recall against observation time, {WEAK}", _recall({d: pooled([r for r in weak if r.detector == d]) for d in names(weak)}, f", {WEAK}")
        )
    yield CURVES
    yield Plot("false", "False alarms against recall", _false(parts))
    for title, figure in BY_SCENARIO:
        yield Heading(f"{title} by scenario", 3)
        yield _by_scenario(runs, figure)
    yield Heading("Recall by mode", 3)
    yield _by_mode(own, modes(runs))
    if HOME in own:
        scenarios = {s: [r for r in own[HOME] if r.scenario == s] for s in sorted({r.scenario for r in own[HOME]})}
        yield Heading("grayscope by scenario", 3)
        yield _home("scenario", {s: pooled(some) for s, some in scenarios.items()})
        yield Heading("grayscope by mode", 3)
        yield _home("mode", {mode: pooled(own[HOME], mode) for mode in modes(runs)})
        yield from _ledger(own[HOME])
    yield Heading("Where grayscope loses", 3)
    yield _lost(runs)
    missed = [m for m in modes(runs) if not pooled(own.get(HOME, []), m).found]
    if missed and HOME in own:
        yield f"Never found by grayscope here: {', '.join(missed)}."


def _real(runs: Sequence[Run]) -> Iterator[Piece]:
    yield Heading("Recorded sets with labels")
    yield RECORDED
    for name in names(runs, lambda r: r.scenario):
        here = [r for r in runs if r.scenario == name]
        own = {d: [r for r in here if r.detector == d] for d in names(here)}
        yield Heading(name, 3)
        yield _overall(own, {d: pooled(rs) for d, rs in own.items()})
        yield "Where grayscope loses here:"
        yield _lost(here)


def _lost(runs: Sequence[Run]) -> Piece:
    rows = [(loss.where, loss.figure, shown(loss.ours), shown(loss.theirs), loss.rival) for loss in losses(runs)]
    head = ("scenario or mode", "figure", "grayscope", "best rival", "which")
    return Table(head, rows, numbers=False) if rows else "No rival is ahead."


def _overall(own: Mapping[str, Sequence[Run]], parts: Mapping[str, Part]) -> Table:
    head = (
        "detector", "rows found", "faults found", "precision", "recall", "F1", "exact", "exact by any", "state right", "delay median", "delay p90",
        "false pages per 1,000 GPU-weeks", "false tickets per 1,000 GPU-weeks", "repeats", "CPU s", "CPU s alone",
    )  # fmt: skip
    based = any("precision_at_base_rates" in p.to_dict() for p in parts.values())
    rows = []
    for name, part in parts.items():
        figures, sure = part.to_dict(), intervals(part)
        keys = ("precision", "recall", "f1", "exact_share", "named_share", "state_right_share", "delay_median_s", "delay_p90_s")
        rates = ("false_pages_per_1000_gpu_weeks", "false_tickets_per_1000_gpu_weeks")
        said = [duration(figures[k]) if k.endswith("_s") else between(figures[k], sure[k] if k in ("precision", "recall", "f1") else None) for k in keys]
        base = [between(figures.get("precision_at_base_rates"), sure.get("precision_at_base_rates"))] if based else []
        falsely = [between(figures[k], sure[k]) for k in rates]
        cpu = (f"{sum(seconds):.0f}" for seconds in ([r.cpu_seconds for r in own[name]], [r.cpu_seconds_alone for r in own[name]]))
        found = (f"{figures['found']} of {figures['rows']}", f"{figures['faults_found']} of {figures['faults']}")
        rows.append((name, *found, *said[:1], *base, *said[1:], *falsely, str(figures["repeats"]), *cpu))
    return Table((*head[:4], *(["precision at base rates"] if based else []), *head[4:]), rows)


def _by_scenario(runs: Sequence[Run], figure: str) -> Table:
    detectors = names(runs)
    scenarios = sorted({r.scenario for r in runs})
    rows = [(s, *(shown(pooled([r for r in runs if (r.scenario, r.detector) == (s, d)]).to_dict()[figure]) for d in detectors)) for s in scenarios]
    return Table(("scenario", *detectors), rows)


def _by_mode(own: Mapping[str, Sequence[Run]], known: Sequence[str]) -> Table:
    rows = []
    for mode in known:
        parts = [pooled(runs, mode) for runs in own.values()]
        rows.append((mode, str(max(len(p.finds) for p in parts)), *(shown(p.recall) for p in parts)))
    return Table(("mode", "rows", *own), rows)


def _home(head: str, parts: Mapping[str, Part]) -> Table:
    rows = []
    for name, part in parts.items():
        f = part.to_dict()
        delays = (duration(f["delay_median_s"]), duration(f["delay_p90_s"]))
        found = (f"{f['found']} of {f['rows']}", f"{f['faults_found']} of {f['faults']}")
        shares = (shown(f[k]) for k in ("exact_share", "exact_share_at_best", "named_share", "state_right_share", "ledger_intervals_share"))
        rows.append((name, *found, *shares, *delays, str(f["repeats"]), str(f["repeats_at_best"])))
    figures = ("exact", "exact at best", "exact by any", "state right", "ledger right", "delay median", "delay p90", "repeats", "repeats at best")
    return Table((head, "rows found", "faults found", *figures), rows)


def _ledger(runs: Sequence[Run]) -> Iterator[Piece]:
    inside, told = pooled(runs).ledger
    if told:
        yield f"Of {told:,} intervals in the ledger for when a redundancy is used up, {inside:,} ({inside / told:.0%}) hold the true moment; 80 % should."


# -- plots ----------------------------------------------------------------------------------------------------------


def _recall(parts: Mapping[str, Part], where: str = "") -> str:
    lines = {name: [(float(s), part.recall_after(s) or 0.0) for s in SINCE_ONSET] for name, part in parts.items()}
    across = Axis("time since onset", [(float(s), "" if s in CROWDED else duration(float(s))) for s in SINCE_ONSET], log=True)
    return chart(f"Recall against observation time{where}", across, Axis("recall", SHARES), lines, thick=HOME)


def _false(parts: Mapping[str, Part]) -> str:
    lines = {name: sorted({at for s in PATIENCE if (at := part.patient(s)) is not None}) for name, part in parts.items()}
    top = max(4, *(len(f"{rate:.0f}") for points in lines.values() for _, rate in points)) if any(lines.values()) else 4
    up = Axis("false pages and tickets per 1,000 GPU-weeks", [(10.0**k, f"{10**k:,}" if k else "1 or none") for k in range(top + 1)], log=True)
    return chart("False alarms against recall", Axis("recall", SHARES), up, lines, thick=HOME)
