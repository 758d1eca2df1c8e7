"""Statistics compared: what gathers weak evidence soonest while it keeps a promise of few false alarms at 10^3 to 10^5 tests at once.

CUSUM, e-detectors, counted exceedances and grayscope's own means over several horizons take the same residuals of the same hostile noise (see
`calibration_noise`): first with the threshold that each one's own theory gives for the promise, then with thresholds learned from the fleet, then with
those that make all equally noisy. Writes a page. Simulator seeds 101 to 199 are those that grayscope is tuned on.

Usage: python benchmarks/statistics_compared.py [--quick] [--sizes 1000,10000,100000] [--noises slow,heavy] [--seeds 101,] [--out docs/statistics.md] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import deque
from pathlib import Path

from calibration_noise import NOISES
from statistics_page import pieces
from statistics_rows import document, rows
from statistics_runs import Seen, Task, do

from grayscope.pipelines._benchforms import duration, markdown
from grayscope.pipelines._benchpool import outcomes
from grayscope.pipelines._benchseeds import parse

ROOT = Path(__file__).parents[1]
DEFAULT = ("slow", "heavy", "uneven", "worst")
QUICK = (128, 128, 160)


def tasks(args: argparse.Namespace) -> list[Task]:
    """Return what is to be done, small fleets first."""
    sizes = [1000] if args.quick else [int(n) for n in args.sizes.split(",")]
    ticks = {"ticks": QUICK} if args.quick else {}
    return [Task(noise, n, args.week * 1000 / n, seed, **ticks) for n in sizes for noise in args.noises.split(",") for seed in parse(args.seeds)]


def carried_out(todo: list[Task]) -> list[Seen]:
    """Return what was seen; says on standard error how far it is."""
    seen: list[Seen] = []
    for number, outcome in enumerate(outcomes(deque(todo), do, jobs=0), 1):
        if outcome.error is not None:
            raise SystemExit(f"{outcome.task.name}: {outcome.error}")
        seen.append(outcome.value)
        print(f"{number}/{len(todo)} {outcome.task.name}: {duration(outcome.seconds)}", file=sys.stderr)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000", help="tests at once: subjects with one metric each")
    parser.add_argument("--week", type=float, default=100.0, help="false alarms promised per week of the whole fleet, whatever its size")
    parser.add_argument("--noises", default=",".join(DEFAULT), help=f"of {', '.join(n.name for n in NOISES if n.table == 'rank')}")
    parser.add_argument("--seeds", default="101,", help="as in `grayscope bench`: a number counts from 1, `101,` is a seed")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "statistics.md")
    parser.add_argument("--quick", action="store_true", help="a little of it, to see that it works; writes nothing unless --out is given")
    parser.add_argument("--json", action="store_true", help="the figures on standard output")
    args = parser.parse_args()
    began = time.process_time()
    runs = carried_out(tasks(args))
    command = " ".join(["python benchmarks/statistics_compared.py", *(a for a in sys.argv[1:] if a != "--json")])
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    ran_on = f"It took {duration(round(time.process_time() - began))} of one core, {machine}."
    page = markdown(list(pieces(runs, command, ran_on, parse(args.seeds))), args.out.stem)
    if not args.quick or args.out != parser.get_default("out"):
        args.out.write_text(page, "utf-8")
    print(json.dumps(document(rows(runs)), indent=1) if args.json else page)


if __name__ == "__main__":
    main()
