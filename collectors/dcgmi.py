"""Dcgmi: tables of ``dcgmi dmon``, reports of ``dcgmi health --check`` and of ``dcgmi diag`` (text or JSON) as a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.tracewriter import TraceWriter

from ._dcgmdiag import WORST
from ._dcgmtext import STATES, Report, Row, Text
from ._filed import Files, contents, stamps

#: What dmon waits between two looks if it is not told otherwise.
DELAY = 1_000_000
LARGEST = 64 << 20


class Dcgmi(Files):
    """Reads files of one or more nodes; a file may hold a long dmon, a report, or both in turn. Delivery: every row once.

    Neither prints a time: looks are stamped from `start` in steps of `step`, else backwards from the file's last change in dmon's
    own steps of a second. A look begins where a GPU comes again. Rows of MIG instances, CPUs and switches are counted and left out;
    a health report's word for a GPU becomes an event of source ``health`` (``unhealthy``, ``warning``, ``healthy``), on change.

    A trace needs rows: reports alone make none.

    A diagnosis is a word of its own: a health report does not clear what a test found, nor the other way round; the worse of both is told.

    Not read: ``nvlink``, ``topo`` and ``stats``.

    Source of the format: NVIDIA/DCGM ``dcgmi/DeviceMonitor.cpp``, ``dcgmi/Health.cpp``, ``dcgmi/Diag.cpp``.

    Parameters
    ----------
    paths : sequence of path
    start, step : int, optional
        Microseconds; each further file begins one step after the last look of the one before it.
    node : str
        Name of the node; by default each file's name up to its first dot.
    """

    def begin(self) -> None:
        """Take dmon's own step where none is given."""
        self.every = self.step or DELAY
        self._states: dict[str, str] = {}
        self._said: dict[str, dict[str, tuple[str, str]]] = {}  # subject -> check -> state, text

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all files; return counts.

        Raises
        ------
        InputError
            A file cannot be read, or holds nothing that dcgmi prints.
        """
        looks = reports = 0
        begun: dict[str, int] = {}
        for path, changed in zip(self.paths, stamps(self.paths, None, None), strict=True):
            node, data, count = self.of(path), contents(path, LARGEST), 0
            first = changed - (_count(path, data) - 1) * self.every if self.start is None else begun.get(node, self.start)
            for new, told in _told(path, data, Text(self.rejected, self.unknown)):
                count += new
                self._tell(told, node, first + (count - 1) * self.every)
                reports += isinstance(told, Report)
            if not count:
                raise InputError.at(path, "content", "the output of dcgmi dmon, dcgmi health --check or dcgmi diag", "none of them")
            begun[node] = first + count * self.every
            looks += count
        return {"files": len(self.paths), "looks": looks, "reports": reports, **self.filed.write(writer, self.every, progress)}

    def _tell(self, told: Row | Report, node: str, time: int) -> None:
        if isinstance(told, Report):
            self._report(told, node, time)
        elif told.kind != "GPU":
            self.filed.reject("mig" if told.kind.startswith("GPU-") else "entity")
        else:
            for name, value in told.values.items():
                self.filed.add(name, {"hostname": node, "gpu": str(told.number)}, time, value)

    def _report(self, report: Report, node: str, time: int) -> None:
        """Tell what changed since the last report; whom a health report does not mention is healthy, whom a diagnosis does not was not tested."""
        said = {f"{node}/{_part(kind)}{number}": told for (kind, number), told in report.entities.items()}
        silent = () if report.check == "diag" else (s for s in self._states if s.partition("/")[0] == node)
        for subject in sorted({*said, *silent}):
            state, text = said.get(subject, ("healthy", ""))
            if state not in STATES:
                self.filed.reject("state")
                continue
            checks = self._said.setdefault(subject, {})
            checks[report.check] = (state, text)
            worst, text = max(checks.values(), key=lambda told: WORST.index(told[0]))
            if (code := STATES[worst]) != self._states.get(subject, "healthy"):
                self._states[subject] = code
                self.filed.tell(Event(time, subject, "health", code, f"DCGM: {text}" if text else "DCGM: healthy"))


def _told(path: Path, data: bytes, text: Text) -> Iterator[tuple[bool, Row | Report]]:
    """Yield what a file says and whether a look begins with it: where somebody comes again. A report belongs to the look it stands in."""
    seen: set[tuple[str, int]] = set()
    begun = False
    try:
        for told in text.read(data):
            key = (told.kind, told.number) if isinstance(told, Row) else ("report", 0)
            new = not begun or key in seen
            seen = {key} if new else seen | {key}
            begun = True
            yield new, told
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _count(path: Path, data: bytes) -> int:
    """Return how many looks a file holds; looked for once, so that they need not be kept."""
    return sum(new for new, _ in _told(path, data, Text({}, {})))


def _part(kind: str) -> str:
    """Return what a kind of entity is called here.

    Examples
    --------
    >>> _part("GPU"), _part("NVSWITCH"), _part("Switch")
    ('gpu', 'nvswitch', 'nvswitch')
    """
    name = "".join(c for c in kind.lower() if c.isalnum())
    return "nvswitch" if name == "switch" else name or "part"
