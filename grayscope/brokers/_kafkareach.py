"""Kafkareach: make a client of kafka-python, or say in one line why not.

kafka-python 3.0 answers a wrong password, an untrusted certificate and a dead host alike: a time-out after 30 seconds, with the reason in
its log only, repeated for as long as it tries. So its log is kept here, quietly, and read when there is something to explain.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from grayscope.brokers import _kafkatls
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError, MissingPackage, UsageError, shorten

#: Seconds of the tries to reach a cluster: what has a known reason is told after the first, a slow one gets the whole.
TRIES = (2.0, 5.0, 10.0)
#: Seconds until a server that says nothing at all is given up.
DIAL = 3.0
#: What the log holds, and what it means; the first that fits speaks.
REASONS = (
    ("SaslAuthenticationFailed", "user or password is wrong: see sasl.username and sasl.password"),
    ("UnsupportedSaslMechanism", "the listener does not offer this sasl.mechanism"),
    ("IllegalSaslState", "the listener takes no user and password: set security.protocol to SSL or PLAINTEXT, or use its SASL port"),
    ("certificate has expired", "the server's certificate has expired: renew it there"),
    ("ostname mismatch", "the server's certificate is of another name: name the server in bootstrap.servers as its certificate does"),
    ("IP address mismatch", "the server's certificate is of another name: name the server in bootstrap.servers as its certificate does"),
    ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not trusted: name its authority in ssl.ca.location, its own name in bootstrap.servers"),
    ("CERTIFICATE_REQUIRED", "the listener wants a client certificate: set ssl.certificate.location and ssl.key.location"),
    ("BAD_CERTIFICATE", "the listener wants a client certificate that it trusts: set ssl.certificate.location and ssl.key.location"),
    ("ALERT_CERTIFICATE_UNKNOWN", "the listener does not take the client certificate of ssl.certificate.location: has it expired, does the broker trust it?"),
    ("ALERT_UNKNOWN_CA", "the listener does not know the authority of the client certificate in ssl.certificate.location"),
    ("ALERT_CERTIFICATE_EXPIRED", "the client certificate of ssl.certificate.location has expired: renew it"),
    ("Invalid frame length: 35", "the listener speaks TLS: set security.protocol to SSL or SASL_SSL"),
    ("UNEXPECTED_EOF_WHILE_READING", "the listener does not speak TLS: set security.protocol to PLAINTEXT, or use its TLS port"),
    ("WRONG_VERSION_NUMBER", "the listener does not speak TLS: set security.protocol to PLAINTEXT, or use its TLS port"),
    ("DNS Resolution failure", "the host name is not known: see bootstrap.servers"),
    ("ECONNREFUSED", "nobody listens there: is the broker up, is the port in bootstrap.servers right?"),
    ("socket disconnected", ""),
)
MEANING = dict(REASONS)
#: How reasons begin that are none yet.
HUNG_UP, SILENT = "the listener hangs up", "no answer within"


class _Log(logging.Handler):
    """The last lines of kafka-python's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=200)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage()[:1000])


#: A handler of its own keeps the client's warnings off the terminal; a handler that the user adds still gets them.
log = _Log()
logging.getLogger("kafka").addHandler(log)


def reached(make: Callable[..., Any], settings: KafkaSettings, arguments: Mapping[str, Any]) -> Any:
    """Return ``make(**arguments)`` once the cluster has answered.

    Raises
    ------
    GrayscopeError
        It has not; one line says why and what to do.
    """
    why = "" if "proxy_url" in settings.given else dialled(settings.servers)
    opened: list[KafkaNetClient] = []

    def opening(**named: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**named))
        return opened[-1]

    for seconds in TRIES if not why else ():
        # What did not come about leaves its sockets open until the garbage is collected.
        for client in opened:
            client.close()
        opened.clear()
        log.lines.clear()
        try:
            return make(**{**arguments, "bootstrap_timeout_ms": round(seconds * 1000), "kafka_client": opening})
        except errors.KafkaTimeoutError:
            why, known = explain(log.lines, settings)
            if finer := looked(why, settings):
                why, known = finer, True
            if known:
                break
        except (errors.KafkaError, OSError) as error:
            why = shorten(error)
            break
        except RuntimeError as error:  # "Libraries for zstd compression codec not found"
            package = {"zstd": "zstandard", "snappy": "python-snappy"}.get(str(settings.given.get("compression_type")), "lz4")
            raise MissingPackage(f"broker kafka needs {package}: pip install {package}") from error
        except (ValueError, TypeError, AssertionError) as error:
            raise UsageError(f"kafka: {shorten(error)}") from error
    for client in opened:
        client.close()
    raise GrayscopeError(f"kafka at {shorten(settings.servers)} ({settings.protocol}): {why}")


def dialled(servers: str) -> str:
    """Return why none of the servers can be dialled, ``""`` where one can.

    Asked first, for it is known at once, and kafka-python leaves a socket behind for every refusal.
    """
    reasons: list[str] = []
    for address in _kafkatls.addresses(servers):
        try:
            socket.create_connection(address, DIAL).close()
        except socket.gaierror:
            reasons.append(MEANING["DNS Resolution failure"])
        except TimeoutError:
            reasons.append(f"no answer within {DIAL:.0f} s: is the address right, is a firewall in between?")
        except ConnectionRefusedError:
            reasons.append(MEANING["ECONNREFUSED"])
        except (OSError, ValueError, OverflowError) as error:
            reasons.append(shorten(error))
        else:
            return ""
    return reasons[0]


def explain(lines: Iterable[str], settings: KafkaSettings, reasons: Iterable[tuple[str, str]] = REASONS) -> tuple[str, bool]:
    """Return why a cluster was not reached, and whether that is known."""
    told = list(lines)
    for mark, meaning in reasons:
        if any(mark in line for line in told):
            return meaning or _hung_up(settings), bool(meaning)  # a listener that hangs up may say more the next time
    return f"{SILENT} {sum(TRIES):.0f} s: is the address right, is a firewall in between?", False


def looked(why: str, settings: KafkaSettings) -> str:
    """Return what a look of our own says beyond `why`, ``""`` where it says nothing."""
    if why == MEANING["CERTIFICATE_VERIFY_FAILED"]:
        seen = _kafkatls.fault(settings)
        return next((meaning for mark, meaning in REASONS if seen and mark in seen), "")
    if settings.protocol.endswith("PLAINTEXT") and why.startswith((HUNG_UP, SILENT)) and _kafkatls.spoken(settings.servers):
        return MEANING["Invalid frame length: 35"]
    return ""


def _hung_up(settings: KafkaSettings) -> str:
    if settings.protocol == "PLAINTEXT":
        return f"{HUNG_UP}: it speaks TLS or wants a user, set security.protocol to SSL, SASL_SSL or SASL_PLAINTEXT"
    if settings.protocol.startswith("SASL"):
        return f"{HUNG_UP}: does it offer this sasl.mechanism and know this user and password?"
    return f"{HUNG_UP}: it wants a user (security.protocol SASL_SSL), a client certificate, or does not know ours"


#: Kafka's number of a refusal, and what to do.
REFUSALS = {
    3: "kafka topic {topic}: there is none, or this user may not see it: grayscope topics apply",
    10: "kafka topic {topic}: the broker takes no message of this size: lower message.bytes or raise its max.message.bytes",
    18: "kafka topic {topic}: the broker takes no message of this size: lower message.bytes or raise its max.message.bytes",
    29: "kafka topic {topic}: no right to use it: grant this user WRITE to send, READ to receive",
    30: "kafka: no right to use the consumer group in group.id: grant this user READ on it",
    31: "kafka: no right to this on the cluster: grant this user CREATE and ALTER, or let an administrator run it",
    53: "kafka: no right to send in transactions: grant this user WRITE and DESCRIBE on its transactional ids",
}


def refusal(number: int, topic: str) -> str:
    """Return in one line what the broker's answer `number` means, ``""`` where that is not known.

    Examples
    --------
    >>> refusal(30, "t")
    'kafka: no right to use the consumer group in group.id: grant this user READ on it'
    """
    return REFUSALS.get(number, "").format(topic=topic)


def plain(error: BaseException, topic: str) -> str:
    """Return in one line what a refused request on a topic means."""
    if "InitProducerIdResponse: [Error 31]" in str(error):  # who may write to no topic at all gets no number as a producer
        return refusal(29, topic)
    return refusal(getattr(error, "errno", 0), topic) or f"kafka topic {topic}: {shorten(error)}"
