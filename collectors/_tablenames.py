"""Tablenames: who the rows are about: names, roster keys, permuted names, and which rows repeat an earlier one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grayscope.errors import InputError
from grayscope.roster import RosterRow

from ._tablemap import Permute, TableMap, Template

#: More different names and keys than this in one file are refused; so is a longer name.
LIMIT, LENGTH = 1 << 20, 256
#: Stands for a null while columns are joined; no name may hold it anyway.
NULL = "\0"
Combination = tuple[int, tuple[tuple[str, str], ...], tuple[str, ...]]


class Names:
    """Number the subjects, and every combination of a subject with keys and crossings, in order of appearance.

    Work is done once per combination of the columns used in templates, never per row.
    """

    def __init__(self, how: TableMap, where: str) -> None:
        self.how, self.where = how, where
        self.subjects: dict[str, int] = {}
        self.combinations: dict[Combination, int] = {}
        self.cleaned: set[str] = set()
        self._known: dict[tuple[str, ...], int] = {}
        used = [*how.subject.columns, *(c for t in (*how.keys.values(), *how.crosses) for c in t.columns)]
        self._columns = list(dict.fromkeys(used))
        self._subject_of: list[int] = []

    def place(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """Return the combination of each row [N], -1 where the subject cannot be named."""
        if not self._columns:
            return np.full(frame.height, self._number(()), np.int64)
        texts = frame.select(as_text(frame[c], self.where).fill_null(NULL) for c in self._columns)
        different = texts.unique(maintain_order=True)
        numbers = different.with_columns(pl.Series("\0number", [self._number(row) for row in different.iter_rows()], pl.Int64))
        return texts.join(numbers, on=self._columns, how="left", maintain_order="left")["\0number"].to_numpy()

    def subject_of(self, combinations: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the subject of each combination."""
        return np.array(self._subject_of, np.int64)[combinations]

    def clean(self, values: Iterable[str], columns: Iterable[str]) -> dict[str, str | None]:
        """Return column -> text fit for a name: without blanks around it, ``/`` and control characters as ``_``.

        A text with U+FFFD was no text in the file's encoding: None, as different names would become one.
        """
        found: dict[str, str | None] = {}
        for column, value in zip(columns, values, strict=True):
            good = "".join(c if c.isprintable() and c != "/" else "_" for c in value.strip(" ")) if value != NULL and "\ufffd" not in value else None
            if good is not None and good != value.strip(" "):
                self.cleaned.add(value)
            found[column] = good
        return found

    def _number(self, row: tuple[str, ...]) -> int:
        known = self._known.get(row)
        if known is None:
            if len(self._known) >= LIMIT:
                raise InputError.at(self.where, "names and keys", f"at most {LIMIT:,} combinations", "more")
            known = self._known[row] = self._new(self.clean(row, self._columns))
        return known

    def _new(self, values: Mapping[str, str | None]) -> int:
        subject = self.how.subject.fill(values)
        crosses = tuple(t.fill(values) for t in self.how.crosses)
        if subject is None or len(subject) > LENGTH or None in crosses:
            return -1
        keys = {key: t.fill(values) for key, t in self.how.keys.items()}
        combination = (
            self.subjects.setdefault(subject, len(self.subjects)),
            tuple((k, v) for k, v in keys.items() if v is not None and len(v) <= LENGTH),
            tuple(c for c in crosses if c is not None),
        )
        if combination not in self.combinations:
            self._subject_of.append(combination[0])
        return self.combinations.setdefault(combination, len(self.combinations))


class Spans:
    """Remember from when to when each subject had which keys, and which (time, subject) were there before."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._spans: list[NDArray[np.int64]] = []
        self._before: list[tuple[int, int, pl.DataFrame]] = []

    def take(self, times: NDArray[np.int64], combinations: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Note the rows of one batch and return which to keep [N]: the first of each (time, subject) in the file's order."""
        who = self.names.subject_of(combinations)
        order = np.lexsort((times, who))
        same = (np.diff(who[order]) == 0) & (np.diff(times[order]) == 0)
        keep = np.ones(len(times), bool)
        keep[order[1:]] = ~same
        keep &= ~self._repeats(times, who)
        order = order[keep[order]]
        if len(order):
            changes = np.flatnonzero(np.diff(combinations[order], prepend=-1))
            self._spans.append(np.stack([times[order][changes], combinations[order][changes]]))
        return keep

    def _repeats(self, times: NDArray[np.int64], who: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which rows an earlier batch had; only batches whose times overlap are compared."""
        found = np.zeros(len(times), bool)
        if not len(times):
            return found
        first, last = int(times.min()), int(times.max())
        for begin, end, rows in self._before:
            part = np.flatnonzero((times >= begin) & (times <= end)) if begin <= last and end >= first else ()
            if len(part):
                mine = pl.DataFrame({"time": times[part], "who": who[part], "row": part})
                found[mine.join(rows, on=["time", "who"], how="semi")["row"].to_numpy()] = True
        self._before.append((first, last, pl.DataFrame({"time": times, "who": who.astype(np.int32)}).cast({"who": pl.Int64})))
        return found

    def roster(self) -> list[RosterRow]:
        """Return one row per subject, or one per change of its keys.

        A change counts from the first row that shows it; between two batches of a file that is not in order of time it
        is as fine as the batches.
        """
        table, subjects = self.names.how.table, list(self.names.subjects)
        kinds = list(self.names.combinations)
        changes: dict[int, list[tuple[int, int]]] = {}
        times, combinations = np.concatenate(self._spans, axis=1) if self._spans else np.zeros((2, 0), np.int64)
        for k in np.lexsort((times, self.names.subject_of(combinations))).tolist() if len(times) else ():
            history = changes.setdefault(kinds[combinations[k]][0], [])
            if not history or history[-1][1] != combinations[k]:
                history.append((int(times[k]), int(combinations[k])))
        rows = []
        for subject, history in changes.items():
            for i, (since, kind) in enumerate(history):
                until = history[i + 1][0] if i + 1 < len(history) else None
                rows.append(RosterRow(subjects[subject], table, since if i else None, until, dict(kinds[kind][1]), kinds[kind][2]))
        return rows


def as_text(column: pl.Series, where: str) -> pl.Series:
    """Return text; whole floats without their ``.0``, not-a-number as null.

    Raises
    ------
    InputError
        Lists, structures and bytes have no text.
    """
    if column.dtype.is_nested() or column.dtype == pl.Binary or column.dtype == pl.Object:
        raise InputError.at(where, f"column {column.name!r}", "text or numbers", column.dtype)
    if column.dtype.is_float():
        number = column.cast(pl.Float64).fill_nan(None)
        whole = (number == number.round(0)) & (number.abs() < 2.0**53)
        return number.cast(pl.Int64, strict=False).cast(pl.String).zip_with(whole.fill_null(False), number.cast(pl.String))
    return column.cast(pl.String)


def permutation(pairs: Iterable[tuple[str, str]], how: Permute) -> dict[tuple[str, str], str]:
    """Return (group, name) -> new name: the names of a group change places, always the same way for one seed.

    Hashes decide, not a random generator, so that no version of any package changes the result.

    Examples
    --------
    >>> found = permutation([("h1", "a"), ("h1", "b"), ("h1", "c"), ("h2", "a")], Permute("host", "disk", 7))
    >>> sorted(v for (group, _), v in found.items() if group == "h1"), found["h2", "a"]
    (['a', 'b', 'c'], 'a')
    """
    groups: dict[str, set[str]] = {}
    for group, name in pairs:
        groups.setdefault(group, set()).add(name)
    found: dict[tuple[str, str], str] = {}
    for group, members in groups.items():
        drawn = sorted(members, key=lambda name: hashlib.blake2b(repr((how.seed, group, name)).encode(), digest_size=16).digest())
        found |= {(group, name): new for name, new in zip(sorted(members), drawn, strict=True)}
    return found


def permuted(frame: pl.DataFrame, how: Permute, mapping: Mapping[tuple[str, str], str]) -> pl.DataFrame:
    """Return `frame` with the names of `how.column` replaced; a pair that is not in `mapping` stays as it is."""
    on = [how.within, how.column]
    texts = frame.select(as_text(frame[c], "permute").fill_null(NULL).alias(c) for c in on)
    table = pl.DataFrame(
        {on[0]: [g for g, _ in mapping], on[1]: [n for _, n in mapping], "\0new": list(mapping.values())}, dict.fromkeys([*on, "\0new"], pl.String)
    )
    new = texts.join(table, on=on, how="left", maintain_order="left")["\0new"].fill_null(texts[on[1]])
    return frame.with_columns(new.replace(NULL, None).alias(how.column))


def fill(frame: pl.DataFrame, template: Template, names: Names) -> list[str | None]:
    """Return the template filled for each row; for small frames, such as labels."""
    if not template.columns:
        return [template.text] * frame.height
    texts = frame.select(as_text(frame[c], names.where).fill_null(NULL) for c in dict.fromkeys(template.columns))
    return [template.fill(names.clean(row, texts.columns)) for row in texts.iter_rows()]
