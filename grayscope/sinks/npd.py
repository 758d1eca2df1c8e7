"""Npd: one file per node with at most 80 characters, for a plugin of node-problem-detector that prints it."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from grayscope.handing import Note, measured, plain
from grayscope.sinks._handed import Handed

if TYPE_CHECKING:
    from grayscope.engine import Engine, Output

#: Characters that node-problem-detector keeps of what a plugin prints.
SHORT = 80
#: Seconds from touch to touch of the file that says that grayscope is there.
TOUCH = 10.0
NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,253}")
END = ".gray"


class Npd(Handed):
    """Keep a folder for each cell: ``NODE.gray`` with one line, the gravest incident of the node, and none for a node without; ``alive`` is touched.

    Each writer removes what it or an earlier run of its cell left, never another cell's. The plugin prints the file and exits with 1, with 0 where there is
    none, and with 2 where ``alive`` is old (docs/alerting.md).
    """

    by_node = True
    by_hand = "a plugin that prints the node's file; see docs/alerting.md"

    def __init__(self, path: str, *, least: str = "ticket", clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(path, least=least)
        self.clock, self._touched = clock, dict[str, float]()
        self._folder = Path(path)  # where to write now

    def see(self, output: Output, engine: Engine, cell: str) -> None:
        """Take a step, and say that we are there."""
        known, _ = self._cells.get(cell, (None, None))
        self._folder = self._of(cell)
        super().see(output, engine, cell)
        if self.path == "-":
            return
        with contextlib.suppress(OSError):
            if known is not engine:  # what an earlier run left holds no more
                self._remove(cell, but=self._cells[cell][1].told)
            if self.clock() - self._touched.get(cell, -TOUCH) >= TOUCH:
                self._touched[cell] = self.clock()
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / "alive").touch()

    def leave(self, cell: str) -> None:
        """Take back what was said of a cell that somebody else judges from now on."""
        if self._cells.pop(cell, None) is not None and self.path != "-":
            self._touched.pop(cell, None)
            with contextlib.suppress(OSError):
                self._remove(cell)

    def _of(self, cell: str) -> Path:
        return Path(self.path) / f"cell-{quote(cell, safe='')}"

    def _remove(self, cell: str, but: Container[str] = ()) -> None:
        for file in self._of(cell).glob(f"*{END}"):
            if file.name.removesuffix(END) not in but:
                file.unlink(missing_ok=True)

    def line(self, n: Note, over: bool) -> str:
        """Return the node's line; a name that could be a path is told nobody."""
        if not NODE.fullmatch(n.node):
            return ""
        return "grayscope sees no gray failure" if over else short(n)

    def _write(self, lines: Sequence[tuple[Note, bool, str]]) -> None:
        if self.path == "-":
            sys.stdout.write("".join(f"{n.node}: {line}\n" for n, _, line in lines))
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for n, over, line in lines:
            file = self._folder / f"{n.node}{END}"
            if over:
                file.unlink(missing_ok=True)
            else:
                part = file.with_suffix(".part")
                part.write_text(f"{line}\n", "ascii")
                part.replace(file)


def short(n: Note) -> str:
    """Return at most 80 characters, the culprit first.

    Examples
    --------
    >>> short(Note("ab", "n1", "n1/gpu3", "page", "gray", "thermal_throttle", 0, 0, "gpu_clock_hertz", 1.8e9, 2e9, 511))
    'gpu3 is gray: thermal_throttle, gpu_clock_hertz x0.9 vs 511 peers'
    """
    told = " ".join(x for x in (n.metric.partition("{")[0], measured(n)) if x)
    return plain(f"{n.device[:30]} is {n.state}: {', '.join(x for x in (n.mode, told) if x)}", SHORT)
