"""Kafkatls: looks at a listener's TLS itself, where the client's words leave open what is wrong."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from grayscope.brokers._kafkasettings import KafkaSettings

#: Seconds that one look may take.
LOOK = 2.0


def fault(settings: KafkaSettings) -> str:
    """Return why the certificate of the first listener that shows one is not believed, ``""`` where it is, or cannot be seen.

    The words are OpenSSL's: librdkafka says of every such certificate that it "could not be verified".
    """
    try:
        context = ssl.create_default_context(cafile=settings.given.get("ssl_cafile"))
    except (OSError, ssl.SSLError):
        return ""
    context.check_hostname = bool(settings.given.get("ssl_check_hostname", True))
    for host, port in addresses(settings.servers):
        try:
            _greet(context, host, port)
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except (OSError, ValueError, OverflowError):
            continue
        return ""
    return ""


def spoken(servers: str) -> bool:
    """Say whether the first listener that answers speaks TLS, whatever its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for host, port in addresses(servers):
        try:
            _greet(context, host, port)
        except ssl.SSLError as error:
            return "ALERT" in str(error.reason)  # it answered in TLS that it will not have us
        except (OSError, ValueError, OverflowError):
            continue
        return True
    return False


def addresses(servers: str) -> Iterator[tuple[str, int]]:
    """Yield host and port of each server; one that is none raises ``ValueError`` or ``OverflowError`` where it is dialled.

    Examples
    --------
    >>> list(addresses("a, SSL://b:1,[::1]:2"))
    [('a', 9092), ('b', 1), ('::1', 2)]
    """
    for server in servers.split(","):
        bare = server.strip().rpartition("://")[2]
        host, _, port = bare.rpartition(":")
        yield (host.strip("[]"), int(port)) if port.isdecimal() else (bare, 9092)


def _greet(context: ssl.SSLContext, host: str, port: int) -> None:
    with socket.create_connection((host, port), LOOK) as raw, context.wrap_socket(raw, server_hostname=host):
        pass
