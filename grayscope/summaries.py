"""Summaries: what the peer groups of a cell showed within a window, so that groups can be compared with their like in other cells.

Cells are judged one by one: where all of a cell's H100s are slow, none of them differs from its peers. A group of the same keys in
another cell is its peer instead. Each group is one subject (``cell:pod3/gpu:sku=H100,job=42``) of the same table, with the same metrics and
keys as its members, so that the very same engine judges groups; a roster row says who is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue, Metric
from grayscope.frames import decode, encode
from grayscope.message import Message
from grayscope.roster import RosterRow, View
from grayscope.stand import JUDGED_SIDES
from grayscope.tick import Tick

#: Members that must have reported for a group to say something; groups of a cell's table.
LEAST, GROUPS = 4, 4096
#: Keys that name a place inside one cell: groups by them have no like elsewhere.
PLACES = frozenset({"node", "rack"})
#: From a median absolute deviation to a standard deviation.
SIGMA = 1.4826
Keys = tuple[str, ...]


@dataclass(slots=True)
class Window:
    """Sums of one table since the last summary: `sums` and `counts` have the shape [M, S]."""

    number: int
    period: int
    subjects: tuple[str, ...]
    metrics: tuple[str, ...]
    sums: NDArray[np.float64]
    counts: NDArray[np.int32]


class Summaries:
    """The fold over one cell's ticks; `step` returns what its windows brought about, mostly nothing.

    A member counts with the mean of its window, a counter with what it gained; a group tells the median of its members, their spread
    (1.48 times the median absolute deviation) and how many they are. Windows are aligned to event time, so all cells' are the same.

    Parameters
    ----------
    cell : str
    catalogue : Catalogue
        Says which metrics are judged, and by which keys.
    window : int
        Microseconds; that of a table with a longer period is the next multiple of that.
    disabled : set of str
        Metrics that are not judged.

    Attributes
    ----------
    left_out : int
        Groups that could not be told of, once per window.
    """

    def __init__(self, cell: str, catalogue: Catalogue, window: int, disabled: frozenset[str] = frozenset()) -> None:
        self.cell, self.catalogue, self.window, self.disabled = _clean(cell), catalogue, window, disabled
        self.rows: dict[str, RosterRow] = {}
        self.left_out = 0
        self._open: dict[str, Window] = {}
        self._kinds: dict[tuple[str, ...], dict[Keys, list[str]]] = {}

    def step(self, tick: Tick) -> tuple[Message, ...]:
        """Take one tick; return roster rows of groups that came or went, and one batch per window that is complete."""
        span = span_of(self.window, tick.period)
        number = -(-tick.time // span)
        told: list[Message] = []
        held = self._open.get(tick.table)
        if held is not None and held.number != number:
            told += self._close(tick.table, held, tick.roster)
            held = None
        held = self._add(held, number, tick)
        self._open[tick.table] = held
        if tick.time % span == 0:
            told += self._close(tick.table, held, tick.roster)
            del self._open[tick.table]
        return tuple(told)

    def _add(self, held: Window | None, number: int, tick: Tick) -> Window:
        wanted = {name for names in self._of(tick.metrics, tick.table).values() for name in names}
        rows = [m for m, name in enumerate(tick.metrics) if name in wanted]
        metrics = tuple(tick.metrics[m] for m in rows)
        if held is None:
            shape = (len(rows), len(tick.subjects))
            held = Window(number, tick.period, tick.subjects, metrics, np.zeros(shape), np.zeros(shape, np.int32))
        values = tick.values[rows]
        there = np.isfinite(values)
        if held.subjects == tick.subjects and held.metrics == metrics:
            held.sums += np.where(there, values, 0)
            held.counts += there
            return held
        held = _widened(held, tick.subjects, metrics)
        where = np.ix_(_places(held.metrics, metrics), _places(held.subjects, tick.subjects))
        held.sums[where] += np.where(there, values, 0)
        held.counts[where] += there
        return held

    # -- which metrics ----------------------------------------------------------------------------------------------

    def _of(self, names: tuple[str, ...], table: str) -> dict[Keys, list[str]]:
        """Return, for each choice of keys, the metrics that are compared by them, and the loads that explain those."""
        known = self._kinds.get((table, *names))
        if known is None:
            if len(self._kinds) > 256:
                self._kinds.clear()
            known = self._kinds[(table, *names)] = dict[Keys, list[str]]()
            for name in names:
                metric = self._judged(table, name)
                if metric is not None:
                    of = known.setdefault(metric.peers, [])
                    of += [n for n in (name, metric.load) if n in names and n not in of]
        return known

    def _judged(self, table: str, name: str) -> Metric | None:
        metric = self.catalogue.get(name)
        if metric is None or metric.table != table or name in self.disabled or metric.side not in JUDGED_SIDES:
            return None
        return metric if metric.peers and not PLACES & {*metric.peers} and (metric.waits or metric.worse in ("higher", "lower")) else None

    # -- the end of a window ----------------------------------------------------------------------------------------

    def _close(self, table: str, held: Window, view: View) -> Iterator[Message]:
        time = held.number * span_of(self.window, held.period)
        told: dict[str, dict[str, float]] = {}
        rows: dict[str, RosterRow] = {}
        for keys, names in self._of(held.metrics, table).items():
            label, groups = view.labels(held.subjects, keys)
            which = _places(held.metrics, tuple(names))
            means = self._means(held, which)
            for number, values in enumerate(groups):
                name = group_name(self.cell, table, keys, values)
                if not name:
                    continue
                if name in rows or len(rows) >= GROUPS:  # two whose names became the same, or too many
                    self.left_out += 1
                    continue
                rows[name] = RosterRow(name, table, time, None, dict(zip(keys, values, strict=True)))
                told[name] = _described(names, means[:, label == number])
        news = self._news(table, rows, time)
        if news:
            yield news
        yield from _batch(table, time, told)

    def _means(self, held: Window, which: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return what each member showed, shape [K, S]; NaN for nothing."""
        counts = held.counts[which]
        means = np.where(counts > 0, held.sums[which] / np.maximum(counts, 1), np.nan)
        counted = [(m := self.catalogue.get(held.metrics[i])) is not None and m.type == "counter" for i in which.tolist()]
        means[counted] *= span_of(self.window, held.period) / held.period
        return means

    def _news(self, table: str, rows: Mapping[str, RosterRow], time: int) -> tuple[RosterRow, ...]:
        """Return the rows of groups that are new, and of those that nobody belongs to any more."""
        came = [row for name, row in rows.items() if name not in self.rows]
        gone = [row for name, row in self.rows.items() if row.table == table and name not in rows]
        for row in gone:
            del self.rows[row.subject]
        self.rows |= {row.subject: row for row in came}
        return (*(replace(row, until=time) for row in gone), *came)

    # -- state ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the open windows and the groups that were told of."""
        state: dict[str, NDArray[Any]] = {"rows": np.frombuffer(encode(tuple(self.rows.values())), np.uint8)}
        for table, held in self._open.items():
            state |= {f"{table}|sums": held.sums, f"{table}|counts": held.counts, f"{table}|when": np.array([held.number, held.period])}
            state |= {f"{table}|subjects": np.array(held.subjects, np.str_), f"{table}|metrics": np.array(held.metrics, np.str_)}
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned; nothing from a state that has no summaries."""
        rows = decode(state["rows"].tobytes()) if "rows" in state else ()
        assert isinstance(rows, tuple)
        self.rows, self._open = {row.subject: row for row in rows}, {}
        for table in [key.removesuffix("|when") for key in state if key.endswith("|when")]:
            number, period = state[f"{table}|when"].tolist()
            subjects, metrics = (tuple(state[f"{table}|{part}"].tolist()) for part in ("subjects", "metrics"))
            self._open[table] = Window(number, period, subjects, metrics, state[f"{table}|sums"].copy(), state[f"{table}|counts"].copy())


def span_of(window: int, period: int) -> int:
    """Return the window of a table: the next multiple of its period.

    Examples
    --------
    >>> span_of(60, 10), span_of(60, 45), span_of(60, 300)
    (60, 90, 300)
    """
    return max(1, -(-window // period)) * period


def group_name(cell: str, table: str, keys: Keys, values: Keys) -> str:
    """Return the subject that stands for a group; ``""`` where a key is unknown, or stands for the node itself.

    Examples
    --------
    >>> group_name("pod3", "gpu", ("sku", "job"), ("H100", "42")), group_name("pod3", "gpu", ("job",), ("node:n1",))
    ('cell:pod3/gpu:sku=H100,job=42', '')
    """
    if not all(values) or any(v.startswith("node:") for v in values):
        return ""
    told = (f"{k}={_clean(v.removeprefix('job:'))}" for k, v in zip(keys, values, strict=True))
    return f"cell:{cell}/{table}:{','.join(told)}"


def part_name(metric: str, part: str) -> str:
    """Return the name under which a group tells more of a metric; unknown to the catalogue, so nobody judges it.

    Examples
    --------
    >>> part_name('gpu_clock_hertz{domain="sm"}', "spread")
    'gpu_clock_hertz_spread{domain="sm"}'
    """
    name, brace, labels = metric.partition("{")
    return f"{name}_{part}{brace}{labels}"


def _described(names: list[str], values: NDArray[np.float64]) -> dict[str, float]:
    """Return median, spread and number of the members [K, members] that reported."""
    count, centre = np.isfinite(values).sum(axis=1), _median(values)
    spread = SIGMA * _median(np.abs(values - centre[:, None]))
    found: dict[str, float] = {}
    for k, name in enumerate(names):
        if count[k] >= LEAST:
            found |= {name: float(centre[k]), part_name(name, "spread"): float(spread[k]), part_name(name, "members"): float(count[k])}
    return found


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each row's finite values.

    Examples
    --------
    >>> _median(np.array([[3, np.nan, 1, 2], [4, 1, np.nan, np.nan]])).tolist()
    [2.0, 2.5]
    """
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))
    middle: NDArray[np.float64] = (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, np.minimum(count // 2, values.shape[1] - 1)]) / 2
    return middle


def _batch(table: str, time: int, told: Mapping[str, Mapping[str, float]]) -> Iterator[Batch]:
    subjects = tuple(sorted(name for name, found in told.items() if found))
    metrics = tuple(sorted({m for name in subjects for m in told[name]}))
    if metrics:
        values = np.array([[[told[s].get(m, np.nan) for s in subjects] for m in metrics]], np.float32)
        yield Batch(table, np.array([time]), subjects, metrics, values)


def _widened(held: Window, subjects: tuple[str, ...], metrics: tuple[str, ...]) -> Window:
    """Return a window that has room for more subjects and metrics; who is gone stays in it until its end."""
    both = (tuple(dict.fromkeys((*held.metrics, *metrics))), tuple(dict.fromkeys((*held.subjects, *subjects))))
    shape = (len(both[0]), len(both[1]))
    new = replace(held, subjects=both[1], metrics=both[0], sums=np.zeros(shape), counts=np.zeros(shape, np.int32))
    corner = slice(len(held.metrics)), slice(len(held.subjects))
    new.sums[corner], new.counts[corner] = held.sums, held.counts
    return new


def _places(inside: tuple[str, ...], names: tuple[str, ...]) -> NDArray[np.intp]:
    where = {name: i for i, name in enumerate(inside)}
    return np.array([where[name] for name in names], np.intp)


def _clean(name: str) -> str:
    return "".join(c if c.isprintable() and c not in "/," else "_" for c in name)[:128]
