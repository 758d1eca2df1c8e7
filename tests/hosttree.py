"""Small proc and sys trees for tests of host sources, a clock, and what a look told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grayscope.batch import Batch
from grayscope.event import Event


class Clock:
    """Seconds that a test sets."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def plant(root: Path, files: Mapping[str, object]) -> Path:
    """Write files below a root; `None` removes one."""
    for name, text in files.items():
        path = root / name
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def link(root: Path, name: str, to: str) -> None:
    """Make a link below a root to another name below it."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (root / to).mkdir(parents=True, exist_ok=True)
    path.symlink_to(root / to)


def values(messages: Iterable[Any]) -> dict[tuple[str, str], float]:
    """Return what batches say as (subject, metric) -> value, in the seven digits that they carry."""
    found = {}
    for batch in messages:
        if isinstance(batch, Batch):
            for m, s in np.argwhere(np.isfinite(batch.values[-1])).tolist():
                found[batch.subjects[s], batch.metrics[m]] = float(f"{batch.values[-1, m, s]:.7g}")
    return found


def keys(messages: Iterable[Any]) -> dict[str, dict[str, str]]:
    """Return the roster rows among messages as subject -> table and keys."""
    return {row.subject: {"table": row.table, **row.keys} for m in messages if isinstance(m, tuple) for row in m}


def events(messages: Iterable[Any]) -> list[tuple[str, str, str, int]]:
    """Return the events among messages as (subject, source, code, count)."""
    return [(e.subject, e.source, e.code, e.count) for e in messages if isinstance(e, Event)]
