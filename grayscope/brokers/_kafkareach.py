"""Kafkareach: make a client of kafka-python, or say in one line why not.

kafka-python 3.0 answers a wrong password, an untrusted certificate and a dead host alike: a time-out after 30 seconds, with the reason in
its log only, repeated for as long as it tries. So its log is kept here, quietly, and read when there is something to explain.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from grayscope.brokers._kafkareasons import TRIES, dialled, explain, looked, refusal
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError, MissingPackage, UsageError, shorten


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


def plain(error: BaseException, topic: str) -> str:
    """Return in one line what a refused request on a topic means."""
    if "InitProducerIdResponse: [Error 31]" in str(error):  # who may write to no topic at all gets no number as a producer
        return refusal(29, topic)
    return refusal(getattr(error, "errno", 0), topic) or f"kafka topic {topic}: {shorten(error)}"
