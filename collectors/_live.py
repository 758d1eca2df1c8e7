"""Live: one look of a running source as messages: roster changes first, then one batch per table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.batch import Batch
from grayscope.errors import InputError
from grayscope.message import Message
from grayscope.rates import Rates, Raw

from ._rosters import Changes, replaced
from ._series import Layout, Long, Look, Series, as_numbers


class Live:
    """What a live source keeps from look to look: its series, and the last total of every counter.

    Parameters
    ----------
    series : Series
    rates : Rates
        One for the collector's life.
    """

    def __init__(self, series: Series, rates: Rates) -> None:
        self.series, self.rates = series, rates
        self.changes = Changes(series)
        self._parts: dict[str, tuple[str, ...]] = {}
        self._before: _Before | None = None

    def messages(self, look: Look) -> list[Message]:
        """Return the messages of one look."""
        if self._before is not None and self._before.fits(look, self.series):
            return [b for raw in self._before.raws(look) if (b := self._batch(raw)) is not None and b.values.size]
        rows = self.changes.rows(look)
        messages: list[Message] = [tuple(rows)] if rows else []
        self.rates.forget(replaced(rows, self._parts))
        found = self.series.settle(look)
        self._before = _before(look, self.series, found)
        batches = (self._batch(self.series.raw(long)) for long in found)
        return messages + [b for b in batches if b is not None and b.values.size]

    def _batch(self, raw: Raw) -> Batch | None:
        try:
            return self._dense(self.rates.batch(raw))
        except InputError:
            # More subjects than anybody has: their names churn. Start again rather than fail at every look from now on.
            self.rates = Rates(self.rates.catalogue)
            self.series.naming.reject("too_many")
            return None

    def _dense(self, batch: Batch) -> Batch:
        """Leave out who and what says nothing, as a recording does: counters are silent on first sight."""
        there = np.isfinite(batch.values)
        t, m, s = (np.flatnonzero(there.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1)))
        if (len(t), len(m), len(s)) == batch.values.shape:
            return batch
        subjects, metrics = tuple(batch.subjects[i] for i in s), tuple(batch.metrics[i] for i in m)
        return Batch(batch.table, batch.times[t], self.series.same(subjects), self.series.same(metrics), batch.values[np.ix_(t, m, s)])


class _Before(NamedTuple):
    """What the last look was made of: as a rule the next one is made of the same, and all that was found out about it holds."""

    known: object  # whose numbers the series have
    series: NDArray[np.int32]
    parts: tuple[tuple[NDArray[np.intp], Layout], ...]

    def fits(self, look: Look, series: Series) -> bool:
        """Say whether a look has the same series, at one moment, and nothing that would be left out."""
        same = self.known is series.identities and np.array_equal(self.series, look.series) and _one_moment(look)
        return same and not np.isnan(look.values).any() and not series.blank(look).any()

    def raws(self, look: Look) -> list[Raw]:
        """Return the rows of each table."""
        return [layout.raw(look.times[:1], 0, look.values[where]) for where, layout in self.parts]


def _before(look: Look, series: Series, found: list[Long]) -> _Before | None:
    """Return what holds for a next look of the same series; None where some samples were left out, which has to be counted each time."""
    if sum(len(long.values) for long in found) != len(look.series) or not _one_moment(look):
        return None
    table = as_numbers(series.cell_table)[as_numbers(series.cell)[look.series]]
    return _Before(series.identities, look.series, tuple((np.flatnonzero(table == series.tables[long.table]), series.layout(long)) for long in found))


def _one_moment(look: Look) -> bool:
    return len(look.times) > 0 and bool((look.times == look.times[0]).all())
