"""What each part of grayscope earns: simulated traces with everything on, then with each part off, one at a time.

Those that earn nothing are tried again on other traces: larger ones, nothing but look-alikes, and recorded sets with labels. Of those that earn
nothing there either, `--tests` says which tests need them (`ablation_tests.py`).
Writes a page. Every replay is kept in a file as soon as it is done, so that the command may be stopped and started again. Seeds 101 to 199 are
those that grayscope is tuned on; what counts are others.

Usage: python benchmarks/ablation.py [--quick] [--seeds 6,] [--scenarios mixed,links] [--parts crowds,costs] [--again controls:16x12] [--real DATA]
[--tests] [--jobs 2] [--out docs/ablation.md]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from ablation_page import Found, little, pieces
from ablation_parts import WHOLE, Part, parts
from ablation_runs import Figures, Kept, Task, do, make, missing
from ablation_tests import needing

from grayscope.errors import InputError, UsageError
from grayscope.pipelines._benchforms import duration, markdown
from grayscope.pipelines._benchplan import recorded
from grayscope.pipelines._benchpool import outcomes
from grayscope.pipelines._benchseeds import parse
from grayscope.pipelines._benchunits import Source
from grayscope.plugins import nearest

ROOT = Path(__file__).parents[1]
SCENARIOS = "mixed,links,memory,thermal,weak,correlated"
#: Options that a page repeats where they are not as usual; folders of one machine are none of its business.
TOLD = ("scenarios", "parts", "nodes", "hours", "again")
#: Where parts that earn nothing are tried again: nodes x hours. Rare kinds need many nodes; look-alikes, time.
AGAIN = "mixed:32x6,controls:16x12,correlated:64x4"
#: Of a quick run, to see that it works.
QUICK = "mixed,links"


def chosen(names: str) -> list[Part]:
    """Return everything on and the parts named, all of them if none is.

    Raises
    ------
    UsageError
        There is no such part; names the nearest.
    """
    known = {p.name: p for p in parts()}
    wanted = [n.strip() for n in names.split(",") if n.strip()]
    for name in wanted:
        if name not in known:
            raise UsageError(f"--parts: no part {name!r}: {nearest(name, known)}")
    return [known[n] for n in dict.fromkeys([WHOLE, *wanted])] if wanted else list(known.values())


def again(text: str, seeds: Sequence[int]) -> list[Source]:
    """Return the traces of `--again`.

    Raises
    ------
    UsageError
        Not ``scenario:NODESxHOURS``, or there is no such scenario.
    """
    found = []
    for one in filter(None, text.split(",")):
        try:
            name, _, size = one.strip().partition(":")
            nodes, _, hours = size.partition("x")
            found += [Source(name, seed, int(nodes), float(hours)) for seed in seeds]
        except ValueError as error:
            raise UsageError(f"--again: expected scenario:NODESxHOURS, such as controls:16x12, found {one!r}") from error
    for source in found:
        source.scenario()  # names and sizes are checked before hours of work, not after
    return found


def carried_out(sources: Sequence[Source], some: Sequence[Part], cache: Path, jobs: int) -> Found:
    """Return the figures of every part on every trace; says on standard error how far it is."""
    kept = Kept(cache / "ablation.jsonl")
    todo = missing(kept, sources, some)
    print(f"{len(sources) * len(some) - len(todo)} of {len(sources) * len(some)} replays are kept in {kept.file}", file=sys.stderr)
    folders = {source: make(source, cache) for source in dict.fromkeys(s for s, _ in todo)}
    keys = {(source, part.name): kept.key(source, part) for source, part in todo}
    began = time.monotonic()
    for number, outcome in enumerate(outcomes(deque(Task(s, p.name, str(folders[s])) for s, p in todo), do, jobs), 1):
        if outcome.error is not None:
            raise SystemExit(f"{outcome.task.name}: {outcome.error}")
        kept.put(keys[outcome.task.source, outcome.task.part], outcome.value)
        left = (time.monotonic() - began) * (len(todo) / number - 1)
        print(f"{number}/{len(todo)} {outcome.task.name}: {_told(outcome.value)}; about {duration(round(left))} left", file=sys.stderr)
    return {(source, part.name): kept.figures[kept.key(source, part)] for source in sources for part in some}


def _needing(part: str) -> list[str]:
    tests = needing(part)
    print(f"{len(tests)} tests need {part}", file=sys.stderr)
    return tests


def _told(f: Figures) -> str:
    return f"{f.found} of {f.rows} found, {f.false} false, F1 {f.f1:.2f}, {f.seconds:.0f} CPU-s"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="6,", help="as in `grayscope bench`: a number counts from 1, `6,` is a seed")
    parser.add_argument("--scenarios", default=SCENARIOS)
    parser.add_argument("--parts", default="", help="names with commas, instead of all")
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--again", default=AGAIN, help="traces on which what earns nothing is tried again, as scenario:NODESxHOURS; '' for none")
    parser.add_argument("--real", type=Path, help="folder of the recorded sets, on which it is tried again too")
    parser.add_argument("--tests", action="store_true", help="say which tests need what earns nothing anywhere: minutes for each part")
    parser.add_argument("--jobs", type=int, default=2, help="processes; 0 does all in this one")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "ablation", help="folder of the traces and of what is done")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "ablation.md")
    parser.add_argument("--quick", action="store_true", help="two traces, to see that it works; writes nothing unless --out is given")
    args = parser.parse_args(words)
    scenarios = QUICK if args.quick and args.scenarios == SCENARIOS else args.scenarios
    try:
        seeds, some = parse(args.seeds), chosen(args.parts)
        more = [*again("" if args.quick and args.again == AGAIN else args.again, seeds), *(recorded(args.real, ROOT / "tests" / "maps") if args.real else [])]
        found = carried_out(
            [Source(name.strip(), seed, args.nodes, args.hours) for name in scenarios.split(",") for seed in seeds], some, args.cache, args.jobs
        )
        idle, harm = little(found, [p.name for p in some])
        tried = carried_out(more if idle or harm else [], [p for p in some if p.name in (WHOLE, *idle, *harm)], args.cache, args.jobs)
    except (UsageError, InputError) as error:
        parser.error(str(error))
    told = [(f"--{name} {value}", value != parser.get_default(name)) for name, value in vars(args).items() if name in TOLD]
    told += [("--real DATA", args.real is not None), ("--tests", args.tests)]
    command = " ".join(["python benchmarks/ablation.py", f"--seeds {args.seeds}", *(text for text, there in told if there)])
    needs = {name: _needing(name) for name in chain(*little(tried, [*idle, *harm]))} if args.tests and tried else {}
    page = markdown(list(pieces(found, some, command, tried, needs)), args.out.stem)
    if not args.quick or args.out != parser.get_default("out"):
        args.out.write_text(page, "utf-8")
    print(page)


if __name__ == "__main__":
    main()
