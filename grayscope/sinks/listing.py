"""Listing: alerts as lines for a person, or as JSON lines for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TextIO

from grayscope.alert import Alert
from grayscope.errors import shorten
from grayscope.wording import utc

COLOURS = {"page": "\x1b[31m", "ticket": "\x1b[33m", "notice": "\x1b[36m"}


class Listing:
    """Write one line per alert. Delivery: as long as the stream takes it.

    Parameters
    ----------
    stream : text file
        Standard output by default; coloured only if it is a terminal.
    as_json : bool
        One JSON object per line instead.

    Examples
    --------
    >>> import io
    >>> out = io.StringIO()
    >>> Listing(out).send([Alert({"severity": "page", "incident": "ab"}, {"summary": "n1 is gray"}, 0)])
    >>> out.getvalue()
    '1970-01-01T00:00:00Z  page    FIRING    ab  n1 is gray\\n'
    """

    def __init__(self, stream: TextIO | None = None, *, as_json: bool = False) -> None:
        self.stream = stream or sys.stdout
        self.as_json = as_json
        self._told: set[str] = set()

    def send(self, alerts: Sequence[Alert]) -> None:
        """Write the alerts and flush."""
        for alert in alerts:
            self.stream.write((self._json(alert) if self.as_json else self._line(alert)) + "\n")
        self.stream.flush()

    def close(self) -> None:
        """Nothing to let go of: the stream belongs to the caller."""

    def _line(self, alert: Alert) -> str:
        severity = alert.labels.get("severity", "")
        word = self._word(alert)
        time = utc(alert.starts if alert.ends is None else alert.ends)
        said = alert.annotations.get("summary", "") if alert.firing else alert.annotations.get("finding") or alert.annotations.get("summary", "")
        text = f"{time}  {severity:<6}  {word:<8}  {alert.labels.get('incident', '')}  {shorten(said, 700)}"
        colour = COLOURS.get(severity, "") if self.stream.isatty() and alert.firing else ""
        return f"{colour}{text}\x1b[0m" if colour else text

    def _word(self, alert: Alert) -> str:
        key = f"{alert.labels.get('incident', '')} {alert.labels.get('severity', '')}"
        if not alert.firing:
            self._told.discard(key)
            return "resolved"
        word = "changed" if key in self._told else "FIRING"
        self._told.add(key)
        return word

    @staticmethod
    def _json(alert: Alert) -> str:
        times = {"starts": utc(alert.starts), "ends": utc(alert.ends) if alert.ends is not None else None}
        return json.dumps({"labels": dict(alert.labels), "annotations": dict(alert.annotations), **times})
