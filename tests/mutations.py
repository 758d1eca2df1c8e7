"""Mutations of good input, for fuzzing parsers: bytes are changed, cut out, trebled, torn off, turned round, or replaced by what parsers trip over."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: Pieces that have broken parsers before.
NASTY = (
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xd9\xa3", b"\xf0\x9f\x92\xa9", b"\xef\xbf\xbd", b"N/A", b"null", b"true", b"nan", b"NaN", b"-inf", b"1e999",
    b"9" * 400, b"-1", b"0x", b"0x7f", b"{", b"}", b"}" * 50, b"[" * 200, b"[" * 3000, b"(", b")", b'"', b"\\u0000", b"a" * 5000,
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"<" * 80, b"</", b" ", b"\r", b"\n", b"\n\n", b"\x1b[2J", b"../../x", b"/../", b"\t", b",", b"|", b"#", b":",
)  # fmt: skip
#: How much an edit takes away or repeats; the last is all that follows.
LENGTHS = (0, 0, 1, 1, 2, 3, 9, 20, 200, 1 << 20)
#: The ways to edit, and the most bytes that one trebles: six in a row must stay small.
KINDS, TREBLED = 6, 1000
#: 2,000 inputs (500 where drawing them is slow), whatever the machine's speed; the same ones each time.
MANY = settings(max_examples=2000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
Edit = tuple[int, int, int, bytes]


def mutated(*good: bytes) -> st.SearchStrategy[bytes]:
    """Yield one of the good inputs after up to six edits, all said by one number: drawing each by itself took longer than what is tested."""
    return st.integers(0, 2**64 - 1).map(lambda number: broken(good, number))


def mutated_text(*good: str) -> st.SearchStrategy[str]:
    """Yield the same for parsers of text: what is no UTF-8 any more is shown by the sign for it."""
    return mutated(*(text.encode() for text in good)).map(lambda data: data.decode("utf-8", "replace"))


def broken(good: Sequence[bytes], number: int) -> bytes:
    """Return the input that a number stands for."""
    random = Random(number)
    data = random.choice(good)
    for _ in range(random.randrange(7)):
        piece = random.choice(NASTY) if random.random() < 0.7 else random.randbytes(random.randrange(9))
        data = apply(data, [(random.randrange(KINDS), random.randrange(1 << 20), random.choice(LENGTHS), piece)])
    return data


def apply(data: bytes, edits: list[Edit]) -> bytes:
    """Return data after some edits: replace, insert, cut out, treble, tear off, swap the parts."""
    for kind, where, length, piece in edits:
        i = where % (len(data) + 1)
        if kind == 0:
            data = data[:i] + piece + data[i + length :]
        elif kind == 1:
            data = data[:i] + piece + data[i:]
        elif kind == 2:
            data = data[:i] + data[i + length :]
        elif kind == 3:
            data = data[:i] + data[i : i + min(length, TREBLED)] * 2 + data[i:]
        elif kind == 4:
            data = data[:i]
        else:
            data = data[i:] + data[:i]
    return data
