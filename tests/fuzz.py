"""Gives every parser many broken inputs: no crash, no hang, no memory without end. `make fuzz` gives a million to each; hours.

    python tests/fuzz.py [--inputs N] [--only NAME ...] [--start N]

Input number n of a parser is always the same: what a failure prints runs that one again. Ctrl-C ends the parser and reports what was done.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from random import Random
from types import FrameType
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import grayscope

if str(Path(__file__).parents[1]) not in grayscope.__path__:
    grayscope.__path__.append(str(Path(__file__).parents[1]))

from tests.fuzz_parsers import Parser, parsers
from tests.mutations import KINDS, LENGTHS, NASTY, apply

#: Seconds for one input, bytes of address space for the process, inputs between two words on progress.
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
    random = Random(number)
    data = random.choice(parser.examples)
    for _ in range(random.randrange(7)):
        piece = random.choice(NASTY) if random.random() < 0.7 else random.randbytes(random.randrange(9))
        data = apply(data, [(random.randrange(KINDS), random.randrange(1 << 20), random.choice(LENGTHS), piece)])
    return data


def run(parser: Parser, inputs: int, start: int = 0, *, tell: bool = False) -> Outcome:
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
            if tell and n % WORD == WORD - 1:
                print(f"\r{parser.name:<16}{n + 1 - start:>12,}", end="", file=sys.stderr, flush=True)
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


def main() -> int:
    """Fuzz all parsers, or some."""
    known = parsers()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=1_000_000, help="for each parser")
    options.add_argument("--only", nargs="+", metavar="NAME", choices=[p.name for p in known], help=", ".join(p.name for p in known))
    options.add_argument("--start", type=int, default=0, help="number of the first input")
    given = options.parse_args()
    signal.signal(signal.SIGALRM, hang)
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    print(f"{'parser':<16}{'inputs':>12}{'us each':>10}{'worst ms':>10}{'at input':>12}{'MB gained':>11}")
    failures = 0
    for parser in known:
        if given.only and parser.name not in given.only:
            continue
        found = run(parser, given.inputs, given.start, tell=sys.stderr.isatty())
        each = found.seconds / max(found.inputs, 1) * 1e6
        end = "\r" if sys.stderr.isatty() else ""
        print(f"{end}{parser.name:<16}{found.inputs:>12,}{each:>10.0f}{found.worst_ms:>10.1f}{found.worst:>12,}{found.grown_mb:>11.0f}", flush=True)
        failures += bool(found.failed)
        if found.failed:
            print(found.failed, flush=True)
        if found.stopped:
            print("stopped")
            break
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
