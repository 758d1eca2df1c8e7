"""Align state: what align holds between two messages, as plain arrays, so that a restart goes on in the middle of open ticks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np

from grayscope.aligntable import Table
from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.frames import decode, encode
from grayscope.roster import IDENTITY, Roster
from grayscope.squeezed import squeezed, unsqueezed

if TYPE_CHECKING:
    from grayscope.align import Align

State = dict[str, np.ndarray[Any, Any]]


def snapshot(align: Align) -> State:
    """Return the roster, the clock, the waiting events, and of each table its names and open ticks."""
    clock = align.clock
    told = {
        "counts": align.counts, "version": align.roster.version, "events": [astuple(e) for e in sorted(align.events)], "tables": list(align.tables),
        "clock": [clock.now, clock.dry, clock.sure, sorted(clock._with), sorted(clock._behind)],
    }  # fmt: skip
    if align.roster.frame is None:
        align.roster.frame = encode(align.roster.rows)
    state = {"told": _text(told), "roster": _bytes(align.roster.frame), **_frames("held", clock.held)}
    for i, table in enumerate(align.tables.values()):
        state |= {f"table{i}/{key}": value for key, value in _table(table, align.roster).items()}
    return state


def restore(align: Align, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Become what `snapshot` returned, with the same settings."""
    told = json.loads(state["told"].tobytes())
    rows = decode(state["roster"].tobytes())
    assert isinstance(rows, tuple)
    align.roster = Roster(rows, told["version"])
    align.events = {Event(*e) for e in told["events"]}
    align.counts.update(told["counts"])  # the clock and the tables count in the same place
    clock = align.clock
    clock.now, clock.dry, clock.sure = told["clock"][:3]
    clock._with, clock._behind = set(told["clock"][3]), set(told["clock"][4])
    clock.held = _batches("held", state)
    align.tables = {}
    for i, name in enumerate(told["tables"]):
        table = Table(name, align.periods.get(name, align.settings.period), align.settings, align.counter, align.counts)
        _retable(table, align.roster, {k.partition("/")[2]: v for k, v in state.items() if k.startswith(f"table{i}/")})
        align.tables[name] = table


def _table(table: Table, roster: Roster) -> State:
    lay = table.layout
    current = table.last is not None and table._view is roster.at(table.last)
    told: dict[str, Any] = {
        "crowded": table.crowded, "start": table.start, "last": table.last, "quiet": table.quiet, "who": list(table.who.items()),
        "subjects": lay.subjects, "metrics": lay.metrics, "members": sorted(lay.members), "shown": lay.shown, "era": lay.era, "version": lay.version,
        "swept": lay._swept, "current": current, "alien": None if current else sorted(table._alien),
    }  # fmt: skip
    # Of rows that wait only the numbers are copied, in one piece; the same names come again and again and are told once.
    parts = [part for tick in sorted(table.pending) for part in table.pending[tick]]
    heads = {(id(subjects), id(metrics)): (subjects, metrics) for _, subjects, metrics, _ in parts}
    number = {key: i for i, key in enumerate(heads)}
    told |= {"heads": list(heads.values()), "open": [(time, number[id(subjects), id(metrics)]) for time, subjects, metrics, _ in parts]}
    flat = np.concatenate([values.reshape(-1) for *_, values in parts]) if parts else np.empty(0, np.float32)
    return {"told": _text(told), **squeezed("first", lay.first), "heard": lay.heard.copy(), "open": flat}


def _retable(table: Table, roster: Roster, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
    told, lay = json.loads(state["told"].tobytes()), table.layout
    table.crowded, table.start, table.last, table.quiet = (told[key] for key in ("crowded", "start", "last", "quiet"))
    table.who = {name: (*identity, *[""] * (len(IDENTITY) - len(identity))) for name, identity in told["who"]}  # older states tell less
    subjects, metrics = tuple(told["subjects"]), tuple(told["metrics"])
    lay.restore(subjects, metrics, unsqueezed("first", state, (len(metrics), len(subjects))), state["heard"])
    lay.members, lay.era, lay.version, lay._swept = frozenset(told["members"]), told["era"], told["version"], told["swept"]
    lay.shown = (tuple(told["shown"][0]), tuple(told["shown"][1]))
    if told["current"]:
        view = table._view = roster.at(table.last or 0)
        table._alien = frozenset(s for s, row in view.rows.items() if row.table != table.name)
    else:  # the next tick takes a new look
        table._alien = frozenset(told["alien"])
    heads, at = [(tuple(subjects), tuple(metrics)) for subjects, metrics in told["heads"]], 0
    for time, i in told["open"]:
        subjects, metrics = heads[i]
        values = state["open"][at : (at := at + len(subjects) * len(metrics))].reshape(len(metrics), len(subjects))
        table.pending.setdefault(-(-time // table.period) * table.period, []).append((time, subjects, metrics, values))


def _text(told: Any) -> np.ndarray[Any, Any]:
    return _bytes(json.dumps(told, separators=(",", ":")).encode())


def _bytes(data: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, np.uint8)


def _frames(name: str, batches: list[Batch]) -> State:
    frames = [encode(b) for b in batches]
    return {name: _bytes(b"".join(frames)), f"{name}_sizes": np.array([len(f) for f in frames], np.int64)}


def _batches(name: str, state: Mapping[str, np.ndarray[Any, Any]]) -> list[Batch]:
    data, found, at = state[name].tobytes(), [], 0
    for size in state[f"{name}_sizes"].tolist():
        batch = decode(data[at : at + size])
        assert isinstance(batch, Batch)
        found.append(batch)
        at += size
    return found
