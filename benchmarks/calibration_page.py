"""The page of a calibration: what was promised, what was observed, what broke the promise, and how soon faults are found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from calibration_counts import BROKEN, KEPT, NOT_SHOWN, needed, rates, spread, verdict
from calibration_noise import NOISES
from calibration_runs import BEFORE, Count

from grayscope.drawing import Axis, chart
from grayscope.pipelines._benchforms import Code, Heading, Piece, Points, Table, duration, shown
from grayscope.pipelines._benchseeds import of_page

ALL = "all hostile noise"
SCENARIOS = {"null": "the simulator's `null`: nothing is wrong", "controls": "the simulator's `controls`: nothing is wrong, much looks so"}
#: Ticks after the onset at which the share found is told: the last only of what is watched for so long.
WITHIN, LONG = (15, 64, 256, 600), 4096


def summed(counts: Sequence[Count]) -> list[Count]:
    """Return one count per source and configured rate, and one for all hostile noise together."""
    sums: dict[tuple[str, float], Count] = {}
    for c in (c for c in counts if c.kind != "fault"):
        for kind, source in ((c.kind, c.source), *([(c.kind, ALL)] if c.kind == "noise" else [])):
            sums.setdefault((source, c.configured), Count(kind, source, c.configured, c.period)).add(c)
    order = [*SCENARIOS, ALL, *(n.name for n in NOISES)]
    return sorted(sums.values(), key=lambda c: (c.configured, order.index(c.source)))


def pieces(counts: Sequence[Count], command: str, ran_on: str, seeds: Sequence[int], missing: Sequence[str] = ()) -> Iterator[Piece]:
    """Yield the page."""
    sums = summed(counts)
    yield Heading("Calibration", 1)
    yield (
        "This page is written by `benchmarks/calibration.py`: do not edit it. The setting `false_pages_per_1000_gpu_weeks` is a promise; here it is held "
        "against what is said where nothing is wrong. How soon real slowness is found at each setting stands below: quiet alone is easy."
    )
    yield Code(command)
    yield ran_on
    if missing:
        yield f"Left out for want of time: {'; '.join(missing)}."
    if sums:
        yield from _promise(sums, seeds)
    if any(c.kind == "fault" for c in counts):
        yield from _faults([c for c in counts if c.kind == "fault"])


def _promise(sums: Sequence[Count], seeds: Sequence[int]) -> Iterator[Piece]:
    least = min(c.configured for c in sums)
    periods = " or ".join(str(p) for p in sorted({c.period for c in sums}))
    weeks = sum(c.weeks for c in sums if c.configured == least and c.source != ALL)
    yield Heading("Configured against observed")
    yield "![Configured against observed false pages](calibration.svg)"
    yield (
        f"{168 * weeks:,.0f} subject-hours at the strictest setting, one row of telemetry every {periods} s, all detectors that are on by default; "
        "each setting has an engine of its own. A page or ticket is an incident whose gravest severity that is. In parentheses: exact Poisson 95 % "
        "intervals per 1,000 GPU-weeks. "
        f"*{KEPT}*: the upper end is no higher than what was configured; *{BROKEN}*: the lower end is; *{NOT_SHOWN}*: neither, and so many GPU-weeks "
        "would show it if nothing more were said. Tickets are no part of the promise: they stand beside it. *Tests at once*: engines, each with so many of "
        "its own, and all of them together; a test is a horizon of a metric of a subject in `slower`, `became`, `stepped` or `lasting`, held against a "
        "threshold at every look. The promise is each subject's, whatever the number of its metrics and horizons."
    )
    yield " ".join(of_page(seeds))
    for rate in sorted({c.configured for c in sums}):
        yield Heading(f"{rate:g} per 1,000 GPU-weeks configured", 3)
        each = (f"{what}{per}" for what in ("pages", "tickets") for per in ("", " per 1,000 GPU-weeks"))
        head = ("source", "tests at once", "subject-hours", "GPU-weeks", "configured", *each, "verdict")
        yield Table(head, [_row(c) for c in sums if c.configured == rate])
    yield from _broken(sums)
    yield Heading("Sources", 3)
    yield Table(
        ("source", "table", "what it is"), [*((k, "all", v) for k, v in SCENARIOS.items()), *((n.name, n.table, n.note) for n in NOISES)], numbers=False
    )
    yield (
        "Noise is 2 % of a part's value, AR(1) with 0.6, groups of 64 in jobs of two stages, offsets of 1 %, unless said. Sources whose parts differ for ever "
        "draw those differences once per seed and part: such events are fewer than their exposure suggests. A part that is offset by several of its peers' "
        "spreads *is* slower than they are; pages about it are counted as false here all the same."
    )


def _row(c: Count) -> tuple[str, ...]:
    said = verdict(c.pages, c.weeks, c.configured)
    if said == NOT_SHOWN:
        said = f"{said}: needs {needed(c.pages, c.configured):,.0f} GPU-weeks"
    figures = (f"{168 * c.weeks:,.0f}", f"{c.weeks:,.0f}", f"{c.configured:g}", f"{c.pages}", _between(c.pages, c.weeks), f"{c.tickets}")
    return (c.source, at_once(c), *figures, _between(c.tickets, c.weeks), said)


def at_once(c: Count) -> str:
    """Return the tests that ran at once: per engine, and pooled over several."""
    if not c.engines:
        return "-"
    return f"{c.tests:,}" if c.engines == 1 else f"{c.engines} x {c.tests / c.engines:,.0f} = {c.tests:,}"


def _between(count: int, weeks: float) -> str:
    rate, low, high = rates(count, weeks)
    return f"{shown(rate)} ({shown(low)} to {shown(high)})"


def _broken(sums: Sequence[Count]) -> Iterator[Piece]:
    broken = [c for c in sums if verdict(c.pages, c.weeks, c.configured) == BROKEN]
    if broken:
        yield Heading("What broke the promise", 3)
        yield "Evidence that was strongest when a false page was first said, with how often that was so."
        yield Table(("source", "configured", "from"), [(c.source, f"{c.configured:g}", _causes(c.causes)) for c in broken], numbers=False)


def _causes(causes: Counter[str]) -> str:
    return "; ".join(f"{name.removeprefix('page: ')} ({n})" for name, n in causes.most_common() if name.startswith("page"))


# -- faults ---------------------------------------------------------------------------------------------------------


def _faults(counts: Sequence[Count]) -> Iterator[Piece]:
    yield Heading("How soon slowness is found")
    yield (
        f"After {BEFORE} healthy ticks one rank of each job gets slower and stays so: by 3 %, or by three robust sigma (1.4826 times the median distance of "
        "all parts from what each usually takes). Found: a page or ticket names its GPU or the rank. Delays count from the first slow row; a median or "
        "90th percentile that is missing was not reached: fewer were found."
    )
    for fault, period in sorted({(c.fault, c.period) for c in counts}, key=lambda x: (x[0] != "3 %", -x[1])):
        yield Heading(f"{'3 % slower' if fault == '3 %' else 'Three robust sigma slower'}, a row every {period} s", 3)
        here = [c for c in counts if (c.fault, c.period) == (fault, period)]
        within = (*WITHIN, LONG) if fault == "3 %" else WITHIN
        head = ("source", "configured", "ranks", "found", "median, ticks", "p90, ticks", "median", "p90", *(f"within {n:,} ticks" for n in within))
        yield Table(head, [_found(c, within) for c in _pooled(here)])
    yield Points(("A slow rank that is not the last of its job makes nobody wait and is a ticket, whatever its strength.",))


def _pooled(counts: Sequence[Count]) -> list[Count]:
    sums: dict[tuple[str, float], Count] = {}
    for c in counts:
        for source in (ALL, c.source):
            sums.setdefault((source, c.configured), Count("fault", source, c.configured, c.period, c.fault)).add(c)
    order = [ALL, *(n.name for n in NOISES)]
    return sorted(sums.values(), key=lambda c: (order.index(c.source), c.configured))


def _found(c: Count, within: tuple[int, ...]) -> tuple[str, ...]:
    median, ninth = spread(c.delays, c.faults)
    ticks = [shown(x) for x in (median, ninth)]
    seconds = [duration(None if x is None else x * c.period) for x in (median, ninth)]
    shares = [f"{sum(d <= n for d in c.delays) / max(c.faults, 1):.0%}" for n in within]
    return (c.source, f"{c.configured:g}", str(c.faults), str(len(c.delays)), *ticks, *seconds, *shares)


# -- plot -----------------------------------------------------------------------------------------------------------


def plot(counts: Sequence[Count]) -> str:
    """Return the chart of configured against observed, with the upper ends of the intervals; below a tenth counts as a tenth."""
    sums = summed(counts)
    configured = sorted({c.configured for c in sums})
    lines: dict[str, list[tuple[float, float]]] = {"as configured": [(1.0, 1.0), (1000.0, 1000.0)]}
    for source in (*SCENARIOS, ALL):
        own = [c for c in sums if c.source == source]
        lines[source] = [(c.configured, rates(c.pages, c.weeks)[0]) for c in own]
        lines[f"{source}, upper end"] = [(c.configured, rates(c.pages, c.weeks)[2]) for c in own]
    top = max(3, *(math.ceil(math.log10(y)) for points in lines.values() for _, y in points if y > 0))
    across = Axis("configured false pages per 1,000 GPU-weeks", _decades(min(0, math.floor(math.log10(configured[0]))), max(3, top)), log=True)
    up = [(10.0**-1, "0.1 or none"), *_decades(0, top)]
    return chart("Configured against observed", across, Axis("observed", up, log=True), lines, thick="as configured")


def _decades(low: int, high: int) -> list[tuple[float, str]]:
    return [(10.0**k, f"{10.0**k:,g}") for k in range(low, high + 1)]
