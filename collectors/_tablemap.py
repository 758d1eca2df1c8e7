"""Tablemap: the map that says how the columns of somebody's table become a trace, as records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grayscope.errors import InputError

#: Microseconds per unit of a numeric time.
TIME_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}


@dataclass(frozen=True, slots=True)
class Template:
    """Text with columns in braces.

    Examples
    --------
    >>> Template.parse("{rack}-{node}/gpu{device}", "example").columns
    ('rack', 'node', 'device')
    """

    text: str
    columns: tuple[str, ...]
    literals: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, where: str) -> Template:
        """Split `text`; a brace without its partner is an error."""
        parts = re.split(r"\{([^{}]*)\}", text)
        if any("{" in p or "}" in p for p in parts[::2]):
            raise InputError.at(where, "template", "text with columns in braces, such as {host}/{disk}", text)
        return cls(text, tuple(parts[1::2]), tuple(parts[::2]))

    def fill(self, values: Mapping[str, str | None]) -> str | None:
        """Return the text with `values` put in, None where one of them is missing or empty."""
        found = [values.get(c) for c in self.columns]
        if not all(found):
            return None
        return "".join(a + (b or "") for a, b in zip(self.literals, [*found, ""], strict=True))


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one column; equality is the test ``in`` with one value."""

    column: str
    test: str
    value: Any


@dataclass(frozen=True, slots=True)
class TimeMap:
    """Where time comes from: a column, an index column, or the running number of a subject's rows (neither column)."""

    column: str | None = None
    unit: str | None = None
    format: str | None = None
    index: str | None = None
    index_from: float = 0.0
    start: int = 0
    step: float = 1e6


@dataclass(frozen=True, slots=True)
class MetricMap:
    """One metric: canonical name, the column and the factor to our unit."""

    name: str
    column: str
    factor: float
    zero_is_missing: bool
    exact: bool  # a counter: keeps 64 bits


@dataclass(frozen=True, slots=True)
class Melt:
    """Many columns that become two: `name` (the column's) and `value`."""

    name: str
    value: str
    columns: tuple[str, ...] = ()
    prefix: str | None = None
    keep: tuple[str, ...] | None = None  # all columns but these


@dataclass(frozen=True, slots=True)
class Permute:
    """The names of `column` change places within each value of `within`."""

    within: str
    column: str
    seed: int


@dataclass(frozen=True, slots=True)
class TruthMap:
    """Rows of truth.parquet, from a labels file (`labels`) or from the data's own rows."""

    subject: Template
    mode: Template
    state: str
    note: Template | None
    per: Template | None
    also: tuple[Template, ...]
    labels: str | None
    began: str | None
    ended: str | None
    where: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class InputMap:
    """How the file is read."""

    format: str | None = None
    separator: str | None = None
    encoding: str = "utf-8"
    null_values: tuple[str, ...] = ("",)
    rename: Mapping[str, str] = field(default_factory=dict)
    split: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableMap:
    """A whole map; `description` is what goes to trace.json as ``metrics``."""

    where: str
    table: str
    cluster: str | None
    note: str
    period_s: float | None
    counters: str
    input: InputMap
    time: TimeMap
    subject: Template
    keys: Mapping[str, Template]
    crosses: tuple[Template, ...]
    permute: Permute | None
    conditions: tuple[Condition, ...]
    melt: Melt | None
    metrics: tuple[MetricMap, ...]
    truth: TruthMap | None
    description: Mapping[str, Mapping[str, Any]]
