"""Heldblocks: blocks of paths that no place explains, as they are remembered and told: by what has nearly the same paths, else by one of their paths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from grayscope import blocks
from grayscope.evidence import Finding
from grayscope.matrix import ends_of
from grayscope.tick import Tick

#: Ticks for which a path's vote counts, an accused end keeps its paths, and a block those that were in it.
VALID = 64
#: Share of a crowd of paths that must have one thing in common to be told as that.
MOST = 0.75
#: Rivals that are told of a path that stands for a block.
CANDIDATES = 31


def hold(held: dict[str, dict[str, int]], some: list[str], votes: Mapping[str, int], now: int, name: str) -> None:
    """Remember a block: by its name, as one that is known if half of its paths or of those the other way are in that, or by the path that voted first."""
    either = {*some, *map(blocks.reverse, some)}
    known = name or next((first for first, old in held.items() if first in old and 2 * len(either.intersection(old)) >= len(some)), "")
    first = known or next((path for path in votes if path in some), min(some))
    held[first] = held.get(first, {}) | dict.fromkeys(some, now)


def fresh(held: Mapping[str, Mapping[str, int]], now: int) -> dict[str, dict[str, int]]:
    """Return the blocks without the paths that have not been in them for long."""
    lately = {first: {path: at for path, at in some.items() if now - at <= VALID} for first, some in held.items()}
    return {first: some for first, some in lately.items() if some}


class Standing(NamedTuple):
    """What stands for a block, with the beginning of its words and its rivals: worked out once, for thousands of paths may be in one."""

    subject: str
    words: str
    rivals: str

    def of(self, f: Finding) -> Finding:
        """Move a path's finding to what stands for its block."""
        return f._replace(subject=self.subject, why=f"{self.words}, one is {f.subject}: {f.why}", rivals=self.rivals or f.rivals)


def standing(first: str, some: list[str], tick: Tick) -> Standing:
    """Return what stands for a block: what has these paths, else one of them, with the others."""
    if first not in some:
        return Standing(first, f"{len(some)} of its paths alike", "")
    pairs = [pair for path in some if (pair := ends_of(path, tick))]
    source, target = ends_of(first, tick) or ("", "")
    into, out = {b for a, b in pairs if a == source}, {a for a, b in pairs if b == target}
    forth = [(a, b) for a, b in pairs if (a in out and b in into) or out & into]  # all of one set of ends among themselves are no two ways
    words = f"{blocks.told(forth or pairs)}{', and the other way' if len(forth) < MOST * len(pairs) else ''}"
    rest = [path for path in some if path != first][:CANDIDATES]
    chance = round(1 / (len(rest) + 1), 4)
    text = f"{len(some)} paths alike, {words}: no place that is known of them tells what they share"
    return Standing(first, text, json.dumps([[path, chance] for path in rest]))
