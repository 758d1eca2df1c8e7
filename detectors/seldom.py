"""Seldom: one row of a kind at a time, such as a task or a validation run, beside like rows of other subjects and other times.

Where a kind of work is done now by one host and then by another there are no peers at the moment, and nobody comes by
often enough to have a past. What is left is the history of the kind itself: the same metric, the same keys but the job.

How long a row took varies with what it was about; what it spent waiting for storage hardly does. So a symptom in the same
unit that makes up a good part of what was too long is its cause, and worth what the symptom is. Of those who are late in
one job together, who shows a cause is the suspect, and the others suffer from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.horizons import looks
from grayscope.kinds import Arrays, Kinds
from grayscope.standing import Standing
from grayscope.sufferers import Sufferers
from grayscope.taillaw import huber
from grayscope.tick import Tick
from grayscope.wording import number, why

#: Peers at the moment from which on they are enough by themselves; share of ticks from which on a subject reports often, and ticks
#: before which that is not known.
PEERS, OFTEN, YOUNG = 8, 0.4, 32
#: Least spread of a kind, as a share: durations of tasks are whole seconds, and no two runs are alike.
LEAST = 0.02
#: What one row must be worse by before it is worth anything, and the share of it that a symptom must make up to be its cause.
EFFECT, CAUSE = 0.10, 0.25
#: One row has no law of means to calm its tail.
LAW = huber(2.0)


class Row(NamedTuple):
    """One row that is worse than its kind: where it stands, what is usual (own unit), how surprising it is by itself and by its cause, if any (nats)."""

    m: int
    s: int
    usual: float
    n: int
    own: float
    cause: float
    said: str


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
        self.kinds, self.sufferers = Kinds(), Sufferers()
        self.habits = Memory({name: Field(np.int32, 0, per_metric=False) for name in ("there", "came")})

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the rows that are far worse than their kind."""
        found = list(self._findings(tick, standing))
        return Evidence(found) if found else NOTHING

    def _findings(self, tick: Tick, standing: Standing) -> Iterator[Finding]:
        rows, symptoms = _rows(standing, "service"), _rows(standing, "condition")
        if not rows:
            return
        seldom, chances = self._seldom(tick), math.log(len(rows) * looks(1, tick.period))
        alone = {m: _alone(tick, standing, m, seldom) for m in (*rows, *symptoms)}
        worse = [row for m in rows for s in alone[m] if (row := self._worse(tick, standing, m, s, symptoms)) is not None]
        chanced = chances + math.log1p(len(symptoms))
        for row in worse:
            until = tick.time + _lasts(tick, standing, row)
            self.sufferers.late(*_who(tick, row.s), tick.time, until, row.cause >= chanced)
        bad = set()
        for row in worse:
            by, level = self.sufferers.excuse(*_who(tick, row.s), tick.time), max(row.own - chances, row.cause - chanced)
            if by or level >= 0:
                bad.add(row.s)
            if level >= 0:
                yield _finding(tick, standing, row, level, by)
        for m in alone:
            for s in alone[m]:
                self.kinds.learn(_kind(tick, standing, m, s), tick.subjects[s], float(tick.values[m, s]), s in bad)

    def _seldom(self, tick: Tick) -> NDArray[np.bool_]:
        """Say who has been there for a while and reported in few of the ticks, and count this one."""
        a = self.habits.of(tick).arrays
        seldom = (a["there"] >= YOUNG) & (a["came"] < OFTEN * a["there"])
        a["there"] += 1
        a["came"] += np.isfinite(tick.values).any(axis=0)
        return np.asarray(seldom)

    def _worse(self, tick: Tick, standing: Standing, m: int, s: int, symptoms: list[int]) -> Row | None:
        """Return a row that is worse than its kind by enough to matter."""
        usual = self.kinds.usual(_kind(tick, standing, m, s), tick.subjects[s], log=True)
        if usual is None:
            return None
        far, middle = int(standing.sign[m]) * (math.log(float(tick.values[m, s])) - usual.middle), math.exp(usual.middle)
        if far < math.log1p(EFFECT):
            return None
        causes = [c for w in symptoms if _unit(standing, w) == _unit(standing, m) and (c := self._cause(tick, standing, w, m, s, middle)) is not None]
        cause, said = max(causes, default=(-math.inf, ""))
        return Row(m, s, middle, usual.n, LAW.surprise(far / max(usual.spread, LEAST)), cause, said)

    def _cause(self, tick: Tick, standing: Standing, w: int, m: int, s: int, middle: float) -> tuple[float, str] | None:
        """Return how surprising a symptom is that makes up a good part of what a row takes too long, and how it reads."""
        value, usual = float(tick.values[w, s]), self.kinds.usual(_kind(tick, standing, w, s), tick.subjects[s], log=False)
        if usual is None or not math.isfinite(value):
            return None
        more = int(standing.sign[w]) * (value - usual.middle)
        if more < CAUSE * abs(float(tick.values[m, s]) - middle):
            return None
        unit = _unit(standing, w)
        said = f"{tick.metrics[w]} {number(value, unit)} beside {number(usual.middle, unit)}"
        return LAW.surprise(more / max(usual.spread, LEAST * middle)), said

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        habits = {f"habits:{key}": array for key, array in self.habits.snapshot().items()}
        return {**self.kinds.snapshot(), **self.sufferers.snapshot(), **habits}

    def restore(self, state: Arrays) -> None:
        """Become what `snapshot` returned."""
        self.habits.restore({key.partition(":")[2]: array for key, array in state.items() if key.startswith("habits:")})
        self.kinds.restore(state)
        self.sufferers.restore(state)


def _rows(standing: Standing, side: str) -> list[int]:
    """Return the judged rows of one side."""
    return [m for m, x in enumerate(standing.metrics) if x and x.side == side and standing.sign[m] and x.type == "gauge" and not x.waits]


def _alone(tick: Tick, standing: Standing, m: int, seldom: NDArray[np.bool_]) -> list[int]:
    """Return who came with too few beside it at this moment to be compared with them."""
    came = np.isfinite(tick.values[m]) & seldom & (standing.count[m, standing.label[standing.layout[m]]] < PEERS)
    if _side(standing, m) == "service":
        came &= tick.values[m] > 0
    return np.flatnonzero(came).tolist()


def _kind(tick: Tick, standing: Standing, m: int, s: int) -> str:
    metric = standing.metrics[m]
    assert metric is not None
    keys = [k for k in metric.peers if k != "job"]
    return "|".join([tick.table, tick.metrics[m], *(tick.roster.key(tick.subjects[s], k) for k in keys)])


def _side(standing: Standing, m: int) -> str:
    metric = standing.metrics[m]
    return metric.side if metric is not None else ""


def _unit(standing: Standing, m: int) -> str:
    metric = standing.metrics[m]
    return metric.unit if metric is not None else ""


def _who(tick: Tick, s: int) -> tuple[str, str]:
    """Return the job and the machine of a subject."""
    return tick.roster.key(tick.subjects[s], "job"), tick.roster.key(tick.subjects[s], "node")


def _lasts(tick: Tick, standing: Standing, row: Row) -> int:
    """Return for how long a late row excuses others: twice what it took, for what follows it meets what it left behind."""
    return max(2 * tick.period, round(2e6 * float(tick.values[row.m, row.s])) if _unit(standing, row.m) == "s" else 0)


def _finding(tick: Tick, standing: Standing, row: Row, level: float, by: str) -> Finding:
    """Return what is said of a row: an accusation, or a symptom where somebody else in the job shows the cause."""
    metric = standing.metrics[row.m]
    assert metric is not None
    found = Finding(
        tick.time, tick.subjects[row.s], metric.side, "seldom", round(level, 4), metric.mode or "slow_component", metric.mechanism or "",
        tick.metrics[row.m], float(tick.values[row.m, row.s]), row.usual, row.n, since=tick.time,
    )  # fmt: skip
    told = why(found, metric.unit, "like rows of others")
    if by:
        return found._replace(side="condition", mechanism="", why=f"late with {by}, which shows the cause: {told}")
    return found._replace(why=f"{told}; of it {row.said}" if row.said else told)
