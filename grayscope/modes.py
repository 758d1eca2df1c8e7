"""Modes: the names of what can be wrong, and of the redundancy that hides it, each once, as data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from grayscope.errors import InputError

SEVERITIES = ("page", "ticket", "notice")
#: What trouble is called while somebody works where it shows.
MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of trouble, or of harmless look-alike (severity ``notice``).

    `explains` are modes it may show itself as; `refuted` is one sentence: what would show that it is something else;
    `silence`, where nothing ever says this name, why.
    """

    name: str
    severity: str
    sides: tuple[str, ...]
    runbook: str
    mechanism: str | None = None
    explains: frozenset[str] = frozenset()
    refuted: str = ""
    silence: str = ""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One kind of redundancy: what it hides, and how much there is (in words, as published)."""

    name: str
    table: str
    hides: str
    budget: str


@dataclass(frozen=True, slots=True)
class Modes:
    """All modes and mechanisms by name, and by side what would refute a trouble without a name.

    Examples
    --------
    >>> Modes.load().modes["hbm_row_spares"].mechanism
    'hbm_row_spares'
    """

    modes: Mapping[str, Mode]
    mechanisms: Mapping[str, Mechanism]
    refuted: Mapping[str, str]

    @classmethod
    def load(cls) -> Modes:
        """Return the packaged table; parsed once."""
        return _packaged()


@cache
def _packaged() -> Modes:
    document = tomllib.loads(resources.files("grayscope").joinpath("modes.toml").read_text("utf-8"))
    mechanisms = {name: Mechanism(name, *row) for name, row in document["mechanisms"].items()}
    modes = {}
    for name, entry in document["modes"].items():
        explains = frozenset(entry.get("explains", ()))
        words = entry["refuted"], entry.get("silence", "")
        mode = Mode(name, entry["severity"], tuple(entry["sides"]), entry["runbook"], entry.get("mechanism"), explains, *words)
        if mode.severity not in SEVERITIES:
            raise InputError.at(f"modes: {name}", "severity", ", ".join(SEVERITIES), mode.severity)
        if mode.mechanism is not None and mode.mechanism not in mechanisms:
            raise InputError.at(f"modes: {name}", "mechanism", "one of the mechanisms", mode.mechanism)
        for other in mode.explains - document["modes"].keys():
            raise InputError.at(f"modes: {name}", "explains", "names of modes", other)
        modes[name] = mode
    return Modes(modes, mechanisms, document["refuted"])
