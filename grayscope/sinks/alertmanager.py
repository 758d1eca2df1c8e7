"""Alertmanager: what fires is told to every instance, again and again until it is over."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from grayscope.alert import Alert
from grayscope.errors import GrayscopeError, Retry, UsageError, shorten
from grayscope.sinks._access import Access, access, credentials
from grayscope.sinks._alertstate import MOST, Alertstate, Held, Key, key_of
from grayscope.sinks._alertwire import placed, wire
from grayscope.sinks._delivery import AGE, PAUSES
from grayscope.sinks._posting import Post, RefusedError

if TYPE_CHECKING:
    from grayscope.engine import Engine, Output

PATH = "/api/v2/alerts"
#: Alerts in one request; seconds until a receiver that refuses everything (a token that ended, a wrong path) is asked again.
BATCH, SLOW = 200, 60.0


class Alertmanager:
    """Keep every instance informed, each by a thread of its own.

    Delivery: at least once per `resend` seconds while an alert fires; receivers know it by its labels and drop repeats. An alert that is no longer
    told ends by itself after three times `resend`. A dead receiver never blocks detection; when it is back it is told what holds then.

    Parameters
    ----------
    urls : str or sequence of str
        All instances of a cluster, each by its own address and none behind a balancer.
    resend : float
        Seconds.
    timeout : float
        Seconds for one try.
    age : float
        Seconds after which the end of an alert that no instance took is given up; it has long expired there.
    runbooks, link : str
        See `wire`: annotation ``runbook_url`` and the link of each alert.
    user, password, password_file, token, token_file, ca, cert, key : str
        See `Access`; secrets may be in ``GRAYSCOPE_ALERTMANAGER_PASSWORD`` and ``GRAYSCOPE_ALERTMANAGER_TOKEN``.

    Raises
    ------
    UsageError
        No URL, or one that is none.
    """

    def __init__(
        self, urls: str | Sequence[str], *, resend: float = 60.0, timeout: float = 5.0, age: float = AGE, runbooks: str = "", link: str = "",
        pauses: Sequence[float] = PAUSES, clock: Callable[[], float] = time.time, user: str = "", password: str = "", password_file: str = "",
        token: str = "", token_file: str = "", ca: str = "", cert: str = "", key: str = "",
    ) -> None:  # fmt: skip
        for name, value in (("runbooks", runbooks), ("link", link)):
            if value:
                credentials(value, f"alertmanager: {name}")
        who = access(
            "GRAYSCOPE_ALERTMANAGER", user=user, password=password, password_file=password_file, token=token, token_file=token_file, ca=ca, cert=cert, key=key
        )
        posts = [Post(_address(u), timeout=timeout, access=None if who == Access() else who, what="alertmanager") for u in _listed(urls)]
        self.resend = resend
        self._labels: dict[Key, Mapping[str, str]] = {}  # identity -> all labels that it was told with
        self._cells: dict[str, tuple[Engine, set[Key]]] = {}

        def form(held: Held) -> dict[str, object]:
            return wire(held.alert, clock(), 3 * resend, runbooks=runbooks, link=link)

        self.instances = [_Instance(post, form, Alertstate(resend, age), tuple(pauses) or (1.0,), clock) for post in posts]

    @property
    def sent(self) -> int:
        """Alerts that were taken, of all instances; repeats are not counted."""
        return sum(i.state.sent for i in self.instances)

    @property
    def lost(self) -> int:
        """Alerts that were given up or refused, of all instances."""
        return sum(i.state.lost for i in self.instances)

    @property
    def said(self) -> str:
        """The last trouble of the first instance that has one now."""
        return next((i.said for i in self.instances if i.said), "")

    def send(self, alerts: Sequence[Alert]) -> None:
        """Hand alerts to the threads and return at once."""
        told = [self._placed(a) for a in alerts]
        for instance in self.instances:
            instance.put(told)

    def see(self, output: Output, engine: Engine, cell: str) -> None:
        """Tell of a new engine, which may have been restored, all that fires; remember whose alerts are whose."""
        known = self._cells.get(cell)
        if known is None or known[0] is not engine:
            firing = list(engine.announce.firing.values())
            self._forget((known[1] if known else set()) - {key_of(a) for a in firing})
            self._cells[cell] = (engine, set())
            self._mine(cell, firing)
            self.send(firing)
        if output.alerts:
            self._mine(cell, output.alerts)
            self.send(output.alerts)

    def leave(self, cell: str) -> None:
        """Say no more about a cell that somebody else judges from now on: the other tells what still fires."""
        if cell in self._cells:
            self._forget(self._cells.pop(cell)[1])

    def close(self, limit: float = 10.0) -> None:
        """Tell what is due once more within `limit` seconds. What fires goes on firing until it expires: the faults are still there."""
        for instance in self.instances:
            instance.stop()
        until = time.monotonic() + limit
        for instance in self.instances:
            instance.join(max(0.0, until - time.monotonic()))

    def _forget(self, keys: set[Key]) -> None:
        told = {tuple(sorted(self._labels.pop(key).items())) for key in keys if key in self._labels}
        for instance in self.instances:
            instance.forget(told)

    def _mine(self, cell: str, alerts: Iterable[Alert]) -> None:
        keys = self._cells[cell][1]
        for alert in alerts:
            (keys.add if alert.firing else keys.discard)(key_of(alert))

    def _placed(self, alert: Alert) -> Alert:
        """Return it with the labels it fires with: where the suspect sits may change, and would make another alert of it."""
        key = key_of(alert)
        found = placed(alert, self._labels.get(key))
        self._labels[key] = found.labels  # kept beyond the end: it may be told twice
        if len(self._labels) > 2 * MOST:
            del self._labels[next(iter(self._labels))]
        return found


class _Instance(threading.Thread):
    """One Alertmanager."""

    def __init__(self, post: Post, form: Callable[[Held], dict[str, object]], state: Alertstate, pauses: tuple[float, ...], clock: Callable[[], float]) -> None:
        super().__init__(name=f"alertmanager {post.where}", daemon=True)
        self.post, self.form, self.state, self.pauses, self.clock = post, form, state, pauses, clock
        self.said = ""
        self._lock = threading.Lock()
        self._work, self._closing = threading.Event(), threading.Event()
        self.start()

    def put(self, alerts: Sequence[Alert]) -> None:
        with self._lock:
            for alert in alerts:
                self.state.put(alert, self.clock())
        self._work.set()

    def forget(self, keys: set[Key]) -> None:
        with self._lock:
            self.state.forget(keys)

    def stop(self) -> None:
        self._closing.set()
        self._work.set()

    def run(self) -> None:
        """Tell what is due, and wait until something is; after trouble, wait longer each time."""
        failed = 0
        while True:
            closing = self._closing.is_set()
            self._work.clear()
            pause = self._turn(failed)
            if closing:
                break
            failed = failed + 1 if pause else 0
            if pause:
                self._closing.wait(pause)
                continue
            with self._lock:
                wait = self.state.next() - self.clock()
            self._work.wait(max(0.01, min(wait, 60.0)))
        with self._lock:
            self.state.lost += self.state.waiting()

    def _turn(self, failed: int) -> float:
        """Tell what is due; return for how long to leave the receiver alone, 0 if all is well."""
        with self._lock:
            due = self.state.due(self.clock())
        try:
            self.said = next(filter(None, [self._tell(due[i : i + BATCH]) for i in range(0, len(due), BATCH)]), "")
        except Retry as busy:
            self.said = str(busy)
            return max(busy.retry_after, self.pauses[min(failed, len(self.pauses) - 1)])
        except GrayscopeError as error:
            self.said = str(error)
            return SLOW
        return 0.0

    def _tell(self, part: Sequence[Held]) -> str:
        """Tell several at once; one that makes no sense there spoils the answer for all, so then one by one. Return what was refused and why."""
        try:
            self.post(json.dumps([self.form(h) for h in part]).encode())
        except RefusedError as error:
            if error.code != 400:
                raise
            if len(part) > 1:
                return next(filter(None, [self._tell((held,)) for held in part]), "")
            with self._lock:
                self.state.refused(part[0])
            return str(error)
        with self._lock:
            for held in part:
                self.state.took(held, self.clock())
        return ""


def _listed(urls: object) -> list[str]:
    found = [urls] if isinstance(urls, str) else list(urls) if isinstance(urls, (list, tuple)) else []
    if not found or not all(isinstance(u, str) for u in found):
        raise UsageError(f"alertmanager: urls: expected one address or a list of them, found a {type(urls).__name__}")
    return found


def _address(url: str) -> str:
    """Return where alerts are posted: instances are given by their root, perhaps with a prefix."""
    credentials(url, "alertmanager")
    parts = urllib.parse.urlsplit(url)
    if parts.query or parts.fragment:
        raise UsageError(f"alertmanager: expected an address without a query, found {shorten(parts.netloc.rpartition('@')[2] + parts.path)!r}")
    path = parts.path.rstrip("/")
    return parts._replace(path=path if path.endswith(PATH) else path + PATH).geturl()
