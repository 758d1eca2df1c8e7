"""Gpud: answers of gpud's API (states, events, metrics, info, machine-info) as a trace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.tracewriter import TraceWriter

from ._filed import Files, contents, stamps
from ._healthbook import Healthbook, minutes
from ._jsons import clean, documents, moment

#: What `health` says; Initializing says nothing yet.
LEVELS = {"Healthy": "healthy", "Degraded": "degraded", "Unhealthy": "unhealthy"}
CODE = re.compile(r"\b(S?)XID\W{0,3}([0-9]{1,5})\b", re.IGNORECASE)
PCI = re.compile(r"\b([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.([0-7]))?\b")
UUID = re.compile(r"GPU-[0-9a-fA-F\-]{8,64}")
#: Its own names of what happened to a port.
LINKS = {"ib_port_drop": "down", "ib_port_flap": "down"}


class Gpud(Files):
    """Reads what ``/v1/states``, ``/v1/events``, ``/v1/metrics``, ``/v1/info`` and ``/machine-info`` answered, in any order.

    Its `health` is another observer's verdict: the worst of all components is the node's, told when it changes. Its counters are
    redundancy and mapped by the catalogue. GPUs come by UUID and PCI address; where a `/machine-info` of the node is among the files
    they get their numbers, else they keep those names. Delivery: every entry once; what cannot be read is counted.

    Parameters
    ----------
    paths : sequence of path
    start, step : int, optional
        Microseconds; stamp what tells no time.
    node : str
        Name of the node; by default each file's name up to its first dot or dash-and-word (``n017-states.json``).

    Notes
    -----
    Sources of names: leptonai/gpud ``api/v1/types.go`` and its Prometheus metrics.
    """

    def begin(self) -> None:
        """Begin with nobody's health known."""
        self.books = dict[str, Healthbook]()
        self._gpus: dict[tuple[str, str], str] = {}

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all answers; return counts.

        Raises
        ------
        InputError
            A file that cannot be read or holds no answer of gpud.
        """
        answers: list[tuple[str, int, Mapping[str, Any]]] = []
        for path, stamp in zip(self.paths, stamps(self.paths, self.start, self.step), strict=True):
            node = self.node or re.split(r"\.|-(?:states|events|metrics|info|machine)", path.name)[0] or "node"
            found = [entry for document in documents(contents(path), str(path)) for entry in (document if isinstance(document, list) else [document])]
            known = [entry for entry in found if isinstance(entry, dict) and ("component" in entry or "gpuInfo" in entry)]
            self.filed.reject("not_an_answer", len(found) - len(known))
            if not known and found:
                raise InputError.at(path, "content", "answers of gpud with component or gpuInfo", found[0])
            answers += [(node, stamp, entry) for entry in known]
        for node, _, entry in answers:
            self._machine(node, entry.get("gpuInfo"))
        spans: dict[str, list[int]] = {}
        for time, node, read in sorted(self._told(answers), key=lambda t: t[:2]):
            span = spans.setdefault(node, [time, time])
            span[1] = time
            for event in read(time, node):
                self.filed.tell(event)
        for node, (first, last) in spans.items():
            for time in minutes(first, last):
                self.filed.add("collector_up", {"hostname": node}, time, 1.0)
        return {"files": len(self.paths), "answers": len(answers), **self.filed.write(writer, self.step, progress)}

    def _told(self, answers: list[tuple[str, int, Mapping[str, Any]]]) -> Iterator[tuple[int, str, Callable[[int, str], Iterator[Event]]]]:
        """Yield (time, node, what to do then) of every state and event; metrics are added at once."""
        for node, stamp, entry in answers:
            info = entry.get("info") if isinstance(entry.get("info"), dict) else entry
            assert isinstance(info, dict)
            component = clean(entry.get("component"), 128)
            for metric in _dicts(info.get("metrics")):
                self._metric(node, metric, stamp)
            for state in _dicts(info.get("states")):
                yield self._time(state, stamp), node, partial(self._state, state=state, component=component)
            for event in _dicts(info.get("events")):
                yield self._time(event, stamp), node, partial(self._event, event=event, component=component)

    def _time(self, entry: Mapping[str, Any], stamp: int) -> int:
        time = moment(entry.get("time"))
        self.filed.reject("no_time", time is None)
        return stamp if time is None else time

    def _machine(self, node: str, info: Any) -> None:
        for i, gpu in enumerate(_dicts(info.get("gpus"))[:256] if isinstance(info, dict) else ()):
            number = str(gpu.get("minorID", i))
            subject = f"{node}/gpu{int(number) if number.isdigit() and len(number) < 7 else i}"
            for name in (clean(gpu.get("uuid"), 128), _address(clean(gpu.get("busID"), 128))):
                if name:
                    self._gpus[node, name] = subject

    def _metric(self, node: str, metric: Mapping[str, Any], stamp: int) -> None:
        labels = metric.get("labels") if isinstance(metric.get("labels"), dict) else {}
        assert isinstance(labels, dict)
        time, value, name = moment(metric.get("unix_seconds")), metric.get("value"), clean(metric.get("name"), 256)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not name or abs(value) > 1e300:
            self.filed.reject("not_a_number")
            return
        told = {k: clean(v, 256) for k, v in labels.items() if isinstance(k, str) and isinstance(v, str)}
        uuid = told.get("uuid", "")
        gpu = self._gpus.get((node, uuid), f"{node}/gpu{uuid}")
        self.filed.add(name, {**told, "hostname": node, **({"gpu": gpu.partition("/gpu")[2]} if uuid else {})}, stamp if time is None else time, float(value))

    def _state(self, time: int, node: str, state: Mapping[str, Any], component: str) -> Iterator[Event]:
        level = LEVELS.get(clean(state.get("health"), 32))
        if level is None:
            self.filed.reject("no_health")
            return
        check = f"{component}/{clean(state.get('name'), 64)}".rstrip("/")
        told = self.books.setdefault(node, Healthbook()).tell(time, node, check, level, clean(state.get("reason")) or clean(state.get("error")))
        if told is not None:
            yield told

    def _event(self, time: int, node: str, event: Mapping[str, Any], component: str) -> Iterator[Event]:
        name, text = clean(event.get("name"), 64), clean(event.get("message"))
        code = CODE.search(text) if "xid" in name.lower() or "xid" in component else None
        if code is not None:
            yield Event(time, self._place(node, text), "sxid" if code[1] else "xid", str(int(code[2])), text)
        elif name in LINKS:
            device = re.search(r"\b(mlx5_[a-z0-9_]{1,16}|ib[0-9]{1,3})\b", text)
            yield Event(time, f"{node}/{device[1]}" if device else node, "link", LINKS[name], text)
        else:
            yield Event(time, node, "gpud", name or "event", f"{clean(event.get('type'), 16)} {text}".strip())

    def _place(self, node: str, text: str) -> str:
        found = UUID.search(text)
        address = _address(text)
        name = found[0] if found else address
        return self._gpus.get((node, name)) or self._gpus.get((node, address)) or (f"{node}/{name}" if name else node)


def _address(text: str) -> str:
    """Return the PCI address in a text, as the kernel writes it.

    Examples
    --------
    >>> _address("XID 79 on GPU PCI:00000000:3B:00"), _address("none")
    ('0000:3b:00.0', '')
    """
    match = PCI.search(text)
    return f"{match[1][-4:]}:{match[2]}:{match[3]}.{match[4] or 0}".lower() if match else ""


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
