"""Detector: the contract of a detector and of blame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from grayscope.evidence import Evidence
from grayscope.standing import Standing
from grayscope.tick import Tick

State = dict[str, np.ndarray[Any, Any]]


class Detector(Protocol):
    """A deterministic fold from ticks to evidence: no clock, file, socket, thread or randomness.

    The constructor takes keywords only, all with defaults; ``false_pages`` is the number of false pages per 1,000
    subject-weeks that the user accepts.
    """

    #: A published method kept for comparison: never on by default.
    rival: ClassVar[bool]

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Take one tick; called once per tick in order of (time, table). Judges first, then learns."""
        ...

    def snapshot(self) -> State:
        """Return the whole state as plain arrays."""
        ...

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned; afterwards every step gives the same bits as without the pause."""
        ...
