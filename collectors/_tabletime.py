"""Tabletime: event times in whole microseconds, from a timestamp, a number, a text, an index or the order of rows."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grayscope.errors import InputError

from ._tablemap import TIME_UNITS, TimeMap

#: Times outside 1970 .. 9999 are no times.
LAST = 253_402_300_800_000_000
NEVER = np.iinfo(np.int64).min
#: Numbers below these are seconds, milliseconds, microseconds, else nanoseconds: good for 1973 to 5138.
MAGNITUDES = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))


class Clock:
    """Make the time of each row; keeps what must be equal for the whole file: the guessed unit and each subject's count of rows.

    Examples
    --------
    >>> Clock(TimeMap(column="t"), "example.csv").read(pl.DataFrame({"t": ["1970-01-01T00:00:01Z", "soon"]}))
    array([             1000000, -9223372036854775808])
    """

    def __init__(self, how: TimeMap, where: str) -> None:
        self.how, self.where = how, where
        self.unit = how.unit
        self._seen: NDArray[np.int64] = np.zeros(0, np.int64)

    @property
    def counting(self) -> bool:
        """Whether time is the running number of a subject's rows, see `count`."""
        return self.how.column is None and self.how.index is None

    def read(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """Return the time of each row of `frame` [N] in microseconds, `NEVER` where there is none."""
        if self.how.index is not None:
            number = as_number(frame[self.how.index], self.where)
            return _whole(self.how.start + ((number - self.how.index_from) * self.how.step).round(0))
        assert self.how.column is not None
        column = frame[self.how.column]
        if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
            return _stamps(column)
        if column.dtype in (pl.String, pl.Categorical) or isinstance(column.dtype, pl.Enum):
            text = column.cast(pl.String)
            if self.how.format or (self.unit is None and text.drop_nulls().str.contains(r"^\s*\d{4}-\d").any()):
                return _stamps(parse_times(text, self.how.format))
        return self._scaled(column)

    def count(self, who: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return start + k * step for the k-th row (from 0) of each subject; `who` [N] numbers the subjects."""
        top = int(who.max()) + 1 if len(who) else 0
        if top > len(self._seen):
            self._seen = np.concatenate([self._seen, np.zeros(max(top - len(self._seen), len(self._seen)), np.int64)])
        order = np.argsort(who, kind="stable")
        ordered = who[order]
        first = np.searchsorted(ordered, ordered)
        k = np.empty(len(who), np.int64)
        k[order] = np.arange(len(who)) - first + self._seen[ordered]
        self._seen += np.bincount(who, minlength=len(self._seen))
        return _whole(pl.Series(self.how.start + np.rint(k * self.how.step)))

    def _scaled(self, column: pl.Series) -> NDArray[np.int64]:
        number = as_number(column, self.where)
        if self.unit is None:
            size = number.filter(number.is_finite()).abs().median()
            if size is None:
                return np.full(len(number), NEVER, np.int64)
            assert isinstance(size, float)
            self.unit = next((unit for limit, unit in MAGNITUDES if size < limit), "ns")
        factor = TIME_UNITS[self.unit]
        # A float of seconds is no finer than a quarter of a microsecond: rounding undoes its error, truncating would not.
        times = _whole((number * factor).floor() if self.unit == "ns" else (number * factor).round(0))
        if self.unit not in ("us", "ns") or column.dtype.is_float():
            return times
        whole = column.cast(pl.Int64, strict=False)  # exact: nanoseconds do not fit a float
        exact = whole // 1000 if self.unit == "ns" else whole
        return np.where(whole.is_not_null().to_numpy(), _bounded(exact.fill_null(NEVER).to_numpy()), times)


def as_number(column: pl.Series, where: str) -> pl.Series:
    """Return float64, null where a text is no number.

    Raises
    ------
    InputError
        The column holds lists, structures or bytes.
    """
    if column.dtype.is_numeric() or column.dtype == pl.Boolean or column.dtype == pl.Null:
        return column.cast(pl.Float64)
    if column.dtype == pl.String or column.dtype == pl.Categorical or isinstance(column.dtype, pl.Enum):
        return column.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    raise InputError.at(where, f"column {column.name!r}", "numbers", column.dtype)


def parse_times(text: pl.Series, form: str | None = None) -> pl.Series:
    """Parse RFC 3339 texts (blank for T, missing zone = UTC, date alone), or `form`; null where it fails."""
    if form is not None:
        return text.str.to_datetime(form, time_unit="us", strict=False)
    clean = text.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00:00").str.replace(" ", "T", literal=True).str.replace(r"[Zz]$", "+00:00")
    zoned = clean.str.contains(r"[+-]\d\d:?\d\d$").fill_null(False)
    clean = clean.zip_with(zoned, clean + "+00:00")
    return clean.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", strict=False)


def _stamps(column: pl.Series) -> NDArray[np.int64]:
    stamps = column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column.dt.cast_time_unit("us")
    return _bounded(stamps.cast(pl.Int64).fill_null(NEVER).to_numpy())


def _whole(number: pl.Series) -> NDArray[np.int64]:
    good = number.is_between(0, LAST).fill_null(False)
    return np.where(good.to_numpy(), number.zip_with(good, pl.Series([0.0])).cast(pl.Int64).to_numpy(), NEVER)


def _bounded(times: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where((times >= 0) & (times < LAST), times, NEVER)
