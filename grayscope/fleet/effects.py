"""Effects: what faults do to the parts in one stretch of time; each fault's own share is kept, so that it can be taken away again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet.noise import Floats

Where = NDArray[np.intp]
JOIN: dict[str, Callable[[Floats, Floats], Floats]] = {"times": np.multiply, "plus": np.add, "most": np.maximum, "least": np.minimum}


@dataclass(frozen=True, slots=True)
class Field:
    """One quantity that faults change: of which parts, how several faults join, and its value where there is none."""

    over: str
    how: str
    neutral: float


def _fields(over: str, how: str, neutral: float, names: str) -> dict[str, Field]:
    return {name: Field(over, how, neutral) for name in names.split()}


#: `compute`, `network`, `far`: factors on time, the last one only of what crosses the spine; `stall`: share of the time in which a
#: job's collective stands still; `stop`: 1 where the job does not step at all; `spin`: 1 where a GPU waits in vain and looks busy;
#: `lost`: 1 where it is off the bus. `clock`, `limit`, `bytes`, `rate`, `fan`: factors; `inside`: factor on the time of transfers
#: within a node. `hot`, `brake`: shares; `heat`, `inlet`: degrees; `margin`, `decades`: decades of the bit error ratio of a NIC and
#: an NVLink; `queue`, `crowd`: shares of a leaf's and a spine's bandwidth that are gone. Counts are per tick.
FIELDS: dict[str, Field] = {
    **_fields("gpu", "times", 1.0, "compute clock limit"),
    **_fields("gpu", "plus", 0.0, "heat corrected rows rows_uncorrected uncorrected link_errors links_lost"),
    **_fields("gpu", "most", 0.0, "hot brake pending failed spin lost"),
    **_fields("gpu", "least", 16.0, "lanes"),
    **_fields("job", "plus", 0.0, "stall"),
    **_fields("job", "most", 0.0, "stop"),
    **_fields("nvlink", "plus", 0.0, "replays crc decades retried mended"),
    **_fields("nvlink", "least", 1.0, "joined"),
    **_fields("nic", "times", 1.0, "network far bytes rate"),
    **_fields("nic", "plus", 0.0, "margin symbols retransmits downs recoveries spoilt marks pause"),
    **_fields("nic", "least", 1.0, "up"),
    **_fields("node", "times", 1.0, "fan inside"),
    **_fields("node", "plus", 0.0, "edac cpu inlet disks_lost bond_down bond_alone"),
    **_fields("node", "least", 1.0, "supplies fans"),
    **_fields("node", "most", 0.0, "dark"),
    **_fields("drive", "times", 1.0, "latency"),
    **_fields("drive", "plus", 0.0, "spent"),
    **_fields("leaf", "plus", 0.0, "uplinks queue"),
    **_fields("spine", "plus", 0.0, "crowd"),
}
#: What decides how long a step takes.
SERVICE = frozenset({"compute", "network", "far", "stall", "stop"})


@dataclass(frozen=True, slots=True)
class Touch:
    """What one fault does to one field: `values` [T, k] of the parts `where` [k]."""

    field: str
    where: Where
    values: Floats


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a log would tell: when (seconds), about whom, and in whose words."""

    seconds: float
    subject: str
    source: str
    code: str
    text: str
    count: int = 1


class Effects:
    """What all faults together do at `seconds`; fields that nobody touched cost nothing.

    Parameters
    ----------
    seconds : ndarray, shape [T]
    period : float
    seed : int
    sizes : mapping
        How many parts there are of each kind: gpu, nic, nvlink, node, job, drive, leaf.

    Examples
    --------
    >>> out = Effects(np.array([0.0, 10.0]), 10.0, 1, {"gpu": 2})
    >>> out.touch("compute", 1, 1.5)
    >>> out["compute"].tolist(), out["heat"].tolist()
    ([[1.0, 1.5], [1.0, 1.5]], [[0.0]])
    """

    def __init__(self, seconds: Floats, period: float, seed: int, sizes: Mapping[str, int]) -> None:
        self.seconds, self.period, self.seed, self.sizes = seconds, period, seed, sizes
        self.touches: dict[int, list[Touch]] = {}
        self.said: list[Said] = []
        self.fault = 0
        self._dense: dict[str, Floats] = {}

    def touch(self, field: str, where: int | Iterable[int] | Where, values: Floats | float) -> None:
        """Note what the fault numbered `self.fault` does; `values` is a number, [T], or [T, k]."""
        at = np.atleast_1d(np.asarray(where, np.intp))
        given = np.asarray(values, np.float64)
        shaped = np.array(np.broadcast_to(given[:, None] if given.ndim == 1 else given, (len(self.seconds), len(at))))
        kind = FIELDS[field]
        if not len(at) or (shaped == kind.neutral).all():
            return
        self.touches.setdefault(self.fault, []).append(Touch(field, at, shaped))
        if field not in self._dense:
            self._dense[field] = np.full((len(self.seconds), self.sizes[kind.over]), kind.neutral)
        self._dense[field][:, at] = JOIN[kind.how](self._dense[field][:, at], shaped)

    def say(self, seconds: float, subject: str, source: str, code: str, text: str, count: int = 1) -> None:
        """Note an event, if it falls into this stretch."""
        if self.seconds[0] <= seconds < self.seconds[-1] + self.period:
            self.said.append(Said(seconds, subject, source, code, text, count))

    def __getitem__(self, field: str) -> Floats:
        """Return a field, shape [T, parts], or [1, 1] where nobody touched it."""
        return self._dense[field] if field in self._dense else np.full((1, 1), FIELDS[field].neutral)

    def whole(self, field: str) -> Floats:
        """Return a field, always of shape [T, parts]."""
        return np.array(np.broadcast_to(self[field], (len(self.seconds), self.sizes[FIELDS[field].over])))

    def touched(self, field: str) -> bool:
        """Say whether anything changes a field."""
        return field in self._dense

    def service(self, keep: Callable[[int], bool]) -> dict[str, Floats]:
        """Return the fields that decide how long a step takes, with only those faults whose number `keep` says."""
        out = Effects(self.seconds, self.period, self.seed, self.sizes)
        for number, touches in self.touches.items():
            for touch in touches if keep(number) else ():
                if touch.field in SERVICE:
                    out.touch(touch.field, touch.where, touch.values)
        return {field: out[field] for field in SERVICE}
