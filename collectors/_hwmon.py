"""Hwmon: temperatures, fans and power supplies as the kernel's sensor chips show them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ._sysfs import Tree

HWMON = "sys/class/hwmon"
SENSOR = re.compile(r"(temp|fan|in|power)([0-9]{1,3})_input", re.ASCII)
#: Sensors of one machine; looks after which chips are looked up anew.
MOST, AGAIN = 128, 30
#: Chips of devices that have a table of their own.
ELSEWHERE = ("nvme", "drivetemp", "mlx5", "nvidia", "amdgpu")


class Chips:
    """The sensor chips of a machine, found now and then, read at each look.

    Parameters
    ----------
    tree : Tree
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._due = 0
        self._sensors: list[tuple[str, str, str, str]] = []  # kind, path without the last word, chip, label
        self._supplies: dict[str, str] = {}  # chip -> path of its input voltage

    def look(self) -> None:
        """Look up chips and sensors where it is time to."""
        if self.tree.looks < self._due:
            return
        self._due = self.tree.looks + AGAIN
        found = []
        for chip, path in self._chips():
            for name in self.tree.names(path):
                match = SENSOR.fullmatch(name)
                if match:
                    stem = f"{path}/{name.removesuffix('_input')}"
                    found.append((match[1], stem, chip, (self.tree.text(f"{stem}_label") or match[1] + match[2])[:64]))
        self._sensors = [s for s in found if s[0] in ("temp", "fan")][:MOST]
        self._supplies = {chip: stem for kind, stem, chip, label in found if kind == "in" and label.lower() == "vin"}

    def temperatures(self) -> Iterator[tuple[str, float]]:
        """Yield (sensor, degrees Celsius), but for single cores, which the package stands for."""
        for kind, stem, chip, label in self._sensors:
            if kind == "temp" and not label.startswith("Core "):
                degrees = self.tree.number(f"{stem}_input")
                # What lies beyond is the driver's way to say that nothing is connected.
                if degrees is not None and -50_000 < degrees < 200_000:
                    yield f"{chip}:{label}", degrees * 1e-3

    def fans(self) -> Iterator[tuple[str, float | None, bool | None]]:
        """Yield (name, turns per minute, whether the chip calls it good, None where it does not judge)."""
        for kind, stem, chip, label in self._sensors:
            if kind == "fan":
                flags = [self.tree.number(f"{stem}_{flag}") for flag in ("alarm", "fault") if self.tree.has(f"{stem}_{flag}")]
                judged = not any(flags) if flags and None not in flags else None
                yield _name(f"{chip}-{label}"), self.tree.number(f"{stem}_input"), judged

    def supplies(self) -> list[bool]:
        """Return for every supply whether it has power at its input and no alarm of it."""
        states = []
        for stem in self._supplies.values():
            volts = self.tree.number(f"{stem}_input")
            if volts is not None:
                low = [self.tree.number(f"{stem}_{flag}") for flag in ("lcrit_alarm", "min_alarm") if self.tree.has(f"{stem}_{flag}")]
                states.append(volts > 0 and not any(low))
        return states

    def _chips(self) -> list[tuple[str, str]]:
        """Return (name, path) of every chip; like chips are told apart by the device they sit on, for numbers change at boot."""
        paths = [f"{HWMON}/{n}" for n in self.tree.names(HWMON)]
        named = [((self.tree.text(f"{p}/name") or "chip")[:32], p) for p in paths]
        named = [(name, p) for name, p in named if not name.startswith(ELSEWHERE)]
        often = Counter(name for name, _ in named)
        return [(name if often[name] == 1 else f"{name}-{self._device(p)}", p) for name, p in named]

    def _device(self, path: str) -> str:
        return self.tree.target(f"{path}/device").rpartition("/")[2] or path.rpartition("/")[2]


def _name(text: str) -> str:
    """Return a label as the last part of a subject's name.

    Examples
    --------
    >>> _name("nct6775-CPU Fan/1")
    'nct6775-CPU_Fan_1'
    """
    return "".join(c if c.isalnum() or c in "-._:" else "_" for c in text)
