"""Webhook: alerts posted in the JSON shape that Alertmanager's webhooks have."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grayscope.alert import Alert
from grayscope.sinks._access import Access, access
from grayscope.sinks._delivery import AGE, PAUSES, Delivery
from grayscope.sinks._posting import Post
from grayscope.wording import utc

NEVER = "0001-01-01T00:00:00Z"


class Webhook:
    """Post every batch of alerts to one URL, from a thread of its own.

    Delivery: at least once, in order, tried again until taken or `age` seconds old; what is given up is counted in `lost`.
    A dead receiver never blocks detection: `send` only queues, and a full queue drops its oldest batch, counted.

    Parameters
    ----------
    url : str
        Where to post, http or https; user and password in it become a header.
    timeout : float
        Seconds for one try.
    pauses : sequence of float
        Seconds to wait before each further try; the last one holds from there on.
    age : float
        Seconds after which a batch is given up.
    spool : str
        Folder in which waiting batches outlive a restart.
    user, password, password_file, token, token_file, ca, cert, key : str
        See `Access`; secrets may be in ``GRAYSCOPE_WEBHOOK_PASSWORD`` and ``GRAYSCOPE_WEBHOOK_TOKEN``.
    """

    def __init__(
        self, url: str, *, timeout: float = 5.0, pauses: Sequence[float] = PAUSES, age: float = AGE, spool: str = "",
        sleep: Callable[[float], object] | None = None, clock: Callable[[], float] = time.time, user: str = "", password: str = "",
        password_file: str = "", token: str = "", token_file: str = "", ca: str = "", cert: str = "", key: str = "",
    ) -> None:  # fmt: skip
        who = access(
            "GRAYSCOPE_WEBHOOK", user=user, password=password, password_file=password_file, token=token, token_file=token_file, ca=ca, cert=cert, key=key
        )
        self.post = Post(url, timeout=timeout, access=None if who == Access() else who, what="webhook")
        name = "webhook-" + hashlib.blake2b(self.url.encode(), digest_size=4).hexdigest()
        self.delivery = Delivery(self.post, name, pauses=pauses, age=age, spool=spool, sleep=sleep, clock=clock)

    @property
    def url(self) -> str:
        """Where it posts to, without credentials."""
        return self.post.url

    @property
    def sent(self) -> int:
        """Alerts that were taken."""
        return self.delivery.sent

    @property
    def lost(self) -> int:
        """Alerts that were given up."""
        return self.delivery.lost

    @property
    def said(self) -> str:
        """The last trouble."""
        return self.delivery.said

    def send(self, alerts: Sequence[Alert]) -> None:
        """Queue the alerts and return at once."""
        for status in ("firing", "resolved"):
            group = [a for a in alerts if a.firing == (status == "firing")]
            if group:
                self.delivery.put(json.dumps(body(group, status)).encode(), len(group))

    def close(self, limit: float = 30.0) -> None:
        """Deliver what is queued within `limit` seconds, one more try each; the rest is counted in `lost`."""
        self.delivery.close(limit)


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
