"""What the parts earn that quiet simulated traces do not need: each with and without, on the data that it is for.

Situations are drawn once for each seed, small fleets for the first three, noise for the first. Seeds 101 to 199 are those that grayscope is tuned on.

Usage: python benchmarks/ablation_earns.py --real DATA [--seeds 201-210] [--parts crowds,ways] [--jobs 2] [--out docs/ablation-earns.md]
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ablation_data import KINDS, NOISE, RATE, Said
from ablation_parts import WHOLE, off, parts

from grayscope.errors import UsageError
from grayscope.pipelines._benchforms import Code, Heading, Piece, Table, markdown
from grayscope.pipelines._benchpool import outcomes
from grayscope.pipelines._benchseeds import of_page, parse
from grayscope.plugins import nearest

ROOT = Path(__file__).parents[1]
#: Part, kind of data, its name, and what it is in a few words.
CASES = (
    ("detector hang", "dumps", "gpu_error_2nd", "recorded dumps of a job of 16 ranks in which two stopped"),
    ("detector lemons", "scene", "lemon", "a GPU 2.5 % slower for 24 minutes of each of ten jobs"),
    ("detector seldom", "recorded", "workflow_runs_eht", "recorded tasks on machines of which some were made slow"),
    ("sufferers", "recorded", "workflow_runs_eht", "the same"),
    ("detector mesh", "mesh", "probe_mesh", "faults injected into a recorded mesh of probes"),
    ("explaining away", "scene", "spine", "a spine holds up most of the few probed paths of a port"),
    ("load curves", "scene", "drives", "a tired drive with little to do beside a busy one that is well"),
    ("heavier tails", "noise", "worst", "hostile noise: heavy tails, a memory, unequal spreads, small groups"),
    ("few peers (ENOUGH)", "noise", "small", "noise in groups of 4 to 7"),
    ("long means", "fault", "slow", "a rank of each job gets 3 % slower in noise with a memory"),
    ("detector lasting", "fault", "slow", "the same"),
    ("traffic", "scene", "moved", "of ports that retransmit one moves 30 times as much, as often for it, and another a 30th with as many errors"),
    ("failures over jobs", "scene", "turns", "the GPUs of one machine are lost by turns, in four of ten jobs"),
    ("still (STILL)", "scene", "over", "a rank is slower for an hour, then no more"),
    ("hysteresis", "scene", "steady", "a rank gets 3 to 6 % slower and stays so"),
    ("eased pages", "scene", "grazing", "a GPU is too hot all the time, and its rank slower now and then"),
    ("ranks with few peers", "scene", "few", "a rank in a job of two or three gets slower"),
    ("one alone", "scene", "cooled", "fans fail, and the only rank of the job there gets slower: a page"),
    ("better half", "scene", "halves", "one of a job's two machines gets hot: its GPUs are limited, its ranks slower"),
    ("crowds", "scene", "kinds", "two kinds of parts in a job: nobody's fault"),
    ("gathering", "scene", "ports", "all ports of a machine begin to retransmit"),
    ("together", "scene", "rack", "a rack gets slower, in four jobs"),
    ("waiting chains", "scene", "nested", "a rank is slower inside three nested communicators"),
    ("beginning together", "scene", "storm", "two to eight GPUs begin to count errors at once"),
    ("machines that brake", "scene", "braked", "two machines of a job lose a power supply each"),
    ("reasons of its own", "scene", "braked", "the same"),
    ("ways", "scene", "ring", "a port retransmits, and the ring that crosses it gets slower"),
    ("cascade", "scene", "ring", "the same"),
    ("repeat offenders", "scene", "offender", "of four spines one lost links in three jobs; then links are lost while nothing runs that tells whose"),
    ("coming back", "scene", "back", "a rank is slower for twenty minutes, twice within the hour"),
    ("host busy", "scene", "busy", "a machine busy with something else, whose ranks are slower: nobody's part"),
    ("evenness", "intervals", "memory", "rows that are remapped more regularly than chance"),
)  # fmt: skip


class Task(NamedTuple):
    """One piece of work for one process."""

    kind: str
    data: str
    part: str
    seeds: tuple[int, ...]
    real: str

    @property
    def name(self) -> str:
        """Return it in a few words."""
        return f"{self.kind} {self.data} {'with' if self.part == WHOLE else 'without'} {self.part}"


def do(task: Task) -> Said:
    """Let grayscope without a part see the data."""
    part = next(p for p in parts() if p.name == task.part)
    with off(part):
        return KINDS[task.kind](task.data, part, task.seeds, Path(task.real) if task.real else None)


def tasks(names: Sequence[str], seeds: tuple[int, ...], real: str) -> list[Task]:
    """Return what is to be done, everything on once for each data; without recordings what needs none.

    Raises
    ------
    UsageError
        No data are known for such a part; names the nearest.
    """
    known = {part for part, *_ in CASES}
    for name in names:
        if name not in known:
            raise UsageError(f"--parts: no data for a part {name!r}: {nearest(name, known)}")
    some = [c for c in CASES if (c[0] in names or not names) and (real or c[1] not in ("dumps", "recorded", "mesh"))]
    return list(dict.fromkeys(Task(kind, data, p, seeds, real) for part, kind, data, _ in some for p in (WHOLE, part)))


def pieces(said: dict[tuple[str, str, str], Said], command: str, seeds: Sequence[int]) -> list[Piece]:
    """Return the page of what was said, by kind and name of the data and part."""
    rows = []
    for part, kind, data, note in CASES:
        if (kind, data, part) in said:
            whole, without = said[kind, data, WHOLE], said[kind, data, part]
            verdict = "earns" if whole.worth > without.worth else "harms" if whole.worth < without.worth else "nothing"
            rows.append((part, note, whole.words, without.words, verdict))
    subjects, hours, period = NOISE
    return [
        Heading("What the parts are for", 1),
        (
            "This page is written by `benchmarks/ablation_earns.py`: do not edit it. The traces of [the ablation](ablation.md) are quiet: "
            "what changes nothing there is here on the data that it is for."
        ),
        Code(command),
        " ".join(of_page(sorted(seeds))),
        Table(("part", "data", "with it", "without", ""), rows, numbers=False),
        (
            "Situations of the reference are drawn by `benchmarks/ablation_scenes.py` and those beside it, once for each seed: *right* is who accuses "
            f"all that are to be, once, and nobody else. Noise is of {subjects} healthy GPUs for {hours:g} hours, a row each {period} s, at {RATE:g} false "
            "pages configured per 1,000 GPU-weeks. Noise and fault are those of the first seed, fleets with remapped rows of the first three: a "
            "difference of one is within what another seed would change."
        ),
    ]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="101-110", help="as in `grayscope bench`")
    parser.add_argument("--parts", default="", help="names with commas, instead of all")
    parser.add_argument("--real", default="", help="folder of the recorded sets; without it, only what is drawn and simulated")
    parser.add_argument("--jobs", type=int, default=2, help="processes; 0 does all in this one")
    parser.add_argument("--out", type=Path, help="where the page goes, instead of only to standard output")
    args = parser.parse_args(words)
    try:
        seeds = tuple(parse(args.seeds))
        todo = tasks([n.strip() for n in args.parts.split(",") if n.strip()], seeds, args.real)
    except UsageError as error:
        parser.error(str(error))
    said: dict[tuple[str, str, str], Said] = {}
    for outcome in outcomes(deque(todo), do, args.jobs):
        if outcome.error is not None:
            raise SystemExit(f"{outcome.task.name}: {outcome.error}")
        said[outcome.task.kind, outcome.task.data, outcome.task.part] = outcome.value
        print(f"{len(said)}/{len(todo)} {outcome.task.name}: {outcome.value.words}", file=sys.stderr)
    command = (
        f"python benchmarks/ablation_earns.py --seeds {args.seeds}" + (" --real DATA" if args.real else "") + (f" --parts '{args.parts}'" if args.parts else "")
    )
    page = markdown(pieces(said, command, seeds), "ablation-earns")
    if args.out:
        args.out.write_text(page, "utf-8")
    print(page)


if __name__ == "__main__":
    main()
