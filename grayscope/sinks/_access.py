"""Access: who we are to a receiver, and whom we trust; secrets are in no error and no `repr`."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

from grayscope.errors import GrayscopeError, UsageError, shorten


@dataclass(frozen=True)
class Access:
    """Who we are and whom we trust. Secrets are in no `repr`; files are read again at each try, for tokens are renewed.

    Parameters
    ----------
    user, password, password_file : str
        Basic authentication.
    token, token_file : str
        Bearer token, instead.
    ca, cert, key : str
        Files: whose certificates are trusted (the system's by default), and our own certificate.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    token: str = field(default="", repr=False)
    token_file: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    def headers(self) -> dict[str, str]:
        """Return the header that says who we are, if anything does."""
        token = _secret(self.token, self.token_file)
        if token:
            return {"Authorization": f"Bearer {token}"}
        if not self.user:
            return {}
        who = f"{self.user}:{_secret(self.password, self.password_file)}"
        return {"Authorization": "Basic " + base64.b64encode(who.encode()).decode()}

    def hidden(self, text: str) -> str:
        """Return a text in which our secrets are stars: a receiver may send back what it was sent.

        Examples
        --------
        >>> Access(token="s3cret").hidden("you sent Bearer s3cret")
        'you sent Bearer ***'
        """
        try:
            header = self.headers().get("Authorization", " ").split(" ", 1)[1]
            secrets = {header, _secret(self.token, self.token_file), _secret(self.password, self.password_file)}
        except GrayscopeError:  # a file that is away just now: rather say nothing
            return ""
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***") if secret else text
        return text

    def context(self) -> ssl.SSLContext:
        """Return the settings of TLS."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.cert:
                context.load_cert_chain(self.cert, self.key or None, lambda: "")
        except (OSError, ValueError) as error:
            raise UsageError(f"certificates cannot be read ({', '.join(p for p in (self.ca, self.cert, self.key) if p)}): {shorten(error)}") from None
        return context


def access(prefix: str, **given: str) -> Access:
    """Return the access that options name; a secret that they leave out may be in the environment, as ``<prefix>_PASSWORD`` or ``<prefix>_TOKEN``.

    Examples
    --------
    >>> access("GRAYSCOPE_X", user="ann", password="s3cret").headers()["Authorization"].split()[0]
    'Basic'
    """
    for key, value in given.items():
        if not isinstance(value, str):
            raise UsageError(f"{key}: expected text, found a {type(value).__name__}")
    for key in ("password", "token"):
        if not given.get(key) and not given.get(f"{key}_file"):
            given[key] = os.environ.get(f"{prefix}_{key.upper()}", "")
    return Access(**given)


def credentials(url: str, what: str) -> tuple[str, Access | None]:
    """Split ``https://user:password@host/`` into the URL and who we are.

    Raises
    ------
    UsageError
        Not a URL with a host; its password is not repeated.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and url.isprintable() and " " not in url
    except (ValueError, AttributeError, TypeError):
        fine = False
    if not fine:
        raise UsageError(f"{what}: expected an http or https URL, found {shorten(str(url).rpartition('@')[2])!r}")
    if parts.username is None:
        return url, None
    inside = Access(urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), inside


def _secret(value: str, path: str) -> str:
    if not path:
        return value
    try:
        found = Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{path}: expected one line of text") from None
    if not found.isprintable() or not found:
        raise UsageError(f"{path}: expected one line of text")
    return found
