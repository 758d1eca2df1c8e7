"""Counting and weighing: the compiled loops against plain numpy, bit by bit, over many ticks with whatever a tick may hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import traffic
from grayscope.counting import count_on
from grayscope.traffic import FIELDS, grouped, weighed
from grayscope.uneven import ALONE
from grayscope.weighing import LEAST, LONG, MOST, MOSTLY, PRIOR, SELDOM, SPANS, SURE

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Labels = NDArray[np.int32]
PASTS, MUCH, OVER, TICKS = (256, 4096, 256), 8.0, 0.5, 30


class World(NamedTuple):
    """Who is compared with whom [S], who is learned from [S], how often there is an error, and whether a tick may hold what no collector tells."""

    label: Labels
    trusted: Bools
    often: float
    wild: bool

    def tick(self, draw: np.random.Generator, metrics: int = 3) -> NDArray[np.float32]:
        """Return errors in the first rows, and what was moved in the last two."""
        parts = len(self.label)
        values = draw.poisson(self.often, (metrics, parts)) * draw.choice([1, 1, 3, 40], (metrics, parts))
        values = np.concatenate([values, 1e9 * draw.gamma(0.5, 2.0, (2, parts)) * draw.choice([0, 1, 1, 1, 50], (2, parts))]).astype(np.float32)
        values[draw.random(values.shape) < 0.05] = np.nan
        values[-2:, draw.random(parts) < 0.05] = np.nan
        for odd in (np.inf, -np.inf, -3.0) if self.wild else ():
            values[draw.random(values.shape) < 0.01] = odd
        return values


def world(name: str) -> World:
    draw = np.random.default_rng(5)
    n = {"nobody": 0, "one": 1}.get(name, 203)
    label = {"a group": np.zeros(n), "alone": np.arange(n)}.get(name, np.arange(n) // 4 if "four" in name else draw.integers(0, 7, n))
    trusted = np.zeros(n, bool) if name == "none trusted" else draw.random(n) < 0.9
    return World(label.astype(np.int32), trusted, 2.0 if name == "often" else 0.05, name == "wild")


WORLDS = ("usual", "a group", "groups of four", "alone", "none trusted", "often", "wild", "one", "nobody")


def sums(x: Any, label: Labels) -> Floats:
    return np.asarray(np.bincount(label, weights=x, minlength=int(label.max(initial=-1)) + 1), np.float64)


def group_rate(label: Labels, trusted: Bools, events: Floats, ticks: Floats) -> tuple[Bools, Floats]:
    seen, watched = (sums(np.where(trusted, x, 0.0), label) for x in (events, ticks))
    every = (seen.sum() + ALONE) / max(float(watched.sum()), 1.0)
    return trusted if watched.any() else np.zeros_like(trusted), np.minimum((seen + ALONE) / (watched + ALONE / every), 1.0)[label]


def power(base: Floats, part: Floats) -> Floats:
    out, left = np.ones_like(base), part.copy()
    for _ in range(8):
        base, left = np.sqrt(base), left + left
        ones = left >= 1.0
        out *= np.where(ones, base, 1.0)
        left -= ones
    return out


def share_of(usually: Floats, told: Floats, moved: Floats, here: Bools, label: Labels) -> Floats:
    seen, n = sums(usually, label), sums(told, label)
    before = np.where(n > 0, seen / np.maximum(n, 1e-9), np.inf)[label]
    usually *= 1 - 1 / LONG
    usually += np.where(here, np.minimum(moved, MOST * np.where(before > 0, before, np.inf)), 0.0)
    told *= 1 - 1 / LONG
    told += here
    usual = (sums(usually, label) / np.maximum(sums(told, label), 1e-9))[label]
    own = usually / np.maximum(told, 1e-9)
    return np.where(usual > 0, np.minimum(np.maximum(moved, own) / np.where(usual > 0, usual, 1.0), MOST), 1.0)


def of_bytes(share: Floats, rate: Floats) -> Floats:
    out = rate * np.minimum(share, 1.0)
    many = np.flatnonzero((rate > SELDOM) & (share < 1.0))
    out[many] = 1.0 - power(1.0 - rate[many], share[many])
    return np.asarray(out)


def plainly_weighed(count: Floats, moved: Floats, a: dict[str, Any], m: int, label: Labels, trusted: Bools, rate: Floats) -> Floats:
    told = np.isfinite(count) & np.isfinite(moved).any(axis=0)
    moved = np.where(told, np.nansum(moved, axis=0), 0.0)
    for i, span in enumerate(SPANS):
        for name, new in (("gained", np.where(told, np.maximum(count, 0.0), 0.0)), ("moved", moved)):
            a[name][i, m] = a[name][i, m] * (1 - 1 / span) + new
    share = np.where(told, share_of(a["usually"][m], a["told"][m], moved, told, label), 1.0)
    over, all_of = (np.where(trusted, a[name][m], 0.0) for name in ("beyond", "idle"))
    rest, of = over.sum() - over, all_of.sum() - all_of + PRIOR
    by_time, told_so = np.clip((rest + PRIOR * LEAST) / of, LEAST, 1.0), np.clip((rest - SURE * np.sqrt(of)) / of, 0.0, 1.0)
    less = np.where(told & trusted, np.maximum(1.0 - share, 0.0), 0.0)
    bytes_alone = of_bytes(share, rate)
    for name, new in (("beyond", less * ((count > 0) - bytes_alone)), ("idle", less * np.maximum(rate - bytes_alone, 0.0))):
        a[name][m] = a[name][m] * (1 - 1 / LONG) + new
    ticks = share - np.where(rate < MOSTLY, told_so, 0.0) * (share - 1.0)
    few = np.flatnonzero(share < 1.0)
    part = by_time[few] + (1.0 - by_time[few]) * share[few]
    ticks[few] = (1.0 - power(1.0 - rate[few], part)) / rate[few]
    return ticks


def plainly_beside(ticks: Floats, label: Labels) -> Floats:
    others = (sums(ticks, label)[label] - ticks) / np.maximum(np.bincount(label)[label] - 1, 1)
    times = ticks * np.sqrt(ticks) / np.where(others > 0, np.minimum(others, 1.0), 1.0)
    return np.where(ticks == 1.0, 1.0, np.maximum(times, 1.0))


def plainly_filled(count: Floats, before: Floats, ticks: Floats) -> Floats:
    size = np.maximum(ticks, 1.0)
    now, last = (size * x / (np.maximum(x, 1.0) + size - 1.0) for x in (np.nan_to_num(count), before))
    return np.asarray(np.maximum(np.minimum(now, last), count > 0), np.float64)


def plainly_counted(a: dict[str, Any], flow: dict[str, Any], rows: list[int], count: Floats, large: Floats, much: Floats, begin: float) -> None:
    came = np.isfinite(count)
    a["first"][rows] = np.where((count > 0) & (a["events"][0, rows] < OVER), begin, a["first"][rows])
    some = plainly_filled(count, a["last"][rows], large)
    events_now = [some, some, (count >= much) & (a["last"][rows] >= much)]
    a["last"][rows] = np.where(came, count, a["last"][rows])
    for h, (past, event) in enumerate(zip(PASTS, events_now, strict=True)):
        a["usual"][h, rows] &= event == 0
        there = np.where(came, large, 0.0)
        for name, new in (("events", np.asarray(event)), ("ticks", there), ("own_events", np.asarray(event)), ("own_ticks", there)):
            a[name][h, rows] = a[name][h, rows] * (1 - 1 / past) + new
        if h < len(SPANS):
            flow["reported"][h, rows] = flow["reported"][h, rows] * (1 - 1 / past) + came


def states(parts: int, metrics: int = 5) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what spending keeps, and what traffic does."""
    a: dict[str, Any] = {name: np.zeros((len(PASTS), metrics, parts)) for name in ("events", "ticks", "own_events", "own_ticks")}
    a |= {name: np.zeros((metrics, parts)) for name in ("first", "last")} | {"usual": np.zeros((len(PASTS), metrics, parts), bool)}
    return a, {name: f.blank(metrics, parts) for name, f in FIELDS.items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for name, array in one.items():
        assert np.array_equal(array, other[name], equal_nan=array.dtype != bool), name
        known = ~np.isnan(array)  # zeros of the same sign, too
        assert np.array_equal(np.signbit(array[known]), np.signbit(other[name][known])) or array.dtype == bool, name


@pytest.mark.parametrize("name", WORLDS)
@np.errstate(all="ignore")
def test_what_a_tick_counts_for_and_what_is_kept_are_what_plain_numpy_says(name: str) -> None:
    """Of three counters that rise the first two go by what was moved, as they do in `spending`."""
    w, draw = world(name), np.random.default_rng(8)
    (a, flow), (plain, plain_flow) = states(len(w.label)), states(len(w.label))
    rows, by, seat = [0, 1, 2], [0, 2], np.array([1, 0, 2])
    for t in range(TICKS):
        values = w.tick(draw)
        tick: Any = SimpleNamespace(values=values)
        if t % 7 == 3:
            for of in (a, plain):
                of["usual"][:] = of["events"] > 1
        count = values[rows].astype(np.float64)
        large, much = np.ones((3, len(w.label))), np.full((3, len(w.label)), MUCH)
        known = {m: (np.ones(len(w.label)), np.full(len(w.label), MUCH)) for m in rows}
        for i, m in enumerate(by, 1):
            group = grouped(w.label, w.trusted, a["events"][1, m], a["ticks"][1, m])
            large[i] = weighed(tick, flow, m, [3, 4], group)
            much[i] *= traffic.beside(large[i], group.label)
            trusted, rate = group_rate(w.label, w.trusted, plain["events"][1, m], plain["ticks"][1, m])
            ticks = plainly_weighed(count[m], values[[3, 4]].astype(np.float64), plain_flow, m, w.label, trusted, rate)
            known[m] = ticks, MUCH * plainly_beside(ticks, w.label)
            same({"ticks": known[m][0], "much": known[m][1]}, {"ticks": large[i], "much": much[i]})
        left = np.array([1 - 1 / past for past in PASTS])
        count_on(
            np.array(rows), count, seat, large, much, float(t), OVER, left,
            a["first"], a["last"], a["usual"], a["events"], a["ticks"], a["own_events"], a["own_ticks"], flow["reported"],
        )  # fmt: skip
        plain_large, plain_much = (np.array([known[m][i] for m in rows]) for i in range(2))
        plainly_counted(plain, plain_flow, rows, count, plain_large, plain_much, float(t))
    same(plain, a)
    same(plain_flow, flow)
    assert name == "nobody" or (a["events"][:, :3].any() and not a["events"][:, 3:].any())
