"""Records: what the communication library would tell of communicators and jobs in the full simulation."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.counters import Total
from grayscope.fleet.devices import Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.noise import Floats, stream
from grayscope.fleet.register import across, inside
from grayscope.fleet.shapes import INSIDE
from grayscope.fleet.topology import Topology
from grayscope.fleet.work import TRANSFER, Steps, members, slowest, wires


class Records:
    """Tables comm and job.

    Parameters
    ----------
    topology : Topology
    seed : int
    """

    def __init__(self, topology: Topology, seed: int) -> None:
        self.topology, self.rng = topology, stream(seed, "records")
        self.restarts, self.stood = Total(np.zeros(len(topology.jobs))), np.zeros(len(topology.jobs), bool)
        rails = [across(job, slot) for job in topology.jobs for slot in range(topology.gpus)]
        self.names = (*(inside(s) for s in topology.seating), *rails)
        self.offset = np.exp(self.rng.normal(0, 0.01, len(self.names)))

    def comms(self, wrong: Effects, stepping: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Columns:
        """Return the columns [T, communicators]: pure transfer time, waiting left out; NaN where nobody steps."""
        top = self.topology
        bases = top.job_base[top.rank_job[:: top.gpus]]
        nodes = top.rank_gpu[:: top.gpus] // top.gpus
        within = INSIDE * bases * wrong["inside"][:, nodes if wrong.touched("inside") else slice(None)]
        there = stepping[:, :: top.gpus]
        values = [np.where(there, np.broadcast_to(within, there.shape), np.nan), *self._rails(wrong, stepping)]
        whole = np.concatenate(values, axis=1)
        return {"collective_transfer_seconds": whole * self.offset * np.exp(self.rng.normal(0, 0.02, whole.shape))}

    def _rails(self, wrong: Effects, stepping: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> list[Floats]:
        """Return one column of each rail of each job: as slow as the slowest port on it."""
        top, out = self.topology, []
        for j, mine in enumerate(members(top)):
            for slot in range(top.gpus):
                ranks = slice(mine.start + slot, mine.stop, top.gpus)
                some = stepping[:, ranks].any(axis=1)
                out.append(np.where(some, TRANSFER * top.job_base[j] * slowest(top, ranks, wires(wrong), stepping), np.nan)[:, None])
        return out

    def jobs(self, wrong: Effects, steps: Steps, stepping: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Columns:
        """Return the columns [T, J]: a job's step time, and how often it was started again."""
        step = np.stack([_first(steps.step[:, m], stepping[:, m]) for m in members(self.topology)], axis=1)
        still = wrong.whole("stop") > 0
        before = np.concatenate([self.stood[None], still[:-1]])
        self.stood = still[-1]
        return {"job_step_seconds": step, "job_restarts_total": self.restarts.next((before & ~still).astype(np.float64))}


def _first(step: Floats, there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    found = np.where(there, step, 0.0).max(axis=1)
    return np.where(found > 0, found, np.nan)
