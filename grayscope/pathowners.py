"""Pathowners: what is accused itself, or lately told something about itself, takes the paths that cross it with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from grayscope.evidence import Finding, distance
from grayscope.pathways import Look
from grayscope.tick import Tick

#: Times the effect of an end beyond which a path has a trouble of its own.
FAR = 4.0


def owned(findings: list[Finding], look: Look, told: Mapping[str, int], paths: Set[str]) -> Iterator[Finding]:
    """Move those of the `paths` that have an owner to that, unless the path is far worse than what is accused by its paths explains.

    What is known of a component itself goes before what its paths say of another: a port at a quarter of its rate is no matter of the switch between.
    """
    column, incidence, ends = look.known.column, look.known.incidence, look.ends
    for f in findings:
        crossed = incidence.crossed[column[f.subject]] if f.subject in paths and f.subject in column else ()
        size, owner = max(((ends[c][1], c) for c in crossed if c in ends), default=(0.0, ""))
        owner = owner if distance(f) <= FAR * size else ""
        if owner not in told:
            owner = max(((told[c], c) for c in crossed if c in told), default=(0, owner or _teller(crossed, look.tick, told)))[1]
        yield f._replace(subject=owner, why=f"one of its paths is {f.subject}: {f.why}") if owner else f


def _teller(crossed: tuple[str, ...], tick: Tick, told: Mapping[str, int]) -> str:
    """Return what on a way told something about itself last, else a part beside one on the way (it may carry the other's load); ``""`` if none."""
    kinds = {(tick.roster.key(c, "node"), row.table) for c in crossed if "/" in c and (row := tick.roster.rows.get(c)) is not None}
    beside = {c for c in told if (row := tick.roster.rows.get(c)) is not None and (tick.roster.key(c, "node"), row.table) in kinds}
    for some in (told.keys() & set(crossed), beside):
        if some:
            return max((told[c], c) for c in some)[1]
    return ""
