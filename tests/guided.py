"""Fuzzing led by coverage: atheris keeps what reaches new lines of a parser and changes that further. Every parser has a process of its own.

A process, since the fuzzer ends its own: after its runs, at the first failure, when an input takes too long or too much memory.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from grayscope.errors import MissingPackage
from tests.fuzz_parsers import Parser
from tests.mutations import NASTY

ROOT = Path(__file__).parents[1]
#: What goes on from one run to the next: inputs that reached new lines, inputs that failed.
KEPT = ROOT / "build" / "fuzz"
#: Seconds for one input, megabytes for the process, the longest piece of a dictionary that the fuzzer takes.
PATIENCE, SPACE, PIECE = 20, 2048, 64
#: Seconds that a process may take to start and to end, besides its time for fuzzing.
START = 300


class Guided(NamedTuple):
    """What became of one parser: inputs it had, new ones worth keeping, coverage, and in words what failed (empty: nothing)."""

    inputs: int
    kept: int
    coverage: int
    failed: str = ""


def available() -> None:
    """Raise `MissingPackage` unless atheris is there."""
    try:
        importlib.import_module("atheris")
    except ImportError:
        raise MissingPackage("fuzzing led by coverage needs atheris: pip install 'grayscope[fuzz]' (Linux on x86-64, Python below 3.14)") from None


def guide(parser: Parser, *, seconds: int = 60, runs: int = -1, seed: int = 0, source: str = "tests.fuzz_parsers", kept: Path = KEPT) -> Guided:
    """Let coverage lead through one parser of a module's `parsers()`, for so many seconds or runs (-1: no end by their number; seed 0: any)."""
    corpus, seeds = kept / "corpus" / parser.name, kept / "examples" / parser.name
    for folder in (corpus, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    for i, example in enumerate(parser.examples):
        (seeds / str(i)).write_bytes(example)
    (kept / "dictionary").write_text(dictionary())
    flags = [f"-runs={runs}", f"-max_total_time={seconds}", f"-timeout={PATIENCE}", f"-rss_limit_mb={SPACE}", "-print_final_stats=1", f"-seed={seed}"]
    flags += [f"-dict={kept / 'dictionary'}", f"-artifact_prefix={kept / parser.name}-", str(corpus), str(seeds)]
    command = [sys.executable, str(ROOT / "tests" / "fuzz_child.py"), source, parser.name, *flags]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=seconds + START)
    except subprocess.TimeoutExpired:
        return Guided(0, 0, 0, f"{parser.name} fails: its process did not end {START} s after its time was over")
    return outcome(parser.name, done.returncode, done.stderr.decode("utf-8", "replace") + done.stdout.decode("utf-8", "replace"))


def outcome(name: str, code: int, said: str) -> Guided:
    """Read what the fuzzer said at its end.

    >>> outcome("x", 0, "#9 DONE cov: 5 ft: 7\\nstat::number_of_executed_units: 9\\nstat::new_units_added: 2")
    Guided(inputs=9, kept=2, coverage=5, failed='')
    """
    inputs, kept, coverage = (
        int(found[-1]) if (found := re.findall(pattern, said)) else 0
        for pattern in (r"stat::number_of_executed_units: (\d+)", r"stat::new_units_added: +(\d+)", r" cov: (\d+)")
    )
    if code == 0 and inputs:
        return Guided(inputs, kept, coverage)
    told = "\n".join(line for line in said.splitlines() if not re.match(r"#\d|INFO|stat::", line))
    saved = re.search(r"Test unit written to (\S+)", said)
    again = f"python tests/fuzz.py --only {name} --input {saved[1]}" if saved else "no input was saved"
    data = repr(Path(saved[1]).read_bytes()[:300]) if saved and Path(saved[1]).exists() else ""
    return Guided(inputs, kept, coverage, f"{name} fails (exit {code}): {again}\n{data}\n{told[-3000:]}")


def dictionary() -> str:
    r"""Return the nasty pieces as the fuzzer wants them: `"\x00"` and so on, a line each."""
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in piece) + '"\n' for piece in NASTY if 0 < len(piece) <= PIECE)
