"""Seldom: one row of a kind at a time, such as a task or a validation run, beside like rows of other subjects and other times.

Where a kind of work is done now by one host and then by another there are no peers at the moment, and nobody comes by
often enough to have a past. What is left is the history of the kind itself: the same metric, the same keys but the job.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.horizons import looks
from grayscope.standing import Standing
from grayscope.tails import huber
from grayscope.tick import Tick
from grayscope.wording import why

#: Rows of a kind that are kept, that it takes to judge, and subjects that must have made them.
KEPT, ENOUGH, SUBJECTS = 192, 24, 4
#: Peers at the moment from which on they are enough by themselves; share of ticks from which on a subject reports often, and ticks
#: before which that is not known.
PEERS, OFTEN, YOUNG = 8, 0.4, 32
#: Rows over which is counted how many of a kind are bad, and the share from which on the kind itself has changed.
LATELY, CHANGED = 32, 0.9
#: Kinds that are followed at once: the one that was seen longest ago gives way.
KINDS = 4096
#: Least spread of a kind, as a share: durations of tasks are whole seconds, and no two runs are alike.
LEAST = 0.02
#: What one row must be worse by before it is worth anything.
EFFECT = 0.10
#: One row has no law of means to calm its tail.
LAW = huber(2.0)


class Seldom:
    """Compare single rows with the history of their kind.

    Not for: tables in which most subjects report together (`slower` and `became` see those), kinds that fewer than four
    subjects have done, and what is slow for everybody in the kind's history.

    Parameters
    ----------
    false_pages : float
        Unused: strength is what the judge compares.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0) -> None:
        del false_pages
        self.kinds: dict[str, list[tuple[str, float]]] = {}
        self.bad: dict[str, float] = {}
        self.habits = Memory({name: Field(np.int32, 0, per_metric=False) for name in ("there", "came")})

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the rows that are far worse than their kind."""
        found = list(self._findings(tick, standing))
        return Evidence(found) if found else NOTHING

    def _findings(self, tick: Tick, standing: Standing) -> Iterator[Finding]:
        rows = [m for m, x in enumerate(standing.metrics) if x and x.side == "service" and standing.sign[m] and x.type == "gauge" and not x.waits]
        if not rows:
            return
        seldom, chances = self._seldom(tick), math.log(len(rows) * looks(1, tick.period))
        for m in rows:
            came = np.isfinite(tick.values[m]) & (tick.values[m] > 0)
            alone = came & seldom & (standing.count[m, standing.label[standing.layout[m]]] < PEERS)
            kinds = {s: self._kind(tick, standing, m, s) for s in np.flatnonzero(alone).tolist()}
            found = {s: self._judged(tick, standing, m, s, self.kinds.get(kind, []), chances) for s, kind in kinds.items()}
            yield from (f for f in found.values() if f is not None)
            for s, kind in kinds.items():
                self._learn(kind, tick.subjects[s], float(tick.values[m, s]), found[s] is not None)

    def _seldom(self, tick: Tick) -> NDArray[np.bool_]:
        """Say who has been there for a while and reported in few of the ticks, and count this one."""
        a = self.habits.of(tick).arrays
        seldom = (a["there"] >= YOUNG) & (a["came"] < OFTEN * a["there"])
        a["there"] += 1
        a["came"] += np.isfinite(tick.values).any(axis=0)
        return np.asarray(seldom)

    @staticmethod
    def _kind(tick: Tick, standing: Standing, m: int, s: int) -> str:
        metric = standing.metrics[m]
        assert metric is not None
        keys = [k for k in metric.peers if k != "job"]
        return "|".join([tick.table, tick.metrics[m], *(tick.roster.key(tick.subjects[s], k) for k in keys)])

    @staticmethod
    def _judged(tick: Tick, standing: Standing, m: int, s: int, past: list[tuple[str, float]], chances: float) -> Finding | None:
        metric = standing.metrics[m]
        assert metric is not None
        others = [x for subject, x in past if subject != tick.subjects[s]]
        if len(others) < ENOUGH or len({subject for subject, _ in past}) < SUBJECTS:
            return None
        logs = np.log(others)
        middle = float(np.median(logs))
        spread = max(1.4826 * float(np.median(np.abs(logs - middle))), LEAST)
        far = int(standing.sign[m]) * (math.log(float(tick.values[m, s])) - middle)
        level = LAW.surprise(far / spread) - chances
        if far < math.log1p(EFFECT) or level < 0:
            return None
        mode = metric.mode or "slow_component"
        found = Finding(
            tick.time, tick.subjects[s], metric.side, "seldom", round(level, 4), mode, metric.mechanism or "",
            tick.metrics[m], float(tick.values[m, s]), math.exp(middle), len(others), since=tick.time,
        )  # fmt: skip
        return found._replace(why=why(found, metric.unit, "like rows of others"))

    def _learn(self, kind: str, subject: str, value: float, bad: bool) -> None:
        """Take a row into the history; bad ones only where nearly all are, for then it is the work that has changed."""
        past, share = self.kinds.pop(kind, []), self.bad.pop(kind, 0.0)
        share += (bad - share) / LATELY
        if not bad or share > CHANGED:
            past.append((subject, value))
        self.kinds[kind], self.bad[kind] = past[-KEPT:], share  # back in as the latest
        if len(self.kinds) > KINDS:
            oldest = next(iter(self.kinds))
            del self.kinds[oldest], self.bad[oldest]

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the history of every kind, latest last."""
        out: dict[str, np.ndarray[Any, Any]] = {"kinds": np.array(list(self.kinds), np.str_), "bad": np.array(list(self.bad.values()))}
        for i, past in enumerate(self.kinds.values()):
            out |= {f"subjects{i}": np.array([s for s, _ in past], np.str_), f"values{i}": np.array([x for _, x in past], np.float64)}
        return {**out, **{f"habits:{key}": array for key, array in self.habits.snapshot().items()}}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.habits.restore({key.partition(":")[2]: array for key, array in state.items() if key.startswith("habits:")})
        self.bad = dict(zip(state["kinds"].tolist(), state["bad"].tolist(), strict=True))
        self.kinds = {
            kind: list(zip(state[f"subjects{i}"].tolist(), state[f"values{i}"].tolist(), strict=True)) for i, kind in enumerate(state["kinds"].tolist())
        }
