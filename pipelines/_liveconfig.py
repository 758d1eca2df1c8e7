"""Liveconfig: section ``live`` of the settings file: how the live pipeline runs."""

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

#: Beside the agent's.
PORT = 28481


@dataclass(frozen=True)
class LiveSettings:
    """How the live pipeline runs.

    Parameters
    ----------
    listen : str
        ``host:port`` of `/metrics` and the like; empty for none.
    checkpoint : float
        Seconds between two checkpoints.
    worker : str
        Name of this worker in its group, the same after a restart; by default the host's.
    periods : mapping of str to float
        Seconds from row to row of tables that have a period of their own.
    summary : float
        Seconds of the windows that are told for the comparison of cells (`grayscope fleet`); 0 for none.
    """

    listen: str = f"127.0.0.1:{PORT}"
    checkpoint: float = 60.0
    worker: str = ""
    periods: Mapping[str, float] = field(default_factory=dict)
    summary: float = 0.0


def load_live(path: Path | None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> LiveSettings:
    """Gather the settings; `UsageError` names the wrong key.

    Examples
    --------
    >>> load_live(None, {"worker": "w1"}, {}).checkpoint
    60.0
    """
    environ = os.environ if environ is None else environ
    path = path or (Path(environ["GRAYSCOPE_CONFIG"]) if environ.get("GRAYSCOPE_CONFIG") else None)
    given = {**_section(path), **{key: value for key, value in (flags or {}).items() if value is not None}}
    known = [f.name for f in fields(LiveSettings)]
    for key in given:
        if key not in known:
            raise UsageError(f"live: unknown setting {shorten(key)!r}: {plugins.nearest(key, known)}")
    for key in ("listen", "worker"):
        if not isinstance(given.get(key, ""), str):
            raise UsageError(f"live: {key}: expected text, found {shorten(given[key])!r}")
    if "checkpoint" in given:
        given["checkpoint"] = _seconds("live: checkpoint", given["checkpoint"])
    if given.get("summary") not in (None, 0, ""):
        given["summary"] = _seconds("live: summary", given["summary"])
    else:
        given.pop("summary", None)
    periods = given.get("periods", {})
    if not isinstance(periods, Mapping):
        raise UsageError(f"live: periods: expected a section, found {shorten(periods)!r}")
    given["periods"] = {str(table): _seconds(f"live: periods.{table}", value) for table, value in periods.items()}
    return LiveSettings(**{**given, "worker": given.get("worker") or platform.node() or "worker"})


def _section(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8")).get("live", {})
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path}: live: expected a section, found {shorten(found)}")
    return found


def _seconds(where: str, raw: Any) -> float:
    try:
        found = seconds(raw)
    except (UsageError, TypeError, ValueError):
        found = 0.0
    if isinstance(raw, bool) or not 0.001 <= found <= 86400:
        raise UsageError(f"{where}: expected a duration from 1ms to 1d, found {shorten(raw)!r}")
    return found
