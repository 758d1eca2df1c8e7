"""Grafana: one server that we may ask, through grafana-client; each refusal is one clear line that says what to do."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.parse
from typing import Any, NoReturn

from grayscope.errors import GrayscopeError, InputError, Retry, UsageError, shorten
from grayscope.sinks._access import access, credentials
from grayscope.sinks._posting import PATIENCE, RefusedError, shut

ROLE = "Administration > Users and access > Service accounts"
ADVICE = {
    401: f"the token is not taken: make one in Grafana under {ROLE} and give it as GRAYSCOPE_GRAFANA_TOKEN or in a file",
    403: f"the token may not do this: give its service account the role Editor under {ROLE}",
}


class Server:
    """A Grafana server as we may use it. One thread at a time.

    Parameters
    ----------
    url : str
        Of its start page, http or https; a path is kept; user and password in it are used if there is no token.
    token, token_file : str
        Of a service account; by default from ``GRAYSCOPE_GRAFANA_TOKEN``. Never shown.
    timeout : float
        Seconds of silence; a whole exchange may take three times as long.
    ca, cert, key : str
        Files for TLS, see `Access`.

    Raises
    ------
    UsageError
        The URL or the token has a wrong form.
    """

    def __init__(self, url: str, *, token: str = "", token_file: str = "", timeout: float = 10.0, ca: str = "", cert: str = "", key: str = "") -> None:
        clean, inside = credentials(url, "grafana")
        parts = urllib.parse.urlsplit(clean)
        self.url, self.where, self.timeout = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", parts.netloc, timeout
        given = access("GRAYSCOPE_GRAFANA", token=token, token_file=token_file, ca=ca, cert=cert, key=key)
        self.access = inside if inside is not None and not (given.token or given.token_file) else given
        if not (given.token.isascii() and given.token.isprintable() and " " not in given.token):
            raise UsageError("grafana: the token: expected one word of plain characters, found others (not shown)")
        self._wait = 0.0
        self._lines: list[socket.socket] = []
        self._client = self._made()

    def ask(
        self, method: str, path: str, body: Any = None, *, params: dict[str, Any] | None = None, headers: dict[str, str] | None = None, kind: type = dict
    ) -> Any:
        """Return what it answers to a request below ``/api``, of the given kind.

        Raises
        ------
        Retry
            No answer, half of one, a busy one (429, 5xx).
        RefusedError
            Any other status, in `code`; what can be done stands in the text.
        InputError
            An answer of another kind.
        """
        import urllib3.exceptions
        from grafana_client.client import GrafanaException, GrafanaTimeoutError

        self._wait = 0.0
        limit = threading.Timer(3 * self.timeout, self._cut)
        limit.daemon = True
        limit.start()
        try:
            found = getattr(self._client, method)(path, json=body, params=params, headers=headers, accept_empty_json=True)
        except GrafanaTimeoutError:
            raise Retry(f"grafana {self.where}: no answer within {self.timeout:g} s", 0.0) from None
        except GrafanaException as error:
            self._refuse(int(error.status_code), error.response)
        except GrayscopeError:
            raise
        except (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
            raise Retry(f"grafana {self.where}: no whole answer: {shorten(self.access.hidden(_plainly(error)))}", 0.0) from None
        finally:
            limit.cancel()
        if isinstance(found, str) and found.lstrip()[:1] == "<":
            raise Retry(f"grafana {self.where}: answered with a page for people: is this Grafana's address, or a login in between?", 0.0)
        if not isinstance(found, kind):
            raise InputError.at(f"grafana {self.where}", f"{method} {path}", kind.__name__, found)
        return found

    def close(self) -> None:
        """Let go of the connections."""
        self._client.s.close()

    def _refuse(self, code: int, body: Any) -> NoReturn:
        said = body.get("message", "") if isinstance(body, dict) else "" if str(body).lstrip()[:1] == "<" else body
        text = f"grafana {self.where}: {code}{f': {shorten(self.access.hidden(str(said)), 200)}' if said else ''}"
        if code == 429 or code >= 500:
            raise Retry(text, self._wait) from None
        raise RefusedError(f"{text}: {ADVICE[code]}" if code in ADVICE else text, code) from None

    def _made(self) -> Any:
        from grafana_client.api import GrafanaApi

        client = GrafanaApi(host="grafana", timeout=self.timeout, user_agent="grayscope").client
        client.url = f"{self.url}/api"  # its own way of building this forgets the brackets of IPv6
        client.auth = self._authorised
        client.s.max_redirects = 0
        client.s.hooks["response"].append(self._heard)
        for scheme in ("http", "https"):
            pools: Any = vars(client.s.adapters[f"{scheme}://"])["poolmanager"]
            pools.pool_classes_by_scheme = {k: self._counted(v) if k == scheme else v for k, v in pools.pool_classes_by_scheme.items()}
        if self.access.ca:
            client.verify = self.access.ca
        if self.access.cert:
            client.s.cert = (self.access.cert, self.access.key) if self.access.key else self.access.cert
        return client

    def _cut(self) -> None:
        """End what takes too long: the client's own limit is one of silence, and a server may send a byte now and then for ever."""
        for line in self._lines:
            shut(line)

    def _counted(self, pool: type[Any]) -> type[Any]:
        """Return a pool whose connections we know, so that they can be cut."""
        server = self

        class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined]
            def connect(self) -> None:
                super().connect()
                server._lines = [*(line for line in server._lines if line.fileno() >= 0), self.sock]

        return type("Pool", (pool,), {"ConnectionCls": Connection})

    def _authorised(self, request: Any) -> Any:
        request.headers.update(self.access.headers())
        return request

    def _heard(self, answer: Any, **_: object) -> Any:
        wait = answer.headers.get("Retry-After", "")
        self._wait = min(float(wait), PATIENCE) if wait.isdecimal() else 0.0
        return answer


def _plainly(error: BaseException) -> str:
    text = str(error)
    return "it leads elsewhere: give the address that it leads to" if "redirect" in text.lower() else text or type(error).__name__
