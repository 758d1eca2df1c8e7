"""Hazards: what goes wrong how often, how badly and for how long, read from hazards.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from grayscope.errors import InputError
from grayscope.modes import Modes
from grayscope.plugins import nearest

PARTS = ("gpu", "nvlink", "nic", "node", "drive", "leaf", "spine", "job", "lot", "site")
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Hazard:
    """One kind of trouble, as hazards.toml explains it."""

    part: str
    strength: Range
    state: str
    source: str
    rate: float = 0.0
    share: float = 0.0
    weak: Range | None = None
    extra: Range | None = None
    hours: Range | None = None
    choices: tuple[float, ...] = ()
    even: bool = False

    def draw_strength(self, rng: np.random.Generator, weak: bool) -> float:
        """Draw how bad it is.

        Examples
        --------
        >>> Hazard("gpu", (0.1, 0.1), "gray", "", weak=(0.02, 0.02)).draw_strength(np.random.default_rng(1), True)
        0.02
        """
        if self.choices:
            return float(rng.choice(self.choices))
        low, high = self.weak if weak and self.weak else self.strength
        return float(rng.uniform(low, high) if self.even else np.exp(rng.uniform(np.log(low), np.log(high))))

    def draw_extra(self, rng: np.random.Generator, weak: bool) -> float:
        """Draw the second number, 0 where there is none; half of those that begin at 0 are 0."""
        if self.extra is None or (self.extra[0] == 0 and rng.random() < 0.5):
            return 0.0
        return float(rng.uniform(*(self.weak if weak and self.weak and self.choices else self.extra)))

    def draw_hours(self, rng: np.random.Generator) -> float | None:
        """Draw how long it lasts; None: to the end."""
        return None if self.hours is None else float(self.hours[0] * np.exp(self.hours[1] * rng.standard_normal()))


@cache
def hazards() -> Mapping[str, Hazard]:
    """Return the packaged table by mode, in the file's order; parsed once."""
    return parse(resources.files("grayscope.fleet").joinpath("hazards.toml").read_text("utf-8"))


def parse(text: str) -> dict[str, Hazard]:
    """Read hazards from TOML.

    Raises
    ------
    InputError
        Names the mode and the key.
    """
    known, modes, out = [f.name for f in fields(Hazard)], Modes.load().modes, {}
    for mode, entry in tomllib.loads(text).items():
        where = f"hazards.toml: {mode}"
        if mode not in modes:
            raise InputError.at(where, "mode", nearest(mode, modes), mode)
        for key in entry:
            if key not in known:
                raise InputError.at(where, "key", nearest(key, known), key)
        if entry.get("part") not in PARTS or not entry.get("source"):
            raise InputError.at(where, "part and source", f"one of {', '.join(PARTS)}, and where the numbers come from", str(entry.get("part")))
        if ("rate" in entry) == ("share" in entry):
            raise InputError.at(where, "rate or share", "exactly one of both", "both" if "rate" in entry else "none")
        out[mode] = Hazard(**{k: _tuple(v) for k, v in entry.items()})
    return out


def _tuple(value: Any) -> Any:
    return tuple(float(v) for v in value) if isinstance(value, list) else value
