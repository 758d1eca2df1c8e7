"""Nvmlrows: what the GPUs of a node showed at one moment as messages: who is new, then one batch per table."""

from __future__ import annotations

import numpy as np

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.event import Event
from grayscope.message import Message
from grayscope.rates import Rates, Raw
from grayscope.roster import RosterRow

from ._nvmlfields import TABLES, Floats
from ._nvmlgpu import Gpu
from ._rosters import replaced


class NvmlRows:
    """Keeps the totals of counters and what the roster was told.

    Parameters
    ----------
    catalogue : Catalogue
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.rates = Rates(catalogue)
        self._said: dict[str, tuple[object, int]] = {}
        self._keys: dict[str, object] = {}
        self._parts: dict[str, tuple[str, ...]] = {}
        self._same: dict[tuple[str, ...], tuple[str, ...]] = {}

    def messages(self, now: int, looked: list[tuple[Gpu, dict[str, Floats]]], events: list[Event]) -> list[Message]:
        """Return roster rows of whom is new or changed, batches of what was told, and the events."""
        rows = [row for gpu, _ in looked if gpu.keys for row in self._news(gpu, now)]
        self.rates.forget(replaced(rows, self._parts))
        batches = (self._batch(table, now, looked) for table in TABLES)
        return [*([tuple(rows)] if rows else []), *(b for b in batches if b is not None), *events]

    def _news(self, gpu: Gpu, now: int) -> list[RosterRow]:
        state = (gpu.keys, len(gpu.ports()))
        if self._said.get(gpu.subject) == state:
            return []
        self._said[gpu.subject] = state
        news = [row for row in gpu.rows(None) if self._keys.get(row.subject) != row.keys]
        rows = [RosterRow(r.subject, r.table, None if r.subject not in self._keys else now, None, r.keys) for r in news]
        self._keys |= {r.subject: r.keys for r in rows}
        return rows

    def _batch(self, table: str, now: int, looked: list[tuple[Gpu, dict[str, Floats]]]) -> Batch | None:
        """Return one table's rows; who and what says nothing is left out."""
        subjects: list[str] = []
        parts: list[Floats] = []
        for gpu, out in looked:
            if table == "nvlink":
                ports = gpu.ports() if out[table].shape[1] else []
                subjects += [f"{gpu.subject}/nvlink{n}" for n in ports]
                parts.append(out[table][:, ports])
            else:
                subjects.append(gpu.subject if table == "gpu" else f"{gpu.subject}/pcie")
                parts.append(out[table])
        values = np.concatenate(parts, axis=1) if parts else np.empty((0, 0))
        there = np.isfinite(values)
        what, who = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
        if not len(what):
            return None
        names = looked[0][0].layout.metrics[table]
        metrics, subjects_ = self._tuple(tuple(names[i] for i in what)), self._tuple(tuple(subjects[i] for i in who))
        batch = self.rates.batch(Raw(table, np.array([now]), subjects_, metrics, np.ones(len(metrics)), values[np.ix_(what, who)][None]))
        return self._told(batch)

    def _told(self, batch: Batch) -> Batch | None:
        """Leave out counters on first sight, which have no increment yet."""
        said = np.isfinite(batch.values[0])
        what, who = said.any(axis=1), said.any(axis=0)
        if what.all() and who.all():
            return batch
        if not what.any():
            return None
        metrics = self._tuple(tuple(m for m, here in zip(batch.metrics, what.tolist(), strict=True) if here))
        subjects = self._tuple(tuple(s for s, here in zip(batch.subjects, who.tolist(), strict=True) if here))
        return Batch(batch.table, batch.times, subjects, metrics, batch.values[:, what][:, :, who])

    def _tuple(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the very same tuple for equal names: later stations look for identity."""
        if len(self._same) > 1024:
            self._same.clear()
        return self._same.setdefault(names, names)
