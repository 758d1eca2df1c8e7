"""Exposed: what the agent saw last, and how it is itself, as Prometheus or OpenMetrics text."""

from __future__ import annotations

import functools
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.promtext import escape, families

if TYPE_CHECKING:
    from grayscope.message import Message
    from grayscope.roster import RosterRow

#: Labels of a subject, so that whoever scrapes can tell peers; ours -> theirs where the name is taken.
LABELS = {
    "sku": "sku", "serial": "serial", "driver": "driver", "job": "job_id", "role": "role", "gpu": "gpu_subject", "rack": "rack", "leaf": "leaf", "rail": "rail",
    "cell": "cell",
}  # fmt: skip
#: A metric that can be shown: a name, and labels whose values cannot end their quotes. Ours are told apart from what is watched.
SHOWN = re.compile(r'(?!grayscope_)[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*"(,(?!\})|(?=\})))*\})?')
#: A label's name, after the quotes of the one before it.
LABEL = re.compile(r'[{,]([a-zA-Z_][a-zA-Z0-9_]*)="[^"]*"')
#: Series that are shown; names come from outside. A series is gone when it was not seen for so many microseconds.
MOST, STALE = 200_000, 300_000_000


class Exposed:
    """The latest value of every gauge and the sum of every counter since the start, by (metric, subject)."""

    def __init__(self, catalogue: Catalogue | None = None, most: int = MOST) -> None:
        self.catalogue, self.most = catalogue or Catalogue.load(), most
        self.lost = 0
        self._lock = threading.Lock()  # scrapes come from the server's threads
        self._seen: dict[str, dict[str, tuple[float, int]]] = {}
        self._size, self._swept = 0, -STALE

    def take(self, messages: Iterable[Message]) -> None:
        """Note what messages tell."""
        with self._lock:
            for message in messages:
                if isinstance(message, Batch):
                    self._take(message)

    def _take(self, batch: Batch) -> None:
        for m, name in enumerate(batch.metrics):
            if not _can_be_shown(name):
                self.lost += int(batch.values[:, m].size)
                continue
            metric = self.catalogue.get(name)
            adds = metric is not None and metric.type == "counter"
            series = self._seen.setdefault(name, {})
            for t, time in enumerate(batch.times.tolist()):
                for subject, value in zip(batch.subjects, batch.values[t, m].tolist(), strict=True):
                    if math.isnan(value):
                        continue
                    before = series.get(subject)
                    if before is None and self._size >= self.most and not self._room(time):
                        self.lost += 1
                        continue
                    self._size += before is None
                    series[subject] = (value + before[0] if adds and before is not None else value, time)

    def _room(self, now: int) -> bool:
        """Forget what was not seen for long; say whether that made room. Looked for at most once per stale time."""
        if now >= self._swept + STALE:
            self._swept = now
            for series in self._seen.values():
                for subject in [s for s, (_, time) in series.items() if now - time >= STALE]:
                    del series[subject]
            self._size = sum(len(series) for series in self._seen.values())
        return self._size < self.most

    def text(self, rows: Mapping[str, RosterRow], own: Iterable[tuple[str, str, Mapping[str, str], float]], *, openmetrics: bool = False) -> str:
        """Return the exposition; `own` are (name, type, labels, value) of the agent itself."""
        lines = self.lines(rows, openmetrics) + list(families(own, openmetrics))
        return "\n".join([*lines, "# EOF", ""]) if openmetrics else "\n".join([*lines, ""])

    def lines(self, rows: Mapping[str, RosterRow], openmetrics: bool = False) -> list[str]:
        """Return the lines of what was seen; whoever judges waits for a copy of it, not for its words."""
        with self._lock:
            seen = {name: dict(series) for name, series in self._seen.items()}
        return list(self._foreign(seen, rows, openmetrics))

    def _foreign(self, seen: Mapping[str, Mapping[str, tuple[float, int]]], rows: Mapping[str, RosterRow], openmetrics: bool) -> Iterator[str]:
        newest, says = max((time for series in seen.values() for _, time in series.values()), default=0), dict[str, str]()
        found = []
        for name, series in sorted(seen.items()):
            metric = self.catalogue.get(name)
            base, _, inner = name.partition("{")
            says.setdefault(base, f"Side {metric.side}, unit {metric.unit or '1'}." if metric is not None else "As its source names it.")
            # A number that only happens to grow has no name for a counter.
            kind = "counter" if metric is not None and metric.type == "counter" and base.endswith("_total") else "gauge"
            for subject, (value, time) in sorted(series.items()):
                if newest - time < STALE:
                    found.append((base, kind, _labels(inner[:-1], subject, rows.get(subject)), value))
        return families(found, openmetrics, says)


@functools.lru_cache(maxsize=4096)
def _can_be_shown(name: str) -> bool:
    """Say whether a series of this name keeps a page readable: a label that is there twice, or is ours or theirs, would lose the whole page."""
    if SHOWN.fullmatch(name) is None:
        return False
    labels = LABEL.findall(name)
    taken = {"subject", *LABELS.values()}
    return len(labels) == len({*labels}) and not any(label in taken or label.startswith("__") for label in labels)


def _labels(inner: str, subject: str, row: RosterRow | None) -> str:
    keys = row.keys if row is not None else {}
    told = [f'{theirs}="{escape(keys[ours])}"' for ours, theirs in LABELS.items() if keys.get(ours)]
    return ",".join([*([inner] if inner else []), f'subject="{escape(subject)}"', *told])
