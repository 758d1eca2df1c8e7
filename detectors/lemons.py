"""Lemons: components that make job after job late, though in none of them it could be proved.

An episode is a lasting time in which a rank is slower than its peers and than itself before in that job: healthy parts differ for ever.
One in each job counts, for the rank's GPU and for its node, under their serial numbers where the roster has them, so that memory ends with
the part and not with the job. Source: lemon nodes (HPCA 2025) with exposure, and recurrence over jobs before blame (what-if analysis, OSDI 2025).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.detector import State
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.kernels import SIGMA
from grayscope.recurrence import Recurrence, size_class
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Ticks of a mean; how many of the spreads that such means usually have, and how many usual noises, it must reach for an episode to begin; clip of one tick.
LATELY, BEGINS, LEAST, CLIP = 16, 3.5, 0.75, 6.0
#: Share of that below which an episode has ended.
ENDS = 0.25
#: Ticks in a job after which a rank has a usual distance from its peers, those until which it is learned in full, and those over which it is learned.
YOUNG, FIRST, PAST = 64, 16, 2048
#: Usual noises beyond which one tick teaches no more of it; the least of such a noise.
EDGE, TINY = np.float32(3.0), np.float32(1e-12)
#: First guess of the spread of such means, in usual noises, and ticks over which it is learned.
SWAY, FOLLOWS = 0.25, 256
#: Jobs that must have suffered, and those remembered by name.
JOBS, NAMED = 3, 32
#: Independent looks at one component in a week.
LOOKS = 7
#: Share of a node's episodes that makes them one GPU's matter.
ONE = 0.75
HOUR = 3_600_000_000
#: Ticks after which parts of which nothing is left are forgotten.
SWEEP = 4096


@dataclass(slots=True)
class Past:
    """What is remembered of one component besides its counts."""

    subject: str
    serial: str
    jobs: list[str] = field(default_factory=list)
    suffered: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """Where the ranks of a tick sit: the places of their GPUs and nodes (-1 unknown), the class of their job's size, their share of a node."""

    names: tuple[tuple[str, ...], ...]
    gpu: NDArray[np.intp]
    node: NDArray[np.intp]
    size: NDArray[np.intp]
    share: NDArray[np.float64]


class Lemons:
    """Count jobs with episodes per component, and hours at risk; report who had far too many.

    Not for: a component that is slow in one job only or always (`slower`, `became`), the first 64 ticks of a job, and what all of a role suffer.
    Who fails in job after job is told by `grayscope.failures`, under the same name.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks; strength is on that scale.
    """

    rival: ClassVar[bool] = False
    #: Tables that it is made for.
    tables: ClassVar[frozenset[str]] = frozenset({"rank"})

    def __init__(self, *, false_pages: float = 1.0) -> None:
        self.least = max(math.log(1000.0 / false_pages) - 4.6, 0.0)
        fields = {"excess": Field(np.float32, 0.0), "base": Field(np.float32, 0.0), "seen": Field(np.int32, 0)}
        self.memory = Memory({**fields, "open": Field(np.int8, 0, per_metric=False)})
        self.sway: dict[str, float] = {}
        self.gpus, self.nodes = Recurrence(), Recurrence()  # each kind has a rate of its own
        self.past: dict[str, Past] = {}
        self._known: tuple[object, object, Seats] | None = None

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the components that recur."""
        rows = [i for i, m in enumerate(standing.metrics) if m is not None and m.side == "service" and standing.sign[i]]
        if tick.table not in self.tables or not rows:
            return NOTHING
        columns, seats = self.memory.of(tick), self._seats(tick)
        a, moved = columns.arrays, standing.moved_cells()
        if moved is not None:
            a["excess"][moved] = a["base"][moved] = a["seen"][moved] = 0
        worst, known = self._late(tick, standing, a, rows)
        begun = np.flatnonzero((worst >= 1) & (a["open"] == 0)).tolist()
        a["open"][:] = np.where(worst >= 1, 1, np.where(worst < ENDS, 0, a["open"]))
        self._expose(tick, seats, known)
        for s in begun:
            for name in seats.names[s]:
                self._episode(name, tick.roster.key(tick.subjects[s], "job"), int(seats.size[s]))
        if columns.ticks % SWEEP == 0:
            self._forget([p for p in (*self.gpus.faded(), *self.nodes.faded()) if p not in {name for names in seats.names for name in names}])
        return Evidence(self._findings(tick, tick.metrics[rows[0]])) if columns.ticks % LATELY == 0 else NOTHING

    def _late(self, tick: Tick, standing: Standing, a: Mapping[str, NDArray[Any]], rows: list[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return how far each rank has lately been slower than its peers and than itself before in this job, 1 where an episode begins; and who is known."""
        worst, known = np.full(len(tick.subjects), -np.inf, np.float32), np.zeros(len(tick.subjects), bool)
        for m in rows:
            residual, noise, base, seen, mean = standing.residual[m], np.maximum(standing.noise[m], TINY), a["base"][m], a["seen"][m], a["excess"][m]
            there = np.isfinite(residual)
            # Healthy parts differ for ever, and peers with the job: who is offset among them would be late in every one.
            gap = residual - base
            judged = there & (seen >= YOUNG)
            late = np.clip(np.minimum(residual, gap) / noise, -CLIP, CLIP)
            mean += np.where(judged, (late - mean) / np.float32(LATELY), np.float32(0))
            step = np.where(seen < FIRST, gap, np.clip(gap, -EDGE * noise, EDGE * noise)) / np.minimum(seen + 1, PAST).astype(np.float32)
            base += np.where(there, step, np.float32(0))
            seen += there
            told = judged & (seen > YOUNG + 2 * LATELY) & (base >= 0)  # of the others the mean says how far they are from their peers
            worst = np.where(seen > YOUNG, np.maximum(worst, mean / self._begins(tick.metrics[m], mean[told])), worst)
            known |= judged
        return worst, known

    def _begins(self, metric: str, means: NDArray[np.float32]) -> float:
        """Return the mean at which an episode begins, and learn how far such means stray: noise that lasts carries them far."""
        sway = self.sway.get(metric, SWAY)
        if len(means):
            sway += (float(SIGMA) * float(np.median(np.abs(means))) - sway) / FOLLOWS
            self.sway[metric] = sway
        return max(BEGINS * sway, LEAST)

    def _seats(self, tick: Tick) -> Seats:
        """Return who sits where, worked out again only when the roster has changed."""
        known = self._known
        if known is None or known[0] is not tick.roster or known[1] is not tick.subjects:
            view = tick.roster
            gpus, homes, works = (view.column(tick.subjects, key) for key in ("gpu", "node", "job"))
            parts = [tuple(p for p in both if p and not p.startswith("job:")) for both in zip(gpus, homes, strict=True)]
            jobs, nodes = Counter(works), Counter(p for names in parts for p in names)
            self._settle({p: view.serial(p) for p in sorted(nodes)})
            classes = {job: size_class(n) for job, n in jobs.items()}
            size = np.array([classes[job] for job in works], np.intp)
            ranks = {p: n for p, n in nodes.items() if "/" not in p}
            share = 1.0 / np.array([max([ranks.get(p, 1) for p in names], default=1) for names in parts])
            known = self._known = (tick.roster, tick.subjects, Seats(tuple(parts), *self._places(parts), size, share))
        return known[2]

    def _places(self, parts: list[tuple[str, ...]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        gpu, node = [-1] * len(parts), [-1] * len(parts)
        for s, names in enumerate(parts):
            for p in reversed(names):  # of two of a kind the first counts
                if "/" in p:
                    gpu[s] = self.gpus.names[p]
                else:
                    node[s] = self.nodes.names[p]
        return np.array(gpu, np.intp), np.array(node, np.intp)

    def _settle(self, serials: Mapping[str, str]) -> None:
        """Forget parts that were replaced, and remember the new ones."""
        replaced = [p for p, serial in serials.items() if p in self.past and serial and self.past[p].serial not in ("", serial)]
        self._forget(replaced)
        for subject, serial in serials.items():
            self.past.setdefault(subject, Past(subject, serial))
        for counts in (self.gpus, self.nodes):
            counts.places([subject for subject in sorted(serials) if self._of(subject) is counts])

    def _of(self, subject: str) -> Recurrence:
        return self.gpus if "/" in subject else self.nodes

    def _forget(self, subjects: list[str]) -> None:
        for subject in subjects:
            self._of(subject).forget([subject])
            self.past.pop(subject, None)
        self._known = None if subjects else self._known  # places have moved

    def _expose(self, tick: Tick, seats: Seats, there: NDArray[np.bool_]) -> None:
        hours = tick.period / HOUR
        for counts, at, share in ((self.gpus, seats.gpu, 1.0), (self.nodes, seats.node, seats.share)):
            counts.fade(hours)
            some = there & (at >= 0)
            counts.add_hours(at[some], seats.size[some], hours * np.broadcast_to(share, there.shape)[some])

    def _episode(self, name: str, job: str, size: int) -> None:
        past = self.past[name]
        if job not in past.jobs:  # a noisy rank is so all through its job: that says no more than once
            past.jobs, past.suffered = [*past.jobs, job][-NAMED:], past.suffered + 1
            self._of(name).add_episode(self._of(name).names[name], size, 1.0)

    def _findings(self, tick: Tick, metric: str) -> Iterator[Finding]:
        compared = {True: self.gpus.compared(), False: self.nodes.compared()}
        found = {name: said for name in sorted(self.past) if (said := self._judged(name, compared["/" in name])) is not None}
        for name, (observed, expected, strength) in found.items():
            node = name.partition("/")[0]
            parts = [found[p][0] for p in found if p.startswith(f"{node}/")]
            if name == node and any(o >= ONE * observed for o in parts):
                continue  # one of its GPUs explains the node
            if name != node and node in found and observed < ONE * found[node][0]:
                continue  # the node explains the GPU
            past = self.past[name]
            why = f"slower than its peers and than before in {past.suffered} jobs: {observed:.2g} against {expected:.2g} by its exposure"
            yield Finding(tick.time, name, "service", "lemons", round(strength, 4), "lemon_node", "", metric, observed, expected, why=why)

    def _judged(self, name: str, compared: tuple[NDArray[np.float64], NDArray[np.float64]]) -> tuple[float, float, float] | None:
        at = self._of(name).names[name]
        if self.past[name].suffered < JOBS or compared[0][at] <= compared[1][at]:
            return None
        observed, expected, doubt = self._of(name).judge(at, compared)
        strength = -math.log(max(doubt, 1e-300)) - math.log(LOOKS)
        return (observed, expected, strength) if strength >= self.least and observed > expected else None

    def snapshot(self) -> State:
        """Return the whole state."""
        kept = json.dumps([[p.subject, p.serial, p.jobs, p.suffered] for p in self.past.values()])
        parts: tuple[tuple[str, Memory | Recurrence], ...] = ("memory", self.memory), ("gpus", self.gpus), ("nodes", self.nodes)
        sway = {f"sway#{metric}": np.array(value) for metric, value in self.sway.items()}
        return {f"{part}#{key}": array for part, of in parts for key, array in of.snapshot().items()} | sway | {"past": np.array(kept)}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        for part in ("memory", "gpus", "nodes"):
            getattr(self, part).restore({key.partition("#")[2]: array for key, array in state.items() if key.startswith(f"{part}#")})
        self.sway = {key.partition("#")[2]: float(value) for key, value in state.items() if key.startswith("sway#")}
        self.past = {p[0]: Past(*p) for p in json.loads(str(state["past"]))}
        self._known = None
