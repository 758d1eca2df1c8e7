"""Blocks: all paths from the ends of one place to those of another, where nothing that they are known to cross has just these paths.

Two switches may be joined by a trunk that no roster names: then neither of them is bad, none of their ends is, and each single path
is only one of many. Such a block is called as a path between the two places is: ``leaf00>leaf01``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from grayscope.roster import View

Pairs = Mapping[int, tuple[str, str]]
#: Roster keys that say where an end is; of two that put the same ends together the first names them.
KEYS = ("leaf", "node", "rack", "block", "zone", "cell", "region")
#: Paths that a block has at least, and ends on either side; paths that an end needs to show what all of them cross.
PATHS, ENDS, KNOWN = 4, 2, 3


def blocks(crossed: Sequence[Sequence[str]], pairs: Pairs, view: View, directed: bool = True) -> dict[str, tuple[int, ...]]:
    """Return the paths of every block, by its name.

    Parameters
    ----------
    crossed : sequence of sequence of str
        What each path crosses.
    pairs : mapping of int to (source, target)
        Ends of those that are paths, by their position.
    view : View
        Tells the places of the ends; of ends without any, what all of their paths cross is one.
    directed : bool
        Whether pairs are measured both ways; else both ways are one block.

    Examples
    --------
    >>> ends = [(a, b) for a in "abcd" for b in "abcd" if a != b]
    >>> over = [(a, "left" if a < "c" else "right", "left" if b < "c" else "right", b) for a, b in ends]
    >>> {name: len(paths) for name, paths in blocks(over, dict(enumerate(ends)), View(0, {})).items()}
    {'left>right': 4, 'right>left': 4}
    """
    taken = {frozenset(paths) for paths in _through(crossed, pairs).values()}
    found: dict[str, tuple[int, ...]] = {}
    for homes in (*({end: _place(view, end, key) for end in _ends(pairs)} for key in KEYS), _homes(crossed, pairs, view)):
        grouped: dict[str, list[int]] = {}
        for i, (a, b) in pairs.items():
            p, q = homes.get(a, ""), homes.get(b, "")
            if p and q and p != a and q != b:
                grouped.setdefault(f"{p}>{q}" if directed or p <= q else f"{q}>{p}", []).append(i)
        for name in sorted(grouped):
            if frozenset(grouped[name]) not in taken and name not in found and _large(grouped[name], pairs):
                taken.add(frozenset(grouped[name]))
                found[name] = tuple(grouped[name])
    return found


def reverse(name: str) -> str:
    """Return the same block the other way, ``""`` for what is no block or path.

    Examples
    --------
    >>> reverse("leaf0>leaf1"), reverse("leaf0")
    ('leaf1>leaf0', '')
    """
    source, way, target = name.partition(">")
    return f"{target}>{source}" if way else ""


def place(name: str) -> str:
    """Return the subject of a block: inside one place it is the place.

    Examples
    --------
    >>> place("leaf0>leaf1"), place("leaf0>leaf0"), place("leaf0")
    ('leaf0>leaf1', 'leaf0', 'leaf0')
    """
    source, _, target = name.partition(">")
    return source if source == target else name


def told(ends: Sequence[tuple[str, str]], shown: int = 6) -> str:
    """Return the ends of the paths of a block in words.

    Examples
    --------
    >>> told([("a", "c"), ("b", "c"), ("a", "d")])
    'what 2 ends (a, b) send to 2 ends (c, d)'
    """
    both = [sorted({pair[side] for pair in ends}) for side in (0, 1)]
    words = [f"{len(names)} ends ({', '.join(names[:shown])}{', …' if len(names) > shown else ''})" for names in both]
    return f"what {words[0]} send to {words[1]}"


def _large(paths: Sequence[int], pairs: Pairs) -> bool:
    wide = all(len({pairs[i][side] for i in paths}) >= ENDS for side in (0, 1))
    return wide and PATHS <= len(paths) < len(pairs)


def _place(view: View, end: str, key: str) -> str:
    return view.key(end, key) or view.key(view.key(end, "node"), key)


def _ends(pairs: Pairs) -> Iterator[str]:
    return iter(sorted({end for pair in pairs.values() for end in pair}))


def _through(crossed: Sequence[Sequence[str]], pairs: Pairs) -> dict[str, set[int]]:
    through: dict[str, set[int]] = {}
    for i in pairs:
        for name in crossed[i]:
            through.setdefault(name, set()).add(i)
    return through


def _homes(crossed: Sequence[Sequence[str]], pairs: Pairs, view: View) -> dict[str, str]:
    """Return where ends are that the roster gives no place: at what all of their paths cross, if nobody's traffic only passes through that."""
    of: dict[str, list[int]] = {}
    for i, pair in pairs.items():
        for end in pair:
            of.setdefault(end, []).append(i)
    unplaced = [end for end, paths in of.items() if len(paths) >= KNOWN and not any(_place(view, end, key) for key in KEYS if key != "node")]
    always = {end: set.intersection(*(set(crossed[i]) for i in of[end])).difference(of) for end in unplaced}
    through = _through(crossed, pairs)
    ends: dict[str, set[str]] = {}
    for end, names in always.items():
        for c in names:
            ends.setdefault(c, set()).add(end)
    home = {c for c, some in ends.items() if len(some) >= ENDS and all(some.intersection(pairs[i]) for i in through[c])}
    return {end: min(names & home) for end, names in always.items() if names & home}
