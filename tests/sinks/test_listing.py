"""Listing: a line for a person, or JSON for a program."""

from __future__ import annotations

import io
import json

import pytest

from grayscope.alert import Alert
from grayscope.sinks.listing import Listing

LABELS = {"alertname": "GrayFailure", "cluster": "c", "incident": "ab12", "severity": "page"}
FIRING = Alert(LABELS, {"summary": "n1 is gray\n\x1b[2J"}, 0)
RESOLVED = Alert(LABELS, {"summary": "n1 is gray"}, 0, 60_000_000)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_say_when_what_and_who_and_pass_no_control_signs_on() -> None:
    out = io.StringIO()
    sink = Listing(out)
    sink.send([FIRING, RESOLVED])
    sink.close()
    sink.close()
    first, second = out.getvalue().splitlines()
    assert first == r"1970-01-01T00:00:00Z  page    FIRING    ab12  n1 is gray\n\x1b[2J"
    assert second == "1970-01-01T00:01:00Z  page    resolved  ab12  n1 is gray"


def test_only_terminals_get_colours_and_only_what_fires() -> None:
    out = Terminal()
    Listing(out).send([FIRING, RESOLVED])
    first, second = out.getvalue().splitlines()
    assert first.startswith("\x1b[31m")
    assert first.endswith("\x1b[0m")
    assert "\x1b" not in second


def test_json_lines_hold_everything() -> None:
    out = Terminal()
    Listing(out, as_json=True).send([FIRING, RESOLVED])
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first == {"labels": LABELS, "annotations": dict(FIRING.annotations), "starts": "1970-01-01T00:00:00Z", "ends": None}
    assert second["ends"] == "1970-01-01T00:01:00Z"


def test_standard_output_by_default_and_nothing_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Listing().send([])
    assert capsys.readouterr().out == ""
    Listing().send([RESOLVED])
    assert "resolved" in capsys.readouterr().out
