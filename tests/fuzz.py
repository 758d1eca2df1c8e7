"""Gives every parser many broken inputs: no crash, no hang, no memory without end. `make fuzz` gives a million to each; hours.

    python tests/fuzz.py [--inputs N] [--only NAME ...] [--start N | --afresh]
    python tests/fuzz.py --guided [--seconds N] [--only NAME ...]

Input number n of a parser is always the same: what a failure prints runs that one again. How many a parser had is kept in build/fuzz/done.json, and
the next run goes on from there. Ctrl-C ends the parser and reports what was done. With --guided, coverage leads (`guided.py`).
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from types import FrameType
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import grayscope

if str(Path(__file__).parents[1]) not in grayscope.__path__:
    grayscope.__path__.append(str(Path(__file__).parents[1]))

from grayscope.errors import GrayscopeError
from tests import guided
from tests.fuzz_parsers import Parser, parsers
from tests.mutations import broken

#: Seconds for one input, bytes of address space for the process, inputs between two notes of progress.
PATIENCE, SPACE, WORD = 20, 8 << 30, 20_000


class Outcome(NamedTuple):
    """What became of one parser: inputs, seconds of processor time, the longest input's milliseconds and number, megabytes gained, what failed."""

    inputs: int
    seconds: float
    worst_ms: float
    worst: int
    grown_mb: float
    failed: str = ""
    stopped: bool = False


class Hang(Exception):
    """An input took longer than anybody waits."""


def made(parser: Parser, number: int) -> bytes:
    """Return the input of a number: an example after up to six edits."""
    return broken(parser.examples, number)


def run(parser: Parser, inputs: int, start: int = 0) -> Outcome:
    """Give inputs to one parser until one fails; what fails is told in words that repeat it."""
    worst, longest, failed, stopped, n = 0, 0, "", False, start
    before, began = peak(), time.process_time()
    try:
        for n in range(start, start + inputs):
            data = made(parser, n)
            began_one = time.thread_time_ns()
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            parser.check(data)
            signal.setitimer(signal.ITIMER_REAL, 0)
            took = time.thread_time_ns() - began_one
            if took > longest:
                longest, worst = took, n
    except KeyboardInterrupt:
        stopped = True
    except BaseException as error:  # noqa: BLE001 - whatever a parser raises is what this looks for
        failed = f"{parser.name} fails: python tests/fuzz.py --only {parser.name} --start {n} --inputs 1\n{data[:300]!r}\n"
        failed += "".join(traceback.format_exception(error)[-3:])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return Outcome(n - start + (not stopped), time.process_time() - began, longest / 1e6, worst, peak() - before, failed, stopped)


def peak() -> float:
    """Most resident memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def hang(number: int, frame: FrameType | None) -> None:
    """End an input that takes too long."""
    del number, frame
    raise Hang(f"longer than {PATIENCE} s")


class Done:
    """How many numbered inputs each parser had, in a file: a run that was stopped goes on where it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def note(self, name: str, count: int) -> None:
        """Write down that the first `count` inputs are done."""
        self.counts[name] = count
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.counts, indent=1, sort_keys=True))
        fresh.replace(self.path)


def numbered(parser: Parser, inputs: int, done: Done) -> Outcome:
    """Give a parser all inputs below a number that it did not have yet, and write down how far it came; one that fails is the next run's first."""
    total = Outcome(0, 0.0, 0.0, 0, 0.0)
    for start in range(done.counts.get(parser.name, 0), inputs, WORD):
        part = run(parser, min(WORD, inputs - start), start)
        done.note(parser.name, start + part.inputs - bool(part.failed))
        worst = max(total, part, key=lambda o: o.worst_ms)
        total = Outcome(
            total.inputs + part.inputs, total.seconds + part.seconds, worst.worst_ms, worst.worst, total.grown_mb + part.grown_mb, part.failed, part.stopped
        )
        if part.failed or part.stopped:
            break
        if sys.stderr.isatty():
            print(f"\r{parser.name:<16}{start + part.inputs:>12,}", end="", file=sys.stderr, flush=True)
    return total


def fuzz(chosen: list[Parser], inputs: int, start: int | None, done: Done) -> int:
    """Give numbered inputs to the chosen parsers and tell of each; return how many fail."""
    print(f"{'parser':<16}{'inputs':>12}{'us each':>10}{'worst ms':>10}{'at input':>12}{'MB gained':>11}")
    failures, end = 0, "\r" if sys.stderr.isatty() else ""
    for parser in chosen:
        found = numbered(parser, inputs, done) if start is None else run(parser, inputs, start)
        each = found.seconds / max(found.inputs, 1) * 1e6
        print(f"{end}{parser.name:<16}{found.inputs:>12,}{each:>10.0f}{found.worst_ms:>10.1f}{found.worst:>12,}{found.grown_mb:>11.0f}", flush=True)
        failures += bool(found.failed)
        if found.failed:
            print(found.failed, flush=True)
        if found.stopped:
            print("stopped: the next run goes on from here" if start is None else "stopped")
            break
    return failures


def lead(chosen: list[Parser], seconds: int) -> int:
    """Let coverage lead through the chosen parsers and tell of each; return how many fail."""
    print(f"{'parser':<16}{'inputs':>12}{'kept':>10}{'coverage':>10}")
    failures = 0
    for parser in chosen:
        found = guided.guide(parser, seconds=seconds)
        print(f"{parser.name:<16}{found.inputs:>12,}{found.kept:>10,}{found.coverage:>10,}", flush=True)
        failures += bool(found.failed)
        if found.failed:
            print(found.failed, flush=True)
    return failures


def main() -> int:
    """Fuzz all parsers, or some."""
    known = parsers()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=1_000_000, help="for each parser, those of earlier runs included")
    options.add_argument("--only", nargs="+", metavar="NAME", choices=[p.name for p in known], help=", ".join(p.name for p in known))
    options.add_argument("--start", type=int, help="number of the first input; without it, go on from the last run")
    options.add_argument("--afresh", action="store_true", help="forget earlier runs of the chosen parsers")
    options.add_argument("--guided", action="store_true", help="let coverage lead; needs atheris")
    options.add_argument("--seconds", type=int, default=60, help="for each parser, with --guided")
    options.add_argument("--input", type=Path, metavar="FILE", help="give this one input to the chosen parsers")
    given = options.parse_args()
    chosen = [p for p in known if not given.only or p.name in given.only]
    warnings.simplefilter("error")
    try:
        if given.guided:
            guided.available()
            return 1 if lead(chosen, given.seconds) else 0
    except GrayscopeError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped")
        return 1
    signal.signal(signal.SIGALRM, hang)
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    if given.input:
        for parser in chosen:
            parser.check(given.input.read_bytes())
        return 0
    done = Done(guided.KEPT / "done.json")
    for parser in chosen if given.afresh else ():
        done.counts.pop(parser.name, None)
    return 1 if fuzz(chosen, given.inputs, given.start, done) else 0


if __name__ == "__main__":
    sys.exit(main())
