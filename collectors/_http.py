"""Http: fetch one bounded body over http or https within a deadline; no redirects, no other schemes."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from grayscope.errors import GrayscopeError, Retry, UsageError, shorten

BLOCK = 1 << 16


class RefusedError(GrayscopeError):
    """The server answered, with an error of its own: `code` and the first bytes of `body`."""

    def __init__(self, text: str, code: int, body: bytes) -> None:
        super().__init__(text)
        self.code, self.body = code, body


def check_url(url: str, path: str = "") -> str:
    """Return the URL, with `path` if it has none.

    Raises
    ------
    UsageError
        Neither http nor https, or it carries a password, which would end up in logs.

    Examples
    --------
    >>> check_url("http://n017:9400", "/metrics")
    'http://n017:9400/metrics'
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fine = False
    if not fine or not url.isprintable() or " " in url:
        raise UsageError(f"expected an http or https URL, found {shorten(url)!r}")
    if parts.username or parts.password:
        raise UsageError(f"expected a URL without user and password, found one for {shorten(parts.hostname)}")
    return url if parts.path not in ("", "/") or not path or parts.query else f"{parts.scheme}://{parts.netloc}{path}"


def fetch(
    url: str, *, data: bytes | None = None, headers: Mapping[str, str] | None = None, timeout: float = 5.0, limit: int = 64 << 20,
    context: ssl.SSLContext | None = None,
) -> tuple[bytes, bool]:  # fmt: skip
    """Return (body, whole): `whole` is False where the connection ended early; `context` says whose certificates are trusted.

    Raises
    ------
    Retry
        429 or 503: the server asks for patience.
    RefusedError
        Any other status but 200.
    GrayscopeError
        No answer, too slow, or a body beyond `limit` bytes.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    request = urllib.request.Request(url, data, {"User-Agent": "grayscope", **(headers or {})})  # noqa: S310 - the scheme was checked
    where = urlsplit(url).netloc
    until = time.monotonic() + timeout
    try:
        with opener.open(request, timeout=timeout) as answer:
            return _body(answer, where, until, limit)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, where) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise GrayscopeError(f"{where}: no answer: {shorten(getattr(error, 'reason', None) or error or type(error).__name__)}") from None


def _body(answer: http.client.HTTPResponse, where: str, until: float, limit: int) -> tuple[bytes, bool]:
    blocks: list[bytes] = []
    size = 0
    try:
        while block := answer.read1(BLOCK):
            blocks.append(block)
            size += len(block)
            if size > limit:
                raise GrayscopeError(f"{where}: expected a body of at most {limit} bytes, found more")
            if time.monotonic() > until:
                raise GrayscopeError(f"{where}: no answer: too slow, {size} bytes came in time")
    except http.client.IncompleteRead:
        return b"".join(blocks), False
    return b"".join(blocks), not answer.length


def _refusal(error: urllib.error.HTTPError, where: str) -> GrayscopeError:
    try:
        body = error.read(BLOCK)
    except (OSError, http.client.HTTPException):
        body = b""
    text = f"{where}: {error.code} {shorten(error.reason)}"
    if error.code in (429, 503):
        wait = error.headers.get("Retry-After", "")
        return Retry(text, min(float(wait), 60.0) if wait.isdigit() else 0.0)
    return RefusedError(text, error.code, body)
