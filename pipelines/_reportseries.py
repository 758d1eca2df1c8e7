"""Reportseries: a suspect's numbers and the band of its peers around an incident, read from the trace and thinned for a drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grayscope.errors import InputError, shorten
from grayscope.incident import Incident
from grayscope.tracefiles import open_parquet

if TYPE_CHECKING:
    import polars as pl

    from grayscope.trace import Trace

MINUTE = 60_000_000
#: Points across, and peers that the band is made of at most.
POINTS, PEERS = 160, 64
#: Shown before the onset and after the notice.
BEFORE, AFTER = 30 * MINUTE, 180 * MINUTE


@dataclass(frozen=True, slots=True)
class Series:
    """One metric around an incident; None where there was no row.

    Parameters
    ----------
    subject, metric, unit : str
    peers : int
        How many the band is made of.
    times : tuple of int
        Middle of each step, microseconds.
    own, low, middle, high : tuple of float or None
        The suspect; tenth, fiftieth and ninetieth of a hundred peers.
    """

    subject: str
    metric: str
    unit: str
    peers: int
    begin: int
    end: int
    times: tuple[int, ...]
    own: tuple[float | None, ...]
    low: tuple[float | None, ...]
    middle: tuple[float | None, ...]
    high: tuple[float | None, ...]


def signals(incident: Incident) -> list[tuple[str, str]]:
    """Return (subject, metric) of what shows an incident, the first suspect's first, newest and strongest first."""
    found: dict[tuple[str, str], tuple[bool, float]] = {}
    for piece in incident.evidence:
        for signal in piece.get("signals") or ():  # type: ignore[attr-defined]
            found[str(piece.get("subject", "")), str(signal["metric"])] = (piece.get("subject") != incident.subject, -float(signal["strength"] or 0))
    return sorted(found, key=lambda key: (found[key], key))


class Reader:
    """Read the series of incidents from one trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.view = trace.roster.at(2**62)
        self._tables = {metric: table for table in trace.tables for metric in _columns(trace, table)}

    def series(self, incident: Incident, most: int) -> list[Series]:
        """Return at most so many series of an incident; none where the trace holds no such column or row."""
        found: list[Series] = []
        for subject, metric in signals(incident):
            if len(found) < most and metric in self._tables:
                found += self._read(incident, subject, metric)
        return found

    def _read(self, incident: Incident, subject: str, metric: str) -> Iterator[Series]:
        import polars as pl

        table = self._tables[metric]
        begin = incident.began - BEFORE
        end = min(incident.ended if incident.ended is not None else 2**62, incident.noticed + AFTER) + BEFORE // 3
        try:
            rows = self._rows(table, metric, begin, end)
            peers = self._peers(subject, table) or rows.select("subject").unique().collect()["subject"].sort().to_list()
            peers = _spread([p for p in peers if p != subject])
            frame = rows.filter(pl.col("subject").is_in([subject, *peers])).collect()
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{self.trace.path}: table {table}: {shorten(error)}") from error
        if metric.split("{")[0].endswith("_total") and self.trace.counters[table] == "cumulative":
            frame = _rates(frame)
        own = frame.filter(pl.col("subject") == subject)
        if own.height < 2:
            return
        begin, last = max(begin, int(frame["time"].min())), int(frame["time"].max())  # type: ignore[arg-type]
        known = self.trace.catalogue.get(metric)
        yield _thin(frame, subject, metric, known.unit if known is not None else "", begin, max(last, begin + 1))

    def _rows(self, table: str, metric: str, begin: int, end: int) -> pl.LazyFrame:
        import polars

        files = self.trace.files[table]
        time = polars.col("time").cast(polars.Datetime("us")).cast(polars.Int64)
        frame = polars.concat([polars.scan_parquet(f, glob=False) for f in files if metric in open_parquet(f).schema_arrow.names], how="diagonal_relaxed")
        value = polars.col(metric).cast(polars.Float64)
        chosen = frame.select(time=time, subject=polars.col("subject").cast(polars.String), value=value)
        return chosen.filter(polars.col("time").is_between(begin, end) & polars.col("value").is_finite())

    def _peers(self, subject: str, table: str) -> list[str]:
        """Return who is of the same kind and role in the roster."""
        alike = [self.view.key(subject, key) for key in ("sku", "role")]
        members = self.view.tables.get(table, ())
        return [m for m in members if [self.view.key(m, key) for key in ("sku", "role")] == alike] if subject in self.view.rows else []


def _columns(trace: Trace, table: str) -> set[str]:
    return {name for file in trace.files[table] for name in open_parquet(file).schema_arrow.names} - {"time", "subject", "arrived"}


def _spread(names: list[str]) -> list[str]:
    """Return at most `PEERS` of them, evenly spread: the same each time.

    Examples
    --------
    >>> len(_spread([str(i) for i in range(1000)])), _spread(["a"])
    (64, ['a'])
    """
    return [names[i * len(names) // PEERS] for i in range(PEERS)] if len(names) > PEERS else names


def _rates(frame: pl.DataFrame) -> pl.DataFrame:
    """Return increments per second of a counter; a reset has none."""
    import polars

    ordered = frame.sort("subject", "time", maintain_order=True).unique(["subject", "time"], keep="last", maintain_order=True)
    rise, took = polars.col("value").diff().over("subject"), polars.col("time").diff().over("subject")
    return ordered.with_columns(value=rise / took * 1e6).filter(polars.col("value") >= 0)


def _thin(frame: pl.DataFrame, subject: str, metric: str, unit: str, begin: int, end: int) -> Series:
    """Return the means of `POINTS` equal steps."""
    import polars

    column = polars.col("value")
    step = ((polars.col("time") - begin) * POINTS // (end - begin)).clip(0, POINTS - 1)
    means = frame.with_columns(step=step).group_by("step", "subject").agg(column.mean())
    peers = means.filter(polars.col("subject") != subject)
    band = peers.group_by("step").agg(low=column.quantile(0.1, "linear"), middle=column.median(), high=column.quantile(0.9, "linear"))
    own = means.filter(polars.col("subject") == subject).select("step", own="value")
    whole = (
        polars.DataFrame({"step": range(POINTS)}, schema={"step": polars.Int64}).join(own, on="step", how="left").join(band, on="step", how="left").sort("step")
    )
    whole = whole.filter(polars.any_horizontal(polars.col("own", "middle").is_not_null()))
    times = tuple(begin + (2 * s + 1) * (end - begin) // (2 * POINTS) for s in whole["step"].to_list())
    lines = (tuple(whole[name].to_list()) for name in ("own", "low", "middle", "high"))
    return Series(subject, metric, unit, peers["subject"].n_unique(), begin, end, times, *lines)
