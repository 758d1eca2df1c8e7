"""A receiver of the webhook's alerts, for the tests of `grayscope live`; no tests."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hook:
    """Receives what is posted."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - self is the hook
                self.bodies.append(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
                handler.send_response(200)
                handler.end_headers()

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def names(self) -> set[str]:
        """Return the identities of the alerts that came."""
        return {str(alert["labels"]["incident"]) for body in self.bodies for alert in alerts(json.loads(body))}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def alerts(told: Any) -> list[Any]:
    found: list[Any] = told["alerts"] if isinstance(told, dict) and "alerts" in told else told if isinstance(told, list) else [told]
    return found
