"""Ranktable: cells of one look, (subject, metric) to value, as one batch; counters become increments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.errors import InputError
from grayscope.rates import Rates, Raw


class RankTable:
    """Remembers the last total of every counter.

    Parameters
    ----------
    catalogue : Catalogue
    rejected : dict of str to int
        Where it is counted that there were too many subjects.

    Examples
    --------
    >>> made = table(None, {})
    >>> [made.batch("rank", t, {("job:1/r0", "steps_total"): n, ("job:1/r0", "step_seconds"): 0.5})[0].values.ravel().tolist() for t, n in ((0, 5), (9, 7))]
    [[0.5], [0.5, 2.0]]
    """

    def __init__(self, catalogue: Catalogue, rejected: dict[str, int]) -> None:
        self.rates, self.rejected = Rates(catalogue), rejected

    def batch(self, name: str, now: int, cells: Mapping[tuple[str, str], float]) -> list[Batch]:
        """Return one batch of table `name` at `now` (microseconds), none if there is nothing to tell."""
        if not cells:
            return []
        subjects, metrics = (tuple(sorted({c[i] for c in cells})) for i in (0, 1))
        row, column = {m: i for i, m in enumerate(metrics)}, {s: i for i, s in enumerate(subjects)}
        values = np.full((1, len(metrics), len(subjects)), np.nan)
        for (subject, metric), value in cells.items():
            values[0, row[metric], column[subject]] = value
        raw = Raw(name, np.array([now], np.int64), subjects, metrics, np.ones(len(metrics)), values)
        try:
            found = self.rates.batch(raw)
        except InputError:
            # More subjects than anybody has: their names churn. Start again rather than fail from now on.
            self.rejected["too_many"] = self.rejected.get("too_many", 0) + 1
            self.rates = Rates(self.rates.catalogue)
            found = self.rates.batch(raw)
        return _told(found)


def _told(batch: Batch) -> list[Batch]:
    """Leave out who and what says nothing: counters are silent on first sight."""
    there = np.isfinite(batch.values[0])
    m, s = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if not len(m):
        return []
    if there.shape == (len(m), len(s)):
        return [batch]
    metrics, subjects = tuple(batch.metrics[i] for i in m), tuple(batch.subjects[i] for i in s)
    return [Batch(batch.table, batch.times, subjects, metrics, batch.values[:, m][:, :, s])]


def table(catalogue: Catalogue | None, rejected: dict[str, int]) -> RankTable:
    """Return a table that knows the given catalogue, else the packaged one."""
    return RankTable(catalogue or Catalogue.load(), rejected)
