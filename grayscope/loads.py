"""Loads: the curve of each metric over its load, learned online from the differences between peers.

Only what differs inside one peer group at one tick teaches, so a phase of the job does not; the whole fleet teaches
one curve together and a group its own only where many of its members carry the difference, so that no part can teach
its own slowness. Where parts of one machine stand in different groups they have the fleet's curve alone: what tells them
apart must not be whose curve was drawn anew. A curve (`loadcurves`) reaches as far as loads teach it and no further: beyond, it
stays where it is. What departs from it by more than three spreads pulls no harder than three do (Huber's M-estimate by reweighted
least squares; Huber, Robust Statistics, 1981, ch. 7), and only the moments are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.groupnames import GroupNames
from grayscope.loadcurves import CARRIERS_OWN, Sums, carried, chance, curves, fleets, rebased
from grayscope.medians import CROWD
from grayscope.unloading import SUMS

Names = tuple[tuple[str, ...], ...]
#: Ticks over which is learned: half of those seen so far, between these.
SHORTEST, LONGEST = 64.0, 4096.0
#: Ticks between two fits.
FIT = 16
#: A unit that moves or grows by more than this at once was that of other loads: what was learned in it is forgotten.
ANEW = 1.5
FIELDS = ("grain", "place", "pooled", "own", "moment", "moments", "fleet", "curve", "seat")


@dataclass(slots=True, eq=False)
class Learned:
    """Memory of one table; r is a metric with a load, g a peer group, c a seat for one that is large enough for a curve of its own.

    Parameters
    ----------
    groups : GroupNames
        Of the metrics, length R, and where each one's groups stand.
    grain : ndarray [R] of float32
        Least spread of each metric that means anything, on its scale.
    ticks : int
        That have taught.
    place : ndarray [R, 2] of float64
        Origin and size of the load's unit, as float32 rounds them; size 0 until a load was seen.
    pooled, own : ndarray [R, 16] and [R, C, 16] of float64
        Moments of the fleet and of each large group, see `kernels.compare`.
    moment, moments : ndarray [R] and [R, C] of float64
        What `told` is of parts, squared, of single ticks: of the fleet and of each large group.
    fleet, curve : ndarray [R, 3] and [R, C + 1, 3] of float32
        Coefficients of load, its square and its cube; the last curve is the fleet's, for all groups without a seat.
    seat : ndarray [R, G] of int32
        Of each group, C where it has none.
    common : frozenset of str
        Metrics of which no group has a curve of its own.
    """

    groups: GroupNames
    grain: NDArray[np.float32]
    ticks: int
    place: Sums
    pooled: Sums
    own: Sums
    moment: Sums
    moments: Sums
    fleet: NDArray[np.float32]
    curve: NDArray[np.float32]
    seat: NDArray[np.int32]
    common: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics, in the order of the rows."""
        return self.groups.metrics

    def unit(self) -> NDArray[np.float32]:
        """Return origin, inverse size and bound of the loads and the grain [R, 4] for the kernel; the first loads have no bound."""
        known = self.place[:, 1] > 0
        size = np.where(known, self.place[:, 1], 1.0)
        return np.stack([self.place[:, 0], 1 / size, np.where(known, 10.0, np.inf), self.grain], axis=1).astype(np.float32)


class Loads:
    """Part of stand. Deterministic and bounded by the number of groups."""

    def __init__(self) -> None:
        self.tables: dict[str, Learned] = {}

    def lay_out(
        self, table: str, metrics: Mapping[str, Names], grain: NDArray[np.float32], members: NDArray[np.int32], common: frozenset[str] = frozenset()
    ) -> None:  # fmt: skip
        """Take the layout of a table: the metrics that have a load, the key values of their groups, their grain, and which have but one curve.

        `members` [R, G] says how many each group has: it takes a seat with `CARRIERS_OWN`, and leaves it with less than `CROWD`.
        """
        old, names = self.tables.get(table), tuple(metrics)
        groups = GroupNames.among(names, metrics.values())
        where = [] if old is None else [found for found in groups.since(old.groups) if names[found[1]] not in common]
        least = np.array([np.inf if name in common else CARRIERS_OWN for name in names])
        sits = members >= least[:, None]
        for r0, r, before, now in where:
            assert old is not None
            sits[r, now] |= (old.seat[r0, before] < old.own.shape[1]) & (members[r, now] >= CROWD)
        seats = int(sits.sum(axis=1).max(initial=0))
        seat = np.where(sits, np.cumsum(sits, axis=1) - 1, seats).astype(np.int32)
        new = Learned(groups, grain, old.ticks if old else 0, *_blank(len(names), seats), seat, common)
        if old is not None:
            for r, name in enumerate(names):
                if name in old.names:
                    at = old.names.index(name)
                    new.place[r], new.pooled[r], new.moment[r], new.fleet[r] = old.place[at], old.pooled[at], old.moment[at], old.fleet[at]
            new.curve[:] = new.fleet[:, None]  # a new job's group needs not wait for what the fleet knows
            for r0, r, before, now in where:
                had = (old.seat[r0, before] < old.own.shape[1]) & sits[r, now]
                then, here = old.seat[r0, before[had]], seat[r, now[had]]
                new.own[r, here], new.moments[r, here], new.curve[r, here] = old.own[r0, then], old.moments[r0, then], old.curve[r0, then]
        self.tables[table] = new

    def learn(self, table: str, sums: Sums, told: NDArray[np.float32], label: NDArray[np.int32]) -> None:
        """Add the moments [R, C + 1, 16] of one tick; every so often draw the curves anew.

        `told` [2, R, S] is what each part has told (see `chance`), and fades here; `label` [R, S] is the group of each.
        """
        a = self.tables[table]
        if not a.names:
            return
        a.ticks += 1
        keep = 1 - 1 / min(max(a.ticks / 2, SHORTEST), LONGEST)
        a.pooled = a.pooled * keep + carried(sums.sum(axis=1))
        a.own = a.own * keep + carried(sums[:, :-1])
        told *= np.float32(keep)
        left = sums[..., 12] - (a.curve * sums[..., 6:9]).sum(axis=-1)
        a.moment = a.moment * keep**2 + left.sum(axis=1) ** 2
        a.moments = a.moments * keep**2 + left[:, :-1] ** 2
        if a.ticks == 1 or a.ticks % FIT == 0:
            _settle(a, told)
            doubt, doubts = chance(told, np.take_along_axis(a.seat, label, axis=1), a.curve.shape[1])
            a.fleet = fleets(a.pooled, np.maximum(doubt, a.moment))
            a.curve[:, :-1] = curves(a.fleet, a.own, np.maximum(doubts[:, :-1], a.moments))
            a.curve[:, -1] = a.fleet

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all memory as arrays."""
        out: dict[str, NDArray[Any]] = {}
        for table, a in self.tables.items():
            out[f"{table}|load|names"] = a.groups.told()
            out[f"{table}|load|ticks"] = np.array(a.ticks)
            out |= {f"{table}|load|{field}": getattr(a, field).copy() for field in FIELDS}
        return out

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Become what `snapshot` returned."""
        self.tables = {}
        for name in state:
            table, _, field = name.partition("|load|")
            if field == "names":
                place, pooled, own, moment, moments = (np.array(state[f"{table}|load|{f}"], np.float64) for f in FIELDS[1:6])
                grain, fleet, curve = (np.array(state[f"{table}|load|{f}"], np.float32) for f in ("grain", "fleet", "curve"))
                ticks, seat = int(state[f"{table}|load|ticks"]), np.array(state[f"{table}|load|seat"], np.int32)
                self.tables[table] = Learned(GroupNames.read(state[name]), grain, ticks, place, pooled, own, moment, moments, fleet, curve, seat)


def _blank(rows: int, seats: int) -> tuple[Sums, Sums, Sums, Sums, Sums, NDArray[np.float32], NDArray[np.float32]]:
    sums, own, fleet, curve = np.zeros((rows, SUMS)), np.zeros((rows, seats, SUMS)), np.zeros((rows, 3), np.float32), np.zeros((rows, seats + 1, 3), np.float32)
    return np.zeros((rows, 2)), sums, own, np.zeros(rows), np.zeros((rows, seats)), fleet, curve


def _settle(a: Learned, told: NDArray[np.float32]) -> None:
    """Move origin and size of each load's unit to where the loads are; what was learned follows, so that it stays well conditioned.

    Loads are clamped to the unit's reach, so after a large move what was learned is of other loads than it seems: it is forgotten.
    """
    n = np.maximum(a.pooled[:, 0], 1e-9)
    mean = a.pooled[:, 1] / n
    size = np.sqrt(np.maximum(a.pooled[:, 2] / n - mean * mean, 0))
    old = np.where(a.place[:, 1] > 0, a.place[:, 1], 1.0)
    origin = (a.place[:, 0] + mean * old).astype(np.float32).astype(np.float64)
    new = (np.maximum(size * old, 1e-3 * np.abs(origin) + 1e-6)).astype(np.float32).astype(np.float64)
    away, wide = (origin - a.place[:, 0]) / old, new / old
    seen = a.pooled[:, 0] > 0
    away, wide = np.where(seen, away, 0.0), np.where(seen, wide, 1.0)
    a.place = np.where(seen[:, None], np.stack([origin, new], axis=1), a.place)
    a.pooled, a.own = rebased(a.pooled, away, wide), rebased(a.own, away[:, None], wide[:, None])
    told /= np.stack([wide, wide**2])[..., None].astype(np.float32)
    a.moment, a.moments = a.moment / wide**2, a.moments / wide[:, None] ** 2
    anew = (np.abs(away) > ANEW * np.minimum(wide, 1)) | (wide > ANEW) | (wide < 1 / ANEW)
    a.pooled[anew, 3:], a.own[anew, :, 3:], told[:, anew] = 0.0, 0.0, 0.0
    a.moment[anew], a.moments[anew] = 0.0, 0.0
