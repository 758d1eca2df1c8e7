"""Tableparse: read a map from TOML and check every section and key of it."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grayscope.catalogue import KEYS, Catalogue
from grayscope.errors import InputError
from grayscope.plugins import nearest

from ._tablemap import TIME_UNITS, Condition, InputMap, Melt, MetricMap, Permute, TableMap, Template, TimeMap, TruthMap

TESTS = ("in", "not", "above", "below", "at_least", "at_most", "null")
STATES = ("masked", "gray", "failed", "benign")
#: Columns of roster.parquet and of table files that are neither keys nor metrics.
RESERVED = ("time", "subject", "table", "since", "until", "crosses", "arrived")
TABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:.]*(\{[^\n{}]*\})?")
#: A map is written by hand; what is larger is not a map.
LIMIT = 1 << 20
#: How a metric that the catalogue does not know is described; `table` comes from the map itself.
DESCRIBING = tuple(k for k in KEYS if k not in ("table", "aliases"))


def read_map(path: Path) -> TableMap:
    """Read and check a map; every error names the file, the section and the key."""
    try:
        text = path.read_bytes()[: LIMIT + 1]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > LIMIT:
        raise InputError.at(path, "size", f"at most {LIMIT} bytes", "more")
    try:
        return parse_map(tomllib.loads(text.decode("utf-8")), str(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error


def parse_map(document: Mapping[str, Any], where: str) -> TableMap:
    """Check a map that is already parsed."""
    top = _Section(document, where, "", ("table", "input", "time", "subject", "where", "melt", "metrics", "truth"))
    table = top.sub("table", ("name", "cluster", "note", "period_s", "counters"))
    subject = top.sub("subject", ("name", "keys", "crosses", "permute"))
    name = table.text("name")
    if not TABLE.fullmatch(name) or name in ("roster", "events", "truth"):
        raise InputError.at(where, "[table] name", "letters, digits and _, other than roster, events, truth", name)
    metrics, description = _metrics(top, name)
    period = table.number("period_s", None)
    if period is not None and not 0 < period < 1e9:
        raise InputError.at(where, "[table] period_s", "seconds above 0", period)
    return TableMap(
        where=where, table=name, cluster=table.maybe("cluster"), note=table.maybe("note") or "", period_s=period,
        counters=table.choice("counters", ("cumulative", "increments"), "cumulative"),
        input=_input(top), time=_time(top), subject=subject.template("name"), keys=_keys(subject),
        crosses=subject.templates("crosses"), permute=_permute(subject), conditions=_conditions(top), melt=_melt(top),
        metrics=metrics, truth=_truth(top), description=description,
    )  # fmt: skip


class _Section:
    """One section of the map: asks for keys by type, and refuses what nobody asks for."""

    def __init__(self, values: Any, where: str, name: str, known: Iterable[str] | None) -> None:
        self.where, self.name = where, name
        if not isinstance(values, Mapping):
            raise InputError.at(where, f"[{name}]", "a section", values)
        for key in values if known is not None else ():
            if key not in (known or ()):
                raise InputError(f"{where}: {f'[{name}]: ' if name else ''}unknown key {key!r}: {nearest(key, known or ())}")
        self.values = values

    def label(self, key: str) -> str:
        return f"[{self.name}] {key}" if self.name else f"[{key}]"

    def get(self, key: str, kinds: tuple[type, ...], expected: str, default: Any = ...) -> Any:
        if key not in self.values:
            if default is ...:
                raise InputError.at(self.where, self.label(key), expected, "nothing")
            return default
        value = self.values[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InputError.at(self.where, self.label(key), expected, value)
        return value

    def sub(self, key: str, known: Iterable[str] | None, name: str = "") -> _Section:
        return _Section(self.values.get(key, {}), self.where, name or (f"{self.name}.{key}" if self.name else key), known)

    def text(self, key: str) -> str:
        return str(self.get(key, (str,), "text"))

    def maybe(self, key: str) -> str | None:
        found: str | None = self.get(key, (str,), "text", None)
        return found

    def number(self, key: str, default: float | None) -> float | None:
        found = self.get(key, (int, float), "a number", default)
        return None if found is None else float(found)

    def flag(self, key: str) -> bool:
        return bool(self.get(key, (bool,), "true or false", False))

    def choice(self, key: str, known: tuple[str, ...], default: str) -> str:
        found = self.get(key, (str,), f"one of {', '.join(known)}", default)
        if found not in known:
            raise InputError.at(self.where, self.label(key), f"one of {', '.join(known)}", found)
        return str(found)

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        found = self.get(key, (list,), "a list of texts", list(default))
        if not all(isinstance(x, str) for x in found):
            raise InputError.at(self.where, self.label(key), "a list of texts", found)
        return tuple(found)

    def template(self, key: str) -> Template:
        if not self.text(key).strip():
            raise InputError.at(self.where, self.label(key), "a text, with columns in braces", "an empty text")
        return Template.parse(self.text(key), f"{self.where}: {self.label(key)}")

    def maybe_template(self, key: str) -> Template | None:
        return self.template(key) if key in self.values else None

    def templates(self, key: str) -> tuple[Template, ...]:
        return tuple(Template.parse(t, f"{self.where}: {self.label(key)}") for t in self.texts(key))


def _input(top: _Section) -> InputMap:
    section = top.sub("input", ("format", "separator", "encoding", "null_values", "rename", "split"))
    form = section.choice("format", ("csv", "parquet"), "") if "format" in section.values else None
    separator = section.maybe("separator")
    if separator is not None and len(separator.encode()) != 1:
        raise InputError.at(top.where, "[input] separator", "one character", separator)
    encoding = section.maybe("encoding") or "utf-8"
    try:
        b"a".decode(encoding, "replace")  # refuses codecs that are not about text
    except (LookupError, ValueError) as error:
        raise InputError.at(top.where, "[input] encoding", "a text encoding such as utf-8 or latin-1", encoding) from error
    rename = section.sub("rename", None)
    split = section.sub("split", None)
    parts = {column: split.sub(column, ("by", "into")) for column in split.values}
    parted = {column: (part.text("by"), part.texts("into")) for column, part in parts.items()}
    for column, (by, into) in parted.items():
        if not by or not into:
            raise InputError.at(top.where, f"[input] split {column}", "a separator and the names of the parts", f"by = {by!r}, into = {list(into)}")
    return InputMap(form, separator, encoding, section.texts("null_values", ("",)), {old: rename.text(old) for old in rename.values}, parted)


def _time(top: _Section) -> TimeMap:
    section = top.sub("time", ("column", "unit", "format", "index", "index_from", "rows", "start", "step_s"))
    given = [k for k in ("column", "index", "rows") if section.values.get(k) not in (None, False)]
    if len(given) != 1:
        raise InputError.at(top.where, "[time]", "exactly one of column, index, rows", ", ".join(given) or "none")
    fitting = {"column": ("column", "unit", "format"), "index": ("index", "index_from", "start", "step_s"), "rows": ("rows", "start", "step_s")}[given[0]]
    for key in section.values:
        if key not in fitting:
            raise InputError.at(top.where, f"[time] with {given[0]}", f"only {', '.join(fitting)}", key)
    if given == ["column"]:
        unit = section.choice("unit", tuple(TIME_UNITS), "") if "unit" in section.values else None
        return TimeMap(column=section.text("column"), unit=unit, format=section.maybe("format"))
    step = section.number("step_s", None)
    if step is None or not 1e-6 <= step < 1e9:
        raise InputError.at(top.where, "[time] step_s", "seconds above 0", step)
    index = section.maybe("index")
    if index is None and not section.flag("rows"):
        raise InputError.at(top.where, "[time] rows", "true", section.values["rows"])
    return TimeMap(index=index, index_from=section.number("index_from", 0.0) or 0.0, start=_moment(section, "start"), step=step * 1e6)


def _moment(section: _Section, key: str) -> int:
    """Return an RFC 3339 time (text or TOML's own) in microseconds; without a zone it is UTC."""
    value = section.get(key, (str, datetime), "a time such as 2024-01-01T00:00:00Z")
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError as error:
        raise InputError.at(section.where, section.label(key), "a time such as 2024-01-01T00:00:00Z", value) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution)


def _keys(subject: _Section) -> dict[str, Template]:
    section = subject.sub("keys", None)
    for key in section.values:
        if key in RESERVED or not key.replace("_", "a").isalnum():
            raise InputError.at(subject.where, "[subject] keys", f"names of letters, digits and _, other than {', '.join(RESERVED)}", key)
    return {key: section.template(key) for key in section.values}


def _permute(subject: _Section) -> Permute | None:
    if "permute" not in subject.values:
        return None
    section = subject.sub("permute", ("within", "column", "seed"))
    return Permute(section.text("within"), section.text("column"), int(section.get("seed", (int,), "a whole number", 0)))


def _conditions(section: _Section) -> tuple[Condition, ...]:
    given = section.sub("where", None)
    found = []
    for column, value in given.values.items():
        tests = _Section(value, given.where, f"{given.name}.{column}", TESTS).values if isinstance(value, Mapping) else {"in": value}
        found += [Condition(column, test, _operand(given, column, test, operand)) for test, operand in tests.items()]
    return tuple(found)


def _operand(section: _Section, column: str, test: str, value: Any) -> Any:
    where = f"{section.label(column)} {test}"
    if test == "null":
        if not isinstance(value, bool):
            raise InputError.at(section.where, where, "true or false", value)
        return value
    if test in ("in", "not"):
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(v, (str, int, float)) for v in values):
            raise InputError.at(section.where, where, "a text, a number or a list of them", value)
        return tuple(values)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise InputError.at(section.where, where, "a number", value)
    return float(value)


def _melt(top: _Section) -> Melt | None:
    if "melt" not in top.values:
        return None
    section = top.sub("melt", ("columns", "prefix", "keep", "name", "value"))
    given = [k for k in ("columns", "prefix", "keep") if k in section.values]
    if len(given) != 1:
        raise InputError.at(top.where, "[melt]", "exactly one of columns, prefix, keep", ", ".join(given) or "none")
    keep = section.texts("keep") if "keep" in section.values else None
    return Melt(section.text("name"), section.text("value"), section.texts("columns"), section.maybe("prefix"), keep)


def _metrics(top: _Section, table: str) -> tuple[tuple[MetricMap, ...], dict[str, dict[str, Any]]]:
    """Return the metrics, and what of them trace.json has to explain."""
    section = top.sub("metrics", None)
    if not section.values:
        raise InputError.at(top.where, "[metrics]", "at least one metric", "none")
    catalogue = Catalogue.load()
    described: dict[str, dict[str, Any]] = {}
    rows: list[tuple[str, str, _Section, float]] = []
    for name in section.values:
        given = section.sub(name, ("column", "factor", "zero_is_missing", *DESCRIBING))
        if not METRIC.fullmatch(name) or name in RESERVED:
            raise InputError.at(top.where, "[metrics]", 'a metric name such as drive_latency_seconds or x_total{cause="a"}', name)
        canonical, alias = catalogue.resolve(name) or (name, 1.0)
        if canonical in [r[0] for r in rows]:
            raise InputError(f"{top.where}: [metrics]: two entries are {canonical}: {name} is one of them")
        rows.append((canonical, name, given, alias))
        own = {k: v for k, v in given.values.items() if k in DESCRIBING}
        known = catalogue.get(canonical)
        if known is None or own or known.table != table:
            base = {k: v for k, v in dataclasses.asdict(known).items() if k in DESCRIBING and v is not None} if known else {}
            described[canonical] = {**base, **({"peers": list(known.peers)} if known else {}), **own, "table": table}
    # The catalogue itself checks types, directions, sides, mechanisms and loads.
    whole = catalogue.with_metrics(described, top.where)
    metrics = []
    for canonical, name, given, alias in rows:
        factor = given.number("factor", 1.0) or 0.0
        if not 0 < abs(factor) < 1e30:
            raise InputError.at(top.where, given.label("factor"), "a number other than 0", factor)
        meaning = whole.get(canonical)
        assert meaning is not None
        column = given.maybe("column")
        metrics.append(MetricMap(canonical, name if column is None else column, factor * alias, given.flag("zero_is_missing"), meaning.type == "counter"))
    return tuple(metrics), described


def _truth(top: _Section) -> TruthMap | None:
    if "truth" not in top.values:
        return None
    section = top.sub("truth", ("subject", "mode", "state", "note", "per", "also", "labels", "began", "ended", "where"))
    return TruthMap(
        section.template("subject"), section.template("mode"), section.choice("state", STATES, "gray"), section.maybe_template("note"),
        section.maybe_template("per"), section.templates("also"), section.maybe("labels"), section.maybe("began"), section.maybe("ended"),
        _conditions(section),
    )  # fmt: skip
