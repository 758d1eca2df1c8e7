"""Showing: what a person reads at a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from grayscope.incident import Incident
from grayscope.showing import incident_lines, progress


def incident(name: str, severity: str, noticed: int, summary: str = "s", ended: int | None = None) -> Incident:
    return Incident(name, name, name, "gray", severity, "", 0, noticed, ended=ended, summary=summary)


def test_the_gravest_and_then_the_oldest_come_first() -> None:
    lines = list(incident_lines([incident("a", "notice", 1), incident("b", "page", 9, "b!"), incident("c", "ticket", 2), incident("d", "page", 3, "d!")]))
    assert [line.split()[0] for line in lines] == ["page", "page", "ticket", "notice"]
    assert "d!" in lines[0]
    assert "[mode unknown, open]" in lines[0]


def test_an_end_is_shown_and_foreign_text_is_harmless() -> None:
    (line,) = incident_lines([incident("a", "page", 0, "x\n\x1b[2J" + "y" * 1000, ended=5_000_000)])
    assert "ended 1970-01-01T00:00:05Z" in line
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) < 600


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_progress_is_for_terminals_and_cleans_up(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr("grayscope.showing.time.monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("replaying") as tell:
        tell(5_000_000, 1_234_567)
    text = stream.getvalue()
    if stream.isatty():
        assert "replaying: 1970-01-01T00:00:05Z, 1,234,567 rows" in text
        assert text.endswith("\r\x1b[K")
    else:
        assert text == ""
