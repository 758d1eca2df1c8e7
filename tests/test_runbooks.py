"""Every name that an incident may carry has a runbook, and every runbook is of such a name, says what its mode says and has all its parts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grayscope.modes import Modes

PAGES = Path(__file__).parents[1] / "docs/runbooks"
PARTS = ["What it means", "What the evidence shows", "How to confirm", "What to do", "When grayscope is wrong"]
KNOWN = Modes.load()


def test_modes_and_pages_are_in_step() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == set(KNOWN.modes)


@pytest.mark.parametrize("name", sorted(KNOWN.modes))
def test_a_page_has_every_part_and_says_what_its_mode_says(name: str) -> None:
    text, mode = (PAGES / f"{name}.md").read_text("utf-8"), KNOWN.modes[name]
    assert text.startswith(f"# {name}\n")
    pieces = re.split(r"^## (.+)$", text, flags=re.M)
    assert pieces[1::2] == PARTS
    part = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    assert f"**{mode.severity}**" in pieces[0]
    assert mode.runbook in pieces[0]
    assert mode.mechanism is None or f"`{mode.mechanism}`" in pieces[0]
    assert mode.refuted in part["When grayscope is wrong"]
    assert len(part["What it means"].split()) >= 8
    assert re.search(r"^1\. \S", part["What to do"], re.M)
    commands = [line for line in re.findall(r"^```sh\n(.*?)^```$", part["How to confirm"], re.M | re.S)[0].splitlines() if not line.startswith("#")]
    assert commands


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_to_pages(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        assert (PAGES / target).is_file(), target


def test_the_list_names_every_page_with_what_to_do_first() -> None:
    text = (PAGES / "README.md").read_text("utf-8")
    for mode in KNOWN.modes.values():
        assert f"| [{mode.name}]({mode.name}.md) | {mode.severity} | {mode.runbook} |" in text
