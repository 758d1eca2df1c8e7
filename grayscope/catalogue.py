"""Catalogue: what each metric means, as data: side, direction, peers, load, mechanism and foreign names."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from grayscope.errors import InputError
from grayscope.modes import Modes
from grayscope.plugins import nearest

TYPES = ("gauge", "counter", "state")
WORSE = ("higher", "lower", "both", "none")
SIDES = ("health", "redundancy", "service", "condition", "load", "coverage")
OVERFLOW = ("wrap", "clamp")
#: What a value must be, where it is not checked otherwise.
KINDS: dict[str, type] = {**dict.fromkeys(("unit", "type", "worse", "side", "load", "needs", "mechanism", "mode"), str), "waits": bool, "bits": int}
KEYS = ("table", "unit", "type", "worse", "waits", "side", "peers", "load", "needs", "budget", "mechanism", "mode", "aliases", "bits", "overflow")


@dataclass(frozen=True, slots=True)
class Metric:
    """The meaning of one metric.

    Parameters
    ----------
    name, table, unit, type, worse, side : str
        As in the design; `worse` is the direction that is bad, `side` whose view it is.
    waits : bool
        The value contains waiting for peers: the lowest of a group is the suspect.
    peers : tuple of str
        Roster keys that must be equal for a comparison; none compares the whole table.
    load : str or None
        Metric of the same table that explains this one.
    needs : str or None
        Share of the time at work, of the same table: at rest the metric says nothing of what the part can do.
    budget : float or None
        How much of the mechanism there is, in `unit`.
    mechanism, mode : str or None
        Names of `grayscope.modes`.
    aliases : mapping of str to float
        Foreign names and the factor from theirs to our unit.
    bits, overflow : int, str or None
        Width of the counter at its source, and whether it wraps or clamps there.
    """

    name: str
    table: str
    unit: str = "1"
    type: str = "gauge"
    worse: str = "none"
    waits: bool = False
    side: str = "condition"
    peers: tuple[str, ...] = ()
    load: str | None = None
    needs: str | None = None
    budget: float | None = None
    mechanism: str | None = None
    mode: str | None = None
    aliases: Mapping[str, float] = field(default_factory=dict)
    bits: int | None = None
    overflow: str | None = None


class Catalogue:
    """All metrics by canonical name, and their foreign names.

    Examples
    --------
    >>> c = Catalogue.load()
    >>> c.resolve("DCGM_FI_DEV_SM_CLOCK")
    ('gpu_clock_hertz{domain="sm"}', 1000000.0)
    >>> c.get('gpu_clock_hertz{domain="video"}').unit
    'Hz'
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics: dict[str, Metric] = {m.name: m for m in metrics}
        self.aliases: dict[str, tuple[str, float]] = {}
        for m in self.metrics.values():
            _check(m, self.metrics)
            for alias, factor in m.aliases.items():
                if alias in self.aliases:
                    raise InputError(f"catalogue: {m.name}: alias {alias} is already claimed by {self.aliases[alias][0]}")
                self.aliases[alias] = (m.name, factor)

    @classmethod
    def load(cls) -> Catalogue:
        """Return the packaged catalogue; parsed once."""
        return _packaged()

    @classmethod
    def parse(cls, text: str, where: str = "catalogue") -> Catalogue:
        """Build a catalogue from TOML: one section per table, one entry per metric.

        An entry with labels, such as ``x{cause="a"}``, inherits what it does not say from the entry ``x``.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{where}: not TOML: {error}") from error
        metrics = []
        for table, entries in document.items():
            for name, given in entries.items():
                base = entries.get(name.partition("{")[0], {}) if "{" in name else {}
                inherited = {k: v for k, v in base.items() if k != "aliases"}
                metrics.append(_metric(name, {**inherited, "table": table, **given}, where))
        return cls(metrics)

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the tables that have metrics, sorted."""
        return tuple(sorted({m.table for m in self.metrics.values()}))

    def get(self, name: str) -> Metric | None:
        """Return a metric by its full name, else by its name without labels, else None."""
        return self.metrics.get(name) or self.metrics.get(name.partition("{")[0])

    def resolve(self, column: str) -> tuple[str, float] | None:
        """Return (canonical name, factor) of a column that is one of ours or a known alias, else None."""
        if self.get(column) is not None:
            return column, 1.0
        return self.aliases.get(column)

    def with_metrics(self, entries: Mapping[str, Mapping[str, Any]], where: str = "trace.json") -> Catalogue:
        """Return a catalogue in which `entries` (as in trace.json) add to or override what is known."""
        if not entries:
            return self
        added = {name: _metric(name, given, where) for name, given in entries.items()}
        return Catalogue({**self.metrics, **added}.values())


@cache
def _packaged() -> Catalogue:
    return Catalogue.parse(resources.files("grayscope").joinpath("catalogue.toml").read_text("utf-8"))


def _metric(name: str, given: Mapping[str, Any], where: str) -> Metric:
    label = f"{where}: metric {name}"
    for key in given:
        if key not in KEYS and not key.startswith("x-"):
            raise InputError(f"{label}: unknown key {key!r}: {nearest(key, KEYS)}")
    values = {k: v for k, v in given.items() if k in KEYS and v is not None}
    if not isinstance(values.get("table"), str):
        raise InputError.at(label, "table", "the name of a table", values.get("table"))
    for key, kind in KINDS.items():
        if key in values and not isinstance(values[key], kind):
            raise InputError.at(label, key, kind.__name__, values[key])
    if not isinstance(values.get("peers", []), list) or not all(isinstance(p, str) for p in values.get("peers", [])):
        raise InputError.at(label, "peers", "a list of roster keys", values["peers"])
    values["peers"] = tuple(values.get("peers", ()))
    values["aliases"] = dict(_alias(a, label) for a in values.get("aliases", ()))
    return Metric(name, **values)


def _alias(text: str, label: str) -> tuple[str, float]:
    """Split ``NAME`` or ``NAME * factor``."""
    name, _, factor = text.partition("*")
    try:
        number = float(factor or 1)
    except ValueError:
        number = math.nan
    if not number > 0 or not math.isfinite(number):
        raise InputError.at(label, f"factor of alias {name.strip()}", "a positive number", factor)
    return name.strip(), number


def _check(m: Metric, metrics: Mapping[str, Metric]) -> None:
    label = f"catalogue: metric {m.name}"
    for what, value, known in (("type", m.type, TYPES), ("worse", m.worse, WORSE), ("side", m.side, SIDES), ("overflow", m.overflow or "wrap", OVERFLOW)):
        if value not in known:
            raise InputError.at(label, what, f"one of {', '.join(known)}", value)
    modes = Modes.load()
    if m.mechanism is not None and m.mechanism not in modes.mechanisms:
        raise InputError(f"{label}: unknown mechanism {m.mechanism!r}: {nearest(m.mechanism, modes.mechanisms)}")
    if m.mode is not None and m.mode not in modes.modes:
        raise InputError(f"{label}: unknown mode {m.mode!r}: {nearest(m.mode, modes.modes)}")
    if m.waits and m.worse == "none":
        raise InputError(f"{label}: waits is set, but no direction is worse")
    if m.budget is not None and m.mechanism is None:
        raise InputError(f"{label}: a budget of no mechanism")
    if m.type == "counter" and m.worse == "lower":
        raise InputError(f"{label}: a counter cannot be worse when lower")
    if m.side == "load" and m.load is not None:
        raise InputError(f"{label}: a load cannot have a load")
    if m.overflow is not None and m.bits is None:
        raise InputError(f"{label}: overflow {m.overflow!r} without bits")
    for key, named in (("load", m.load), ("needs", m.needs)):
        other = metrics.get(named) or metrics.get(named.partition("{")[0]) if named else None
        if named is not None and (other is None or other.table != m.table):
            raise InputError.at(label, key, f"a metric of table {m.table}", named)
