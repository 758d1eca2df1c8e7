"""Kafkareasons: why a cluster cannot be reached and what a refusal means, in one line that says what to do; needs no client."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from grayscope.brokers import _kafkatls
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import shorten

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


def dialled(servers: str) -> str:
    """Return why none of the servers can be dialled, ``""`` where one can.

    Asked first, for it is known at once, and kafka-python leaves a socket behind for every refusal.
    """
    reasons: list[str] = []
    for address in _kafkatls.addresses(servers):
        try:
            if not 0 < address[1] < 1 << 16:  # the system would cut it down to one of these and dial that
                raise ValueError(f"port: expected 1 to 65535, found {address[1]}")
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
    82: "kafka: another member has this worker's name, or it joined twice while a broker died: give each worker its own --worker",
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
