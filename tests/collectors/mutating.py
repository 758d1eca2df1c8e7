"""Broken input for parsers: good examples with bytes changed, cut, doubled and moved."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

PIECES = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"{",
    b"}",
    b"[" * 3000,
    b'"',
    b",",
    b"\n",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"9" * 400,
    b"\\u0000",
    b"../..",
    b":",
)

#: 2,000 inputs, whatever the machine's speed; the same ones each time.
MANY = settings(max_examples=2000, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def mutated(*examples: bytes) -> st.SearchStrategy[bytes]:
    """Yield one of the examples with up to six edits."""
    lengths = st.sampled_from((0, 0, 1, 1, 3, 20, 1 << 20))
    edits = st.lists(st.tuples(st.integers(0, 1 << 20), lengths, st.sampled_from((*PIECES, None)) | st.binary(max_size=3)), max_size=6)
    return st.tuples(st.sampled_from(examples), edits).map(_edited)


def _edited(drawn: tuple[bytes, list[tuple[int, int, bytes | None]]]) -> bytes:
    data, edits = drawn
    for at, length, new in edits:
        at %= len(data) + 1
        data = data[:at] + (data[at : at + length] * 2 if new is None else new) + data[at + length :]
    return data
