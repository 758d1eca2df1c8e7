"""Cells: one engine per cell behind one stream of (cell, message): the fold that a worker runs, the same live and after a restart.

The same introductions and messages in the same order give the same outputs, bit for bit, wherever `snapshot` and `restore` cut in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from grayscope.engine import Engine, Output
from grayscope.errors import InputError
from grayscope.frames import decode, encode
from grayscope.message import Message
from grayscope.roster import RosterRow

#: Cells of one stream: their names come from outside.
LIMIT = 1024
#: What one cell said.
Said = tuple[str, Output]


class Cells:
    """The engines of the cells that were heard of.

    A row of the roster goes to the cell in its key ``cell``, else in that of the row of its name's first part (a node's), else to all cells.

    Parameters
    ----------
    make : callable
        Makes the engine of a cell, always with the same settings.
    """

    def __init__(self, make: Callable[[str], Engine]) -> None:
        self.make = make
        self.engines: dict[str, Engine] = {}
        self.rows: dict[tuple[str, str, int | None], RosterRow] = {}
        self.home: dict[str, str] = {}  # cell of the first part of a name
        self._told: bytes | None = None  # the rows as a message, until there are others

    def news(self, rows: Iterable[RosterRow]) -> tuple[RosterRow, ...]:
        """Return the rows that are not known in just this form: agents repeat themselves."""
        return tuple(row for row in rows if self.rows.get(_place(row)) != row)

    def introduce(self, rows: Iterable[RosterRow]) -> Iterator[Said]:
        """Take rows of the roster; yield what that brought about."""
        rows = tuple(rows)
        self._told = None
        for row in rows:
            self.rows[_place(row)] = row
            if row.keys.get("cell") and "/" not in row.subject:
                self.home[row.subject] = row.keys["cell"]
        for cell, engine in self.engines.items():
            if mine := tuple(row for row in rows if self._concerns(row, cell)):
                yield cell, engine.step(mine)

    def step(self, cell: str, message: Message) -> Output:
        """Take one message of a cell; a new cell is told the roster first."""
        engine = self.engines.get(cell)
        if engine is None:
            if len(self.engines) >= LIMIT:
                raise InputError.at("message", "cell", f"one of the {LIMIT} that are known", cell)
            engine = self.engines[cell] = self.make(cell)
            if mine := tuple(row for row in self.rows.values() if self._concerns(row, cell)):
                engine.step(mine)
        return engine.step(message)

    def _concerns(self, row: RosterRow, cell: str) -> bool:
        return (row.keys.get("cell") or self.home.get(row.subject.partition("/")[0]) or cell) == cell

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the state of all cells, open ticks included."""
        if self._told is None:
            self._told = encode(tuple(self.rows.values()))
        state = {"roster": np.frombuffer(self._told, np.uint8), "cells": np.array(list(self.engines), np.str_)}
        for i, engine in enumerate(self.engines.values()):
            state |= {f"{i}/align/{key}": value for key, value in engine.align.snapshot().items()}
            state |= {f"{i}/rest/{key}": value for key, value in engine.snapshot().items()}
        return state

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned, with engines of the same settings."""
        rows = decode(state["roster"].tobytes())
        assert isinstance(rows, tuple)
        self.engines, self.rows, self.home = {}, {}, {}
        for _ in self.introduce(rows):
            pass
        for i, cell in enumerate(state["cells"].tolist()):
            engine = self.engines[cell] = self.make(cell)
            engine.align.restore(_part(state, f"{i}/align/"))
            engine.restore(_part(state, f"{i}/rest/"))


def _place(row: RosterRow) -> tuple[str, str, int | None]:
    return row.subject, row.table, row.since


def _part(state: Mapping[str, np.ndarray[Any, Any]], start: str) -> dict[str, np.ndarray[Any, Any]]:
    return {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
