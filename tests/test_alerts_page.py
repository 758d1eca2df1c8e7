"""The page of example alerts is in step with the names and the words that it shows."""

from __future__ import annotations

import re
from pathlib import Path

from grayscope.modes import Modes

PAGE = (Path(__file__).parents[1] / "docs/alerts.md").read_text("utf-8")
EXAMPLES = re.split(r"^### (.+)$", PAGE, flags=re.M)
TOLD = dict(zip(EXAMPLES[1::2], EXAMPLES[2::2], strict=True))


def test_there_are_examples_of_names_that_exist() -> None:
    assert len(TOLD) >= 10
    assert set(TOLD) - {"no name"} <= set(Modes.load().modes)


def test_every_example_says_what_to_do_first_and_what_would_refute_it_as_its_name_does() -> None:
    for name, text in TOLD.items():
        if name != "no name":
            mode = Modes.load().modes[name]
            assert f"do first: {mode.runbook}" in text
            assert f"refuted if: {mode.refuted}" in text
            assert f"runbooks/{name}.md" in text


def test_what_a_question_is_not_answered_by_is_shown() -> None:
    rows = re.findall(r"^\| (\w+) \|((?: (?:yes|\*\*no\*\*|not counted|none in play) \|)+)$", PAGE, flags=re.M)
    assert {name for name, _ in rows} == set(TOLD) - {"no name"}
    assert all(cells.count("|") == 8 for _, cells in rows)
