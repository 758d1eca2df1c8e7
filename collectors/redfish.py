"""Redfish: power supplies, fans, redundancy and air temperatures, asked of a machine's management controller."""

from __future__ import annotations

import base64
import json
import platform
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from grayscope.batch import Batch
from grayscope.errors import GrayscopeError, InputError, UsageError, shorten
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow

from ._chassis import Found, members, survey
from ._http import check_url, fetch

#: Bytes of one resource, requests of one look.
LARGEST, REQUESTS = 4 << 20, 512
CODES = {"OK": "healthy", "Warning": "degraded", "Critical": "unhealthy"}
#: Microseconds after which a trouble that goes on is told again: what listens may be new.
REMIND = 6 * 3600 * 1_000_000


class Redfish:
    """Reads ``Chassis/*/{PowerSubsystem,ThermalSubsystem}``, or ``Power`` and ``Thermal`` of older services. GET only.

    Needs a login that may read; controllers are slow (tens to hundreds of ms per resource, one for every supply and fan), so a period
    of a minute and a deadline of 30 s are right. It cannot see what the firmware does not tell: many controllers call a group
    redundant whose spare is gone, which is why its members are counted.

    Parameters
    ----------
    url : str
        ``https://controller``; plain http only where no credentials go along.
    node : str
        The machine whose controller this is; this host by default.
    credentials : path
        File with ``user:password``, readable by its owner only.
    ca : path
        Certificates to trust; the system's by default.
    insecure : bool
        Trust any certificate, as controllers are delivered with; whoever sits between can then read the password.

    Notes
    -----
    Sources of names: DMTF DSP0268 (Redfish Data Model Specification): PowerSubsystem, PowerSupply, ThermalSubsystem, Fan,
    ThermalMetrics, EnvironmentMetrics, Power, Thermal, Redundancy, Resource.Status.
    """

    def __init__(
        self, url: str, *, node: str = "", credentials: str | Path = "", ca: str | Path = "", insecure: bool = False, timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        parts = urlsplit(check_url(url))
        self.base, self.node, self.timeout, self.clock = f"{parts.scheme}://{parts.netloc}", node or platform.node(), timeout, clock
        self.credentials = Path(credentials) if credentials else None
        if self.credentials is not None and parts.scheme != "https":
            raise UsageError("redfish: expected an https URL, as a password goes along")
        self.context = _trusting(ca, insecure=insecure)
        self.rejected: dict[str, int] = {}
        self.last_error = ""
        self._told: dict[str, tuple[str, int]] = {}
        self._roster: tuple[RosterRow, ...] = ()
        self._left = 0

    def collect(self) -> list[Message]:
        """Return roster rows where parts are new, one batch, and an event for every part whose health changed."""
        now = int(self.clock() * 1e6)
        self._left = REQUESTS
        try:
            found = survey(self._soft, members(self._get("/redfish/v1/Chassis")))
        except (GrayscopeError, OSError) as error:
            self._reject("unreachable", shorten(error, 300))
            return []
        if found.rejected:
            self._reject("not_a_part", "", found.rejected)
        rows = tuple(self._rows(found))
        changed, self._roster = rows != self._roster, rows
        return [*([rows] if changed and rows else []), *self._batch(found, now), *self._events(found, now)]

    def _get(self, path: str) -> Mapping[str, Any]:
        if self._left <= 0:
            raise GrayscopeError(f"{self.base}: expected at most {REQUESTS} resources, found more")
        self._left -= 1
        headers = {"Accept": "application/json", "OData-Version": "4.0"}
        if self.credentials is not None:
            word = base64.b64encode(self.credentials.read_bytes().strip()).decode()
            headers["Authorization"] = f"Basic {word}"
        data, _ = fetch(self.base + path, headers=headers, timeout=self.timeout, limit=LARGEST, context=self.context)
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InputError.at(self.base + path, "JSON", "a resource", error) from error
        if not isinstance(document, dict):
            raise InputError.at(self.base + path, "resource", "an object", document)
        return document

    def _soft(self, path: str) -> Mapping[str, Any]:
        """Return a resource, {} (counted) where it cannot be had: one broken link must not hide the rest."""
        try:
            return self._get(path)
        except GrayscopeError as error:
            self._reject("resource", shorten(error, 300))
            return {}

    def _rows(self, found: Found) -> Iterator[RosterRow]:
        yield RosterRow(self.node, "node", keys={"node": self.node, **({"chassis": found.model} if found.model else {})})
        for name in sorted(found.health):
            # The same place in other machines of this model is a fair peer, the next fan in the row is not.
            yield RosterRow(f"{self.node}/{name}", "node", keys={"node": self.node, "slot": name, "sku": f"{found.model}:{name}"})

    def _batch(self, found: Found, now: int) -> Iterator[Batch]:
        if not found.numbers:
            return
        parts, metrics = sorted({p for p, _ in found.numbers}), sorted({m for _, m in found.numbers})
        values = np.array([[[found.numbers.get((p, m), np.nan) for p in parts] for m in metrics]], np.float32)
        subjects = tuple(f"{self.node}/{p}" if p else self.node for p in parts)
        yield Batch("node", np.array([now], np.int64), subjects, tuple(metrics), values)

    def _events(self, found: Found, now: int) -> Iterator[Event]:
        for name, (health, text) in sorted(found.health.items()):
            before, time = self._told.get(name, ("OK", 0))
            if health != before or (health != "OK" and now - time >= REMIND):
                self._told[name] = (health, now)
                yield Event(now, f"{self.node}/{name}", "health", CODES[health], text)

    def _reject(self, reason: str, said: str, count: int = 1) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + count
        self.last_error = said or self.last_error


def _trusting(ca: str | Path, *, insecure: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"redfish: ca: {ca}: expected certificates, found {shorten(error)}") from error
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
