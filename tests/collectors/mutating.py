"""Broken input for parsers: good examples with bytes changed, cut, doubled and moved."""

from __future__ import annotations

from typing import Any

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


@st.composite
def mutated(draw: Any, *examples: bytes) -> bytes:
    """Draw one of the examples with up to six edits."""
    data = draw(st.sampled_from(examples))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from((0, 0, 1, 1, 3, 20, 1 << 20))))
        new = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3), st.just(data[at:end] * 2)))
        data = data[:at] + new + data[end:]
    return bytes(data)
