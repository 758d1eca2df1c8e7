"""Exposition: Prometheus and OpenMetrics text as samples: fast where lines repeat, forgiving, bounded."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ._series import Look, Series

LONGEST_LINE, LONGEST_VALUE = 64 << 10, 4 << 10
#: Memory for the meaning of series, about, before everything is forgotten and met anew; what one series takes beside its text.
MOST_TEXT, EACH = 512 << 20, 512
NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:.]*)[ \t]*(\{)?")
LABEL = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t]*(,?)')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Exposition:
    r"""Reads one exposition after the other; what a series means is worked out once and then looked up.

    Parameters
    ----------
    series : Series
        Where the meaning of series is kept; what is refused is counted in ``series.naming.rejected``.

    Examples
    --------
    >>> from ._naming import Naming
    >>> text = b'DCGM_FI_DEV_GPU_TEMP{gpu="3",hostname="n017"} 61\nother_metric 1\n'
    >>> look = Exposition(Series(Naming())).read(text, now=5)
    >>> look.values.tolist(), look.times.tolist()
    ([61.0], [5])
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        self._numbers: dict[str, int] = {}
        self._text = 0
        self._rest, self._skipping = b"", False

    def begin(self) -> None:
        """Begin a new look: forget everything if labels have churned too much."""
        self.series.look += 1
        if self._text > MOST_TEXT:
            self._numbers.clear()
            self._text = 0
            self.series.forget()

    def read(self, text: bytes, now: int) -> Look:
        """Return the samples of a whole text; `now` (microseconds) stamps those without a time."""
        look = self.feed(text, now)
        self.end()
        return look

    def feed(self, block: bytes, now: int) -> Look:
        """Return the samples of the next block of a text; a line that it cuts waits for the next."""
        numbers, values, stamps = self._block(self._lines(block))
        times, good = moments(stamps, now)
        if not good.all():
            self._reject("bad_time", int((~good).sum()))
        return Look(numbers[good], times[good], values[good])

    def end(self) -> None:
        """End a text. A last line without its line end is not used (``truncated``): its number may have been cut."""
        if self._rest.strip() and not self._rest.startswith(b"#"):
            self._reject("truncated")
        self._rest, self._skipping = b"", False

    def _lines(self, block: bytes) -> list[str]:
        """Return the lines that end in a block; one beyond the limit is never gathered, whatever its length."""
        whole, end, rest = (self._rest + block).rpartition(b"\n")
        lines = whole.decode("utf-8", "replace").split("\n") if end else []
        if self._skipping and end:
            del lines[0]
            self._skipping = False
        if len(rest) > LONGEST_LINE:
            if not self._skipping:
                self._reject("long_line")
            rest, self._skipping = b"", True
        self._rest = b"" if self._skipping else rest
        return lines

    def _block(self, lines: list[str]) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
        numbers, values, stamps = list[int](), list[float](), list[float]()
        known = self._numbers.get
        for line in lines:
            if len(line) > LONGEST_LINE:
                self._reject("long_line")
                continue
            # A series that was read before ends at the last brace; any other cut is not among the known ones.
            key, brace, tail = line.rpartition("} ")
            if not brace:
                key, _, tail = line.partition(" ")
            number = known(key)
            if number is None:
                number, tail = self._meet(line)
            if number < 0:
                continue
            value, _, stamp = tail.partition(" ")
            try:
                v, t = float(value), float(stamp) if stamp else np.nan
            except ValueError:
                pair = self._careful(tail)
                if pair is None:
                    continue
                v, t = pair
            numbers.append(number)
            values.append(v)
            stamps.append(t)
        return np.array(numbers, np.int32), np.array(values, np.float64), np.array(stamps, np.float64)

    def _careful(self, tail: str) -> tuple[float, float] | None:
        """Return (value, time) behind any number of blanks, without the exemplar that nobody needs here; None is malformed."""
        parts = tail.partition(" # ")[0].split()
        try:
            if len(parts) in (1, 2):
                return float(parts[0]), float(parts[1]) if len(parts) == 2 else np.nan
        except ValueError:
            pass
        self._reject("malformed")
        return None

    def _meet(self, line: str) -> tuple[int, str]:
        """Return (series number, rest of the line) the careful way; -1 for a line without a sample that we know."""
        if not line.strip() or line.lstrip().startswith("#"):
            return -1, ""
        head = NAME.match(line)
        labels = None if head is None else _labels(line, head.end()) if head[2] else ({}, head.end())
        if head is None or labels is None:
            self._reject("malformed")
            return -1, ""
        key = line[: labels[1] - 1] if head[2] else head[1]
        number = self._numbers.get(key)
        return self._remember(key, head[1], labels[0]) if number is None else number, line[labels[1] :]

    def _remember(self, key: str, name: str, labels: dict[str, str]) -> int:
        if any(len(v) > LONGEST_VALUE for v in labels.values()):
            self._reject("long_label")
            return -1
        if self._text > 2 * MOST_TEXT:
            self._reject("too_many")
            return -1
        self._text += len(key) + EACH
        number = self._numbers[key] = self.series.add(name, labels)
        return number

    def _reject(self, reason: str, n: int = 1) -> None:
        rejected = self.series.naming.rejected
        rejected[reason] = rejected.get(reason, 0) + n


def _labels(line: str, start: int) -> tuple[dict[str, str], int] | None:
    """Return (labels, position after the brace), None if they are malformed."""
    labels: dict[str, str] = {}
    while (found := LABEL.match(line, start)) is not None:
        name, value = found[1], found[2]
        if name in labels:
            return None
        labels[name] = re.sub(r'\\[\\"n]', lambda e: ESCAPES[e[0]], value) if "\\" in value else value
        start = found.end()
        if not found[3]:
            break
    while line[start : start + 1] in (" ", "\t"):
        start += 1
    return (labels, start + 1) if line[start : start + 1] == "}" else None


def moments(stamps: NDArray[np.float64], now: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return times in microseconds and which of them make sense; the unit is told by magnitude, NaN is `now`.

    Examples
    --------
    >>> moments(np.array([1.7e9, 1.7e12, 1.7e15, 1.7e18, np.nan, -1.0]), 7)[0][:5].tolist()
    [1700000000000000, 1700000000000000, 1700000000000000, 1700000000000000, 7]
    """
    none = np.isnan(stamps)
    good = none | ((stamps >= 0) & (stamps < 4e18))
    plain = np.where(none | ~good, 0.0, stamps)
    # Seconds carry a fraction whose last digit the float only approximates: a third of a microsecond up, then truncated.
    factor = np.select([plain < 1e11, plain < 1e14, plain < 1e17], [1e6, 1e3, 1.0], 1e-3)
    return np.where(none, now, np.floor(plain * factor + 0.3).astype(np.int64)), good
