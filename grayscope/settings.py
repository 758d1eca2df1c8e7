"""Settings: one TOML file, then the environment (``GRAYSCOPE_*``), then flags; the later one wins."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grayscope.errors import UsageError
from grayscope.plugins import nearest

PREFIX = "GRAYSCOPE_"
#: Read elsewhere, or by packaging; what begins with TEST_ is read by tests.
FOREIGN = frozenset({
    "CONFIG", "SHARED", "INSTALL_SERVERS", "PROMETHEUS_TOKEN", "NODE", "CELL", "LISTEN_ADDRESS", "DISABLED_COLLECTORS", "ROOT", "REDFISH_TOKEN",
    "GRAFANA_URL", "GRAFANA_TOKEN", "GRAFANA_TOKEN_FILE",
    *(f"{sink}_{secret}" for sink in ("WEBHOOK", "ALERTMANAGER") for secret in ("TOKEN", "PASSWORD")),
})  # fmt: skip
#: Sections of the file that the agent, the Kafka broker, the live pipeline and the sinks read.
SECTIONS = frozenset({"agent", "broker", "collectors", "kafka", "live", "sinks"})
DURATIONS = frozenset({"lateness", "period", "urgency_horizon", "maintenance_longest", "maintenance_after"})
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings with their defaults.

    Parameters
    ----------
    cluster : str
        Name in alerts and incident ids.
    false_pages_per_1000_gpu_weeks : float
        How many false pages are accepted.
    lateness : float
        Seconds that a row may come late.
    period : float
        Seconds between rows of a table that does not say.
    detectors : tuple of str
        Empty: all that are not rivals.
    disabled_metrics : tuple of str
        Metrics that are not judged.
    urgency_horizon : float
        Seconds within which the end of a redundancy is urgent.
    maintenance_longest : float
        Seconds after which planned work without an end is over.
    maintenance_after : float
        Seconds beyond its end for which what is wrong is still put down to it.
    webhook_urls : tuple of str
        Receivers of the ``webhook`` sink.
    paths : str
        How faults reach people: ``push`` to receivers, or by ``rules`` of Prometheus or Grafana; never both, for one fault is one notification.
    dry_run : bool
        Compute and print, send nothing.
    """

    cluster: str = "cluster"
    false_pages_per_1000_gpu_weeks: float = 1.0
    lateness: float = 30.0
    period: float = 10.0
    detectors: tuple[str, ...] = ()
    disabled_metrics: tuple[str, ...] = ()
    urgency_horizon: float = 14 * 86400.0
    maintenance_longest: float = 86400.0
    maintenance_after: float = 600.0
    webhook_urls: tuple[str, ...] = ()
    paths: str = "push"
    dry_run: bool = False


FIELDS = {f.name: f for f in dataclasses.fields(Settings)}


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Gather the settings; every wrong key or value is listed in one `UsageError`.

    Examples
    --------
    >>> load_settings(environ={"GRAYSCOPE_LATENESS": "1m30s"}, flags={"cluster": "c1"}).lateness
    90.0
    """
    environ = os.environ if environ is None else environ
    path = path or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    problems: list[str] = []
    values: dict[str, Any] = {}
    for where, given in ((str(path), _file(path)), ("environment", _environment(environ)), ("flag", {k: v for k, v in (flags or {}).items() if v is not None})):
        for key, raw in given.items():
            try:
                values[key] = _value(key, raw)
            except UsageError as error:
                problems.append(f"{where}: {error}")
    if problems:
        raise UsageError("\n".join(problems))
    return Settings(**values)


def seconds(text: str | float) -> float:
    """Return a duration in seconds from ``30s``, ``4m``, ``1h30m`` or a plain number.

    Examples
    --------
    >>> seconds("1h30m"), seconds("250ms"), seconds(12)
    (5400.0, 0.25, 12.0)
    """
    if isinstance(text, (int, float)) or re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text):
        return float(text)
    parts = re.findall(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|d)", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise UsageError(f"expected a duration such as 30s or 1h30m, found {text!r}")
    return sum(float(a) * UNITS[b] for a, b in parts)


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return {k: v for k, v in tomllib.loads(path.read_text("utf-8")).items() if k not in SECTIONS}
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    given = {k.removeprefix(PREFIX): v for k, v in environ.items() if k.startswith(PREFIX)}
    return {k.lower(): v for k, v in given.items() if k not in FOREIGN and not k.startswith(("KAFKA_", "TEST_"))}


def _value(key: str, raw: Any) -> Any:
    if key not in FIELDS:
        raise UsageError(f"unknown setting {key!r}: {nearest(key, FIELDS)}")
    default = FIELDS[key].default
    if key == "paths" and raw not in ("push", "rules"):
        raise UsageError(f"paths: expected push or rules, found {raw!r}")
    if isinstance(default, tuple):
        found = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        if isinstance(found, (list, tuple)) and all(isinstance(x, str) for x in found):
            return tuple(found)
    elif isinstance(default, bool):
        text = str(raw).lower()
        if text in ("true", "1", "yes", "false", "0", "no"):
            return text in ("true", "1", "yes")
    elif isinstance(default, float):
        return _positive(key, raw)
    elif isinstance(raw, str):
        return raw
    raise UsageError(f"{key}: expected {type(default).__name__}, found {raw!r}")


def _positive(key: str, raw: Any) -> float:
    try:
        if isinstance(raw, bool):
            raise TypeError
        value = seconds(raw) if key in DURATIONS else float(raw)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from None
    except (TypeError, ValueError):
        raise UsageError(f"{key}: expected a number, found {raw!r}") from None
    if not 0 < value < 1e12 and not (key in ("lateness", "maintenance_after") and value == 0):
        raise UsageError(f"{key}: expected a positive number, found {raw!r}")
    return value
