"""Rocm: this node's AMD GPUs by rocm-smi's JSON: clocks, heat, power, use, memory, PCIe; live, or files of it as a trace.

Reads: ``rocm-smi --json`` with the options of `OPTIONS`, once per look, without a shell; or files that hold its output.

Privileges: those of the tool: a member of the group ``render`` or ``video``, no root.

Cost: the tool is a program that is started anew each time, some tenths of a second of CPU: look once a minute, not every few
seconds. Where AMD's device-metrics-exporter runs, `exporter` costs less.

Cannot see: ECC and RAS counts (rocm-smi prints them only as tables), XGMI links, time spent throttled.

Names: keys of rocm-smi 4.3 to 6.1, as aliases in `grayscope/catalogue.toml`.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError, Unsupported, shorten
from grayscope.message import Message
from grayscope.rates import Rates

from ._filed import Filed, contents, stamps
from ._live import Live
from ._naming import Naming
from ._rocmjson import Reader, Sample, parse
from ._series import Look, Series

if TYPE_CHECKING:
    from grayscope.tracewriter import TraceWriter

OPTIONS = (
    "--showtemp", "--showclocks", "--showpower", "--showmaxpower", "--showuse", "--showmemuse", "--showmeminfo", "vram", "--showreplaycount",
    "--showserial", "--showuniqueid", "--showproductname", "--showdriverversion", "--json",
)  # fmt: skip
LARGEST = 16 << 20
MOST_KNOWN = 1 << 16
#: Starts the tool: path and options, seconds; returns what it printed.
Run = Callable[[Sequence[str], float], bytes]


class Rocm:
    """Asks rocm-smi once per `collect`, or reads what it printed. Delivery: what the tool printed at that moment.

    Parameters
    ----------
    paths : sequence of path
        Files to read; none asks the tool.
    start, step : int, optional
        Microseconds; the output carries no time.
    node : str
        Name of the node; live the host's by default, of a file its name up to the first dot.
    program : str
        Name or path of the tool.
    timeout : float
        Seconds for one look.
    run, clock : callable
        How the tool is started, and seconds since 1970.

    Raises
    ------
    Unsupported
        The tool is not there.
    """

    def __init__(
        self, paths: Sequence[str | Path] = (), *, start: int | None = None, step: int | None = None, node: str = "", program: str = "rocm-smi",
        timeout: float = 20.0, run: Run | None = None, clock: Callable[[], float] = time.time, catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        self.paths, self.start, self.step, self.node = [Path(p) for p in paths], start, step, node
        self.timeout, self.clock = timeout, clock
        self.program = program if run is not None else shutil.which(program) or ""
        if not self.paths and not self.program:
            raise Unsupported(f"rocm: {program} is not installed: needs ROCm's command line tools")
        self.run = run or start_tool
        naming = Naming(catalogue, node or platform.node())
        self.rejected, self.unknown = naming.rejected, naming.unknown
        self.live = Live(Series(naming), Rates(naming.catalogue))
        self.last_error = ""
        self._known: dict[tuple[object, ...], int] = {}

    def collect(self) -> list[Message]:
        """Return roster rows where somebody is new or changed, then one batch per table; nothing where the tool fails."""
        now = int(self.clock() * 1e6)
        reader = Reader(self.live.series.naming.catalogue, self.rejected)
        try:
            found = parse(self.run([self.program, *OPTIONS], self.timeout))
        except (OSError, subprocess.SubprocessError, InputError) as error:
            self.last_error = shorten(error)
            self.rejected["unreadable"] = self.rejected.get("unreadable", 0) + 1
            return []
        self.live.series.look += 1
        pairs = [(self._number(s), s.value) for s in reader.samples(found, self.node or platform.node())]
        known = [(number, value) for number, value in pairs if number >= 0]
        numbers, values = np.array([n for n, _ in known], np.int32), np.array([v for _, v in known], np.float64)
        return self.live.messages(Look(numbers, np.full(len(known), now, np.int64), values))

    def _number(self, sample: Sample) -> int:
        key = (sample.name, *sample.labels.items())
        if key not in self._known:
            if len(self._known) > MOST_KNOWN:  # labels churn: begin anew
                self._known.clear()
                self.live.series.forget()
            self._known[key] = self.live.series.add(sample.name, sample.labels)
        return self._known[key]

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write the files as a trace, each one look; return counts.

        Raises
        ------
        InputError
            A file cannot be read, or is no output of rocm-smi.
        """
        filed = Filed(self.node, self.live.series.naming.catalogue)
        self.rejected, self.unknown = filed.rejected, filed.unknown
        reader = Reader(self.live.series.naming.catalogue, filed.rejected)
        for path, stamp in zip(self.paths, stamps(self.paths, self.start, self.step), strict=True):
            data = contents(path)
            try:
                found = parse(data)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            for sample in reader.samples(found, self.node or path.name.partition(".")[0]):
                filed.add(sample.name, sample.labels, stamp, sample.value)
        return {"files": len(self.paths), **filed.write(writer, self.step, progress)}


def start_tool(command: Sequence[str], timeout: float) -> bytes:
    """Run a program, no shell between, and return what it printed.

    Raises
    ------
    OSError, subprocess.SubprocessError
        It cannot be started, takes too long, fails, or prints more than it ever would.
    """
    done = subprocess.run(list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=True)  # noqa: S603 - a fixed list
    if len(done.stdout) > LARGEST:
        raise OSError(f"{command[0]} printed {len(done.stdout)} bytes")
    return done.stdout
