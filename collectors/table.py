r"""Table: make a trace from any CSV or Parquet file; a map says what its columns mean.

A map is a small TOML file. This one is complete::

    [table]                         # what the trace's table is; name alone is required
    name = "drive"
    period_s = 15                   # else the median distance found
    cluster = "storage"
    note = "where the numbers come from"

    [time]
    column = "time"                 # a timestamp, a text, or a number whose unit is guessed by its size

    [subject]
    name = "{host}/{disk}"          # text with columns in braces
    keys = {node = "{host}", role = "data"}

    [where]                         # rows to keep; all must hold
    kind = ["ssd", "nvme"]

    [metrics.drive_latency_seconds] # a name of the catalogue: column and factor are enough
    column = "latency_us"
    factor = 1e-6

    [metrics.queue_length]          # a new name: say what it means, in the catalogue's words
    column = "queue"
    unit = "1"
    worse = "higher"
    side = "service"
    peers = ["node"]

    [truth]
    labels = "labels.csv"           # beside the data file
    subject = "{host}/{disk}"
    mode = "slow_drive"

All sections and keys (an unknown one is an error that names the nearest):

``[table]``    ``name``; ``cluster``, ``note``, ``period_s``; ``counters`` = cumulative | increments.
``[input]``    ``format`` = csv | parquet (else by suffix); ``separator``; ``encoding`` (utf-8); ``null_values`` = list of texts that mean empty;
               ``rename`` = {old = "new"} (old may be ""); ``split`` = {column = {by = ",", into = ["a", "b"]}}.
``[time]``     one of: ``column`` with ``unit`` = s | ms | us | ns or ``format`` (strptime), else guessed; ``index`` = column
               with ``start`` (RFC 3339), ``step_s`` and ``index_from`` (0): start + (index - index_from) * step;
               ``rows = true`` with ``start`` and ``step_s``: the running number of each subject's rows in the file.
``[subject]``  ``name``; ``keys`` = {key = template}: they may change with time and become several roster rows;
               ``crosses`` = list of templates; ``permute`` = {within = column, column = column, seed = n}: the names of
               the one column change places within each value of the other, in data and labels alike.
``[where]``    column = value, = [values], or = {``not`` = value or list, ``above``, ``below``, ``at_least``, ``at_most`` =
               number, ``null`` = true | false}. An empty cell passes ``null = true`` alone.
``[melt]``     columns to rows: ``name``, ``value`` = new columns; one of ``columns`` = list, ``prefix`` = text (cut off),
               ``keep`` = list (all but these).
``[metrics.X]``  ``column`` (else X), ``factor``, ``zero_is_missing``, and the catalogue's ``unit``, ``type``, ``worse``,
               ``waits``, ``side``, ``peers``, ``load``, ``budget``, ``mechanism``, ``mode``, ``bits``, ``overflow``.
``[truth]``    ``subject``, ``mode``; ``state`` (gray), ``note``, ``also``, ``where``; ``labels`` = file, else the data's own
               rows; ``began``, ``ended`` = time columns; ``per`` = template: one truth row per value of it, such as a run.

In a name ``/`` and control characters of a *value* become ``_``. Rows that cannot be used are counted, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from grayscope.errors import InputError, UsageError, shorten
from grayscope.plugins import nearest
from grayscope.tracewriter import TraceWriter

from ._tablemap import Condition, Template
from ._tablenames import NULL, Names, as_text, permutation, permuted
from ._tableparse import read_map
from ._tableread import Source
from ._tablerows import melted_columns
from ._tablerun import Run
from ._tabletruth import read_labels

OVERRIDES = ("labels", "cluster", "note", "period_s")


class Table:
    """Turn one file into one table of a trace.

    Parameters
    ----------
    path : path
        CSV or Parquet, read in batches of bounded size.
    map_path : path
        The map, see the module.
    labels, cluster, note, period_s : optional
        Override what the map says; `labels` is then relative to the working directory.

    Attributes
    ----------
    tables, metrics : dict
        trace.json's sections.
    cluster, note : str

    Raises
    ------
    InputError
        The map or the file's header is wrong: names file, section and key or column, and the nearest that exists.
    UsageError
        An unknown override.
    """

    def __init__(self, path: str | Path, map_path: str | Path, **overrides: Any) -> None:
        for name in overrides:
            if name not in OVERRIDES:
                raise UsageError(f"table: unknown override {name!r}: {nearest(name, OVERRIDES)}")
        given = {k: v for k, v in overrides.items() if v is not None}
        self.path, self.map = Path(path), read_map(Path(map_path))
        self.cluster = str(given.get("cluster", self.map.cluster or self.path.stem))
        self.note = str(given.get("note", self.map.note))
        period = _seconds(given["period_s"]) if "period_s" in given else self.map.period_s
        self.tables = {self.map.table: {**({"period_s": period} if period else {}), "counters": self.map.counters}}
        self.metrics = {name: dict(entry) for name, entry in self.map.description.items()}
        self.source = Source(self.path, self.map.input)
        self.labels = self._labels(given.get("labels"))
        self._melted = melted_columns(self.map.melt, self.source.columns, str(self.path)) if self.map.melt else []
        self._columns = self._needed()

    def write(self, writer: TraceWriter) -> dict[str, int]:
        """Write rows, roster and truth.

        Returns
        -------
        dict of str to int
            ``read`` (rows of the file), ``filtered``, ``melted`` (rows after melting), ``written``; rows left out:
            ``bad_row`` (wrong number of cells), ``bad_split``, ``bad_time``, ``bad_subject``, ``empty`` (no value at all),
            ``duplicate`` (same time and subject: the first counts); and ``bad_value`` (cells that are no number),
            ``cleaned`` (different values changed to fit into a name), ``subjects``, ``truth``, ``truth_unknown``
            (rows of truth whose subject has no row here).

        Raises
        ------
        InputError
            The file is broken, a column has the wrong type, or no row is left.
        """
        mapping = self._permutation()
        names = Names(self.map, str(self.path))
        run = Run(self.map, names, self._melted, self.labels is None, writer)
        for frame in self.source.batches(self._columns):
            run.take(permuted(frame, self.map.permute, mapping) if self.map.permute else frame)
        counts = run.counts
        counts.update(self.source.counts)
        counts["read"] += counts["bad_row"]
        run.values.check()
        if not counts["written"]:
            told = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()) if n)
            raise InputError.at(self.path, "rows", "at least one that can be used", told or "an empty file")
        writer.roster(run.spans.roster())
        counts["subjects"] = len(names.subjects)
        if run.truth is not None:
            if self.labels is not None:
                read_labels(self.labels, run.truth, self.map, mapping)
            rows = run.truth.rows(run.start)
            writer.truth(rows)
            counts["truth"] = len(rows)
            there = {s[:i] for s in names.subjects for i in (*(m.start() for m in re.finditer("/", s)), len(s))}
            counts["truth_unknown"] = sum(row["subject"] not in there for row in rows)
        counts["bad_value"], counts["cleaned"] = run.values.bad, len(names.cleaned)
        return {what: n for what, n in counts.items() if n or what in ("read", "written", "filtered")}

    def _labels(self, given: Any) -> Path | None:
        if given is not None and self.map.truth is None:
            raise UsageError(f"labels: {self.map.where} has no [truth] that says what they mean")
        if given is not None:
            return Path(given)
        return self.path.parent / self.map.truth.labels if self.map.truth and self.map.truth.labels else None

    def _needed(self) -> list[str]:
        """Return the columns to read, after checking that each exists."""
        made = [name for _, into in self.map.input.split.values() for name in into]
        if self.map.melt:
            made += [self.map.melt.name, self.map.melt.value]
        for name in made:
            if name in self.source.columns:
                raise InputError.at(self.path, "a new column", "a name that the file does not have", name)
        wanted = [*((c, "[input] split") for c in self.map.input.split), *((c, "[melt]") for c in self._melted), *self._uses()]
        wanted += [(c, "[melt]") for c in (*(self.map.melt.columns if self.map.melt else ()), *((self.map.melt.keep or ()) if self.map.melt else ()))]
        for column, why in wanted:
            self.source.require(column, why, made)
            if column in self._melted and why not in ("[melt]", "[where]", "[input] split"):
                raise InputError(f"{self.path}: column {column!r}, which {why} needs, is melted: name it in keep, or leave it out of columns")
        found = [c for c in dict.fromkeys(c for c, _ in wanted) if c in self.source.columns]
        return found or list(self.source.columns[:1])

    def _uses(self) -> Iterator[tuple[str, str]]:
        m = self.map
        yield from ((c, "[time]") for c in (m.time.column, m.time.index) if c is not None)
        yield from _columns([m.subject, *m.keys.values(), *m.crosses], "[subject]")
        yield from ((c, "[subject] permute") for c in ((m.permute.within, m.permute.column) if m.permute else ()))
        yield from _tested(m.conditions, "[where]")
        yield from ((x.column, f"[metrics.{x.name}]") for x in m.metrics)
        if m.truth and self.labels is None:
            yield from _columns([t for t in (m.truth.subject, m.truth.mode, m.truth.note, m.truth.per, *m.truth.also) if t], "[truth]")
            yield from ((c, "[truth]") for c in (m.truth.began, m.truth.ended) if c is not None)
            yield from _tested(m.truth.where, "[truth]")

    def _permutation(self) -> dict[tuple[str, str], str]:
        """Look at all names first, also of rows that are filtered: the result must not depend on the filter."""
        how = self.map.permute
        if how is None:
            return {}
        pairs: set[tuple[str, str]] = set()
        for frame in self.source.batches([how.within, how.column]):
            texts = frame.select(as_text(frame[c], str(self.path)).fill_null(NULL) for c in (how.within, how.column)).unique()
            pairs |= {(group, name) for group, name in texts.iter_rows() if NULL not in (group, name)}
        return permutation(pairs, how)


def _seconds(given: Any) -> float:
    try:
        period = float(given)
    except (TypeError, ValueError):
        period = 0.0
    if not 0 < period < 1e9:
        raise UsageError(f"period_s: expected seconds above 0, found {shorten(given)}")
    return period


def _columns(templates: Iterable[Template], why: str) -> Iterator[tuple[str, str]]:
    return ((c, f"{why} {t.text!r}") for t in templates for c in t.columns)


def _tested(conditions: Iterable[Condition], why: str) -> Iterator[tuple[str, str]]:
    return ((c.column, f"{why} where" if "where" not in why else why) for c in conditions)
