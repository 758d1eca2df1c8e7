"""Pathshared: what explains the paths that stand out: the components that they cross, and blocks of which no place tells."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from grayscope import unnamed
from grayscope.crowd import CROWD
from grayscope.evidence import Finding
from grayscope.heldblocks import MOST, hold
from grayscope.history import History
from grayscope.pathaway import PATHS
from grayscope.pathsolve import Suspect, solve
from grayscope.pathways import Look

#: Rivals that are told of one suspect.
RIVALS = 8
#: The detector whose crowds may have been so for ever.
STANDING = "slower"


def solved(findings: list[Finding], look: Look, history: History) -> Iterator[Finding]:
    """Find the components that explain the paths of each metric, and move the paths to them; `history` decides where the paths cannot."""
    known, votes, row = look.known, look.votes, {name: m for m, name in enumerate(look.tick.metrics)}
    bad = {m: [f for f in findings if f.metric == m and f.subject in votes] for m in sorted({f.metric for f in findings})}
    prior = {c: history.weight(c) * (10.0 if c in look.told else 1.0) for alike in known.incidence.classes for c in alike}
    suspects = {m: solve(known.incidence, look.excess[row[m]].astype(np.float64), prior) if m in row and len(some) >= PATHS else [] for m, some in bad.items()}
    for f in findings:
        mine = [s for s in suspects[f.metric] if known.column.get(f.subject) in s.paths] if f.subject in votes else []
        best = max(mine, key=lambda s: s.effect, default=None)
        if best is None or (best.names[0][0] in known.blocks and _usual(f, len(best.paths), look)):
            yield f
            continue
        yield _towards(f, best)


def seek(findings: list[Finding], look: Look, held: dict[str, dict[str, int]]) -> None:
    """Look for blocks around the paths that stand out for themselves: what has nearly the same paths stands for each, else one of its paths."""
    subjects, known, row = look.tick.subjects, look.known, {name: m for m, name in enumerate(look.tick.metrics)}
    alone = sorted((f for f in findings if f.subject in look.votes and f.subject in known.column and f.metric in row), key=lambda f: (-f.strength, f.subject))
    for m in sorted({row[f.metric] for f in alone}):
        mine = [f for f in alone if row[f.metric] == m]
        for some in unnamed.found(look.excess[m], known.paths, [known.column[f.subject] for f in mine]):
            who = {subjects[p] for p in some}
            if not all(_usual(f, len(some), look) for f in mine if f.subject in who):
                hold(held, [subjects[p] for p in some], look.votes, look.now, known.incidence.alike(some, MOST))


def _usual(f: Finding, paths: int, look: Look) -> bool:
    """Say whether a path is only worse than its peers, and so many with it that they may be of another kind and always have been."""
    return f.detector == STANDING and paths >= CROWD * len(look.tick.subjects)


def _towards(f: Finding, suspect: Suspect) -> Finding:
    """Move a path's finding to what explains it, with all that the data cannot tell from it."""
    (name, chance), rest = suspect.names[0], suspect.names[1:]
    doubt = f" (or {', '.join(f'{n} {p:.0%}' for n, p in rest[:3])}: the paths cannot tell them apart, {name} {chance:.0%})" if rest else ""
    why = f"explains {suspect.explained:.0%} of the excess on {len(suspect.paths)} paths{doubt}, one is {f.subject}: {f.why}"
    return f._replace(subject=name, why=why, rivals=json.dumps(rest[:RIVALS]) if rest else "")
