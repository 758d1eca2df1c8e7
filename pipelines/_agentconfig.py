"""Agentconfig: what the agent of one node does: sections ``agent``, ``broker`` and ``collectors`` of the settings file, then the environment."""

from __future__ import annotations

import os
import platform
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from grayscope import plugins
from grayscope.errors import UsageError, shorten
from grayscope.settings import seconds

#: Not in the list of ports that others use (formats.md 16.1), nor among Prometheus' default allocations.
PORT = 28480
#: Read from the environment as well: ``GRAYSCOPE_<NAME>``.
ENVIRONMENT = {"NODE": "node", "CELL": "cell", "LISTEN_ADDRESS": "listen", "ROOT": "root", "DISABLED_COLLECTORS": "disabled"}


@dataclass(frozen=True)
class Source:
    """One source as configured: which collector, with what, how often, and how long one look may take."""

    name: str
    collector: str
    period: float
    deadline: float
    options: Mapping[str, Any] = field(default_factory=dict)
    wanted: bool = False  # named by the user: where it cannot be had, that is worth a word


@dataclass(frozen=True)
class AgentSettings:
    """What one agent does.

    Parameters
    ----------
    node, cell : str
        Who it speaks for; the host's name by default.
    listen : str
        ``host:port`` of `/metrics` and the like; empty for none.
    period, deadline : float
        Seconds from look to look, and for one look.
    root : str
        Where `/sys`, `/proc` and `/dev` are found; another one in a container.
    disabled : tuple of str
        Sources that are off.
    spool : str
        Folder where messages wait while the broker is away.
    spool_bytes : int
        Size at which the oldest of them are dropped.
    broker : mapping
        ``name`` of a broker plugin and its options; empty: what is seen is shown on `/metrics` only.
    sources : mapping
        Options of sources: ``use``, ``enabled``, ``period``, ``deadline``, all others go to the collector.
    """

    node: str = ""
    cell: str = ""
    listen: str = f"127.0.0.1:{PORT}"
    period: float = 10.0
    deadline: float = 10.0
    root: str = "/"
    disabled: tuple[str, ...] = ()
    spool: str = ""
    spool_bytes: int = 256 << 20
    broker: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def source(self, name: str) -> Source | None:
        """Return how one source is to be read, None where it is off."""
        given = dict(self.sources.get(name, {}))
        enabled, collector = given.pop("enabled", True), given.pop("use", name)
        if name in self.disabled or collector in self.disabled or not enabled:
            return None
        period, deadline = (within_a_day(f"collectors.{name}.{key}", given.pop(key, getattr(self, key))) for key in ("period", "deadline"))
        return Source(name, collector, period, deadline, given, name in self.sources)


def load_agent(path: Path | None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None) -> AgentSettings:
    """Gather the agent's settings; every wrong key or value is listed in one `UsageError`.

    Examples
    --------
    >>> load_agent(None, {"GRAYSCOPE_NODE": "n017"}, {"period": "1s"}).period
    1.0
    """
    environ = os.environ if environ is None else environ
    path = path or (Path(environ["GRAYSCOPE_CONFIG"]) if environ.get("GRAYSCOPE_CONFIG") else None)
    document = _document(path)
    given = dict(_mapping("agent", document.get("agent", {})))
    given |= {key: environ[f"GRAYSCOPE_{name}"] for name, key in ENVIRONMENT.items() if environ.get(f"GRAYSCOPE_{name}")}
    given |= {key: value for key, value in (flags or {}).items() if value is not None}
    sources = {name: _mapping(f"collectors.{name}", options) for name, options in _mapping("collectors", document.get("collectors", {})).items()}
    problems: list[str] = []
    values: dict[str, Any] = {"broker": _mapping("broker", document.get("broker", {})), "sources": sources}
    known = [f.name for f in fields(AgentSettings) if f.name not in values]
    for key, raw in given.items():
        try:
            values[key] = _value(key, raw, known)
        except UsageError as error:
            problems.append(str(error))
    known_collectors = plugins.names("collectors")
    for name, options in sources.items():
        if (used := options.get("use", name)) not in known_collectors:
            problems.append(f"collectors.{name}: no collector is called {shorten(used)!r}: {plugins.nearest(str(used), known_collectors)}")
    if problems:
        raise UsageError("\n".join(problems))
    found = AgentSettings(**values)
    for name in sources:
        found.source(name)
    return found if found.node else AgentSettings(**{**values, "node": platform.node() or "localhost"})


def shown(settings: AgentSettings) -> dict[str, Any]:
    """Return what may be printed: names of broker and sources, not their options, where passwords stand.

    Examples
    --------
    >>> shown(AgentSettings(broker={"name": "kafka", "sasl_password": "x"}, sources={"bmc": {"use": "redfish"}}))["broker"]
    'kafka'
    """
    plain = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in ("broker", "sources")}
    return {**plain, "broker": str(settings.broker.get("name", "")), "sources": sorted(settings.sources)}


def _document(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error


def _mapping(where: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise UsageError(f"{where}: expected a section, found {shorten(found)}")
    return found


def _value(key: str, raw: Any, known: list[str]) -> Any:
    if key not in known:
        raise UsageError(f"agent: unknown setting {key!r}: {plugins.nearest(key, known)}")
    if key in ("period", "deadline"):
        return within_a_day(key, raw)
    if key == "spool_bytes":
        if isinstance(raw, bool) or not isinstance(raw, int) or raw < 1 << 16:
            raise UsageError(f"agent: spool_bytes: expected a number of bytes from 65536 on, found {shorten(raw)}")
        return raw
    if key == "disabled":
        found = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        if not isinstance(found, (list, tuple)) or not all(isinstance(x, str) for x in found):
            raise UsageError(f"agent: disabled: expected names of sources, found {shorten(raw)}")
        return tuple(found)
    if not isinstance(raw, str) or "\n" in raw or (key in ("node", "cell") and "/" in raw):
        raise UsageError(f"agent: {key}: expected {'a name without a slash' if key in ('node', 'cell') else 'text'}, found {shorten(raw)!r}")
    return raw


def within_a_day(where: str, raw: Any) -> float:
    """Return a duration in seconds, from 10 ms to a day; `where` names it in the error."""
    try:
        found = seconds(raw)
    except (UsageError, TypeError, ValueError):
        found = 0.0
    if isinstance(raw, bool) or not 0.01 <= found <= 86400:
        raise UsageError(f"{where}: expected a duration from 10ms to 1d, found {shorten(raw)!r}")
    return found
