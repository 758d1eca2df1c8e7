"""Run: what a run said, for a notebook: polars frames, each incident with its evidence and its plot, and what another run said otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from grayscope.case import Case
from grayscope.chosen import Place, chosen
from grayscope.comparing import Comparison
from grayscope.errors import InputError, UsageError, shorten
from grayscope.evidenceframe import evidence_frame
from grayscope.explaining import explained
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.plot import Plot
from grayscope.recalling import fitted, recall_entries, recall_incidents
from grayscope.results import SCHEMAS, described, part
from grayscope.runshown import counted, shown
from grayscope.series import POINTS, Reader, Series
from grayscope.trace import Trace

if TYPE_CHECKING:
    import polars as pl

#: Metrics of which an incident's evidence is told, and drawn.
METRICS, PLOTS = 8, 2
MOST_POINTS = 100_000


class Said(NamedTuple):
    """What a replay has as records already, to the microsecond."""

    found: list[Incident]
    entries: list[Entry]
    counts: dict[str, int]


class Run:
    """What a run said; `grayscope.replay` and `grayscope.read_run` return one, and a notebook shows it by itself.

    Nothing is read before it is asked for, and everything once.

    Parameters
    ----------
    tables : callable
        Returns a table of the results by name.
    about : callable
        Returns what ``run.json`` says: settings, counts, versions, digest of the input.
    name : str
    trace : path, optional
        Where the numbers are; without it there is no evidence and no plot.
    check : bool
        Compare the trace's digest with the input's before its first use.
    said : Said, optional
        What is known without reading.

    Examples
    --------
    >>> run = Run(lambda name: SCHEMAS[name].empty_table(), dict, "c1")
    >>> run
    <run of c1: nothing; 0 open; 0 rows>
    >>> run.incidents.columns[:5]
    ['id', 'subject', 'place', 'state', 'severity']
    >>> run.plot("ab12")
    Traceback (most recent call last):
    grayscope.errors.UsageError: no incident 'ab12': the run holds none at all
    """

    def __init__(
        self, tables: Callable[[str], pa.Table], about: Callable[[], Mapping[str, Any]], name: str, trace: str | Path | None = None, *,
        check: bool = False, said: Said | None = None,
    ) -> None:  # fmt: skip
        self._tables, self._about, self.name, self.trace, self._check, self._said = tables, about, name, trace, check, said

    @cached_property
    def verdicts(self) -> pl.DataFrame:
        """Every change of state: time, subject, state, previous, strength, why, mechanism, left, exhausted_at."""
        return self._frame("verdicts")

    @cached_property
    def incidents(self) -> pl.DataFrame:
        """Every incident in its latest form, by time noticed."""
        return self._frame("incidents")

    @cached_property
    def scores(self) -> pl.DataFrame:
        """The stream of evidence; empty if it was not kept."""
        return self._frame("scores")

    @cached_property
    def ledger(self) -> pl.DataFrame:
        """What is left of every redundancy, a row for each change."""
        return self._frame("ledger")

    @cached_property
    def coverage(self) -> pl.DataFrame:
        """What was watched: for each metric the subjects expected and reporting."""
        return self._frame("coverage")

    @cached_property
    def found(self) -> list[Incident]:
        """The incidents as records."""
        return self._said.found if self._said else recall_incidents(self._table("incidents"), f"{shorten(self.name, 80)}: incidents")

    @cached_property
    def entries(self) -> list[Entry]:
        """The rows of the ledger as records."""
        return self._said.entries if self._said else recall_entries(self._table("ledger"), f"{shorten(self.name, 80)}: ledger")

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """How the run was made: settings, counts, versions, digest of the input."""
        return self._about()

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows, ticks, and what was late, double or wrong."""
        return self._said.counts if self._said else dict(self.about.get("counts") or {})

    def incident(self, name: str) -> Case:
        """Return one incident with its explanation and its plot.

        Parameters
        ----------
        name : str
            Its id, the beginning of it, or its first suspect if it has no other incident.

        Raises
        ------
        UsageError
            None or several are meant: names those that are near.
        """
        incident = self._chosen(name)
        text = next(text for _, text in explained([incident], self._spent(incident.subject)))
        return Case(incident, text, self.plot(incident.id) if self.trace is not None else None)

    def evidence(self, name: str, points: int = POINTS, most: int = METRICS) -> pl.DataFrame:
        """Return the suspect against the band of its peers, as it was drawn for the report.

        Parameters
        ----------
        name : str
            As for `incident`.
        points : int
            Steps at most for each metric, from half an hour before the onset to three hours after the notice; a step holds means.
        most : int
            Metrics at most, those of the first suspect first.

        Returns
        -------
        polars.DataFrame
            metric, unit, subject, time, value (the suspect's), low, median, high (tenth, fiftieth, ninetieth of a hundred peers),
            past (its own median in the six hours before the onset) and peers (how many); null where nobody reported. No rows where the
            trace has no numbers of it.

        Raises
        ------
        UsageError
            No such incident, or the run has no trace.
        InputError
            The trace cannot be read, or is another one.
        """
        return evidence_frame(self._series(self._chosen(name), points, most))

    def plot(self, name: str, points: int = POINTS, most: int = PLOTS) -> Plot:
        """Return drawings of what `evidence` returns; see `grayscope.plot.Plot`."""
        incident = self._chosen(name)
        return Plot(incident, self._series(incident, points, most))

    def compare(self, other: Run) -> Comparison:
        """Return what this run and another one said otherwise; see `grayscope.comparing.Comparison`."""
        if not isinstance(other, Run):
            raise UsageError(f"a run is compared with a run, not with {type(other).__name__}")
        return Comparison(self, other)

    def _table(self, name: str) -> pa.Table:
        return fitted(self._tables(name), SCHEMAS[name], f"{shorten(self.name, 80)}: {name}")

    def _frame(self, name: str) -> pl.DataFrame:
        import polars

        frame = polars.from_arrow(self._table(name))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def _chosen(self, name: str) -> Incident:
        """Return the incident meant; of a large folder only this one is taken apart."""
        if self._said:
            return chosen(self._said.found, name)
        named = self.incidents.select("id", "subject").rows()
        at = chosen([Place(i, subject, row) for row, (i, subject) in enumerate(named)], name).row
        return recall_incidents(self._table("incidents").slice(at, 1), f"{shorten(self.name, 80)}: incidents from row {at}")[0]

    def _spent(self, subject: str) -> list[Entry]:
        if self._said:
            return self._said.entries
        ledger = self._table("ledger")
        return recall_entries(ledger.filter(pc.equal(ledger["subject"], subject)), f"{shorten(self.name, 80)}: ledger")

    def _series(self, incident: Incident, points: int, most: int) -> list[Series]:
        if not (1 < points <= MOST_POINTS and most > 0):
            raise UsageError(f"expected 2 to {MOST_POINTS} points and at least one metric, found {points} and {most}")
        return self._reader.series(incident, most, points)

    @cached_property
    def _reader(self) -> Reader:
        if self.trace is None:
            raise UsageError(f"{shorten(self.name, 80)}: opened without the trace that was replayed: grayscope.read_run(results, trace=...)")
        trace, told = Trace.open(self.trace), self.about.get("input") if self._check else None
        if told is not None and trace.digest() != told:
            raise InputError.at(self.trace, "digest", f"{shorten(told)}, the trace that was replayed", trace.digest())
        return Reader(trace)

    def _words(self) -> str:
        return counted(self.incidents, self.counts.get("rows", 0))

    def __repr__(self) -> str:
        return f"<run of {shorten(self.name, 80)}: {self._words()}>"

    def _repr_html_(self) -> str:
        return shown(self.name, self._words(), self.incidents)


def read_run(results: str | Path, trace: str | Path | None = None, *, check: bool = True) -> Run:
    """Open a results directory that a replay or a live run wrote.

    Parameters
    ----------
    results : path
    trace : path, optional
        The trace that was replayed; needed for evidence and plots.
    check : bool
        Before its first use, see by its digest that the trace is the one that was replayed: reads it once as a whole.

    Raises
    ------
    InputError
        It is no results directory: names the file. Tables are read when they are asked for, and may raise then.
    """
    about = described(results)
    return Run(lambda name: part(results, name), lambda: about, str(about.get("trace") or results), trace, check=check)
