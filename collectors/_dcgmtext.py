"""Dcgmtext: what ``dcgmi dmon``, ``dcgmi health --check`` and ``dcgmi diag`` print, as plain records, line by line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from grayscope.errors import InputError, shorten

from ._dcgmdiag import TITLES, diagnosed
from ._dcgmdiagtext import DiagTable
from ._dcgmnames import HEADINGS

ENTITY = re.compile(r"(GPU|GPU-I|GPU-CI|Switch|NvSwitch|Link|CPU|CPU Core|Core|ConnectX) ([0-9]{1,6})", re.IGNORECASE)
NUMBER = re.compile(r"[-+]?[0-9]{1,24}(?:\.[0-9]{1,12})?(?:[eE][-+]?[0-9]{1,3})?")
#: Characters of a line that are looked at; columns of a table; texts of one report.
LONGEST, COLUMNS, TEXTS = 16_384, 512, 4096
STATES = {"healthy": "healthy", "warning": "warning", "failure": "unhealthy"}


@dataclass(slots=True)
class Row:
    """One row of dmon: kind and number of the entity, values by field name."""

    kind: str
    number: int
    values: dict[str, float]


@dataclass(slots=True)
class Report:
    """One health report: the overall state, and per (kind, number) its state and what is said about it; `check` is who says it."""

    overall: str = ""
    entities: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    check: str = "health"


class Text:
    """Reads text of dcgmi; `rejected` counts lines that are none of its tables."""

    def __init__(self, rejected: dict[str, int], unknown: dict[str, int]) -> None:
        self.rejected, self.unknown = rejected, unknown
        self._headings: list[str] = []
        self._report: Report | None = None
        self._diag: DiagTable | None = None
        self._kind, self._entity, self._state, self._said = "", -1, "", list[str]()

    def read(self, data: bytes) -> Iterator[Row | Report]:
        """Yield rows and reports in their order."""
        text = data.decode("utf-8", "replace")
        if text.lstrip()[:1] == "{":
            yield report_of(text)
            return
        for raw in text.split("\n"):
            line = raw[:LONGEST].strip()
            if line.startswith("|"):
                self._table(line)
                continue
            yield from self._finish() if line and not line.startswith("+") else ()
            if line.startswith("#"):
                self._head(line)
            elif line and not line.startswith(("+", "ID", "Id", "Successfully ran diagnostic")):
                row = self._row(line)
                if row is not None:
                    yield row
        yield from self._finish()

    # -- dmon -----------------------------------------------------------------------------------------------------------

    def _head(self, line: str) -> None:
        words = line.lstrip("# ").split()
        if words[:1] == ["Entity"]:
            self._headings = words[1 : COLUMNS + 1]
            for name in self._headings:
                if name not in HEADINGS and (name in self.unknown or len(self.unknown) < 1000):
                    self.unknown[name[:64]] = self.unknown.get(name[:64], 0) + 1

    def _row(self, line: str) -> Row | None:
        entity = ENTITY.match(line)
        if entity is None or not self._headings:
            self._reject("line")
            return None
        words = line[entity.end() :].split()
        if len(words) != len(self._headings):
            self._reject("columns")
            return None
        pairs = [(HEADINGS[name], word) for name, word in zip(self._headings, words, strict=True) if name in HEADINGS and word != "N/A"]
        odd = sum(NUMBER.fullmatch(word) is None for _, word in pairs)
        if odd:
            self._reject("not_a_number", odd)
        return Row(entity[1].upper(), int(entity[2]), {name: float(word) for name, word in pairs if NUMBER.fullmatch(word)})

    # -- health ---------------------------------------------------------------------------------------------------------

    def _table(self, line: str) -> None:
        """Take one line of a report: a tree in the left column, states and sentences in the right one."""
        first, _, cell = line.strip("|").partition("|")
        left, right = first.strip(), cell.strip()
        if (left, right) == ("Diagnostic", "Result"):
            self._diag = DiagTable()
            return
        if self._diag is not None:
            self._diag.row(left, cell)
            return
        if "Health Monitor Report" in left:
            self._report = Report()
        if self._report is None:
            self._reject("line")
        elif left.startswith("Overall Health"):
            self._report.overall = (right or left.partition(":")[2].strip()).lower()
        elif left.startswith("-> ") and left[3:].strip().isdigit() and len(left) < 12:
            self._close()
            self._entity, self._state = int(left[3:]), right.lower()
        elif left and not left.startswith("->") and not right:
            self._close()
            self._kind = left.upper()[:32]
        elif right and self._entity >= 0 and len(self._said) < TEXTS:
            name = left.removeprefix("->").strip()
            self._said.append(f"{name}: {right}" if name and right.lower() in STATES else right)

    def _close(self) -> None:
        """Put the entity that was open into the report."""
        if self._report is not None and self._entity >= 0 and len(self._report.entities) < TEXTS:
            self._report.entities[self._kind, self._entity] = (self._state, shorten(" ".join(self._said), 400))
        self._entity, self._state, self._said = -1, "", []

    def _finish(self) -> Iterator[Report]:
        self._close()
        if self._report is not None:
            yield self._report
        if self._diag is not None:
            yield Report("", self._diag.entities(), "diag")
        self._report, self._diag, self._kind = None, None, ""

    def _reject(self, reason: str, n: int = 1) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + n


def report_of(text: str) -> Report:
    """Return the report of ``dcgmi health --check --json``, or of ``dcgmi diag --json``.

    Raises
    ------
    InputError
        No such report.

    Examples
    --------
    >>> report_of('{"header": ["Health Monitor Report"], "body": {"Overall Health": {"value": "Healthy"}}}').overall
    'healthy'
    """
    try:
        found, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError) as error:
        raise InputError.at("dcgmi", "JSON", "a health report", shorten(error, 60)) from error
    if isinstance(found, dict) and any(title in found for title in TITLES):
        return Report("", diagnosed(found), "diag")
    body = found.get("body") if isinstance(found, dict) else None
    overall = body.get("Overall Health") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(overall, dict):
        raise InputError.at("dcgmi", "JSON", "a health report with body and Overall Health", shorten(found, 60))
    report = Report(str(overall.get("value", ""))[:32].lower())
    for kind, group in body.items():
        for number, entity in _children(group):
            if number.isdigit() and len(number) < 7 and len(report.entities) < TEXTS:
                said = shorten(" ".join(_texts(entity.get("children"), 0)), 400)
                report.entities[kind.upper()[:32], int(number)] = (str(entity.get("value", ""))[:32].lower(), said)
    return report


def _children(node: Any) -> list[tuple[str, dict[str, Any]]]:
    inner = node.get("children") if isinstance(node, dict) else None
    return [(k, v) for k, v in inner.items() if isinstance(v, dict)] if isinstance(inner, dict) else []


def _texts(node: Any, depth: int) -> Iterator[str]:
    """Yield what stands in a tree, names before their texts."""
    if depth > 8:
        return
    if isinstance(node, str):
        yield node[:LONGEST]
    elif isinstance(node, dict):
        for key, inner in list(node.items())[:TEXTS]:
            if key not in ("value", "overflow", "children", "Errors"):
                yield f"{key}:"
            yield from _texts(inner, depth + 1)
    elif isinstance(node, list):
        for inner in node[:TEXTS]:
            yield from _texts(inner, depth + 1)
