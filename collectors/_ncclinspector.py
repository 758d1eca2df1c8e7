"""Inspector: lines of NCCL Inspector's JSON output as operations: all its versions, short and verbose.

Up to v4.2 every line says whose it is; from v4.3 a `dump_stats` line does so for the lines that follow it. Sources: NVIDIA/nccl
plugins/profiler/inspector README ("Output Example") and inspector_json.cc.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from grayscope.collectives import Operation, spelled

#: Largest sensible values; what is beyond is no record.
LONGEST_US, MOST = 1e10, 1 << 62
#: Kinds of bodies: the key, and the prefix of its fields.
BODIES = (("coll_perf", "coll"), ("p2p_perf", "p2p"))
TIMED_ON_GPU = ("", "kernel_gpu")


class Writer(NamedTuple):
    """Whose line it is: a member of a communicator, over so many nodes (0: unknown), in a process of a host."""

    comm: str
    name: str
    member: int
    size: int
    host: str
    pid: int
    nodes: int = 0


class Record(NamedTuple):
    """One operation and who tells it. `timed` is False where a CPU took the time: not to be compared with a GPU's.

    `dumped` is when the line was written, microseconds, 0 for unknown: long after the operation, or at the job's end.
    """

    writer: Writer
    operation: Operation
    p2p: bool
    timed: bool
    dumped: int = 0


class Stats(NamedTuple):
    """What a dump says of itself: operations lost so far, in this communicator; and when it was written, microseconds."""

    writer: Writer
    dropped: int
    dumped: int = 0


class Inspector:
    """Reads lines; the context of v4.3 is kept per file.

    Attributes
    ----------
    rejected : dict of str to int
        ``not_json``, ``no_record`` (JSON of another kind), ``bad_field``, ``orphan`` (a v4.3 line before its marker).

    Examples
    --------
    >>> line = (
    ...     '{"header":{"id":"0x9f","rank":5,"n_ranks":16},"metadata":{"inspector_output_format_version":"v4.0","hostname":"n017","pid":42},'
    ...     '"coll_perf":{"coll":"AllReduce","coll_sn":7,"coll_msg_size_bytes":1024,"coll_exec_time_us":1480,"coll_busbw_gbs":340.1}}'
    ... )
    >>> record = Inspector({}).read(0, line)
    >>> record.writer.host, record.operation.seconds, record.operation.kind
    ('n017', 0.00148, 'allreduce')
    """

    def __init__(self, rejected: dict[str, int]) -> None:
        self.rejected = rejected
        self._marked: dict[int, tuple[Writer, int]] = {}
        self._dumped: dict[int, int] = {}

    def read(self, file: int, text: str) -> Record | Stats | None:
        """Return what a line says, None (counted) where that is nothing of use; a line about proxies is passed over."""
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            self._reject("not_json")
            return None
        if not isinstance(line, dict):
            self._reject("not_json")
            return None
        try:
            return self._line(file, line)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            self._reject("bad_field")
            return None

    def forget(self, files: set[int]) -> None:
        """Drop the context of files that are gone."""
        for file in files:
            self._marked.pop(file, None)
            self._dumped.pop(file, None)

    def _line(self, file: int, line: Mapping[str, Any]) -> Record | Stats | None:
        writer = _writer(line) if "header" in line else None
        if writer is not None:
            stamp = line["metadata"].get("dump_timestamp_us")
            self._dumped[file] = stamp if isinstance(stamp, int) and 0 < stamp < MOST else 0
        if "dump_stats" in line and writer is not None:
            stats = line["dump_stats"]
            counts = [_whole(stats.get(f"{kind}_records", 0)) for kind in ("coll", "p2p", "proxy")]
            self._marked[file] = (writer, sum(counts))
            return Stats(writer, _whole(stats.get("coll_dropped_total", 0)) + _whole(stats.get("p2p_dropped_total", 0)), self._dumped[file])
        if writer is None:
            marked, left = self._marked.get(file, (None, 0))
            if left > 0 and marked is not None:
                writer = marked
                self._marked[file] = (marked, left - 1)
        key, prefix = next(((k, p) for k, p in BODIES if k in line), ("", ""))
        if not key:
            if "proxy_trace" not in line:
                self._reject("no_record")
            return None
        if writer is None:
            self._reject("orphan")
            return None
        return self._record(writer, line[key], prefix, self._dumped.get(file, 0))

    def _record(self, writer: Writer, body: Mapping[str, Any], prefix: str, dumped: int) -> Record:
        micros = float(body[f"{prefix}_exec_time_us"])
        if not 0 < micros < LONGEST_US:
            raise ValueError
        start, stop = _span(body.get("event_trace_ts"))
        bandwidth = float(body.get(f"{prefix}_busbw_gbs", math.nan)) * 1e9
        operation = Operation(
            writer.comm, _whole(body[f"{prefix}_sn"]), writer.member, writer.size, spelled(str(body[prefix])),
            _whole(body.get(f"{prefix}_msg_size_bytes", 0)), micros * 1e-6, start, stop, bandwidth if 0 < bandwidth < 1e18 else math.nan,
        )  # fmt: skip
        return Record(writer, operation, prefix == "p2p", str(body.get(f"{prefix}_timing_source", "")) in TIMED_ON_GPU, dumped)

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def _writer(line: Mapping[str, Any]) -> Writer:
    header, metadata = line["header"], line["metadata"]
    member, size = _whole(header["rank"]), _whole(header["n_ranks"])
    if not 0 <= member < size <= 1 << 24:
        raise ValueError
    name, nodes = str(header.get("comm_name") or ""), header.get("nnodes", 0)
    nodes = nodes if isinstance(nodes, int) and 0 < nodes <= size else 0
    known = "" if name == "unknown" else clean(name)
    return Writer(clean(str(header["id"])), known, member, size, clean(str(metadata["hostname"])), _whole(metadata["pid"]), nodes)


def _span(trace: Any) -> tuple[float, float]:
    """Return (start, stop) of the kernel in microseconds of the host's clock, over all channels; `coll_stop` is when it was enqueued, no end."""
    events = trace.get("kernel_events") if isinstance(trace, dict) else None
    if not events:
        return math.nan, math.nan
    starts, stops = [_whole(e["kernel_start_ts"]) for e in events], [_whole(e["kernel_stop_ts"]) for e in events]
    if min(starts) <= 0 or max(stops) < min(starts):
        return math.nan, math.nan
    return float(min(starts)), float(max(stops))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise ValueError
    return value


def clean(text: str) -> str:
    """Return a name from outside that may stand in a subject or a label.

    Examples
    --------
    >>> clean('a/b"c')
    'a_b_c'
    """
    return _cleaned(text[:100])


@lru_cache(4096)
def _cleaned(text: str) -> str:
    return "".join(c if c.isprintable() and c not in '/"\\' else "_" for c in text)
