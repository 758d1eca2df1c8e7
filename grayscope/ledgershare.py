"""Ledgershare: a rail that has stopped to carry its share while its port is up, because its siblings carry it.

A port that carries nothing tells little: its job may never have used it, or has ended. What tells is that it had its share in this job,
that its siblings on the node took what it left (one of eight gone: a seventh more each), and that the same rail of the job's other
nodes goes on as before. Bytes are read beside what the ports of the job carry at the same moment, so that a phase, a stop and a
slower step, which all of them share, change nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.evidence import Finding
from grayscope.grouped import middles
from grayscope.ledger import Entry
from grayscope.ledgerpage import CERTAIN, Book, Floats, Note, Page, field
from grayscope.ledgerwords import left_in_words
from grayscope.tick import Tick
from grayscope.wording import number, utc

Arrays = dict[str, np.ndarray[Any, Any]]
Bools = NDArray[np.bool_]
METRIC = "nic_port_traffic_share_ratio"
#: Ticks of traffic after which it is known what a port carries, and over which that is learned.
KNOWN, LONG = 32, 256
#: Bytes per second from which a port moves something.
MOVES = 1e6
#: Of what the ports of the job carry, a port of the job carries from such a share to so many times as much; of its own, nothing is below.
#: A port that stores carries in bursts: its share is not in most ticks half of its mean.
FEWEST, MOST, NOTHING, CARRIES, STEADY = 0.25, 4.0, 0.05, 0.5, 0.75
#: Ticks that a rail rests before it counts, and how often as long as it has ever rested; after so many more without anybody who took its share, it has none.
PATIENCE, LONGER, FORGET = 6, 4, 1024
#: Part of the node's rails that may be gone, its siblings that must carry on, and the part of the same rail elsewhere that must.
GONE, SIBLINGS, ELSEWHERE = 0.25, 3, 0.75
#: What the siblings carry more, of what the rail has left them: NCCL does not divide it evenly, and the job may have become slower.
TAKEN = (0.5, 2.0)


@dataclass(frozen=True, eq=False)
class Places:
    """Who is compared with whom on a page, labels [S]: ports of a job, of a node and of a rail of the job."""

    page: Page
    job: NDArray[np.int32]
    node: NDArray[np.int32]
    rail: NDArray[np.int32]
    here: NDArray[np.intp]
    wide: Bools
    name: NDArray[np.int64]


class Shares:
    """Follow what each port carries of what its job's ports carry."""

    def __init__(self) -> None:
        fields = {
            "job": field(np.int64, 0), "usual": field(np.float64, 0.0), "steady": field(np.float64, 0.0), "seen": field(np.int32, 0),
            "rest": field(np.int32, 0), "longest": field(np.int32, 0), "rise": field(np.float64, 0.0), "lost": field(np.bool_, False),
            "back": field(np.int32, 0),
        }  # fmt: skip
        self.book = Book(fields)
        self._places: Places | None = None

    def step(self, page: Page, tick: Tick) -> Iterator[Note]:
        """Yield what changed."""
        moved = page.total(tick, "counters")
        if moved is None:
            return
        a = self.book.of(page, tick)
        if self._places is None or self._places.page is not page:
            self._places = places(page)
        at = self._places
        before, ended = _carriers(a), self._new_jobs(a, at)
        up = page.column(tick, "gauge")
        share = _beside(moved, MOVES * tick.period / 1e6, a, at)
        share = share if up is None else np.where(up < 1, np.nan, share)
        carrier = _carriers(a)
        carry, gone = carrier & (share >= CARRIES * a["usual"]), carrier & (share <= NOTHING * a["usual"])
        began = back = ended  # mostly all ports carry on, and there is nothing to count
        if gone.any() or a["rest"].any() or a["lost"].any():
            began, back = self._count(a, at, share, carrier, carry, gone)
        _learn(a, at, share)
        for s in np.flatnonzero(ended | began | back).tolist():
            yield self._note(page, tick, a, at, s, before if ended[s] else carrier, share)

    @staticmethod
    def _new_jobs(a: Arrays, at: Places) -> Bools:
        """Forget what was learned in another job, and say who had lost a rail there."""
        other = a["job"] != at.name
        ended = other & a["lost"]
        if other.any():
            _blank(a, other, ("usual", "steady", "seen", "rest", "longest", "rise", "lost", "back"))
        a["job"][:] = at.name
        return np.asarray(ended)

    @staticmethod
    def _count(a: Arrays, at: Places, share: Floats, carrier: Bools, carry: Bools, gone: Bools) -> tuple[Bools, Bools]:
        """Take a tick to the counts; return which rails [S] are lost by now, and which are back."""
        of, there = _sum(carrier, at.node), _sum(carry, at.node)
        left = np.minimum(_sum(gone, at.node), of)
        alone = gone & _goes_on(at, carrier, carry) & (there >= SIBLINGS)
        odd = alone & (left <= GONE * of) & (there + left >= (1 - GONE) * of)
        with np.errstate(invalid="ignore", divide="ignore"):
            more = _sum(np.where(carry, share, 0.0), at.node) / _sum(np.where(carry, a["usual"], 0.0), at.node) - 1
            expected = left / there
        a["rest"] += odd
        a["rise"] += np.where(odd, more / np.where(expected > 0, expected, 1.0), 0.0)
        enough = a["rest"] >= np.maximum(PATIENCE, LONGER * a["longest"])
        taken = a["rise"] / np.maximum(a["rest"], 1)
        began = odd & ~a["lost"] & enough & (taken >= TAKEN[0]) & (taken <= TAKEN[1])
        ends = np.isfinite(share) & ~odd & ~a["lost"]
        a["longest"] = np.where(ends, np.maximum(a["longest"], a["rest"]), a["longest"]).astype(np.int32)
        _blank(a, ends, ("rest", "rise"))
        a["back"] = np.where(alone, 0, a["back"] + (a["lost"] & np.isfinite(share))).astype(np.int32)
        back = a["back"] >= PATIENCE
        a["lost"] = (a["lost"] | began) & ~back
        _blank(a, back, ("rest", "rise", "back"))
        return began, np.asarray(back)

    @staticmethod
    def _note(page: Page, tick: Tick, a: Arrays, at: Places, s: int, carrier: Bools, share: Floats) -> Note:
        account, subject = page.account, tick.subjects[s]
        mine = (at.node == at.node[s]) & (carrier | a["lost"])
        n, lost = int(mine.sum()), int((mine & a["lost"]).sum())
        label, nodes = page.home
        budget = max(n - account.reserve, 0.0)
        entry = Entry(tick.time, nodes[label[s]][0], account.mechanism, budget, lost, max(budget - lost, 0.0), account.unit)
        if not a["lost"][s]:
            return Note(account.key, subject, entry, None)
        siblings, since = n - lost, tick.time - (int(a["rest"][s]) - 1) * tick.period
        total = np.nansum(share[mine])
        now, usual = float(share[s] / total), float(a["usual"][s] / a["usual"][mine].sum())
        more = 100 * lost / siblings * float(a["rise"][s]) / int(a["rest"][s])
        up = "; its port is up" if page.rows["gauge"] else ""
        why = (
            f"{subject.rpartition('/')[2]} carries {number(100 * now)} % of the node's bytes since {utc(since)} instead of {number(100 * usual)} %, "
            f"its {siblings} siblings {number(round(more))} % more, other nodes' same rail as before{up}; left {left_in_words(entry)}"
        )
        found = Finding(tick.time, subject, "redundancy", "ledger", CERTAIN, page.mode, account.mechanism, METRIC, now, usual, siblings, since, entry.left)
        return Note(account.key, subject, entry, found._replace(why=why + (f"; {account.says}" if account.says else "")))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.book.snapshot("share")

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.book.restore("share", state)


def places(page: Page) -> Places:
    """Return who is compared with whom: ports of one SKU, for what stores or manages is another kind of part or carries another share."""
    view, subjects = page.view, page.subjects
    job, jobs = view.labels(subjects, ("job", "sku"))
    node = view.labels(subjects, (page.account.sum, "sku"))[0]
    rail = view.labels(subjects, ("job", "sku", "rail"))[0]
    here = np.unique(_pairs(node, rail), return_inverse=True)[1].reshape(-1)
    wide = np.bincount(job[np.unique(_pairs(job, node), return_index=True)[1]], minlength=int(job.max(initial=0)) + 1)[job] > 1
    name = np.array([zlib.crc32(of.encode()) for of, _ in jobs], np.int64)[job]
    return Places(page, job, node, rail, here, wide, name)


def _pairs(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return a number for each port that is the same where both labels are."""
    return one.astype(np.int64) * (int(other.max(initial=0)) + 1) + other


def _carriers(a: Arrays) -> Bools:
    """Say which ports [S] are known to carry a steady share."""
    return np.asarray((a["seen"] >= KNOWN) & (a["steady"] >= STEADY) & (a["usual"] >= FEWEST) & (a["usual"] <= MOST))


def _sum(values: np.ndarray[Any, Any], label: NDArray[Any]) -> Floats:
    """Return, for each port, the sum over all that share its label."""
    return np.asarray(np.bincount(label, values)[label])


def _beside(moved: Floats, least: float, a: Arrays, at: Places) -> Floats:
    """Return what each port [S] moved in units of what the middle one of its job's moved; NaN while most of those that carry it do not."""
    moving, known = moved > least, (a["seen"] >= KNOWN) & (a["usual"] >= FEWEST)
    middle = middles(moved, moving, at.job, int(at.job.max(initial=-1)) + 1)
    busy = 2 * _sum(moving & known, at.job) >= _sum(known, at.job)
    return np.where(busy, moved / middle[at.job], np.nan)


def _goes_on(at: Places, carrier: Bools, carry: Bools) -> Bools:
    """Say for which ports the same rail of the job's other nodes goes on; where no roster tells rails, all of their ports."""
    others, there = (_sum(which, at.rail) - _sum(which, at.here) for which in (carrier, carry))
    return np.asarray(at.wide & (others > 0) & (there >= ELSEWHERE * others))


def _learn(a: Arrays, at: Places, share: Floats) -> None:
    """Follow what each port carries where no rail of the node rests that did not: its siblings carry more than theirs then."""
    told, resting = np.isfinite(share), (a["rest"] > 0) | a["lost"]
    if resting.any():
        told &= _sum(resting, at.node) == 0
    a["seen"] = np.minimum(a["seen"] + told, LONG).astype(np.int32)
    for name, now in (("steady", share >= CARRIES * a["usual"]), ("usual", share)):
        a[name] = np.where(told, a[name] + (np.where(told, now, 0.0) - a[name]) / np.maximum(a["seen"], 1), a[name])
    _blank(a, (a["rest"] > FORGET) & ~a["lost"], ("seen", "rest", "rise", "longest"))


def _blank(a: Arrays, which: Bools, names: tuple[str, ...]) -> None:
    for name in names:
        a[name][which] = 0
