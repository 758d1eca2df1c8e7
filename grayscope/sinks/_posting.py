"""Posting: one JSON body to one URL: how long it may take, and what the answer means."""

from __future__ import annotations

import contextlib
import functools
import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from grayscope.errors import GrayscopeError, Retry, shorten
from grayscope.sinks._access import Access, credentials

#: Seconds that a receiver may ask us to wait, and bytes of an answer that are read.
PATIENCE, ANSWER = 60.0, 4096


class RefusedError(GrayscopeError):
    """The receiver answered that it does not take this; `code` is its status."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Post:
    """Post to one URL; nothing is followed, nothing is kept.

    Parameters
    ----------
    url : str
        http or https; user and password in it become a header.
    timeout : float
        Seconds of silence; the whole may take three times as long.
    access : Access, optional
    what : str
        Name in errors.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, access: Access | None = None, what: str = "sink") -> None:
        self.url, inside = credentials(url, what)
        self.access, self.timeout, self.what = access or inside or Access(), timeout, what
        self.where = urllib.parse.urlsplit(self.url).netloc
        self._context = self.access.context() if self.url.startswith("https:") else None

    def __call__(self, data: bytes) -> None:
        """Post; return when it was taken.

        Raises
        ------
        Retry
            No answer, a busy one (429, 5xx), or one that makes no sense.
        RefusedError
            Any other status.
        """
        headers = {"Content-Type": "application/json", "User-Agent": "grayscope", **self._headers()}
        with contextlib.ExitStack() as stack:
            opener = urllib.request.build_opener(_NoRedirect, _Timed(3 * self.timeout, stack), _TimedTls(3 * self.timeout, stack, self._context))
            request = urllib.request.Request(self.url, data, headers)  # noqa: S310 - checked above
            try:
                with opener.open(request, timeout=self.timeout) as answer:
                    kind, body = answer.headers.get_content_type(), answer.read(ANSWER)
            except urllib.error.HTTPError as error:
                with error:
                    raise self._refusal(error) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = getattr(error, "reason", None) or error or type(error).__name__
                raise Retry(f"{self.what} {self.where}: no answer: {shorten(self.access.hidden(str(reason)))}", 0.0) from None
        if kind == "text/html" and body.strip():
            raise Retry(f"{self.what} {self.where}: answered with a page for people: is this the right address, or a login in between?", 0.0)

    def _headers(self) -> dict[str, str]:
        try:
            return self.access.headers()
        except GrayscopeError as error:  # the file of a secret is away while it is renewed
            raise Retry(f"{self.what} {self.where}: {error}", 0.0) from None

    def _refusal(self, error: urllib.error.HTTPError) -> GrayscopeError:
        try:
            said = shorten(self.access.hidden(error.read(ANSWER).decode("utf-8", "replace")).strip(), 200)
        except (OSError, http.client.HTTPException):
            said = ""
        text = f"{self.what} {self.where}: {error.code} {shorten(self.access.hidden(str(error.reason)))}{f': {said}' if said else ''}"
        if error.code == 429 or error.code >= 500:
            wait = error.headers.get("Retry-After", "")
            return Retry(text, min(float(wait), PATIENCE) if wait.isdecimal() else 0.0)
        return RefusedError(text, error.code)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuse redirects: urllib would follow them with a GET, and the alerts would be gone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        """Follow nothing, which makes it an error."""


class _Timed(urllib.request.HTTPHandler):
    """Limit the whole exchange: urllib's own limit is one of silence, and a receiver may send a byte now and then for ever."""

    def __init__(self, limit: float, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self.limit, self.stack = limit, stack

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open with the limit."""
        return self.do_open(functools.partial(_connection(http.client.HTTPConnection), self.limit, self.stack), req)


class _TimedTls(urllib.request.HTTPSHandler):
    """The same over TLS."""

    def __init__(self, limit: float, stack: contextlib.ExitStack, context: ssl.SSLContext | None) -> None:
        super().__init__(context=context)
        self.limit, self.stack, self.trust = limit, stack, context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open with the limit."""
        return self.do_open(functools.partial(_connection(http.client.HTTPSConnection), self.limit, self.stack), req, context=self.trust)


def _connection(base: type[http.client.HTTPConnection]) -> Callable[..., Any]:
    class Limited(base):  # type: ignore[misc, valid-type]
        """A connection that is shut down after so many seconds, whatever it is doing."""

        def __init__(self, limit: float, stack: contextlib.ExitStack, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.limit, self.stack = limit, stack

        def connect(self) -> None:
            super().connect()
            timer = threading.Timer(self.limit, shut, [self.sock])
            timer.daemon = True
            timer.start()
            self.stack.callback(timer.cancel)

    return Limited


def shut(sock: socket.socket) -> None:
    """End a connection, whatever somebody waits for on it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
