"""Prometheus: what holds now, for whoever scrapes: states, incidents, redundancy, coverage, and grayscope's own health."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grayscope import promtext
from grayscope.alert import Alert
from grayscope.sinks._holding import Holding
from grayscope.sinks._series import HELP, MOST, OWN, own, series

if TYPE_CHECKING:
    from grayscope.engine import Engine, Output


class Prometheus:
    """Keep what a page of metrics needs; nothing is sent anywhere. Series are bounded, what is not shown is counted on the page.

    Parameters
    ----------
    cluster : str
        Label of all series.
    most : int
        Series shown of each kind that grows with the fleet: subjects that are not normal, redundancies, open incidents, coverage.
    version : str
        Shown as ``grayscope_build_info``.

    Examples
    --------
    >>> body, kind = Prometheus("c1").page(openmetrics=False)
    >>> b'grayscope_build_info{cluster="c1"' in body, kind.split(";")[0]
    (True, 'text/plain')
    """

    def __init__(self, cluster: str = "cluster", *, most: int = MOST, version: str = "") -> None:
        self.cluster, self.most, self.version = cluster, most, version
        #: Numbers of whoever runs this, by the metric's full name.
        self.own: dict[str, float] = {}
        #: The other sinks by name; those that count what they sent and lost are shown.
        self.others: Mapping[str, Any] = {}
        self._cells: dict[str, Holding] = {}
        self._lock = threading.Lock()  # scrapes come from the server's threads

    def send(self, alerts: Sequence[Alert]) -> None:
        """Do nothing: what fires is read from the engine."""

    def see(self, output: Output, engine: Engine, cell: str) -> None:
        """Take note of a step of a cell's engine; a new engine, which may have been restored, is read as a whole."""
        with self._lock:
            holding = self._cells.get(cell)
            if holding is None or holding.engine is not engine:
                holding = self._cells[cell] = Holding(engine)
            holding.take(output)

    def leave(self, cell: str) -> None:
        """Forget a cell that somebody else judges from now on."""
        with self._lock:
            self._cells.pop(cell, None)

    def page(self, openmetrics: bool = False) -> tuple[bytes, str]:
        """Return the page and its content type."""
        with self._lock:
            numbers, cells, dropped = dict(self.own), sorted(self._cells.items()), dict[str, int]()
            samples = [promtext.Sample("grayscope_build_info", "gauge", {"cluster": self.cluster, "version": self.version}, 1.0)]
            samples += [s for cell, holding in cells for s in series(holding, {"cluster": self.cluster, "cell": cell}, self.most, dropped)]
        samples += [promtext.Sample("grayscope_series_not_shown", "gauge", {"cluster": self.cluster, "kind": k}, float(n)) for k, n in sorted(dropped.items())]
        for name, sink in self.others.items():
            for word in ("sent", "lost"):
                if isinstance(count := getattr(sink, word, None), int):
                    samples.append(promtext.Sample(f"grayscope_alerts_{word}_total", "counter", {"cluster": self.cluster, "sink": name}, float(count)))
        taken = {s.name for s in samples}
        samples += own({k: v for k, v in numbers.items() if k not in taken and promtext.is_name(k) and math.isfinite(v)}, self.cluster)
        says = {**dict.fromkeys(numbers, OWN), **HELP}
        return promtext.page(promtext.families(samples, openmetrics, says), openmetrics)

    def close(self) -> None:
        """Nothing is open."""
