"""Besides: what is wrong with a subject itself, and what of it is news: a second trouble does not change the state of who is in trouble already.

The desk must hear of it all the same. A machine that has lost a spare supply and then half of its bond has parts that are slow, and
only the second says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from grayscope.cascade import OWN, effects

if TYPE_CHECKING:
    from grayscope.tracks import Track


def own(tracks: Iterable[Track], level: float) -> dict[str, Track]:
    """Return what a subject's reserves or its own word say and others may suffer from: each mode with its strongest track, weakest first."""
    told = (t for t in tracks if t.finding.side in OWN and t.finding.strength >= level and effects(t.finding.mode))
    return {t.finding.mode: t for t in sorted(told, key=lambda t: t.finding.strength)}


def news(found: Mapping[str, Track], known: Iterable[str], mode: str, level: float) -> Track | None:
    """Return the strongest of what was not known when a subject was last spoken of and is no part of the trouble that it is called by."""
    part = {*known, mode, *effects(mode)}
    return max((t for m, t in found.items() if m not in part and t.finding.strength >= level), key=lambda t: t.finding.strength, default=None)
