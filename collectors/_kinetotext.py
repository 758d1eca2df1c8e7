"""Kinetotext: the collectives of one rank in a trace of PyTorch's profiler (Chrome trace JSON), and where its steps begin.

Only kernels on the GPU's own time line count: how long the CPU sat in a call says nothing about the others. Sources: pytorch/kineto
output_json.cpp (`baseTimeNanoseconds`, `distributedInfo`), PyTorch ParamCommsUtils.h (names of the arguments).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from grayscope.collectives import spelled
from grayscope.errors import InputError, shorten

from ._ncclinspector import clean

#: Bytes of an element by the names that PyTorch prints.
SIZES = {"float": 4, "half": 2, "bfloat16": 2, "double": 8, "int": 4, "long": 8, "byte": 1, "char": 1, "bool": 1, "short": 2}
RANK = re.compile(r"rank[-_.]?([0-9]{1,7})", re.IGNORECASE)
#: `<host>_<pid>.<time>.pt.trace.json`, as the profiler's own handler names its files.
NAMED = re.compile(r"(?P<host>[A-Za-z0-9.-]{1,253})_[0-9]{1,9}\.[0-9]{1,20}\.pt\.trace\.json")
STEP = re.compile(r"ProfilerStep#([0-9]{1,9})")
EVENTS = 20_000_000


class Kernel(NamedTuple):
    """One communication kernel; times in microseconds since 1970, by this rank's clock. `number` is -1 where PyTorch gives none."""

    group: str
    described: str
    size: int
    kind: str
    bytes: int
    start: float
    seconds: float
    number: int
    device: int


@dataclass
class Ranked:
    """What one file tells: kernels in order of start, steps as (number, start, seconds)."""

    rank: int
    host: str
    kernels: list[Kernel] = field(default_factory=list)
    steps: list[tuple[int, float, float]] = field(default_factory=list)


def read(data: bytes, path: Path, rejected: dict[str, int]) -> Ranked:
    """Return what a trace says; communication kernels that lack their group are counted in `rejected`.

    Raises
    ------
    InputError
        No trace, or nothing says which rank it is of: names the file, and what was expected.

    Examples
    --------
    >>> event = {
    ...     "ph": "X",
    ...     "cat": "kernel",
    ...     "name": "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
    ...     "ts": 5.0,
    ...     "dur": 1480.0,
    ...     "args": {"Collective name": "allreduce", "Process Group Name": "0", "Group size": 2, "In msg nelems": 1024, "dtype": "Float", "device": 3},
    ... }
    >>> trace = {"distributedInfo": {"rank": 1}, "baseTimeNanoseconds": 1700000000000000000, "traceEvents": [event]}
    >>> (kernel,) = read(json.dumps(trace).encode(), Path("x.json"), {}).kernels
    >>> kernel.kind, kernel.bytes, kernel.seconds, kernel.start
    ('allreduce', 4096, 0.00148, 1700000000000005.0)
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError.at(path, "JSON", "a trace", shorten(error, 80)) from error
    events = document.get("traceEvents") if isinstance(document, dict) else None
    if not isinstance(events, list) or len(events) > EVENTS:
        raise InputError.at(path, "traceEvents", f"a list of at most {EVENTS}", type(events).__name__ if not isinstance(events, list) else len(events))
    base = _finite(document.get("baseTimeNanoseconds", 0), 4e18) / 1000
    named = NAMED.match(path.name)
    found = Ranked(_rank(document, path), clean(named["host"]) if named else "")
    marks: dict[str, list[tuple[int, float, float]]] = {}
    for event in events:
        if isinstance(event, dict) and event.get("ph") == "X" and isinstance(event.get("name"), str):
            _event(event, base, found, marks, rejected)
    found.kernels.sort(key=lambda k: k.start)
    # The GPU's own marks tell which kernels belong to a step; the CPU runs ahead.
    found.steps = sorted(marks.get("gpu_user_annotation") or marks.get("user_annotation") or [], key=lambda s: s[1])
    return found


def _event(event: Mapping[str, Any], base: float, found: Ranked, marks: dict[str, list[tuple[int, float, float]]], rejected: dict[str, int]) -> None:
    name, category = event["name"], str(event.get("cat", "")).lower()
    step = STEP.fullmatch(name) if category in ("user_annotation", "gpu_user_annotation") else None
    kernel = category == "kernel" and name.lower().startswith("nccl")
    if step is None and not kernel:
        return
    start, micros = base + _finite(event.get("ts"), 4e15), _finite(event.get("dur"), 1e10)
    if not (math.isfinite(start) and start >= 0 and micros > 0):
        rejected["bad_event"] = rejected.get("bad_event", 0) + 1
    elif step is not None:
        marks.setdefault(category, []).append((int(step[1]), start, micros * 1e-6))
    else:
        _kernel(event, start, micros, found, rejected)


def _kernel(event: Mapping[str, Any], start: float, micros: float, found: Ranked, rejected: dict[str, int]) -> None:
    args = event.get("args")
    args = args if isinstance(args, dict) else {}
    group, size = str(args.get("Process Group Name", "")), _whole(args.get("Group size"))
    if not group or not 0 < size <= 1 << 24:
        rejected["no_group"] = rejected.get("no_group", 0) + 1
        return
    kind = spelled(str(args.get("Collective name") or event["name"].partition("_")[2].partition("_")[0]))
    elements = max(_whole(args.get("In msg nelems")), _whole(args.get("Out msg nelems")) if kind == "allgather" else 0, 0)
    length = min(elements * SIZES.get(str(args.get("dtype", "")).lower(), 1), 1 << 62)
    described = str(args.get("Process Group Description", ""))
    found.kernels.append(Kernel(clean(group), clean(described), size, kind, length, start, micros * 1e-6, _whole(args.get("Seq")), _whole(args.get("device"))))


def _rank(document: Mapping[str, Any], path: Path) -> int:
    told = document.get("distributedInfo")
    rank = _whole(told.get("rank")) if isinstance(told, dict) else -1
    named = RANK.search(path.name)
    rank = rank if rank >= 0 else int(named[1]) if named else -1
    if not 0 <= rank < 1 << 24:
        raise InputError.at(path, "rank", "distributedInfo, or rank<number> in the file's name", "neither")
    return rank


def _finite(value: Any, most: float) -> float:
    """Return a number of at most `most`, NaN for anything else."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most else math.nan


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else -1
