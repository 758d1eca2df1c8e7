"""Naming: what one series of a source is about: table, subject, column, factor and roster keys; nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from grayscope.catalogue import Catalogue, Metric

#: Labels that tell one column of a canonical metric from another; all others say where, whose or by whom.
BELONG = frozenset({
    "action", "activation", "algo", "availability", "bound", "bucket", "cause", "class", "code", "condition", "corrected_symbols", "dimm", "direction",
    "domain", "end", "event", "family", "kind", "lane", "location", "mc", "op", "outcome", "priority", "proto", "reason", "retention", "scope", "sensor",
    "severity", "size_bucket", "stage", "state", "summary", "type", "window", "xid",
})  # fmt: skip
NODE = ("hostname", "Hostname", "node", "nodename", "instance")
#: Roster key and the labels it is read from, best first. `exported_pod` is the workload where `pod` is the exporter's own.
KEYS = {
    "sku": ("modelName", "model_name", "sku"),
    "serial": ("UUID", "gpu_uuid", "uuid", "serial"),
    "driver": ("DCGM_FI_DRIVER_VERSION", "driver"),
    "job": ("hpc_job", "job_id", "slurm_job_id", "exported_pod", "pod"),
    **{key: (key,) for key in ("rack", "leaf", "rail", "role", "comm", "cell", "zone")},
}
#: Parts of a node that have series of their own: label, and what to put before a bare number.
PARTS = (("controller", "mc"), ("master", ""), ("nvswitch", "nvswitch"))
PCI = ("segment", "bus", "device", "function")
LONGEST = 256
UNKNOWN_NAMES = 1000


class Place(NamedTuple):
    """Where the samples of one series belong.

    Parameters
    ----------
    table, subject, metric : str
        `metric` is the canonical name.
    column : str
        The name as the source has it; traces keep it and scale on reading.
    factor : float
        From the source's unit to ours.
    rank : int
        Of several names for one metric the lowest is preferred.
    keys : tuple of (key, value)
        For the roster, sorted.
    """

    table: str
    subject: str
    metric: str
    column: str
    factor: float
    rank: int
    keys: tuple[tuple[str, str], ...]


class Naming:
    """Maps (name, labels) to a `Place`, and counts what it cannot map.

    MIG instances are set aside (`rejected["mig"]`): the exporter repeats the card's own temperature, power and errors for each of
    them, so as subjects one hot card would be seven suspects, and slices of unequal profile are no peers. An exporter told to
    report whole cards (dcgm-exporter ``-d g``) has no such labels.

    Parameters
    ----------
    catalogue : Catalogue, optional
    node : str
        Node of series that name none, such as those of a node's own exporter.

    Examples
    --------
    >>> p = Naming().place("DCGM_FI_DEV_SM_CLOCK", {"hostname": "n017", "gpu": "3", "modelName": "H100"})
    >>> p.subject, p.metric, p.factor, p.keys
    ('n017/gpu3', 'gpu_clock_hertz{domain="sm"}', 1000000.0, (('node', 'n017'), ('sku', 'H100'), ('slot', '3')))
    >>> Naming().place("pcie_replays_total", {"subject": "n1/gpu0/pcie"}).subject
    'n1/gpu0/pcie'
    """

    def __init__(self, catalogue: Catalogue | None = None, node: str = "") -> None:
        self.catalogue = catalogue or Catalogue.load()
        self.node = node
        self.unknown: dict[str, int] = {}
        self.rejected: dict[str, int] = {}
        self._rank = {a: i for m in self.catalogue.metrics.values() for i, a in enumerate(m.aliases, 1)}
        self._bare = self.names()

    def knows(self, name: str) -> bool:
        """Say whether a bare name is in the catalogue; a stranger is counted."""
        if name in self._bare:
            return True
        self.reject("own_output" if name.startswith("grayscope_") else "unknown")
        if name in self.unknown or len(self.unknown) < UNKNOWN_NAMES:
            self.unknown[name] = self.unknown.get(name, 0) + 1
        return False

    def names(self) -> dict[str, int]:
        """Return every bare name that is known, with its rank."""
        return {m.partition("{")[0]: 0 for m in self.catalogue.metrics} | self._rank

    def place(self, name: str, labels: Mapping[str, str]) -> Place | None:
        """Return where a series belongs, None (counted) where that cannot be said."""
        if not self.knows(name):
            return None
        if "GPU_I_ID" in labels or labels.get("source") == "grayscope":
            self.reject("mig" if "GPU_I_ID" in labels else "own_output")
            return None
        column = name if name in self.catalogue.aliases else _column(name, labels)
        found = self.catalogue.resolve(column)
        metric = self.catalogue.get(found[0]) if found else None
        if found is None or metric is None or len(column) > LONGEST:
            self.reject("unknown" if found is None else "long_name")
            return None
        subject, node = self._subject(metric, labels)
        if not subject or len(subject) > LONGEST:
            self.reject("long_name" if subject else "no_subject")
            return None
        return Place(metric.table, subject, found[0], column, found[1], self._rank.get(name, 0), self._keys(labels, node or subject.split("/", 1)[0]))

    def reject(self, reason: str) -> None:
        """Count one series or line that is not used."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def _subject(self, metric: Metric, labels: Mapping[str, str]) -> tuple[str, str]:
        """Return (subject, node), both ``""`` where the labels do not say."""
        if labels.get("subject"):
            return "/".join(self._safe(part) for part in labels["subject"].strip("/").split("/")), ""
        node = next((labels[k] for k in NODE if labels.get(k)), self.node)
        node = self._safe(_host(node))
        inner = self._inside(metric.table, labels) if node else None
        return (f"{node}/{inner}" if inner else node, node) if inner is not None else ("", "")

    def _inside(self, table: str, labels: Mapping[str, str]) -> str | None:
        """Return the component's path within its node, ``""`` for the node itself, None where it cannot be said."""
        gpu = f"gpu{self._index(labels['gpu'])}" if labels.get("gpu") else None
        if table == "gpu":
            return gpu
        if table == "pcie":
            return f"{gpu}/pcie" if gpu else self._address(labels)
        if table == "nvlink":
            link = labels.get("nvlink") or labels.get("link")
            return f"{gpu}/nvlink{self._index(link)}" if gpu and link else None
        if table in ("nic", "drive"):
            return self._device(labels)
        return self._part(labels) if table == "node" else None

    def _part(self, labels: Mapping[str, str]) -> str:
        """Return a memory controller, bond or switch of a node, which have counters of their own; else the node itself."""
        label, prefix = next(((k, p) for k, p in PARTS if labels.get(k)), ("", ""))
        value = self._safe(labels[label]) if label else ""
        return f"{prefix}{value}" if value.isdigit() else value

    def _device(self, labels: Mapping[str, str]) -> str | None:
        device, port = labels.get("device"), labels.get("port", "1")
        if not device:
            return None
        return self._safe(device) + ("" if port in ("", "1") else f"/p{self._safe(port)}")

    def _address(self, labels: Mapping[str, str]) -> str | None:
        if not all(labels.get(k) for k in PCI):
            return None
        segment, bus, device, function = (self._safe(labels[k]) for k in PCI)
        return f"{segment}:{bus}:{device}.{function}".lower()

    def _keys(self, labels: Mapping[str, str], node: str) -> tuple[tuple[str, str], ...]:
        keys = {key: self._safe(labels[k], "")[:LONGEST] for key, names in KEYS.items() for k in names[::-1] if labels.get(k)}
        keys["node"] = node[:LONGEST]
        if labels.get("gpu"):
            keys["slot"] = self._index(labels["gpu"])
        elif (address := self._address(labels)) is not None:
            # Without this every PCI device of a node would be a peer of every other; the same place on other nodes is a fair one.
            keys["slot"] = keys["sku"] = address
        return tuple(sorted(keys.items()))

    def _index(self, text: str) -> str:
        found = re.fullmatch(r"(?:GPU|gpu|nvidia)?([0-9]{1,6})", text)
        return found[1] if found else self._safe(text)

    def _safe(self, text: str, also: str = "/") -> str:
        """Return a label value that can stand in a subject's name: no separator, nothing that cannot be printed."""
        if text.isprintable() and not (also and also in text):
            return text
        self.reject("sanitized")
        return "".join(c if c.isprintable() and c != also else "_" for c in text)


def _column(name: str, labels: Mapping[str, str]) -> str:
    """Write a canonical name with the labels that belong to it, as Prometheus does, keys in order.

    Examples
    --------
    >>> _column("gpu_clock_hertz", {"subject": "n1/gpu0", "domain": "sm", "job": "scrape"})
    'gpu_clock_hertz{domain="sm"}'
    """
    inner = ",".join(f'{k}="{_escape(labels[k])}"' for k in sorted(BELONG & labels.keys()) if labels[k])
    return f"{name}{{{inner}}}" if inner else name


def _escape(text: str) -> str:
    clean = "".join(c if c.isprintable() else "_" for c in text)
    return clean.replace("\\", "\\\\").replace('"', '\\"')


def _host(instance: str) -> str:
    """Return a host without its port.

    Examples
    --------
    >>> _host("n017:9400"), _host("[fd00::1]:9400"), _host("n017")
    ('n017', 'fd00::1', 'n017')
    """
    found = re.fullmatch(r"\[([^\]]+)\](?::\d+)?|([^:]*):\d+", instance)
    return (found[1] or found[2]) if found else instance
