"""Ncclteststext: what a log of nccl-tests says, test by test: old and new layouts, cut off and failed ones.

A log may hold several tests, and between the lines whatever NCCL, MPI and Slurm print. Source: NVIDIA/nccl-tests (output of
2.0 to 2.17), README "Performance".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ._ncclinspector import clean

RANK = re.compile(
    r"#\s{1,8}Rank\s{1,8}\d{1,7}\s{1,8}(?:Group\s{1,8}\d{1,7}\s{1,8})?Pid\s{1,8}\d{1,9} on\s{1,8}(\S{1,253}) device\s{1,8}\d{1,4} \[[0-9a-fA-Fx:.]{1,20}\]"
)
STARTING = re.compile(r"#? ?Collective test starting: (\w{1,60})")
FAILURES = ("NCCL failure", "CUDA failure", "Test failure", "Out of bounds values", "srun: error", "Segmentation fault", "mpirun noticed", "NCCL WARN")
NAMES = ("all_reduce", "allreduce", "all_gather", "allgather", "reduce_scatter", "reducescatter", "alltoall", "sendrecv", "broadcast", "reduce", "scatter",
         "gather", "hypercube")  # fmt: skip
#: Fields of the two halves: time, algorithm bandwidth, bus bandwidth, and how many elements were wrong.
HALF = 4
#: Rows and ranks of one test, tests of one log.
ROWS, RANKS, TESTS = 10_000, 1 << 17, 10_000


@dataclass
class OneTest:
    """One test of one log.

    Parameters
    ----------
    name : str
        ``all_reduce``, without ``_perf``.
    nodes : dict of str to int
        Node and how many ranks it has, in order of rank.
    bandwidth : dict of int to float
        Bytes of the message and bus bandwidth, bytes/s: the mean of both halves.
    wrong : int
        Elements that were not what they must be.
    finished : bool
        The test says that it is over.
    failed : str
        What it died of, as far as a line says.
    """

    name: str
    nodes: dict[str, int] = field(default_factory=dict)
    bandwidth: dict[int, float] = field(default_factory=dict)
    wrong: int = 0
    finished: bool = False
    failed: str = ""


def read(lines: Iterable[str], file_name: str, rejected: dict[str, int]) -> list[OneTest]:
    """Return the tests of a log; rows that are broken are counted in `rejected` as ``cut_row``.

    Examples
    --------
    >>> log = '''# Collective test starting: sendrecv_perf
    ... #  Rank  0 Group  0 Pid 1 on n1 device  0 [0000:9d:00] NVIDIA H100
    ... #  Rank  1 Group  0 Pid 1 on n2 device  0 [0000:9d:00] NVIDIA H100
    ...   4294967296     536870912    double     sum      -1   109133   39.36   39.36       0   108850   39.46   39.46    N/A
    ... # Collective test concluded: sendrecv_perf'''
    >>> (test,) = read(log.splitlines(), "a.log", {})
    >>> test.name, test.nodes, test.bandwidth, test.finished
    ('sendrecv', {'n1': 1, 'n2': 1}, {4294967296: 39410000000.0}, True)
    """
    tests: list[OneTest] = []
    for line in lines:
        line = line[:2000]
        starting = STARTING.search(line)
        if starting or (line.startswith("# nThread") and (not tests or tests[-1].nodes or tests[-1].finished)):
            if len(tests) < TESTS:
                tests.append(OneTest(starting[1].removesuffix("_perf") if starting else _named(file_name)))
        elif tests:
            _take(tests[-1], line, rejected)
    return tests


def _take(test: OneTest, line: str, rejected: dict[str, int]) -> None:
    text = line.strip()
    if text[:1].isdigit() and not test.finished:
        if not _row(test, text.split()):
            rejected["cut_row"] = rejected.get("cut_row", 0) + 1
    elif (rank := RANK.match(text)) is not None:
        if sum(test.nodes.values()) < RANKS:
            node = clean(rank[1])
            test.nodes[node] = test.nodes.get(node, 0) + 1
    elif text.startswith(("# Collective test concluded", "# Avg bus bandwidth")):
        test.finished = True
    elif any(f in text for f in FAILURES) and not text.endswith(" OK") and not test.failed:
        test.failed = "".join(c if c.isprintable() else " " for c in text)[:200]


def _row(test: OneTest, fields: list[str]) -> bool:
    """Take one row of the table; say whether it was whole: a size, and both halves at the end."""
    if len(fields) < 3 + 2 * HALF or len(test.bandwidth) >= ROWS:
        return False
    try:
        size, halves = int(fields[0]), (fields[-2 * HALF : -HALF], fields[-HALF:])
        numbers = [float(x) for half in halves for x in half[: HALF - 1]]
        wrong = [int(float(half[-1])) for half in halves if half[-1] != "N/A"]
    except (ValueError, OverflowError):
        return False
    if not 0 <= size < 1 << 62 or not all(math.isfinite(x) and 0 <= x < 1e15 for x in numbers) or any(not 0 <= w < 1 << 60 for w in wrong):
        return False
    test.wrong += sum(wrong)
    if size > 0:
        test.bandwidth[size] = (numbers[2] + numbers[5]) / 2 * 1e9
    return True


def _named(file_name: str) -> str:
    """Return the operation in a file's name, as nccl-tests spells it.

    Examples
    --------
    >>> _named("nccl_allreduce.log"), _named("x.log")
    ('all_reduce', 'unknown')
    """
    found = next((n for n in NAMES if n in file_name.lower()), "unknown")
    return {"allreduce": "all_reduce", "allgather": "all_gather", "reducescatter": "reduce_scatter"}.get(found, found)
