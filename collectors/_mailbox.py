"""Mailbox: datagrams from a Unix socket, emptied all the time: the kernel keeps ten of them, and a sender that may not wait loses the rest."""

from __future__ import annotations

import select
import socket
import stat
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

from grayscope.errors import Unsupported, shorten

#: Bytes of one datagram, how many are kept between two looks, and how many are read in one go.
LONGEST, KEPT, ONCE = 4096, 1 << 16, 1 << 16


class Mailbox:
    """Listens at `at` from now on; a thread moves what comes into a queue.

    Parameters
    ----------
    at : path
        A socket of a listener that is no more is replaced.

    Attributes
    ----------
    overflow : int
        Datagrams that came when the queue was full; the oldest are lost.

    Raises
    ------
    Unsupported
        The socket cannot be made: says why, and what to do.
    """

    def __init__(self, at: Path) -> None:
        self.at, self.overflow = at, 0
        self._socket = listening(at)
        self._queue: deque[bytes] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="grayscope-steps", daemon=True)
        self._thread.start()

    def take(self) -> list[bytes]:
        """Return what has come since the last call."""
        with self._lock:
            self._empty()
            found = list(self._queue)
            self._queue.clear()
        return found

    def close(self) -> None:
        """Stop listening and take the socket away; safe to call twice."""
        if self._socket.fileno() < 0:
            return
        self._wake.send(b"x")
        self._thread.join()
        for one in (self._socket, self._wake, self._woken):
            one.close()
        with suppress(OSError):
            self.at.unlink()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket, self._woken], [], [])
            if self._woken in ready:
                return
            with self._lock:
                self._empty()

    def _empty(self) -> None:
        for _ in range(ONCE):
            try:
                data = self._socket.recv(LONGEST)
            except OSError:  # nothing more, for now
                return
            self.overflow += len(self._queue) == KEPT
            self._queue.append(data)


def listening(at: Path) -> socket.socket:
    """Return a socket bound to `at` that every local process may write to; one that nobody listens at any more is replaced.

    Raises
    ------
    Unsupported
        Somebody listens there, something else is there, or the directory is not ours.
    """
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if at.exists() or at.is_symlink():
            if not stat.S_ISSOCK(at.lstat().st_mode) or _answered(at):
                raise Unsupported(f"steps: {shorten(at)} is taken: by another agent, or it is no socket; name another place (GRAYSCOPE_STEPS)")
            at.unlink()
        ours.setblocking(False)
        ours.bind(str(at))
        at.chmod(0o666)  # jobs of all users send, only we receive
    except Unsupported:
        ours.close()
        raise
    except OSError as error:
        ours.close()
        raise Unsupported(f"steps: cannot listen at {shorten(at)}: {error.strerror or error}; make its directory, or name another place") from error
    return ours


def _answered(at: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(str(at))
        except ConnectionRefusedError:
            return False
    return True
