"""Reportmap: the fleet as tiles in groups: each node with its GPUs by slot, and what is no node; each with its worst and its last state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from grayscope.roster import View
from grayscope.verdict import STATES

#: Tiles on one page; those in trouble come first, the rest is counted.
MOST_TILES = 2500
#: GPUs drawn of one node.
MOST_SLOTS = 72
NORMAL = "normal"
ELSEWHERE, SWITCHES = "not on a node", "switches"


@dataclass(slots=True)
class Mark:
    """The worst state of a place in the run, what it is now, and whose it was."""

    state: str = NORMAL
    now: str = NORMAL
    subject: str = ""

    def take(self, state: str, now: str, subject: str) -> None:
        """Hold the worse; of equals the one that still lasts, then the first."""
        if (STATES.index(state), STATES.index(now)) > (STATES.index(self.state), STATES.index(self.now)):
            self.state, self.now, self.subject = state, now, subject


@dataclass(slots=True)
class Tile:
    """A node or another thing of its own: its slots, and a mark for all else that is on it."""

    name: str
    group: str
    slots: dict[str, Mark] = field(default_factory=dict)
    rest: Mark = field(default_factory=Mark)

    @property
    def worst(self) -> int:
        """Return how bad it was at the worst, 0 for normal all along."""
        return max(STATES.index(m.state) for m in (self.rest, *self.slots.values()))


@dataclass(frozen=True, slots=True)
class Fleet:
    """Tiles by group, and how many had to be left out."""

    groups: Mapping[str, list[Tile]]
    left_out: int
    nodes: int
    gpus: int


def fleet(states: Iterable[tuple[str, str, str]], view: View | None, by: str = "rack") -> Fleet:
    """Return the map of a fleet.

    Parameters
    ----------
    states : iterable of (subject, worst state, last state)
        Whoever was ever not normal.
    view : View or None
        The roster; without one only those in trouble have a place.
    by : str
        Key of the roster that groups the nodes.

    Examples
    --------
    >>> found = fleet([("n1/gpu0/pcie", "masked", "normal"), ("job:1", "gray", "gray")], None)
    >>> found.groups["nodes"][0].slots, found.groups[ELSEWHERE][0].rest.state
    ({'n1/gpu0': Mark(state='masked', now='normal', subject='n1/gpu0/pcie')}, 'gray')
    """
    tiles = _known(view, by) if view is not None else {}
    for subject, state, now in states:
        home = _home(subject, view, tiles)
        tile = tiles.setdefault(home, Tile(home, "nodes" if "/" in subject and ":" not in home else ELSEWHERE))
        _slot(tile, subject, view).take(state, now, subject)
    kept = sorted(tiles.values(), key=lambda t: (-t.worst, _natural(t.name)))[:MOST_TILES]
    groups: dict[str, list[Tile]] = {}
    for tile in sorted(kept, key=lambda t: ((t.group == SWITCHES) + 2 * (t.group == ELSEWHERE), _natural(t.group), _natural(t.name))):
        groups.setdefault(tile.group, []).append(tile)
    on_nodes = [t for t in tiles.values() if t.group not in (ELSEWHERE, SWITCHES)]
    return Fleet(groups, len(tiles) - len(kept), len(on_nodes), sum(len(t.slots) for t in on_nodes))


def _known(view: View, by: str) -> dict[str, Tile]:
    """Return a tile for every node of the roster with its GPUs, and one for every switch."""
    tiles: dict[str, Tile] = {}
    for table in ("node", "gpu"):
        for subject in view.tables.get(table, ()):
            node = view.key(subject, "node")
            tile = tiles.setdefault(node, Tile(node, view.key(subject, by) or view.key(node, by) or "nodes"))
            if table == "gpu":
                tile.slots[subject] = Mark()
    for table in ("leaf", "spine"):
        tiles |= {subject: Tile(subject, SWITCHES) for subject in view.tables.get(table, ())}
    for tile in tiles.values():
        tile.slots = {name: tile.slots[name] for name in sorted(tile.slots, key=lambda s: _natural(view.key(s, "slot") or s))[:MOST_SLOTS]}
    return tiles


def _home(subject: str, view: View | None, tiles: Mapping[str, Tile]) -> str:
    """Return whose tile shows a subject: that of its node, else its own."""
    if view is not None and subject.startswith("job:") and (gpu := view.key(subject, "gpu")):
        subject = gpu
    root = subject.split("/", 1)[0]
    return root if root in tiles or (">" not in subject and ":" not in root) else subject


def _slot(tile: Tile, subject: str, view: View | None) -> Mark:
    """Return the mark of the GPU that a subject is, belongs to or works on; the tile's own mark for all else."""
    part = (view.key(subject, "gpu") if view is not None else "") or subject
    name = "/".join(part.split("/")[:2])
    if name in tile.slots:
        return tile.slots[name]
    if name.startswith(f"{tile.name}/gpu") and len(tile.slots) < MOST_SLOTS:
        return tile.slots.setdefault(name, Mark())
    return tile.rest


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts n2 before n10."""
    return tuple((int(piece), "") if piece.isdecimal() and len(piece) < 10 else (-1, piece) for piece in re.split(r"(\d+)", name))
