"""Scenario: what is simulated: how large, how long, what may go wrong and how much faster than in the field; read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from grayscope.errors import InputError, UsageError, shorten
from grayscope.fleet.hazards import hazards
from grayscope.plugins import nearest


@dataclass(frozen=True, slots=True)
class Mess:
    """How untidy the data are; the defaults are those of the algorithms reference, section 10.1.

    Parameters
    ----------
    missing : float
        Share of scrapes of a node that fail.
    skew_s : float
        Standard deviation of the nodes' clock errors in seconds, at most 1.
    late : float
        Share of rows that arrive some ticks after they should.
    late_ticks : int
        At most so many.
    duplicates : float
        Share of rows that arrive twice. With late or double rows, counters are written as increments.
    """

    missing: float = 0.005
    skew_s: float = 0.3
    late: float = 0.0
    late_ticks: int = 3
    duplicates: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario file.

    Parameters
    ----------
    name, note : str
    nodes, gpus : int
    hours : float
    period_s, link_period_s : int
        Seconds between rows, and between rows of NVLinks.
    seed : int
    second : float
        Share of nodes of the second kind.
    busy : float
        Share of nodes that have work.
    acceleration : float
        By which all base rates of faults are multiplied.
    weak : float
        Share of weak ones among faults that can be weak.
    faults, controls : tuple of str
        Modes that may occur.
    speed : mapping
        Further factor on the rate of single modes.
    mess : Mess
    source : str
        Where its numbers come from.
    """

    name: str
    nodes: int = 16
    gpus: int = 8
    hours: float = 12.0
    period_s: int = 10
    link_period_s: int = 60
    seed: int = 1
    second: float = 0.0
    busy: float = 0.93
    acceleration: float = 1.0
    weak: float = 0.3
    faults: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    speed: Mapping[str, float] = field(default_factory=dict)
    mess: Mess = field(default_factory=Mess)
    note: str = ""
    source: str = ""

    def but(self, **changes: Any) -> Scenario:
        """Return the same with other values; None leaves one as it is."""
        return checked(replace(self, **{k: v for k, v in changes.items() if v is not None}))


def names() -> tuple[str, ...]:
    """Return the names of the packaged scenarios."""
    return tuple(sorted(f.name.removesuffix(".toml") for f in _folder().iterdir() if f.name.endswith(".toml")))


def load(what: str | Path) -> Scenario:
    """Read a scenario: the name of a packaged one, or a file.

    Raises
    ------
    UsageError, InputError
        Name what is unknown, and what is nearest to it.

    Examples
    --------
    >>> load("null").faults
    ()
    """
    if str(what) in names():
        return parse(_folder().joinpath(f"{what}.toml").read_text("utf-8"), str(what), f"{what}.toml")
    path = Path(what)
    if not path.is_file():
        raise UsageError(f"no scenario or file is called {str(what)!r}: {nearest(str(what), names())}")
    if path.stat().st_size > 1_000_000:
        raise InputError.at(path, "size", "at most 1 MB", f"{path.stat().st_size} bytes")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError.at(path, "text", "UTF-8", shorten(error)) from error
    return parse(text, path.stem, str(path))


def parse(text: str, name: str, where: str) -> Scenario:
    """Read a scenario from TOML."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError.at(where, "text", "TOML", shorten(error)) from error
    values: dict[str, Any] = {"name": name}
    for key, value in document.items():
        values[key] = Mess(**_typed(value, Mess(), f"{where}: mess")) if key == "mess" and isinstance(value, dict) else value
    values = _typed(values, Scenario(name), where)
    return checked(Scenario(**values), where)


def checked(scenario: Scenario, where: str = "scenario") -> Scenario:
    """Return a scenario whose values make sense."""
    known = hazards()
    for key, benign in (("faults", False), ("controls", True)):
        fitting = [m for m, h in known.items() if (h.state == "benign") == benign]
        for mode in getattr(scenario, key):
            if mode not in fitting:
                raise InputError.at(where, key, nearest(str(mode), fitting), shorten(mode))
    for mode, factor in scenario.speed.items():
        if mode not in known:
            raise InputError.at(where, "speed", nearest(mode, known), shorten(mode))
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor <= 1e6:
            raise InputError.at(where, f"speed: {mode}", "a number from 0 to 1,000,000", shorten(factor))
    limits = {
        "nodes": (1, 9999), "gpus": (1, 16), "hours": (0.02, 24 * 366), "period_s": (1, 3600), "link_period_s": (1, 36_000), "second": (0, 1), "busy": (0, 1),
        "acceleration": (0, 1e9), "weak": (0, 1),
    }  # fmt: skip
    for key, (low, high) in limits.items():
        if not low <= getattr(scenario, key) <= high:
            raise InputError.at(where, key, f"{low} to {high}", str(getattr(scenario, key)))
    if scenario.link_period_s % scenario.period_s:
        raise InputError.at(where, "link_period_s", f"a multiple of period_s, {scenario.period_s}", str(scenario.link_period_s))
    for item in fields(Mess):
        if not 0 <= getattr(scenario.mess, item.name) <= (1 if item.name != "late_ticks" else 100):
            wanted = "0 to 100 ticks" if item.name == "late_ticks" else "a share from 0 to 1"
            raise InputError.at(f"{where}: mess", item.name, wanted, str(getattr(scenario.mess, item.name)))
    return scenario


def _typed(values: Mapping[str, Any], like: Any, where: str) -> dict[str, Any]:
    """Return values of known keys in the types of an example."""
    known = {f.name: getattr(like, f.name) for f in fields(like)}
    out = {}
    for key, value in values.items():
        if key not in known:
            raise InputError.at(where, "key", nearest(key, known), shorten(key))
        kind = type(known[key])
        if kind is tuple and isinstance(value, list):
            value = tuple(value)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InputError.at(where, key, kind.__name__, f"{type(value).__name__} {shorten(value)}")
        out[key] = value
    return out


def _folder() -> Any:
    return resources.files("grayscope.fleet").joinpath("scenarios")
