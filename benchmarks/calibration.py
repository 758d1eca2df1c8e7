"""The calibration of grayscope's promise: configured against observed false pages, and how soon a slow rank is found at each setting.

What is observed: the simulator's `null` and `controls`, and hostile noise made in memory (see `calibration_noise`), each through the very engine that
runs live, once per setting. Writes a page and a plot. Simulator seeds 101 to 199 are those that grayscope is tuned on; others validate.

Usage: python benchmarks/calibration.py [--quick] [--rates 10,100,1000] [--seeds 1] [--out docs/calibration.md] [--json]
       python benchmarks/calibration.py --rates 1 --hours 50 --only noise     (a million GPU-hours: some minutes)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from collections import deque
from pathlib import Path

from calibration_counts import rates, spread, verdict
from calibration_noise import NOISES
from calibration_page import SCENARIOS, pieces, plot, summed
from calibration_runs import Count, Task, do

from grayscope.pipelines._benchforms import duration, markdown
from grayscope.pipelines._benchpool import outcomes
from grayscope.pipelines._benchseeds import parse

ROOT = Path(__file__).parents[1]
#: Seconds between rows: many where days are watched; as most fleets have them, and as fast ones do, where delays are measured.
PERIODS = {"noise": 180, "scenario": 120}
#: What is planted, seconds between rows, and ticks that it is given: half a day for what is hard to see, 40 minutes for what is plain.
FAULTS = (("3 %", 10, 4096), ("3 sigma", 4, 600))
#: Hours and GPUs of noise and of a simulated fleet; GPUs among which faults are planted.
NOISE, FLEET, FAULTY_GPUS = (48.0, 1792), (16.0, 512), 512
FAULTY = ("calm", "slow", "heavy", "uneven", "offsets", "small", "worst")
QUICK = 1 / 24


def tasks(args: argparse.Namespace) -> list[Task]:
    """Return what is to be done, the strictest promise first."""
    chosen = tuple(float(r) for r in args.rates.split(","))
    only, seeds, short = args.only.split(","), parse(args.seeds), QUICK if args.quick else 1.0
    noisy = parse(args.noise_seeds) if args.noise_seeds else seeds
    made: list[Task] = []
    if "simulated" in only:
        hours = (args.hours or FLEET[0]) * short
        made += [Task("scenario", name, chosen, s, FLEET[1], PERIODS["scenario"], hours) for name in SCENARIOS for s in seeds]  # made once for all
    if "noise" in only:
        hours = (args.hours or NOISE[0]) * short
        made += [Task("noise", n.name, (r,), s, NOISE[1], PERIODS["noise"], hours) for n in NOISES for s in noisy for r in chosen]
    if "faults" in only:
        noises = [n for n in NOISES if n.table == "rank" and n.name in FAULTY and not (args.quick and n.name not in ("slow", "worst"))]
        for fault, period, ticks in FAULTS:
            hours = (300 if args.quick else ticks) * period / 3600
            made += [Task("fault", n.name, chosen, seeds[0], FAULTY_GPUS, period, hours, fault) for n in noises]
    return sorted(made, key=lambda t: (t.rates[0], t.kind == "fault"))


def carried_out(todo: list[Task], jobs: int, seconds: float) -> tuple[list[Count], list[str]]:
    """Return the counts of the tasks, and the names of those for which there was no time; says on standard error how far it is."""
    counts: list[Count] = []
    began, weight = time.monotonic(), {t.name: t.subjects * t.hours / t.period * len(t.rates) for t in todo}
    waiting = set(weight)
    whole, done = sum(weight.values()), 0.0
    for number, outcome in enumerate(outcomes(deque(todo), do, jobs), 1):
        if outcome.error is not None:
            raise SystemExit(f"{outcome.task.name}: {outcome.error}")
        counts += outcome.value
        done += weight[outcome.task.name]
        left = (time.monotonic() - began) * (whole / done - 1)
        print(f"{number}/{len(todo)} {outcome.task.name}: {duration(outcome.seconds)}; about {duration(round(left))} left", file=sys.stderr)
        waiting.discard(outcome.task.name)
        if time.monotonic() - began > seconds:
            break
    return sorted(counts, key=lambda c: (c.kind, c.source, c.fault, c.period, c.configured)), [t.name for t in todo if t.name in waiting]


def document(counts: list[Count]) -> dict[str, object]:
    """Return the figures as JSON would have them."""
    promise = [
        {"source": c.source, "configured": c.configured, "engines": c.engines, "tests_at_once": c.tests, "gpu_weeks": c.weeks,
         "pages": c.pages, "tickets": c.tickets,
         "pages_per_1000": rates(c.pages, c.weeks), "tickets_per_1000": rates(c.tickets, c.weeks), "verdict": verdict(c.pages, c.weeks, c.configured),
         "causes": dict(c.causes)}
        for c in summed(counts)
    ]  # fmt: skip
    faults = [{**dataclasses.asdict(c), "median_p90_ticks": spread(c.delays, c.faults)} for c in counts if c.kind == "fault"]
    return {"promise": promise, "faults": faults}


def ran_on(seconds: float, jobs: int) -> str:
    """Return a sentence about the machine."""
    system, python = f"{platform.system()} {platform.machine()}", platform.python_version()
    return f"It took {duration(round(seconds))} with {jobs} processes, {system}, Python {python}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="10,100,1000", help="configured false pages per 1,000 GPU-weeks")
    parser.add_argument("--seeds", default="1", help="as in `grayscope bench`: a number counts from 1, `101,` is a seed")
    parser.add_argument("--noise-seeds", default="", help="of noise, instead of the same")
    parser.add_argument("--hours", type=float, help="of each source, instead of 16 of a simulated fleet and 48 of noise")
    parser.add_argument("--only", default="simulated,noise,faults")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long; the page names what is missing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "calibration.md")
    parser.add_argument("--quick", action="store_true", help="a little of it, to see that it works; writes nothing unless --out is given")
    parser.add_argument("--json", action="store_true", help="the figures on standard output")
    args = parser.parse_args()
    began = time.monotonic()
    counts, missing = carried_out(tasks(args), args.jobs, 60 * args.minutes)
    command = " ".join(["python benchmarks/calibration.py", *(a for a in sys.argv[1:] if a != "--json")])
    page = list(pieces(counts, command, ran_on(time.monotonic() - began, args.jobs), parse(args.seeds), missing))
    if not args.quick or args.out != parser.get_default("out"):
        args.out.write_text(markdown(page, args.out.stem), "utf-8")
        if summed(counts):
            args.out.with_suffix(".svg").write_text(plot(counts), "utf-8")
    print(json.dumps(document(counts), indent=1) if args.json else markdown(page, args.out.stem))


if __name__ == "__main__":
    main()
