"""Handed: a sink that writes what another system takes to a file, a line for each change; it sends nothing and changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grayscope.errors import UsageError
from grayscope.handing import Handing, Note
from grayscope.incident import Incident
from grayscope.roster import View

if TYPE_CHECKING:
    from grayscope.alert import Alert
    from grayscope.engine import Engine, Output

#: Bytes after which a file is renamed to ``.1`` and begun anew.
MOST = 16 << 20


class Handed:
    """Write lines for another system.

    Delivery: at least once; after a restart what is still open is written again. What cannot be written is counted in `lost`.

    Parameters
    ----------
    path : str
        A file to which lines are appended; ``-`` for standard output.
    least : str
        Severity from which on an incident is written.
    """

    #: One text per node, or one per incident.
    by_node = False
    #: How a person passes it on.
    by_hand = ""

    def __init__(self, path: str, *, least: str = "ticket") -> None:
        if not isinstance(path, str) or not path or "\0" in path:
            raise UsageError(f"path: expected the name of a file, found {str(path)[:80]!r}")
        Handing(least)
        self.path, self.least = path, least
        self.sent = self.lost = 0
        self.said = ""
        self._cells: dict[str, tuple[object, Handing]] = {}

    def send(self, alerts: Sequence[Alert]) -> None:
        """Do nothing: incidents say more than alerts."""

    def see(self, output: Output, engine: Engine, cell: str) -> None:
        """Take a step of a cell's engine; a new engine, which may have been restored, is read as a whole."""
        known, handing = self._cells.get(cell, (None, None))
        if handing is None or known is not engine:
            handing = Handing(self.least, by_node=self.by_node)
            self._cells[cell] = engine, handing
            changed = {i.id for i in output.incidents}
            self.hand([i for key, i in engine.desk.open.items() if key not in changed], self._view(engine), handing)
        if output.incidents:
            self.hand(output.incidents, self._view(engine), handing)

    def hand(self, incidents: Iterable[Incident], view: View | None, handing: Handing) -> None:
        """Write what the incidents bring about."""
        before = handing.nowhere
        lines = [(n, over, line) for n, over in handing.step(incidents, view) if (line := self._line(n, over))]
        if handing.nowhere > before:
            self._lose(handing.nowhere - before, "an incident is on no node")
        if not lines:
            return
        try:
            self._write(lines)
            self.sent += len(lines)
        except OSError as error:
            self._lose(len(lines), f"{self.path}: cannot be written: {error.strerror or error}")

    def leave(self, cell: str) -> None:
        """Forget a cell that somebody else judges from now on."""
        self._cells.pop(cell, None)

    def close(self) -> None:
        """Nothing is open."""

    def line(self, n: Note, over: bool) -> str:
        """Return what is written, ``""`` if this cannot be told there."""
        raise NotImplementedError

    def _line(self, n: Note, over: bool) -> str:
        line = self.line(n, over)
        if not line:
            self._lose(1, "the name of a node is none that the receiver knows")
        return line

    def _lose(self, count: int, said: str) -> None:
        self.lost, self.said = self.lost + count, said

    def _write(self, lines: Sequence[tuple[Note, bool, str]]) -> None:
        text = "".join(f"{line}\n" for _, _, line in lines)
        if self.path == "-":
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size + len(text) > MOST:
            path.replace(path.with_name(f"{path.name}.1"))
        with path.open("a", encoding="utf-8") as file:
            file.write(text)

    @staticmethod
    def _view(engine: Engine) -> View:
        return engine.align.roster.at(1 << 62)
