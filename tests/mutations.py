"""Mutations of good input, for fuzzing parsers: bytes are changed, cut out, doubled, torn off, or replaced by what parsers trip over."""

from __future__ import annotations

from hypothesis import strategies as st

#: Pieces that have broken parsers before.
NASTY = (
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"N/A", b"nan", b"-inf", b"1e999", b"9" * 400, b"-1", b"0x7f", b"{", b"}" * 50, b"[" * 200, b'"', b"\\u0000",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"<" * 80, b"</", b"\r", b"\n\n", b"\x1b[2J", b"../../x", b"\xf0\x9f\x92\xa9", b"\t", b",", b"|", b"#", b":",
)  # fmt: skip
Edit = tuple[int, int, int, bytes]


def mutated(*good: bytes) -> st.SearchStrategy[bytes]:
    """Yield one of the good inputs after up to six edits."""
    edits = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**20), st.integers(0, 200), st.sampled_from(NASTY) | st.binary(max_size=8)), max_size=6)
    return st.tuples(st.sampled_from(good), edits).map(lambda pair: apply(*pair))


def apply(data: bytes, edits: list[Edit]) -> bytes:
    """Return data after some edits: replace, insert, cut out, treble, tear off, swap halves."""
    for kind, where, length, piece in edits:
        i = where % (len(data) + 1)
        if kind == 0:
            data = data[:i] + piece + data[i + length :]
        elif kind == 1:
            data = data[:i] + piece + data[i:]
        elif kind == 2:
            data = data[:i] + data[i + length :]
        elif kind == 3:
            data = data[:i] + data[i : i + length] * 3 + data[i + length :]
        elif kind == 4:
            data = data[:i]
        else:
            data = data[i:] + data[:i]
    return data
