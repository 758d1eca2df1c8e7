"""The page of example alerts is in step with the names and the words that it shows."""

from __future__ import annotations

import re
from pathlib import Path

from grayscope.explaining import NAMELESS
from grayscope.modes import Modes

PAGE = (Path(__file__).parents[1] / "docs/alerts.md").read_text("utf-8")
EXAMPLES = re.split(r"^### (.+)$", PAGE, flags=re.M)
TOLD = dict(zip(EXAMPLES[1::2], EXAMPLES[2::2], strict=True))


def test_every_name_has_an_example_or_a_reason_why_it_has_none() -> None:
    table = PAGE.partition("| name | instead |")[2].partition("###")[0]
    reasons = dict(re.findall(r"^\| (\w+) \| (.{20,}) \|$", table, flags=re.M))
    assert set(reasons) & set(TOLD) == set()
    assert set(reasons) | set(TOLD) - {"no name"} == set(Modes.load().modes)


def test_every_example_says_what_to_do_first_and_what_would_refute_it_as_its_name_does() -> None:
    for name, text in TOLD.items():
        if name != "no name":
            mode = Modes.load().modes[name]
            line = text.partition("```text")[2].strip().splitlines()[0]
            assert f"refuted if: {mode.refuted}" in text
            if "; began as " in line:  # it has recovered, and what goes on comes first
                assert f", which has recovered: {mode.runbook}" in text
                assert any(line.endswith(f": {step}") for step in (NAMELESS, *(m.runbook for m in Modes.load().modes.values())))
            else:
                assert f"do first: {mode.runbook}" in text
                assert f"; first: {mode.runbook}" in line
            assert f"runbooks/{name}.md" in text


def test_every_line_answers_every_question_or_says_why_not() -> None:
    rows = re.findall(r"^\| (\w+) \|((?: (?:yes|not counted|none in play|a rule) \|){8})$", PAGE, flags=re.M)
    assert {name for name, _ in rows} == set(TOLD) - {"no name"}
    assert all(cells.count("|") == 8 for _, cells in rows)
