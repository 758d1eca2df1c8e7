"""Waiting: from the rank that is late in one communicator to the one that made it late in another.

Communicators are nested: a slow member of a tensor group makes its pipeline stage late, which makes the data-parallel
peers wait. Late in a group is whoever waits least there; but if it had to wait longer than usual in another group, it is
a victim there, and the search goes on with the member of that group that waited least, until one is found that waited
for nobody. Sources: Holmes (NSDI 2025) and the wait chains of C4D (HPCA 2025).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

Floats = NDArray[np.float32]
#: Usual spreads, lasting, by which a wait is longer than the peers', and a compute time.
LONG = 2.0
LABELS = re.compile(r'="([^"]*)"')


def walked(findings: list[Finding], tick: Tick, standing: Standing, excess: Floats) -> Iterator[Finding]:
    """Yield the findings, those about late ranks that were made late by others with their subject moved to the origin.

    Parameters
    ----------
    findings : list of Finding
    tick : Tick
    standing : Standing
    excess : [M, S]
        Lasting distance from the peers in usual spreads, larger is worse; in metrics that contain waiting: waits less.

    A victim for whose wait no culprit stands out accuses nobody: its finding becomes a symptom.
    """
    waits = [m for m, metric in enumerate(standing.metrics) if metric is not None and metric.waits and "{" in tick.metrics[m]]
    if len(waits) < 2:
        yield from findings
        return
    column, row = {s: i for i, s in enumerate(tick.subjects)}, {name: m for m, name in enumerate(tick.metrics)}
    for f in findings:
        m, s = row.get(f.metric, -1), column.get(f.subject, -1)
        if m not in waits or s < 0:
            yield f
            continue
        origin, held = _origin(s, m, waits, tick, standing, excess)
        if origin != s:
            yield f._replace(subject=tick.subjects[origin], why=f"made {f.subject} late: {f.why}")
        elif held:
            yield f._replace(side="condition", mechanism="", why=f"waited itself in {held}: {f.why}")
        else:
            yield f


def _origin(s: int, via: int, waits: list[int], tick: Tick, standing: Standing, excess: Floats) -> tuple[int, str]:
    """Return who is behind the lateness of subject `s`, and where the last one waited without anybody standing out."""
    seen = {s}
    while True:
        if _computes_long(s, standing, excess):
            return s, ""
        held = [(float(excess[w, s]), w) for w in waits if w != via and excess[w, s] < -LONG]
        if not held:
            return s, ""
        via = min(held)[1]
        members = _members(s, via, tick)
        late = max(members, key=lambda q: (float(excess[via, q]), -q))
        if late in seen or excess[via, late] - excess[via, s] < LONG or excess[via, late] < -LONG / 2:
            return s, tick.metrics[via]
        seen.add(late)
        s = late


def _computes_long(s: int, standing: Standing, excess: Floats) -> bool:
    return any(m is not None and not m.waits and m.side == "service" and m.unit == "s" and excess[i, s] > LONG for i, m in enumerate(standing.metrics))


def _members(s: int, m: int, tick: Tick) -> list[int]:
    """Return who shares the communicator of metric `m` with subject `s`: by a roster key of the label's value, else the job."""
    keys = [label for label in LABELS.findall(tick.metrics[m]) if tick.roster.key(tick.subjects[s], label)] or ["job"]
    mine = [tick.roster.key(tick.subjects[s], key) for key in keys]
    return [q for q, name in enumerate(tick.subjects) if np.isfinite(tick.values[m, q]) and [tick.roster.key(name, k) for k in keys] == mine] or [s]
