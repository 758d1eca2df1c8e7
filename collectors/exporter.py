"""Exporter: one exposition over HTTP (dcgm-exporter, node_exporter, our own), looked at now."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from grayscope.catalogue import Catalogue
from grayscope.errors import GrayscopeError
from grayscope.message import Message
from grayscope.rates import Rates

from ._exposition import Exposition
from ._http import check_url, fetch
from ._live import Live
from ._naming import Naming
from ._series import Series

LARGEST = 64 << 20
ACCEPT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"


class Exporter:
    """Fetches one exposition per `collect`. Delivery: what the exporter showed at that moment, nothing is repeated.

    A target that does not answer gives no messages: its silence is judged downstream, where time passes by heartbeats.

    Parameters
    ----------
    url : str
        http or https; ``/metrics`` is added to a bare host.
    timeout : float
        Seconds for one look as a whole.
    clock : callable
        Seconds since 1970; stamps samples that carry no time.

    Attributes
    ----------
    rejected : dict of str to int
        Reason and number of lines, series, samples or looks that were not used.
    unknown : dict of str to int
        Names that the catalogue does not know, at most 1,000.
    last_error : str
        What the first look of the latest outage said.
    """

    def __init__(self, url: str, timeout: float = 5.0, clock: Callable[[], float] = time.time, catalogue: Catalogue | None = None) -> None:
        self.url, self.timeout, self.clock = check_url(url, "/metrics"), timeout, clock
        naming = Naming(catalogue, urlsplit(self.url).hostname or "")
        self.rejected, self.unknown = naming.rejected, naming.unknown
        self.live = Live(Series(naming), Rates(naming.catalogue))
        self._text = Exposition(self.live.series)
        self.last_error = ""
        self._down = False

    def collect(self) -> list[Message]:
        """Return roster rows where somebody is new or changed, then one batch per table; nothing from a dead target."""
        now = int(self.clock() * 1e6)
        try:
            body, whole = fetch(self.url, headers={"Accept": ACCEPT}, timeout=self.timeout, limit=LARGEST)
        except GrayscopeError as error:
            self.rejected["unreachable"] = self.rejected.get("unreachable", 0) + 1
            if not self._down:
                self.last_error = str(error)
            self._down = True
            return []
        self._down = False
        if not whole:
            self.rejected["cut_off"] = self.rejected.get("cut_off", 0) + 1
        self._text.begin()
        return self.live.messages(self._text.read(body, now))
