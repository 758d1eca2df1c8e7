"""Live: one look of a running source as messages: roster changes first, then one batch per table."""

from __future__ import annotations

import numpy as np

from grayscope.batch import Batch
from grayscope.errors import InputError
from grayscope.message import Message
from grayscope.rates import Rates

from ._rosters import Changes, replaced
from ._series import Long, Look, Series


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

    def messages(self, look: Look) -> list[Message]:
        """Return the messages of one look."""
        rows = self.changes.rows(look)
        messages: list[Message] = [tuple(rows)] if rows else []
        self.rates.forget(replaced(rows, self._parts))
        batches = (self._batch(long) for long in self.series.settle(look))
        return messages + [b for b in batches if b is not None and b.values.size]

    def _batch(self, long: Long) -> Batch | None:
        try:
            return self._dense(self.rates.batch(self.series.raw(long)))
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
