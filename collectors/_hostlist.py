"""Hostlist: Slurm's short form of many names, ``n[001-003,007]``, expanded within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grayscope.errors import InputError

#: Names that one list may stand for, and characters of one list.
MOST, LONGEST = 200_000, 1 << 20
RANGE = re.compile(r"([0-9]{1,12})(?:-([0-9]{1,12}))?")


def expand(text: str, where: str = "host list") -> list[str]:
    """Return the names that a list stands for, in its order.

    Raises
    ------
    InputError
        Brackets that do not match, ranges that run backwards, or more than 200,000 names.

    Examples
    --------
    >>> expand("n[001-003,007],login1"), expand("r[1-2]n[1-2]")
    (['n001', 'n002', 'n003', 'n007', 'login1'], ['r1n1', 'r1n2', 'r2n1', 'r2n2'])
    """
    if len(text) > LONGEST:
        raise InputError.at(where, "length", f"at most {LONGEST} characters", len(text))
    names: list[str] = []
    for part in _split(text, where):
        names += _names(part, where, MOST - len(names))
    return names


def _split(text: str, where: str) -> Iterator[str]:
    """Yield the parts between commas that are not inside brackets."""
    depth, start = 0, 0
    for i, c in enumerate(text):
        depth += (c == "[") - (c == "]")
        if depth not in (0, 1):
            raise InputError.at(where, "brackets", "pairs that are not nested", text)
        if c == "," and not depth:
            yield text[start:i].strip()
            start = i + 1
    if depth:
        raise InputError.at(where, "brackets", "a closing one", text)
    yield text[start:].strip()


def _names(part: str, where: str, most: int) -> list[str]:
    names = [""] if part else []
    for piece in re.split(r"(\[[^\]]*\])", part):
        choices = _choices(piece[1:-1], where) if piece.startswith("[") else [piece]
        if len(names) * len(choices) > most:
            raise InputError.at(where, "names", f"at most {MOST}", part)
        names = [name + choice for name in names for choice in choices]
    return names


def _choices(inner: str, where: str) -> list[str]:
    found: list[str] = []
    for text in inner.split(","):
        match = RANGE.fullmatch(text.strip())
        if match is None:
            raise InputError.at(where, "range", "numbers such as 001-016", text)
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 <= last - first < MOST:
            raise InputError.at(where, "range", f"at most {MOST} numbers, ascending", text)
        found += [f"{n:0{len(match[1])}d}" for n in range(first, last + 1)]
    return found
