"""Samples: what one look of a host source found, gathered by subject and name and turned into messages."""

from __future__ import annotations

import math
from array import array

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
        self._numbers, self._values = array("i"), array("d")

    def begin(self) -> None:
        """Begin a new look."""
        self.live.series.look += 1
        if len(self._known) > MOST:
            self._known.clear()
            self.live.series.forget()
        self._numbers, self._values = array("i"), array("d")

    def add(self, subject: str, name: str, value: float | None, **labels: str) -> None:
        """Add one value; None and NaN say that nobody knows. Labels are those of the name, or keys for the roster."""
        if value is None or math.isnan(value):
            return
        key = (subject, name, *labels.items())
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = self.live.series.add(name, {"subject": subject, **labels})
        if number >= 0:
            self._numbers.append(number)
            self._values.append(value)

    def messages(self, now: int) -> list[Message]:
        """Return the look as messages: roster rows where somebody is new or changed, then one batch per table.

        Parameters
        ----------
        now : int
            Microseconds since 1970.
        """
        numbers, values = np.array(self._numbers, np.int32), np.array(self._values, np.float64)
        return self.live.messages(Look(numbers, np.full(len(numbers), now, np.int64), values))
