"""Truth: what was really wrong, measured and not only meant: every job is run once more without the fault, and with it alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.fleet import decoys as looks
from grayscope.fleet.effects import FIELDS, SERVICE, Effects, Touch
from grayscope.fleet.faults import Fault
from grayscope.fleet.ills import SHAPES, effects
from grayscope.fleet.lottery import Lottery
from grayscope.fleet.moment import stamp
from grayscope.fleet.noise import Floats, ticking
from grayscope.fleet.paces import Paces
from grayscope.fleet.place import Place
from grayscope.fleet.spent import exhausted, mechanism
from grayscope.fleet.topology import Topology
from grayscope.fleet.work import Work

#: A fault is gray where it changes a job's step time by this share ...
GRAY = 0.01
#: ... over so many seconds; gaps shorter than two of these are bridged.
WINDOW = 300.0
Bools = NDArray[np.bool_]


def truth_rows(
    topology: Topology, lottery: Lottery, faults: Sequence[Fault], seed: int, period: float, hours: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Return the rows of truth.parquet, by time.

    Parameters
    ----------
    hours : sequence of (first tick, ticks)
    """
    place, work = Place(topology, lottery), Work(topology, lottery, seed, period)
    meter = Meter(place, faults, period * sum(ticks for _, ticks in hours))
    for first, ticks in hours:
        seconds = ticking(first, ticks, period)
        wrong = effects(faults, place, seconds, period, seed)
        meter.add(wrong, work.alone(seconds), looks.phases(faults, topology, seconds), topology.working(seconds))
    rows = meter.rows()
    for row in rows:
        del row["by"]
    return rows


class Meter:
    """Measures, hour by hour, what each fault does to the jobs, in windows of five minutes since it began.

    Parameters
    ----------
    place : Place
    faults : sequence of Fault
        In the order in which `Effects` numbers them.
    duration : float
        Seconds.
    """

    def __init__(self, place: Place, faults: Sequence[Fault], duration: float) -> None:
        self.place, self.faults, self.duration = place, faults, duration
        self.benign = frozenset(i for i, f in enumerate(faults) if f.state == "benign")
        #: By fault and job: sums over the ticks of each window of (with all, without it, with it alone, with none), and their number.
        self.sums: dict[tuple[int, int], Floats] = {}
        self.shows = {i: np.zeros(self._windows(f), bool) for i, f in enumerate(faults)}
        #: By job: seconds and paces (with all, with none) of the last five minutes, for windows that began there.
        self.before: dict[int, tuple[Floats, Floats]] = {}

    def add(self, wrong: Effects, alone: Floats, phases: Floats, there: Bools) -> None:
        """Measure the next hour; `phases` [T, R] is what decoys make of the work `alone` [T, K, R]."""
        hour = Paces(self.place.topology, wrong, alone, phases, there, self.benign)
        for number, fault in enumerate(self.faults):
            window, inside = self._window(number, wrong.seconds)
            if self._declared(fault) or not inside.any():
                continue
            touches = wrong.touches.get(number, [])
            for touch in touches:
                moved = touch.values != FIELDS[touch.field].neutral
                if touch.field in ("compute", "network", "far"):  # seen only by those who work there
                    moved &= self._works(touch.where, there)
                self.shows[number][window[inside & moved.any(axis=1)]] = True
            mine = self._jobs(touches, there)
            for job in sorted({*mine, *(j for n, j in self.sums if n == number)}):
                self._note(number, job, wrong.seconds, hour.without(number, job) if job in mine else hour.untouched(job))
        for job in range(len(self.place.topology.jobs)):
            self._keep(job, wrong.seconds, hour.untouched(job))

    def _window(self, number: int, seconds: Floats) -> tuple[NDArray[np.int64], Bools]:
        """Return the number of the window that each moment lies in, and whether there is one, both of shape [T]."""
        fault, size = self.faults[number], len(self.shows[number])
        window = np.floor((seconds - fault.began) / WINDOW).astype(np.int64)
        inside = (window >= 0) & (window < size)
        return window, inside if fault.fails is None else inside & (seconds < fault.fails)  # from then on everybody can see it

    def _note(self, number: int, job: int, seconds: Floats, paces: Floats) -> None:
        """Add paces [T, 4] to the windows of a fault and a job; the first time also those before, while nothing was touched."""
        new = (number, job) not in self.sums
        sums = self.sums.setdefault((number, job), np.zeros((len(self.shows[number]), 5)))
        if new and job in self.before:
            seconds, paces = np.concatenate([self.before[job][0], seconds]), np.concatenate([self.before[job][1], paces])
        window, inside = self._window(number, seconds)
        known = inside & np.isfinite(paces).all(axis=1)
        np.add.at(sums, window[known], np.column_stack([paces[known], np.ones(int(known.sum()))]))

    def _keep(self, job: int, seconds: Floats, paces: Floats) -> None:
        """Keep what windows that began before the next hour may need."""
        old = self.before.get(job, (seconds[:0], paces[:0]))
        seconds, paces = np.concatenate([old[0], seconds]), np.concatenate([old[1], paces])
        late = seconds > seconds[-1] - WINDOW
        self.before[job] = seconds[late], paces[late]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of truth.parquet, by time; `by` is the mode whose base rate each follows."""
        rows = []
        for number, fault in enumerate(self.faults):
            spans = [(fault.began, fault.ended, fault.state)] if self._declared(fault) else list(self._spans(number))
            if fault.fails is not None and fault.fails < self.duration:
                spans.append((fault.fails, fault.ended, "failed"))
            rows += [_row(fault, *span, self.place) for span in spans]
        return sorted(rows, key=lambda r: (r["began"], r["subject"], r["mode"]))

    # -- measuring --------------------------------------------------------------------------------------------------

    def _windows(self, fault: Fault) -> int:
        end = min(x for x in (self.duration, fault.ended, fault.fails) if x is not None)
        return max(int(np.ceil((end - fault.began) / WINDOW)), 0)

    def _works(self, gpus: NDArray[np.intp], there: Bools) -> Bools:
        """Say whether somebody works on each of some GPUs, shape [T, k]."""
        ranks = self.place.topology.rank_gpu
        return np.stack([there[:, ranks == g].any(axis=1) for g in gpus.tolist()], axis=1)

    def _jobs(self, touches: Sequence[Touch], there: Bools) -> set[int]:
        """Return the jobs whose pace a fault may have changed."""
        top, found = self.place.topology, set[int]()
        for touch in touches:
            if touch.field in ("stall", "stop"):
                found |= set(touch.where.tolist())
            elif touch.field in SERVICE:
                found |= set(top.rank_job[np.isin(top.rank_gpu, touch.where) & there.any(axis=0)].tolist())
        return found

    # -- telling ----------------------------------------------------------------------------------------------------

    def _declared(self, fault: Fault) -> bool:
        """Say whether a fault is what it says: decoys, and what everybody can see."""
        return fault.state in ("benign", "failed") or fault.mode == "batch_defect"

    def _gray(self, number: int) -> Bools:
        gray = np.zeros(len(self.shows[number]), bool)
        for (fault, _), sums in self.sums.items():
            if fault == number:
                mean = sums[:, :4] / np.maximum(sums[:, 4:], 1)
                gray |= (sums[:, 4] > 0) & _differs(mean, GRAY)
        for k in range(1, len(gray) - 1):  # a single window in between is a gap under ten minutes
            gray[k] = gray[k] or (gray[k - 1] and gray[k + 1])
        return gray

    def _spans(self, number: int) -> Iterator[tuple[float, float | None, str]]:
        """Yield (began, ended, state): gray where a window's pace changes enough, masked where it only shows."""
        fault, gray, shows = self.faults[number], self._gray(number), self.shows[number]
        end = fault.ended if fault.fails is None else fault.fails
        state = np.where(gray, 2, shows.astype(np.int64))
        known = np.flatnonzero(state)
        for a, b in pairwise(known.tolist()):
            if b - a > 1 and (b - a == 2 or self._counts(number)):
                state[a + 1 : b] = 1
        edges = np.flatnonzero(np.diff(state, prepend=-1, append=-1))
        for a, b in pairwise(edges.tolist()):
            if state[a]:
                yield fault.began + a * WINDOW, end if b == len(state) else fault.began + b * WINDOW, "gray" if state[a] == 2 else "masked"

    def _counts(self, number: int) -> bool:
        """Say whether a fault moves a counter now and then: quiet in between, it is still there."""
        return self.faults[number].mode not in ("slow_rank", "lemon_node")


def _differs(paces: Floats, share: float) -> Bools:
    return np.asarray((np.abs(paces[:, 0] - paces[:, 1]) >= share * paces[:, 1]) & (paces[:, 1] > 0)) | (
        (np.abs(paces[:, 2] - paces[:, 3]) >= share * paces[:, 3]) & (paces[:, 3] > 0)
    )


def _row(fault: Fault, began: float, ended: float | None, state: str, place: Place) -> dict[str, Any]:
    used_up = exhausted(fault, place)
    return {
        "subject": fault.subject, "mode": fault.mode, "state": state, "began": stamp(began), "ended": None if ended is None else stamp(ended),
        "mechanism": mechanism(fault, place), "exhausted_at": None if used_up is None else stamp(used_up), "also": list(fault.also) or None,
        "note": NOTES.get(fault.mode) or _told(fault.mode), "by": fault.by or fault.mode,
    }  # fmt: skip


def _told(mode: str) -> str:
    """Return the first sentence of what a kind of fault says of itself."""
    return (SHAPES[mode].__doc__ or "").partition(".")[0] if mode in SHAPES else "parts of one production lot fail more often"


NOTES = {
    "thermal_throttle": "hot GPU: its clock gives way, its job waits",
    "slow_rank": "same work takes longer, no counter of the device says why",
    "hbm_row_spares": "rows of memory are replaced one after another",
    "pcie_width": "the link trained again with fewer lanes",
    "phase_change": "all ranks of the job slower together: an evaluation",
    "monitoring_gap": "nothing arrived from anybody",
    "silent": "the node's agent stopped, its job went on",
    "driver_reload": "the node's driver was loaded again, its counters started again",
    "workload_imbalance": "the second pipeline stage has more to do",
}
