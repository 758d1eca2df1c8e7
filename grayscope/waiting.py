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
#: The same where it is also a good part of the rank's own lateness: who is last in one group because of itself is last in the others too.
SOME = 0.5
#: Share of its lateness that a rank must have waited for others itself to be late because of them; victims that a finding names.
MOST, NAMED = 0.5, 3
#: Subject, detector and metric of findings that are told as one.
Kind = tuple[str, str, str]
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
    kept: list[Finding] = []
    victims: dict[Kind, list[Finding]] = {}
    for f in findings:
        m, s = row.get(f.metric, -1), column.get(f.subject, -1)
        if m not in waits or s < 0:
            kept.append(f)
            continue
        origin, held = _origin(s, m, waits, tick, standing, excess)
        if held:
            kept.append(f._replace(side="condition", mechanism="", why=f"{_waited(tick.subjects[origin], f)} in {held}: {f.why}"))
        elif origin != s:
            victims.setdefault((tick.subjects[origin], f.detector, f.metric), []).append(f)
        else:
            kept.append(f)
    yield from _told(kept, victims)


def _told(kept: list[Finding], victims: dict[Kind, list[Finding]]) -> Iterator[Finding]:
    """Yield the findings with who is cleared; an origin that nothing was said of yet is accused by what was said of its first victim."""
    for f in kept:
        cleared = victims.pop((f.subject, f.detector, f.metric), []) if f.side != "condition" else []
        yield f._replace(strength=max(f.strength, *(v.strength for v in cleared)), why=f.why + _cleared(cleared)) if cleared else f
    for (subject, _, _), late in victims.items():
        first = max(late, key=lambda v: v.strength)
        yield first._replace(subject=subject, why=f"made {first.subject} late: {first.why}" + _cleared([v for v in late if v is not first]))


def _waited(origin: str, f: Finding) -> str:
    return "waited itself" if origin == f.subject else f"made late by {origin}, which waited itself"


def _cleared(victims: list[Finding]) -> str:
    names = [v.subject for v in victims]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"; cleared: {', '.join(names[:NAMED])}{more} (they wait for it)" if names else ""


def _origin(s: int, via: int, waits: list[int], tick: Tick, standing: Standing, excess: Floats) -> tuple[int, str]:
    """Return who is behind the lateness of subject `s`, and where the last one waited without anybody standing out."""
    seen = {s}
    while True:
        if _computes_long(s, standing, excess):
            return s, ""
        held = [(float(excess[w, s]), w) for w in waits if w != via and _held(s, w, waits, standing, excess)]
        if not held:
            return s, ""
        via = min(held)[1]
        members = _members(s, via, tick)
        late = max(members, key=lambda q: (float(excess[via, q]), -q))
        if late in seen or not _stands_out(float(excess[via, late]), float(excess[via, s])):
            return s, tick.metrics[via]
        seen.add(late)
        s = late


def _stands_out(late: float, waited: float) -> bool:
    """Say whether who is `late` in usual spreads waits so little beside who has `waited` there that it is the cause.

    Examples
    --------
    >>> _stands_out(0.2, -3.0), _stands_out(-1.5, -3.6), _stands_out(0.2, -1.4), _stands_out(-0.6, -1.7)
    (True, False, True, False)
    """
    return (late - waited >= LONG and late >= -LONG / 2) or (late - waited >= SOME and late >= waited / 4)


def _held(s: int, w: int, waits: list[int], standing: Standing, excess: Floats) -> bool:
    """Say whether subject `s` waits so long in metric `w` that it owes most of its own lateness to somebody there.

    Both are means of the same ticks, which only begin to show what began a few ticks ago: then their shares tell before either is large.
    """
    late = max(float(excess[m, s] * standing.scale[m, s]) for m in waits)
    waited = -float(excess[w, s] * standing.scale[w, s])
    return bool(excess[w, s] < -LONG or (excess[w, s] < -SOME and late > 0 and waited > MOST * late))


def _computes_long(s: int, standing: Standing, excess: Floats) -> bool:
    return any(m is not None and not m.waits and m.side == "service" and m.unit == "s" and excess[i, s] > LONG for i, m in enumerate(standing.metrics))


def _members(s: int, m: int, tick: Tick) -> list[int]:
    """Return who shares the communicator of metric `m` with subject `s`: by a roster key of the label's value, else the job."""
    keys = [label for label in LABELS.findall(tick.metrics[m]) if tick.roster.key(tick.subjects[s], label)] or ["job"]
    mine = [tick.roster.key(tick.subjects[s], key) for key in keys]
    return [q for q, name in enumerate(tick.subjects) if np.isfinite(tick.values[m, q]) and [tick.roster.key(name, k) for k in keys] == mine] or [s]
