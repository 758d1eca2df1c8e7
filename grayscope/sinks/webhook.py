"""Webhook: alerts posted in the JSON shape that Alertmanager's webhooks have."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grayscope.alert import Alert
from grayscope.errors import GrayscopeError, Retry, UsageError
from grayscope.wording import utc

NEVER = "0001-01-01T00:00:00Z"
#: Seconds between tries; after the last one the message is given up and counted.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)


class Webhook:
    """Post every batch of alerts to one URL, from a thread of its own.

    Delivery: at least once while the receiver comes back within the pauses; what is given up is counted in `lost`.
    A dead receiver never blocks detection: `send` only queues, and a full queue drops its oldest batch, counted.

    Parameters
    ----------
    url : str
        Where to post, http or https.
    timeout : float
        Seconds for one try.
    pauses : sequence of float
        Seconds to wait before each further try.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, pauses: Sequence[float] = PAUSES, sleep: Callable[[float], None] = time.sleep) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"webhook: expected an http or https URL, found {url!r}")
        self.url, self._headers = _credentials(url)
        self.timeout, self.pauses, self.sleep = timeout, tuple(pauses), sleep
        self.lost = 0
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._queue: queue.Queue[list[Alert] | None] = queue.Queue(1000)
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def send(self, alerts: Sequence[Alert]) -> None:
        """Queue the alerts and return at once."""
        while alerts:
            try:
                self._queue.put_nowait(list(alerts))
                return
            except queue.Full:
                self._drop()

    def close(self, limit: float = 30.0) -> None:
        """Deliver what is queued within `limit` seconds; the rest is counted in `lost`."""
        end = time.monotonic() + limit
        try:
            if self._thread.is_alive():
                self._queue.put(None, timeout=limit)
                self._thread.join(max(end - time.monotonic(), 0.0))
        except queue.Full:
            pass
        while not self._queue.empty():
            self._drop()

    def _drop(self) -> None:
        with contextlib.suppress(queue.Empty):  # the thread may have been faster
            self.lost += len(self._queue.get_nowait() or ())

    def _work(self) -> None:
        while (alerts := self._queue.get()) is not None:
            for status in ("firing", "resolved"):
                group = [a for a in alerts if a.firing == (status == "firing")]
                if group and not self._deliver(json.dumps(body(group, status)).encode()):
                    self.lost += len(group)

    def _deliver(self, data: bytes) -> bool:
        for pause in (*self.pauses, None):
            try:
                self._post(data)
                return True
            except Retry as busy:
                if pause is None:
                    return False
                self.sleep(max(pause, busy.retry_after))
            except GrayscopeError:
                return False
        return False

    def _post(self, data: bytes) -> None:
        request = urllib.request.Request(self.url, data, {"Content-Type": "application/json", "User-Agent": "grayscope", **self._headers})  # noqa: S310 - checked above
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                answer.read(65536)
        except urllib.error.HTTPError as error:
            wait = error.headers.get("Retry-After", "")
            error.close()
            if error.code == 429 or error.code >= 500:
                raise Retry(f"{error.code}", min(float(wait), 60.0) if wait.isdigit() else 0.0) from error
            raise GrayscopeError(f"webhook refused the alerts: {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Retry(str(error), 0.0) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuse redirects: urllib would follow them with a GET, and the alerts would be gone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """Follow nothing, which makes it an error."""


def _credentials(url: str) -> tuple[str, dict[str, str]]:
    """Split ``https://user:password@host/`` into the URL and the header that says who we are."""
    try:
        parts = urllib.parse.urlsplit(url)
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError as error:
        raise UsageError(f"webhook: not a URL: {error}") from error
    if not parts.hostname:
        raise UsageError("webhook: expected a URL with a host")
    if parts.username is None:
        return url, {}
    who = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return plain, {"Authorization": "Basic " + base64.b64encode(who.encode()).decode()}


def body(alerts: Sequence[Alert], status: str) -> dict[str, Any]:
    """Return one webhook message (version 4).

    Examples
    --------
    >>> b = body([Alert({"alertname": "GrayFailure"}, {}, 0)], "firing")
    >>> b["status"], b["alerts"][0]["endsAt"], len(b["alerts"][0]["fingerprint"])
    ('firing', '0001-01-01T00:00:00Z', 16)
    """
    common = {k: v for k, v in alerts[0].labels.items() if all(a.labels.get(k) == v for a in alerts)}
    return {
        "version": "4", "groupKey": '{}:{alertname="' + alerts[0].labels.get("alertname", "") + '"}', "truncatedAlerts": 0, "status": status,
        "receiver": "grayscope", "groupLabels": {}, "commonLabels": common, "commonAnnotations": {}, "externalURL": "",
        "alerts": [
            {"status": status, "labels": dict(a.labels), "annotations": dict(a.annotations), "startsAt": utc(a.starts),
             "endsAt": utc(a.ends) if a.ends is not None else NEVER, "generatorURL": "", "fingerprint": fingerprint(a.labels)}
            for a in alerts
        ],
    }  # fmt: skip


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return a short identity of a set of labels."""
    return hashlib.blake2b(json.dumps(sorted(labels.items())).encode(), digest_size=8).hexdigest()
