"""Series: a suspect's numbers and the band of its peers around an incident, read from the trace and thinned for a drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grayscope.errors import InputError, shorten
from grayscope.incident import Incident
from grayscope.tracefiles import open_parquet

if TYPE_CHECKING:
    import polars as pl

    from grayscope.roster import View
    from grayscope.trace import Trace

MINUTE = 60_000_000
#: Points across, and peers that the band is made of at most.
POINTS, PEERS = 160, 64
#: Rows before the onset that make a past; peers that are too few for a band.
PAST, FEW = 6, 2
#: Shown before the onset and after the notice.
BEFORE, AFTER = 30 * MINUTE, 180 * MINUTE
#: The own past is this long before the onset: so long that an onset that was noticed late moves its median little.
LONG_BEFORE = 360 * MINUTE


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
    past : float or None
        Median of the suspect in the six hours before the onset; None where there are too few rows of that.
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
    past: float | None = None


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
        self._plans = {table: trace.open_table(table).plan for table in trace.tables}

    def series(self, incident: Incident, most: int, points: int = POINTS) -> list[Series]:
        """Return at most so many series of an incident; none where the trace holds no such column or row.

        What a workload gets of a GPU is told by the rank that works on it.

        Parameters
        ----------
        incident : Incident
        most : int
        points : int
            Steps of a series at most.

        Raises
        ------
        InputError
            A table of the trace cannot be read.
        """
        found: list[Series] = []
        for subject, metric in signals(incident):
            tables = [table for table, plan in self._plans.items() if metric in plan]
            if len(found) < most and tables:
                found += self._read(incident, subject, metric, tables, points)
        return found

    def _read(self, incident: Incident, subject: str, metric: str, tables: list[str], points: int) -> Iterator[Series]:
        import polars as pl

        view, known = self.trace.roster.at(incident.noticed), self.trace.catalogue.get(metric)
        its = view.rows[subject].table if subject in view.rows else ""
        table = its if its in tables else tables[-1]
        subject = _worker(view, subject, table)
        begin = incident.began - BEFORE
        end = min(incident.ended if incident.ended is not None else 2**62, incident.noticed + AFTER) + BEFORE // 3
        rows, earlier = self._rows(table, metric, begin, end), self._rows(table, metric, incident.began - LONG_BEFORE, incident.began - 1)
        try:
            peers = _alike(view, subject, table, known.peers if known is not None else ())
            peers = peers or rows.select("subject").unique().collect()["subject"].sort().to_list()
            frame = rows.filter(pl.col("subject").is_in([subject, *_spread([p for p in peers if p != subject])])).collect()
            before = earlier.filter(pl.col("subject") == subject).collect()
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{self.trace.path}: table {table}: {shorten(error)}") from error
        if metric.split("{")[0].endswith("_total") and self.trace.counters[table] == "cumulative":
            frame, before = _rates(frame), _rates(before)
        if frame.filter(pl.col("subject") == subject).height < 2:
            return
        begin, last = max(begin, int(frame["time"].min())), int(frame["time"].max())  # type: ignore[arg-type]
        steps = Steps(begin, max(last, begin + 1), points)
        yield _thin(frame, subject, metric, known.unit if known is not None else "", steps, _past(before))

    def _rows(self, table: str, metric: str, begin: int, end: int) -> pl.LazyFrame:
        """Return time, subject and value of all finite rows; the columns of the files are those of whatever wrote them, and so is their unit."""
        import polars

        parts, time = [], polars.col("time").cast(polars.Datetime("us")).cast(polars.Int64)
        for file in self.trace.files[table]:
            names = open_parquet(file).schema_arrow.names
            values = [polars.col(column).cast(polars.Float64) * factor for column, factor in self._plans[table][metric] if column in names]
            if values:
                name = polars.col("subject").cast(polars.String)
                chosen = polars.scan_parquet(file, glob=False).select(time=time, subject=name, value=polars.coalesce(values))
                parts.append(chosen.filter(polars.col("time").is_between(begin, end) & polars.col("value").is_finite()))
        return polars.concat(parts)


@dataclass(frozen=True, slots=True)
class Steps:
    """Equal steps from `begin` to `end`, microseconds."""

    begin: int
    end: int
    count: int


def _worker(view: View, subject: str, table: str) -> str:
    """Return the rank that works on a GPU where the table holds ranks, else the subject itself."""
    if table != "rank" or subject in view.tables.get(table, ()):
        return subject
    return next((rank for rank in view.tables.get(table, ()) if view.key(rank, "gpu") == subject), subject)


def _alike(view: View, subject: str, table: str, keys: tuple[str, ...]) -> list[str]:
    """Return who has what makes peers of this metric in common; where these are too few, who is of the same kind and role."""
    members = view.tables.get(table, ()) if subject in view.rows else ()
    for wanted in (keys, ("sku", "role")):
        alike = [view.key(subject, key) for key in wanted]
        found = [m for m in members if [view.key(m, key) for key in wanted] == alike]
        if wanted and len(found) > FEW:
            break
    return found


def _past(before: pl.DataFrame) -> float | None:
    return float(before["value"].median()) if before.height >= PAST else None  # type: ignore[arg-type]


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


def _thin(frame: pl.DataFrame, subject: str, metric: str, unit: str, steps: Steps, past: float | None) -> Series:
    """Return the means of equal steps."""
    import polars

    column, width = polars.col("value"), steps.end - steps.begin
    step = ((polars.col("time") - steps.begin) * steps.count // width).clip(0, steps.count - 1)
    means = frame.with_columns(step=step).group_by("step", "subject").agg(column.mean())
    peers = means.filter(polars.col("subject") != subject)
    band = peers.group_by("step").agg(low=column.quantile(0.1, "linear"), middle=column.median(), high=column.quantile(0.9, "linear"))
    own = means.filter(polars.col("subject") == subject).select("step", own="value")
    whole = (
        polars.DataFrame({"step": range(steps.count)}, schema={"step": polars.Int64})
        .join(own, on="step", how="left")
        .join(band, on="step", how="left")
        .sort("step")
        .filter(polars.any_horizontal(polars.col("own", "middle").is_not_null()))
    )
    times = tuple(steps.begin + (2 * s + 1) * width // (2 * steps.count) for s in whole["step"].to_list())
    own_, low, middle, high = (tuple(whole[name].to_list()) for name in ("own", "low", "middle", "high"))
    return Series(subject, metric, unit, peers["subject"].n_unique(), steps.begin, steps.end, times, own_, low, middle, high, past)
