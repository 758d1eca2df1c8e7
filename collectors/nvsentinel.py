"""Nvsentinel: health events of NVSentinel's monitors (CloudEvents or plain JSON) as a trace of events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.tracewriter import TraceWriter

from ._filed import Files, contents, stamps
from ._healthbook import Healthbook, minutes
from ._jsons import clean, documents, moment

#: Checks whose error codes are the driver's own, which have a policy of their own.
LOGS = {"SysLogsXIDError": "xid", "SysLogsSXIDError": "sxid"}
PCI = re.compile(r"(?:PCI:)?([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.([0-7]))?")


class Nvsentinel(Files):
    """Reads HealthEvents; other observers' verdicts are the side `health`.

    A document is a CloudEvent, a HealthEvent, ``{"events": [...]}`` or a list of them; a file holds any number. Events of the kernel-log
    checks become ``xid`` and ``sxid`` by their codes; all others a health of their component, where one check's ``isHealthy`` clears
    what that check had said, and nothing else. Ours (agent ``grayscope``) are left out: nobody is a witness of himself.
    Delivery: every event once; what cannot be read is counted, a file that holds none is an error.

    Parameters
    ----------
    paths : sequence of path
    start, step : int, optional
        Microseconds; stamp events that tell no time.
    node : str
        Node of events that name none; by default each file's name up to its first dot.

    Notes
    -----
    Sources of names: NVIDIA/NVSentinel ``data-models/protobufs/health_event.proto`` and ``event-exporter``. Enums come as names or numbers.
    """

    def begin(self) -> None:
        """Begin with nobody's health known."""
        self.book = Healthbook()

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all events with a row a minute per node; return counts.

        Raises
        ------
        InputError
            A file that cannot be read or holds no event.
        """
        found: list[tuple[int, int, Mapping[str, Any], str]] = []
        for path, stamp in zip(self.paths, stamps(self.paths, self.start, self.step), strict=True):
            before = len(found)
            node = self.of(path)
            for event in self._events(contents(path), str(path)):
                time = moment(event.get("generatedTimestamp"))
                if time is None:
                    self.filed.reject("no_time")
                found.append((stamp if time is None else time, len(found), event, clean(event.get("nodeName"), 128).replace("/", "_") or node))
            if len(found) == before:
                raise InputError.at(path, "content", "health events of NVSentinel", "none")
        spans: dict[str, list[int]] = {}
        for time, _, event, node in sorted(found, key=lambda e: e[:2]):
            spans.setdefault(node, [time, time])[1] = time
            for told in self.read(event, time, node):
                self.filed.tell(told)
        for node, (first, last) in spans.items():
            for time in minutes(first, last):
                self.filed.add("collector_up", {"hostname": node}, time, 1.0)
        return {"files": len(self.paths), "read": len(found), **self.filed.write(writer, 60_000_000, progress)}

    def _events(self, data: bytes, where: str) -> Iterator[Mapping[str, Any]]:
        try:
            for document in documents(data, where):
                for entry in document if isinstance(document, list) else [document]:
                    found = list(unwrapped(entry))
                    self.filed.reject("not_an_event", 0 if found else 1)
                    yield from found
        except InputError:
            # A file that is still being written ends in the middle of a line: what came before it is good.
            self.filed.reject("cut_off")

    def read(self, event: Mapping[str, Any], time: int, node: str) -> Iterator[Event]:
        """Yield the events that one HealthEvent stands for."""
        if event.get("agent") == "grayscope":
            self.filed.reject("own_output")
            return
        check, text = clean(event.get("checkName"), 128), clean(event.get("message"))
        subject, well = subject_of(event.get("entitiesImpacted"), node), event.get("isHealthy") is True
        codes = event.get("errorCode")
        if check in LOGS and not well:
            for code in (codes[:16] if isinstance(codes, list) else []) or [""]:
                if re.fullmatch(r"[0-9]{1,6}", str(code)):
                    yield Event(time, subject, LOGS[check], str(code), text)
                else:
                    self.filed.reject("no_code")
            return
        if check in LOGS:
            yield Event(time, subject, "health", "reset", f"{check}: {text}")
            return
        level = "healthy" if well else "unhealthy" if event.get("isFatal") is True else "degraded"
        told = self.book.tell(time, subject, check, level, text)
        if told is not None:
            yield told


def unwrapped(entry: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the HealthEvents in a document."""
    if not isinstance(entry, dict):
        return
    data = entry.get("data") if "specversion" in entry else entry
    inner = data.get("healthEvent", data) if isinstance(data, dict) else None
    many = inner.get("events") if isinstance(inner, dict) else None
    yield from (e for e in (many if isinstance(many, list) else [inner]) if isinstance(e, dict) and isinstance(e.get("checkName"), str))


def subject_of(entities: Any, node: str) -> str:
    """Return whom an event is about: the most exact of its entities, the node where they name none.

    Examples
    --------
    >>> subject_of([{"entityType": "PCI", "entityValue": "0000:3b:00"}, {"entityType": "GPU", "entityValue": "3"}], "n1")
    'n1/gpu3'
    >>> subject_of([{"entityType": "PCI", "entityValue": "0000:3B:00"}], "n1"), subject_of([], "n1")
    ('n1/0000:3b:00.0', 'n1')
    """
    named = {e["entityType"]: clean(e["entityValue"], 128).replace("/", "_") for e in (entities if isinstance(entities, list) else [])
             if isinstance(e, dict) and isinstance(e.get("entityType"), str) and isinstance(e.get("entityValue"), str) and e["entityValue"]}  # fmt: skip
    gpu = named.get("GPU", "")
    if gpu.isdigit() and len(gpu) < 7:
        link = named.get("NVLINK", "")
        return f"{node}/gpu{int(gpu)}" + (f"/nvlink{int(link)}" if link.isdigit() and len(link) < 7 else "")
    if match := PCI.fullmatch(named.get("PCI", "")):
        return f"{node}/{match[1][-4:]}:{match[2]}:{match[3]}.{match[4] or 0}".lower()
    if named.get("NIC"):
        port = named.get("NICPort", "1")
        return f"{node}/{named['NIC']}" + ("" if port == "1" else f"/p{port}")
    if named.get("NVSWITCH"):
        return f"{node}/nvswitch{named['NVSWITCH']}"
    return f"{node}/{named['GPU_UUID']}" if named.get("GPU_UUID") else node
