"""Modules: temperatures of the transceivers that mlx5 shows as sensors of the card.

Labels are ``asic`` and ``Module0``, ``Module1`` (mlx5 core/hwmon.c: the firmware's names of its MTMP sensors); no privileges.
"""

from __future__ import annotations

import re

from ._sysfs import Tree

LABEL = re.compile(r"(temp[0-9]{1,2})_label", re.ASCII)
MODULE = re.compile(r"module ?([0-9]{1,2})", re.ASCII | re.IGNORECASE)
AGAIN = 30


class Modules:
    """Finds the sensors of each card now and then, reads them at each look."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._found: dict[str, list[str]] = {}
        self._due = 0

    def celsius(self, device: str) -> list[float | None]:
        """Return the temperatures of a card's modules in their order; `device` is the path of the RDMA device."""
        if self.tree.looks >= self._due:
            self._due = self.tree.looks + AGAIN
            self._found.clear()
        if device not in self._found:
            self._found[device] = self._sensors(f"{device}/device/hwmon")
        return [self._degrees(self.tree.number(path, hold=True)) for path in self._found[device]]

    def _sensors(self, folder: str) -> list[str]:
        found = []
        for chip in self.tree.names(folder):
            for name in self.tree.names(f"{folder}/{chip}"):
                sensor = LABEL.fullmatch(name)
                label = MODULE.fullmatch(self.tree.text(f"{folder}/{chip}/{name}") or "") if sensor else None
                if sensor and label:
                    found.append((int(label[1]), f"{folder}/{chip}/{sensor[1]}_input"))
        return [path for _, path in sorted(found)]

    @staticmethod
    def _degrees(thousandths: float | None) -> float | None:
        # A module that is not there, or a cable without a sensor, shows 0 or less.
        return thousandths * 1e-3 if thousandths is not None and 0 < thousandths < 200_000 else None
