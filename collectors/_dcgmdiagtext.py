"""Dcgmdiagtext: the table that ``dcgmi diag`` prints for people, DCGM 3 and 4: the worst result of each GPU, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from grayscope.errors import shorten

from ._dcgmdiag import RESULTS, TEXTS, WORST, Entity

#: Sentences are broken after so many characters, within words too.
WIDTH = 45
#: Tests of a table, characters of one sentence.
MOST, LONGEST = 4096, 4096
RESULT = re.compile(r"(pass|warn|fail|skip)(?: - (?:all|gpus?: ?([0-9, ]{1,256})))?", re.IGNORECASE)
OF_ONE = re.compile(r"GPU ?([0-9]{1,4}): (pass|warn|fail|skip)", re.IGNORECASE)
NAMED = re.compile(r"GPU ?([0-9]{1,4})\b")
NOTES = ("Warning", "Error", "Info")


@dataclass(slots=True)
class _Test:
    name: str
    overall: str = ""
    of: dict[int, str] = field(default_factory=dict)
    notes: list[list[str]] = field(default_factory=list)  # what kind, text


class DiagTable:
    """Takes the rows of one table in their order.

    DCGM 4 gives a result for every GPU, DCGM 3 names them or says "All". Which GPUs those are is not printed: they are the ones that
    the sentences below the test name; whom nothing names is not accused. What a GPU is not named for is the machine's software.

    Examples
    --------
    >>> table = DiagTable()
    >>> for row in (("memory", " Fail"), ("", " GPU0: Pass"), ("", " GPU3: Fail"), ("Warning: GPU3", " DBE found")):
    ...     table.row(*row)
    >>> table.entities()
    {('GPU', 0): ('healthy', ''), ('GPU', 3): ('failure', 'memory: DBE found')}
    """

    def __init__(self) -> None:
        self.tests: list[_Test] = []
        self._open = ""  # the row that a row without a name goes on with

    def row(self, name: str, cell: str) -> None:
        """Take one row: its name, and its text as it stands between the bars."""
        text = cell.strip()
        if name.startswith("--"):
            self._open = ""
        elif name.startswith(NOTES):
            self._open = "note"
            if self.tests and len(self.tests[-1].notes) < TEXTS:
                self.tests[-1].notes.append([name, cell[1 : WIDTH + 1]])
        elif name and len(self.tests) < MOST:
            self._open = "test"
            self.tests.append(_Test(name))
            self._result(self.tests[-1], text)
        elif self.tests and self._open == "note" and self.tests[-1].notes:
            note = self.tests[-1].notes[-1]
            note[1] = (note[1].ljust(WIDTH) + cell[1 : WIDTH + 1])[:LONGEST] if len(note[1]) < LONGEST else note[1]
        elif self.tests and self._open == "test":
            self._result(self.tests[-1], text)

    def entities(self) -> dict[Entity, tuple[str, str]]:
        """Return (state, what is said about it) of every GPU that a result or a sentence names."""
        states: dict[int, str] = {}
        texts: dict[int, list[str]] = {}
        for test in self.tests:
            notes = [(kind, " ".join(text.split())) for kind, text in test.notes if not kind.startswith("Info")]
            about = {n: [text for kind, text in notes if _number(kind, text) in (n, None)] for n in self._of(test, notes)}
            for number, said in about.items():
                state = test.of.get(number, test.overall)
                states[number] = max(states.get(number, "healthy"), state, key=WORST.index)
                if state != "healthy" and len(texts.setdefault(number, [])) < TEXTS:
                    texts[number].append(f"{shorten(test.name, 64)}: {' '.join(said) or state}")
        return {("GPU", n): (states[n], shorten(" ".join(texts.get(n, ())), 400)) for n in sorted(states)}

    def _of(self, test: _Test, notes: list[tuple[str, str]]) -> list[int]:
        """Return the GPUs that a test says something about."""
        named = {n for kind, text in notes if (n := _number(kind, text)) is not None} if test.overall else set()
        return sorted({*test.of, *(n for n in named if not test.of)})

    @staticmethod
    def _result(test: _Test, text: str) -> None:
        if (one := OF_ONE.fullmatch(text)) is not None:
            numbers, word = [one[1]], one[2]
        elif (found := RESULT.fullmatch(text)) is not None:
            numbers, word = re.findall(r"[0-9]{1,4}", found[2] or ""), found[1]
            test.overall = RESULTS.get(word.lower(), "") if not numbers else test.overall
        else:
            return
        if state := RESULTS.get(word.lower()):
            test.of |= {int(n): state for n in numbers}


def _number(kind: str, text: str) -> int | None:
    """Return whom a sentence is about: the heading says it, else its beginning."""
    found = NAMED.search(kind) or NAMED.match(text)
    return int(found[1]) if found is not None else None
