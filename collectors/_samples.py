"""Samples: what one look of a host source found, gathered by subject and name and turned into messages."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from grayscope.catalogue import Catalogue
from grayscope.message import Message
from grayscope.rates import Rates

from ._live import Live
from ._naming import Naming
from ._series import Look, Series

#: Series that are known at a time: devices come and go, their names churn.
MOST = 1 << 16


class Samples:
    """Gathers (subject, name, value) of one moment; counters are totals, names the source's or the catalogue's.

    Parameters
    ----------
    node : str
    catalogue : Catalogue, optional

    Examples
    --------
    >>> samples = Samples("n017")
    >>> samples.begin()
    >>> samples.add("n017/mlx5_0", "symbol_error", 7), samples.add("n017/mlx5_0", "nic_port_up", 1, sku="MT_0838")
    (None, None)
    >>> roster, batch = samples.messages(5_000_000)
    >>> roster[0].subject, roster[0].keys["sku"], batch.metrics, batch.values.ravel().tolist()
    ('n017/mlx5_0', 'MT_0838', ('nic_port_up',), [1.0])
    """

    def __init__(self, node: str, catalogue: Catalogue | None = None) -> None:
        naming = Naming(catalogue, node)
        self.rejected, self.unknown = naming.rejected, naming.unknown
        self.live = Live(Series(naming), Rates(naming.catalogue))
        self._known: dict[tuple[object, ...], int] = {}
        self._groups: dict[tuple[object, ...], array[int]] = {}
        self._numbers, self._values = array("i"), array("d")

    def begin(self) -> None:
        """Begin a new look."""
        self.live.series.look += 1
        if len(self._known) > MOST or len(self._groups) > MOST:
            self._known.clear()
            self._groups.clear()
            self.live.series.forget()
        self._numbers, self._values = array("i"), array("d")

    def add(self, subject: str, name: str, value: float | None, **labels: str) -> None:
        """Add one value; None and NaN say that nobody knows. Labels are those of the name, or keys for the roster."""
        if value is None or math.isnan(value):
            return
        number = self._number(subject, name, labels)
        if number >= 0:
            self._numbers.append(number)
            self._values.append(value)

    def add_all(self, subject: str, names: tuple[str, ...], values: Sequence[float | None], **labels: str) -> None:
        """Add a value for each name, none of which is NaN: what is the same at each look is looked up once for all."""
        if None in values:
            for name, value in zip(names, values, strict=True):
                self.add(subject, name, value, **labels)
            return
        key = (subject, names, *labels.items())
        if key not in self._groups:
            self._groups[key] = array("i", (self._number(subject, name, labels) for name in names))
        numbers = self._groups[key]
        if -1 in numbers:
            numbers, values = array("i", (n for n in numbers if n >= 0)), [v for n, v in zip(numbers, values, strict=True) if n >= 0]
        self._numbers.extend(numbers)
        self._values.extend(v for v in values if v is not None)

    def _number(self, subject: str, name: str, labels: Mapping[str, str]) -> int:
        key = (subject, name, *labels.items())
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = self.live.series.add(name, {"subject": subject, **labels})
        return number

    def messages(self, now: int) -> list[Message]:
        """Return the look as messages: roster rows where somebody is new or changed, then one batch per table.

        Parameters
        ----------
        now : int
            Microseconds since 1970.
        """
        numbers, values = np.array(self._numbers, np.int32), np.array(self._values, np.float64)
        return self.live.messages(Look(numbers, np.full(len(numbers), now, np.int64), values))
