"""A parser with a planted bug, deep enough that no single change of the example meets it."""

from __future__ import annotations

from tests.fuzz_parsers import Parser


def parsers() -> list[Parser]:
    """Return the parser with the bug, and one without."""
    return [Parser("planted", (b"a fine text",), planted), Parser("sound", (b"a fine text",), lambda data: None)]


def planted(data: bytes) -> None:
    """Fail on what begins with four certain letters."""
    if len(data) < 4 or data[0] != ord("G"):
        return
    if data[1] != ord("R"):
        return
    if data[2] != ord("A"):
        return
    if data[3] == ord("Y"):
        raise KeyError("planted")
