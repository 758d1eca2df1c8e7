"""Noise: how numbers wander: one stream of randomness per idea, noise with a memory, and waves of load."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def stream(seed: int, idea: str) -> np.random.Generator:
    """Return the random stream of one idea; adding an idea leaves the others' numbers as they are.

    Examples
    --------
    >>> stream(1, "heat").random() == stream(1, "heat").random(), stream(1, "heat").random() == stream(2, "heat").random()
    (True, False)
    """
    key = hashlib.blake2b(f"{seed}/{idea}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


class Streams:
    """The random streams of one idea: one for each array that is drawn, so that numbers do not depend on how time is cut.

    Parameters
    ----------
    seed : int
    idea : str
    split : bool
        False: all arrays share one stream, drawn in turns; only for who always cuts time in the same way.

    Examples
    --------
    >>> some = Streams(1, "x", split=True)
    >>> some("a") is some("a"), some("a") is some("b"), (one := Streams(1, "x", split=False))("a") is one("b")
    (True, False, True)
    """

    def __init__(self, seed: int, idea: str, *, split: bool) -> None:
        self.seed, self.idea, self.split = seed, idea, split
        self.found: dict[str, np.random.Generator] = {} if split else {"": stream(seed, idea)}

    def __call__(self, name: str) -> np.random.Generator:
        """Return the stream of one array."""
        if not self.split:
            return self.found[""]
        if name not in self.found:
            self.found[name] = stream(self.seed, f"{self.idea}: {name}")
        return self.found[name]


class Drift:
    """First-order autoregressive noise around 0 that goes on from call to call.

    Parameters
    ----------
    rng : Generator
        A stream of its own, so that the numbers do not depend on how time is cut.
    size : int
        Number of series S.
    sd : float
        Standard deviation of each.
    memory : float
        Ticks after which the correlation has fallen to 1/e.

    Examples
    --------
    >>> whole = Drift(stream(1, "x"), 3, 1.0, 10.0).next(6)
    >>> parts = Drift(stream(1, "x"), 3, 1.0, 10.0)
    >>> bool((whole == np.concatenate([parts.next(2), parts.next(4)])).all())
    True
    """

    def __init__(self, rng: np.random.Generator, size: int, sd: float, memory: float) -> None:
        self.rng, self.size, self.sd = rng, size, sd
        self.keep = float(np.exp(-1.0 / memory))
        self.last = rng.standard_normal(size) * sd

    def next(self, ticks: int) -> Floats:
        """Return the next values, shape [ticks, S]."""
        out: Floats = self.rng.standard_normal((ticks, self.size)) * (self.sd * np.sqrt(1 - self.keep**2))
        for t in range(ticks):
            out[t] += self.keep * self.last
            self.last = out[t].copy()
        return out


class Lag:
    """A quantity that follows its target slowly, as a temperature follows power; goes on from call to call.

    Parameters
    ----------
    ticks : float
        Time constant.
    """

    def __init__(self, ticks: float) -> None:
        self.gain = 1.0 - float(np.exp(-1.0 / ticks))
        self.last: Floats | None = None

    def next(self, target: Floats) -> Floats:
        """Return the followed target, shape [T, S]; the first value is settled."""
        out = np.empty_like(target)
        last = target[0] if self.last is None else self.last
        for t in range(len(target)):
            last = last + self.gain * (target[t] - last)
            out[t] = last
        self.last = last
        return out


def ticking(first: int, ticks: int, period: float) -> Floats:
    """Return the moments, in seconds, of `ticks` ticks from number `first` on.

    Examples
    --------
    >>> ticking(3, 2, 10.0).tolist()
    [30.0, 40.0]
    """
    return np.arange(first, first + ticks, dtype=np.float64) * period


def wave(seconds: Floats, period: float, phase: float = 0.0) -> Floats:
    """Return a sine of `seconds`, shape [T], with a period in seconds and a phase in turns.

    Examples
    --------
    >>> wave(np.array([0.0, 900.0]), 3600.0).round(6).tolist()
    [0.0, 1.0]
    """
    return np.asarray(np.sin(2 * np.pi * (seconds / period + phase)), np.float64)
