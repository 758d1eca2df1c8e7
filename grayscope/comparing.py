"""Comparing: what two runs said otherwise: incidents that only one of them has, and what changed of those that both have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from grayscope.errors import shorten
from grayscope.incident import SEVERITIES, Incident
from grayscope.markup import esc, table
from grayscope.pairing import pairs
from grayscope.wording import utc

if TYPE_CHECKING:
    import polars as pl

#: Lines of a text for each kind; rows of a table in a notebook.
LINES, ROWS = 6, 30


class Compared(Protocol):
    """A run, as far as comparing looks at it."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def incidents(self) -> pl.DataFrame: ...  # noqa: D102

    @property
    def found(self) -> list[Incident]: ...  # noqa: D102

    @property
    def about(self) -> Mapping[str, Any]: ...  # noqa: D102


class Comparison:
    """Two runs side by side; a notebook shows it by itself.

    Incidents are paired by `grayscope.pairing.pairs`: by id, else by what they are about and when.

    Parameters
    ----------
    this, other : Run

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> run = SimpleNamespace(name="c1", found=[Incident("ab", "n1", "n1", "gray", "page", "", 0, 0)], about={"settings": {"lateness": 30.0}})
    >>> [(a.id, b.id) for a, b in Comparison(run, run).pairs]
    [('ab', 'ab')]
    >>> Comparison(run, run).both.select("subject_this", "later_s", "changed").rows()
    [('n1', 0.0, [])]
    >>> Comparison(run, run).settings.height
    0
    """

    def __init__(self, this: Compared, other: Compared) -> None:
        self.this, self.other = this, other

    @cached_property
    def pairs(self) -> list[tuple[Incident, Incident]]:
        """Incidents that both have, as records."""
        return pairs(self.this.found, self.other.found)

    @cached_property
    def only_this(self) -> pl.DataFrame:
        """Incidents that only this run has."""
        return _without(self.this.incidents, [a for a, _ in self.pairs])

    @cached_property
    def only_other(self) -> pl.DataFrame:
        """Incidents that only the other run has."""
        return _without(self.other.incidents, [b for _, b in self.pairs])

    @cached_property
    def both(self) -> pl.DataFrame:
        """Incidents that both have, a row for each pair.

        Columns: this and other (ids); subject, severity, mode and noticed of each; later_s, how much later the other one noticed it, and
        page_later_s, how much later it paged (null unless both did); changed, the list of what differs: severity, first suspect, mode, delay.
        """
        import polars

        moment, text, number = polars.Datetime("us", "UTC"), polars.String, polars.Float64
        sides = {f"{word}_{side}": moment if word == "noticed" else text for word in ("subject", "severity", "mode", "noticed") for side in ("this", "other")}
        schema = {"this": text, "other": text, **sides, "later_s": number, "page_later_s": number, "changed": polars.List(text)}
        return polars.DataFrame([_row(a, b) for a, b in self.pairs], schema=schema, orient="row")

    @cached_property
    def changed(self) -> pl.DataFrame:
        """The pairs of which something differs."""
        import polars

        return self.both.filter(polars.col("changed").list.len() > 0)

    @cached_property
    def counts(self) -> pl.DataFrame:
        """How many incidents there are by severity, gravest first, and how many only one of the runs has."""
        import polars

        frames = {"this": self.this.incidents, "other": self.other.incidents, "only_this": self.only_this, "only_other": self.only_other}
        columns = {name: [frame.filter(polars.col("severity") == s).height for s in SEVERITIES[::-1]] for name, frame in frames.items()}
        return polars.DataFrame({"severity": SEVERITIES[::-1], **columns})

    @cached_property
    def settings(self) -> pl.DataFrame:
        """Settings that differ, as JSON: key, this, other."""
        import polars

        told = [{k: json.dumps(v, default=str) for k, v in dict(run.about.get("settings") or {}).items()} for run in (self.this, self.other)]
        rows = [(k, told[0].get(k), told[1].get(k)) for k in sorted({*told[0], *told[1]}) if told[0].get(k) != told[1].get(k)]
        return polars.DataFrame(rows, schema={"key": polars.String, "this": polars.String, "other": polars.String}, orient="row")

    @property
    def same_input(self) -> bool | None:
        """Whether both runs had the same rows, None where one does not say."""
        this, other = (run.about.get("input") for run in (self.this, self.other))
        return this == other if this and other else None

    @property
    def text(self) -> str:
        """Return the comparison in a few lines."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self._head()
        if self.same_input is False:
            yield "the inputs differ"
        yield from (f"setting {shorten(k, 60)}: {shorten(a, 100)} here, {shorten(b, 100)} there" for k, a, b in self.settings.head(LINES).rows())
        for where, frame in (("here", self.only_this), ("there", self.only_other)):
            told = frame.head(LINES).select("severity", "subject", "mode").rows()
            yield from (f"only {where}: {severity} {shorten(subject)} ({mode or 'no name for it'})" for severity, subject, mode in told)
            if frame.height > LINES:
                yield f"only {where}: {frame.height - LINES} more"
        differ = [(a, b, what) for a, b in self.pairs if (what := _changes(a, b))]
        yield from (_told(a, b, what) for a, b, what in differ[:LINES])
        if len(differ) > LINES:
            yield f"changed: {len(differ) - LINES} more"

    def _head(self) -> str:
        both, changed, here, there = (frame.height for frame in (self.both, self.changed, self.only_this, self.only_other))
        return f"{both} incident{'' if both == 1 else 's'} in both, {changed} of them changed; {here} only here, {there} only there"

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<comparison: {self._head()}>"

    def _repr_html_(self) -> str:
        parts = [f"<div><b>{esc(self.this.name)}</b> (here) and <b>{esc(self.other.name)}</b> (there): {esc(self._head())}"]
        parts += ["<p>The inputs differ.</p>"] if self.same_input is False else []
        parts.append(table(("severity", "here", "there", "only here", "only there"), self.counts.rows(), frozenset({1, 2, 3, 4})))
        parts += [table(("setting", "here", "there"), self.settings.head(ROWS).rows())] if self.settings.height else []
        for title, frame in (("Only here", self.only_this), ("Only there", self.only_other)):
            rows = frame.head(ROWS).select("id", "severity", "subject", "mode", "summary").rows()
            parts += [f"<p>{title}</p>", table(("id", "severity", "first suspect", "mode", "in words"), rows)] if rows else []
            parts += [f"<p>{frame.height - ROWS:,} more</p>"] if frame.height > ROWS else []
        changed = [(a.id, what, _values(a), _values(b)) for a, b in self.pairs if (what := ", ".join(_changes(a, b)))]
        parts += ["<p>Changed</p>", table(("id", "what", "here", "there"), changed[:ROWS])] if changed else []
        parts += [f"<p>{len(changed) - ROWS:,} more</p>"] if len(changed) > ROWS else []
        return "".join([*parts, "</div>"])


def _without(frame: pl.DataFrame, paired: list[Incident]) -> pl.DataFrame:
    import polars

    return frame.filter(~polars.col("id").is_in([i.id for i in paired]))


def _changes(a: Incident, b: Incident) -> list[str]:
    ways = {
        "severity": (a.severity, b.severity), "first suspect": (a.subject, b.subject), "mode": (a.mode, b.mode),
        "delay": ((a.noticed, _paged(a)), (b.noticed, _paged(b))),
    }  # fmt: skip
    return [name for name, (x, y) in ways.items() if x != y]


def _paged(i: Incident) -> int | None:
    return next((t for t, _, severity in i.history if severity == "page"), None)


def _row(a: Incident, b: Incident) -> tuple[Any, ...]:
    pages = _paged(a), _paged(b)
    later = (pages[1] - pages[0]) / 1e6 if pages[0] is not None and pages[1] is not None else None
    sides = [value for name in ("subject", "severity", "mode", "noticed") for value in (getattr(a, name), getattr(b, name))]
    return a.id, b.id, *sides, (b.noticed - a.noticed) / 1e6, later, _changes(a, b)


def _told(a: Incident, b: Incident, what: list[str]) -> str:
    return f"changed ({', '.join(what)}): {_values(a)} here, {_values(b)} there"


def _values(i: Incident) -> str:
    return f"{i.severity} {shorten(i.subject, 80)} ({i.mode or 'no name for it'}) at {utc(i.noticed)}"
