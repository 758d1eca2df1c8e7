"""Serving: `/metrics`, `/healthz`, `/readyz` over HTTP, read only, from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from grayscope.errors import GrayscopeError, UsageError, shorten

#: Returns (status, content type, body) of a path, None where there is no such page; told what the client accepts.
Pages = Callable[[str, str], tuple[int, str, str] | None]


class Serving:
    """A small server; use it as a context manager.

    Parameters
    ----------
    address : str
        ``host:port``; port 0 takes a free one.
    pages : callable
        See `Pages`; called from the server's threads.

    Raises
    ------
    GrayscopeError
        The address is taken or not ours.
    """

    def __init__(self, address: str, pages: Pages) -> None:
        host, _, port = address.rpartition(":")
        if not port.isdigit() or int(port) > 65535:
            raise UsageError(f"expected an address such as 127.0.0.1:28480, found {shorten(address)!r}")
        try:
            self.server = ThreadingHTTPServer((host.strip("[]") or "0.0.0.0", int(port)), _handler(pages))  # noqa: S104 - asked for by leaving the host out
        except OSError as error:
            raise GrayscopeError(f"{address}: cannot listen: {error.strerror or error}") from error
        self.server.daemon_threads = True
        self.url = f"http://{host or '127.0.0.1'}:{self.server.server_port}"

    def __enter__(self) -> Serving:
        threading.Thread(target=self.server.serve_forever, args=(0.1,), name="serving", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def _handler(pages: Pages) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD; everything else is 501."""

        timeout = 5.0  # of one client's silence
        server_version, sys_version = "grayscope", ""

        def do_GET(self) -> None:
            """Answer a page, or 404."""
            status, kind, body = pages(self.path.partition("?")[0], self.headers.get("Accept", "")) or (404, "text/plain", "not found\n")
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            """Say nothing: probes come every few seconds."""

    return Handler
