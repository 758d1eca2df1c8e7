"""Delivery: messages that wait for one receiver, tried again until they are taken or too old; in memory, or in a file that outlives us."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from grayscope.errors import GrayscopeError, Retry, shorten

#: Seconds between tries; the last one again and again.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
#: Messages that wait; beyond it the oldest goes. Seconds after which one is given up.
MOST, AGE = 1000, 3600.0


class Delivery:
    """A queue and the thread that empties it: in order, at least once, never blocking who puts.

    What is given up (too old, too many, refused) is counted in `lost` by its weight, what was taken in `sent`; `said` is the last trouble.

    Parameters
    ----------
    post : callable
        Gets a body; raises `Retry` to be asked again, any other `GrayscopeError` where asking again is useless.
    name : str
        Of the thread, and of the file.
    pauses : sequence of float
        Seconds before each further try; the last one holds from there on.
    age : float
        Seconds after which a message is given up.
    spool : str
        A folder: what waits is kept there and goes on after a restart.
    """

    def __init__(
        self, post: Callable[[bytes], None], name: str, *, pauses: Sequence[float] = PAUSES, age: float = AGE, spool: str = "",
        sleep: Callable[[float], object] | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.post, self.pauses, self.age, self.clock = post, tuple(pauses) or (0.0,), age, clock
        self.sent = self.lost = 0
        self.said = ""
        self._lock = threading.Lock()
        self._work, self._closing = threading.Event(), threading.Event()
        self.sleep = sleep if sleep is not None else self._closing.wait
        self._kept, self._closed = bool(spool), False
        self._base = _opened(Path(spool) / f"{name}.sqlite" if spool else None)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Messages that wait."""
        with self._lock:
            return int(self._base.execute("SELECT count(*) FROM waiting").fetchone()[0]) if not self._closed else 0

    def put(self, data: bytes, weight: int = 1) -> None:
        """Queue a message and return at once."""
        with self._lock:
            try:
                self._base.execute("INSERT INTO waiting (born, weight, body) VALUES (?, ?, ?)", (self.clock(), weight, data))
                (over,) = self._base.execute("SELECT count(*) - ? FROM waiting", (MOST,)).fetchone()
                if over > 0:
                    self._drop("WHERE id IN (SELECT id FROM waiting ORDER BY id LIMIT ?)", over)
            except sqlite3.Error as error:  # a full disk must not stop detection
                self.lost, self.said = self.lost + weight, f"cannot be kept: {shorten(error)}"
        self._work.set()

    def close(self, limit: float = 30.0) -> None:
        """Try each waiting message once more within `limit` seconds; what is left counts as lost, unless a spool keeps it."""
        self._closing.set()
        self._work.set()
        self._thread.join(max(limit, 0.0))
        with self._lock, contextlib.suppress(sqlite3.Error):
            if not self._kept and not self._closed:
                self._drop("")
            if not self._thread.is_alive():
                self._closed = True
                self._base.close()

    def _drop(self, which: str, *values: object) -> None:
        (gone,) = self._base.execute(f"SELECT coalesce(sum(weight), 0) FROM waiting {which}", values).fetchone()  # noqa: S608 - our own words
        self._base.execute(f"DELETE FROM waiting {which}", values)  # noqa: S608
        self.lost += gone

    def _run(self) -> None:
        while True:
            self._work.clear()
            closing = self._closing.is_set()
            while (first := self._first()) is not None and self._deliver(*first):
                pass
            if closing or first is not None:
                return
            self._work.wait()

    def _first(self) -> tuple[int, float, int, bytes] | None:
        with self._lock:
            found: tuple[int, float, int, bytes] | None = self._base.execute("SELECT id, born, weight, body FROM waiting ORDER BY id LIMIT 1").fetchone()
        return found

    def _deliver(self, key: int, born: float, weight: int, data: bytes) -> bool:
        """Try until it is taken, refused or too old; False ends all, for a spool keeps what is left in its order."""
        pauses = itertools.chain(self.pauses, itertools.repeat(self.pauses[-1]))
        while (wait := self._try(key, born, weight, data)) is not None:
            if self._closing.is_set():
                if not self._kept:
                    self._done(key, weight, taken=False)
                return not self._kept
            self.sleep(max(next(pauses), wait))
        return True

    def _try(self, key: int, born: float, weight: int, data: bytes) -> float | None:
        """Post once; return None if that settled it, else for how many seconds the receiver asked."""
        try:
            self.post(data)
            self._done(key, weight, taken=True)
        except Retry as busy:
            self.said = str(busy)
            if self.clock() - born < self.age:
                return busy.retry_after
            self._done(key, weight, taken=False)
        except GrayscopeError as error:
            self.said = str(error)
            self._done(key, weight, taken=False)
        return None

    def _done(self, key: int, weight: int, *, taken: bool) -> None:
        with self._lock:
            mine = self._base.execute("DELETE FROM waiting WHERE id = ?", (key,)).rowcount > 0
            self.sent += weight * taken
            self.lost += weight * (mine - taken)  # what was dropped meanwhile is counted as lost already


def _opened(path: Path | None) -> sqlite3.Connection:
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(str(path) if path is not None else ":memory:", isolation_level=None, check_same_thread=False, timeout=1.0)
        # Nothing waits for the disk: a crash of this process loses nothing, a crash of the machine the last seconds.
        base.execute("PRAGMA synchronous = OFF")
        base.execute("CREATE TABLE IF NOT EXISTS waiting (id INTEGER PRIMARY KEY AUTOINCREMENT, born REAL, weight INTEGER, body BLOB)")
    except (OSError, sqlite3.Error) as error:
        raise GrayscopeError(f"{path}: cannot be used as a spool: {shorten(error)}") from None
    return base
