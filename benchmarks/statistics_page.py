"""The page of a comparison of statistics: who keeps a promise, and who finds more where all say as much that is false."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibration_counts import BROKEN, interval
from statistics_rows import HINDSIGHT, LEARNED, THEORY, Row, rows
from statistics_runs import FAULTS, LOOKS, NAMES, OWN, PERIOD, Seen

from grayscope.pipelines._benchforms import Code, Heading, Piece, Points, Table, shown
from grayscope.pipelines._benchseeds import of_page

WORDS = {"3 %": "3 % slower", "3 sigma": "three robust sigma slower"}
#: Sentences of the page that tell what was done.
ABOUT = """All take the same residual, the time of computing beside the peers' and less the usual difference, in usual spreads, of the same
noise at the same moment, as the engine makes it (`grayscope/stand.py`). Judge and blame, which decide what becomes a page, take no part: that is
[calibration](calibration.md)."""
TESTS = """Tests at once: subjects, one metric each. The promise is the same for the fleet as a whole, so that each test's is the stricter the more
there are ({lengths}). grayscope divides it by itself among its horizons: four of `became`; four, six and two of the three detectors, each of
which has the whole promise."""
COURSE = """{learned} looks to learn from, {quiet} in which nobody is ill, {slow} in which one of twenty is slower, half of them by 3 %, half by three
robust sigma (1.4826 times the median distance of all from what each usually takes). Alarms on the others, and on these before, are false; each subject
counts once, so that no count of false ones is above the number of tests."""
RIVALS = """CUSUM: drift 0.5, threshold by Siegmund's formula; *whitened*: of what the value before does not tell, with the fleet's autocorrelation.
e-detectors: Shiryaev-Roberts sums over four sizes of bets on normal values, or on being among the worst eighth of the group; alarm at the promised
time between false alarms. Exceedances: m of the last 64 values above one spread, by the binomial tail. All clip values at three spreads, but for ranks."""
OWNS = """Detectors of grayscope are the very objects of an engine with that promise: they clip at twelve spreads (three where single values jump),
speak every fourth look, and learn their tails while they watch, also from the fleet with the slow ones in it."""
LEARNS = """Each threshold is the level that as many reached in the {quiet} looks before the onset as was promised for them; counted in the {slow} looks
after it. Nothing is wrong with anybody while it is learned, which no fleet can be sure of."""
SAME = """Thresholds at which each says just as many false alarms as were promised, over the whole run: nobody can set them so, but power can be
compared fairly."""


def _line(text: str, **figures: object) -> str:
    return text.replace("\n", " ").format(**figures)


def pieces(runs: Sequence[Seen], command: str, ran_on: str, seeds: Sequence[int]) -> Iterator[Piece]:
    """Yield the page."""
    told, (learned, quiet, slow) = rows(runs), runs[0].task.ticks
    yield Heading("Statistics compared", 1)
    yield "This page is written by `benchmarks/statistics_compared.py`: do not edit it. " + (
        "Which statistic gathers weak evidence best while it keeps a promise of few false alarms? " + _line(ABOUT)
    )
    yield Code(command)
    yield ran_on + " " + " ".join(of_page(seeds))
    yield Heading("What was found")
    yield Points(tuple(_conclusions(told)))
    yield Heading("What was done")
    rates = sorted({s.task.tests: s.task.rate for s in runs}.items())
    lengths = "; ".join(f"{n:,} tests: {shown(r)} per 1,000 subject-weeks, one in {1000 / r * LOOKS:,.0f} looks of a test" for n, r in rates)
    yield Points((_line(TESTS, lengths=lengths), _line(COURSE, learned=learned, quiet=quiet, slow=slow), _line(RIVALS), _line(OWNS)))
    yield Heading("Promised and observed, with the threshold of each one's own theory")
    yield f"False alarms, with exact Poisson 95 % intervals; **broken** where the lower end is above what was promised. One look is {PERIOD} s here."
    yield from _counts(told, THEORY)
    yield from _delays(told, THEORY, "Looks until found, the same thresholds: worth nothing where the promise is broken")
    yield Heading("Thresholds learned from the fleet itself")
    yield _line(LEARNS, quiet=quiet, slow=slow)
    yield from _counts(told, LEARNED)
    yield from _delays(told, LEARNED, "Looks until found, thresholds learned")
    yield Heading("The same number of false alarms for all, by hindsight")
    yield _line(SAME)
    yield from _delays(told, HINDSIGHT, "Looks until found, the same false alarms")


def _conclusions(told: Sequence[Row]) -> Iterator[str]:
    own = [r for r in told if r.way == THEORY]
    for name in NAMES:
        mine = [r for r in own if r.statistic == name]
        broken = [r for r in mine if r.word == BROKEN]
        worst = max(mine, key=lambda r: r.false / r.promised)
        where = f"worst in *{worst.noise}* with {worst.tests:,} tests: {worst.false:,} for {worst.promised:.0f}"
        yield f"{name}, threshold by theory: the promise is broken in {len(broken)} of {len(mine)} cases ({where})."
    early = [f"{sum(r.early for r in own if r.statistic == n):,} by {n.removeprefix('grayscope: ')}" for n in OWN]
    yield f"Before anything was counted, while rivals did not watch, grayscope gave false alarms on {' and '.join(early)}, over all cases."
    most = max(r.tests for r in told)
    for way, words in ((LEARNED, "thresholds learned"), (HINDSIGHT, "the same false alarms for all")):
        for noise in dict.fromkeys(r.noise for r in told):
            here = [r for r in told if (r.way, r.noise, r.tests) == (way, noise, most) and (way == HINDSIGHT or r.word != BROKEN)]
            if here:
                yield f"*{noise}*, {most:,} tests, {words}: {'; '.join(_best(here, f) for f in FAULTS)}."


def _best(here: Sequence[Row], fault: str) -> str:
    """Say which statistic finds half of the faults soonest, or most of them where none finds half."""
    best = min(here, key=lambda r: (r.median(fault) or 1e9, -r.share(fault)))
    if not best.share(fault):
        return f"{WORDS[fault]} by none"
    own = [r for r in here if r.statistic == OWN[0]]
    beside = "" if best.statistic in OWN else f" (`became`: {_cell(own[0], fault)})" if own else " (`became`: promise broken)"
    return f"{WORDS[fault]} {'most' if best.median(fault) is None else 'soonest'} by {best.statistic}: {_cell(best, fault)}{beside}"


# -- tables ---------------------------------------------------------------------------------------------------------


def _grid(told: Sequence[Row], way: str) -> Iterator[tuple[tuple[str, int], list[Row]]]:
    for case in dict.fromkeys((r.noise, r.tests) for r in told):
        yield case, [r for r in told if r.way == way and (r.noise, r.tests) == case]


def _counts(told: Sequence[Row], way: str) -> Iterator[Piece]:
    yield Table(
        ("noise", "tests at once", "promised", *NAMES),
        [(noise, f"{tests:,}", f"{here[0].promised:.1f}", *map(_count, here)) for (noise, tests), here in _grid(told, way)],
    )


def _count(r: Row) -> str:
    low, high = interval(r.false)
    text = f"{r.false:,} ({shown(low)} to {shown(high)})"
    return f"**{text}**" if r.word == BROKEN else text


def _delays(told: Sequence[Row], way: str, title: str) -> Iterator[Piece]:
    yield Heading(title, 3)
    yield "Median in looks, and in parentheses the share found within all looks after the onset; - where fewer than half were found."
    for fault in FAULTS:
        yield f"{WORDS[fault].capitalize()}:"
        yield Table(
            ("noise", "tests at once", "slow ones", *NAMES),
            [(noise, f"{tests:,}", f"{here[0].found[fault][1]:,}", *(_cell(r, fault) for r in here)) for (noise, tests), here in _grid(told, way)],
        )


def _cell(r: Row, fault: str) -> str:
    return f"{shown(r.median(fault))} ({r.share(fault):.0%})"
