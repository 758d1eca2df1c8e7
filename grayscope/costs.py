"""Costs: what a part that is known to spend its reserve costs the job that waits for it.

Whether any of thousands of parts is slow takes much evidence. Whether the one that is known to replay, to run on fewer
lanes or to correct errors is what its job waits for takes little: nobody searched for it. So the means over five minutes of
its rank, or of the communicators that cross it, are compared with what was usual there before, and what the job would
save is worked out as in `grayscope.impact`. What is usual is remembered per GPU, not per rank: it outlives the job.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.columns import Field, Memory
from grayscope.evidence import Evidence, Finding
from grayscope.feltin import CARRIED, COMMON, FeltIn, kind
from grayscope.fewpeers import distances
from grayscope.horizons import MARGIN
from grayscope.kernels import LOG
from grayscope.machinewide import Wide, wide, without
from grayscope.medians import CROWD
from grayscope.modes import Modes
from grayscope.places import parents
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.usual import Usual

#: Microseconds over which is averaged, and for which a suspect is one after it was last accused.
WINDOW, SUSPECT = 300_000_000, 900_000_000
#: Strength from which on evidence makes a suspect; nats that being one is worth; strength at most.
ACCUSED, KNOWN, MOST = 6.9, MARGIN, 50.0
#: Effects by which a mode is one that jobs may feel.
FELT = frozenset({"slow_rank", "slow_component"})
#: End of the name under which what is usual without peers is kept.
ALONE = "#alone"
#: So many ticks as a mean of five minutes never has, at any period: one that did not begin anew.
MANY = 1e9
#: End of the names of counters. What is lost is lost from one moment on; what is counted comes in spells, one of which made us look: a
#: mean that begins within it would overstate what it costs.
COUNTED = "_total"
#: Microseconds that a mean must have in it before anything is said.
FRESH = 30_000_000
#: Standard errors that a mean of fewer ticks than five minutes have must be beyond what it says.
ERRORS = 2.0
#: Ranks or communicators at most in which a suspect is felt for its mean to begin anew. Noise lasts for minutes, so that the worst of many short
#: means is far from usual with nothing wrong: who is felt in many keeps the mean of five minutes, three times as many would be called otherwise.
FEW = 2
#: Ticks between two looks; a new suspect is looked at in each, for a ticket waits only so long for what its job says.
EVERY = 4
#: Least spread of the distance between members of a group of two or three, as a share: a hundredth, for their own is not known.
PAIR = 0.01
Floats = NDArray[np.float32]


class Suspect(NamedTuple):
    """Who is known to spend its reserve: the latest evidence of it."""

    since: int
    last: int
    mode: str
    mechanism: str
    why: str
    lost: bool = False  # whether something was lost, not only counted


class Costs:
    """Follow suspects, and what is usual for all; say what the suspects cost. Deterministic; bounded by the roster."""

    def __init__(self) -> None:
        self.suspects: dict[str, Suspect] = {}
        self.memory = Memory({"far": Field(np.float32, np.nan), "alone": Field(np.float32, np.nan), "n": Field(np.float32, MANY)})
        self.sound: Floats = np.empty(0, np.float32)  # this tick's values without what open incidents explain
        self.saved: dict[str, tuple[int, float]] = {}  # suspect -> time, and the share of a step that it costs lately
        self.new: set[str] = set()  # suspects that came just now
        self.usual = Usual()
        self.shares: dict[str, tuple[int, float]] = {}  # GPU of a suspect -> when it was worked out, and what it costs
        self.felt_in = FeltIn()

    def hear(self, evidence: Evidence, tick: Tick) -> None:
        """Remember who spends a reserve in a way that jobs may feel."""
        modes = Modes.load().modes
        for f in evidence:
            known = modes.get(f.mode)
            if known is None or not known.explains & FELT or f.strength < ACCUSED:
                continue
            # What brakes shows it as a condition; that only the spare is lost slows nobody yet.
            spends = f.side == "redundancy" and "condition" not in known.sides
            if spends or f.side == "condition" or (f.side == "service" and tick.table == COMMON):
                old = self.suspects.get(f.subject)
                before, lost = old is not None and old.lost, not f.metric.partition("{")[0].endswith(COUNTED)
                if lost and not before and tick.time - (f.since or f.time) < WINDOW:
                    self.new.add(f.subject)
                self.suspects[f.subject] = Suspect(old.since if old else f.since or f.time, f.time, f.mode, f.mechanism, f.why, before or lost)
        for subject in [s for s, who in self.suspects.items() if tick.time - who.last > SUSPECT]:
            del self.suspects[subject]
            self.new.discard(subject)
            self.saved.pop(subject, None)

    def step(self, tick: Tick, standing: Standing, row: int, steps: Mapping[str, float]) -> Iterator[Finding]:
        """Yield what suspects cost, from one tick of ranks or communicators.

        Parameters
        ----------
        row : int
            The metric that times them.
        steps : mapping of str to float
            Seconds of each job's step.
        """
        columns = self.memory.of(tick)
        far, alone, n = (columns.arrays[name][row] for name in ("far", "alone", "n"))
        moved = standing.moved_cells()
        if moved is not None:
            far[moved[row]], alone[moved[row]], n[moved[row]] = np.nan, np.nan, MANY
        self._begin(tick, n)
        least = np.float32(min(2 * tick.period / WINDOW, 1.0))
        n[:] = np.minimum(n + np.isfinite(tick.values[row]), 1 / least)
        rate = 1 / np.maximum(n, 1)
        distance, few = distances(tick, standing, row)
        _follow(far, distance, rate)
        if tick.table != "rank":  # what its siblings carry for a lost part moves all of them: no peer shows it
            with np.errstate(divide="ignore", invalid="ignore"):
                _follow(alone, np.log(tick.values[row]), rate)
        window = max(WINDOW // tick.period, 1)
        if columns.ticks % window == 0:
            self._learn(tick, standing, row, far, alone, few)
        self.sound = self._sound(tick, standing, row, far) if standing.doubted.any() else tick.values[row]
        if not self.suspects:
            return
        modes, places = [(subject, who.mode) for subject, who in self.suspects.items()], self._places(tick, far)
        machines = wide(tick, modes, self.felt_in, lambda s: self._gain(tick, far, s))
        self._clear(machines, standing, row)
        whole, parts = (without(tick.values[row], more, standing, row) for more in (machines.besides(places), machines.shared))
        for subject, mine in (machines.ranks | {s: some for s, some in places.items() if s not in machines.ranks}).items():  # a part's word is the last
            carried, values = self.suspects[subject].mechanism in CARRIED, whole if subject in machines.ranks else parts
            if subject in machines.ranks:
                worst = machines.worst(subject, whole)
            else:
                worst = self._more(tick, subject, mine, alone if carried else far - machines.shared, carried, few)
            found = self._cost(tick, standing, row, subject, mine, worst, steps, (float(least), float(n[worst[0]])), values)
            fresh = n[worst[0]] < 1 / least - 0.5  # half a tick, for rates are rounded
            if found is not None and (n[worst[0]] * tick.period >= FRESH if fresh else columns.ticks % EVERY == 0):
                self.shares |= {_name(tick, s): (tick.time, found.felt) for s in mine if tick.table == "rank"}
                yield found
        self.shares = {name: told for name, told in self.shares.items() if tick.time - told[0] < WINDOW}

    def _begin(self, tick: Tick, n: Floats) -> None:
        """Begin the means anew where somebody has just come under suspicion: what was before is no part of what it costs."""
        felt = [self.felt_in.of(tick, subject, self.suspects[subject].mechanism) for subject in sorted(self.new)]
        here = [s for mine in felt if len(mine) <= FEW for s in mine]
        self.new = {subject for subject in self.new if self.felt_in.elsewhere(tick, subject, self.suspects[subject].mechanism)}
        n[here] = 0

    def _sound(self, tick: Tick, standing: Standing, row: int, far: Floats) -> Floats:
        """Return what everybody would take if those in open incidents took what is usual: one fault must not hide another."""
        sound: Floats = tick.values[row].copy()
        for s in np.flatnonzero(standing.doubted & np.isfinite(far)).tolist():
            more = max(float(far[s]) - self.usual.of(_name(tick, s))[0], 0.0)
            sound[s] = sound[s] * math.exp(-more) if int(standing.kind[row]) == LOG else sound[s] - int(standing.sign[row]) * more
        return sound

    def _clear(self, machines: Wide, standing: Standing, row: int) -> None:
        """Take what machines under suspicion do to their ranks off what those would take: one of them must not hide another."""
        self.sound = np.where(standing.doubted, self.sound, without(self.sound, machines.shared, standing, row)).astype(np.float32)

    def _gain(self, tick: Tick, far: Floats, s: int) -> float:
        """Return by how much a rank is worse than usual, NaN where that is not known."""
        usual, n = self.usual.of(_name(tick, s))
        return float(far[s]) - usual if n else math.nan

    def share(self, subject: str) -> float | None:
        """Return what a GPU that is the place of a suspect costs its job, None where that was not worked out."""
        told = self.shares.get(subject)
        return told[1] if told else None

    def _learn(self, tick: Tick, standing: Standing, row: int, far: Floats, alone: Floats, few: NDArray[np.bool_]) -> None:
        held = {s for mine in self._places(tick, far).values() for s in mine}
        if few.any():  # what is beside one in trouble seems better than it is
            troubled = standing.doubted.copy()
            troubled[sorted(held)] = True
            group = standing.label[standing.layout[row]]
            held |= set(np.flatnonzero(few & (np.bincount(group, troubled)[group] > 0)).tolist())
        for s in np.flatnonzero(np.isfinite(far) & ~standing.doubted).tolist():
            if s not in held:
                self.usual.learn(_name(tick, s), float(far[s]))
                if tick.table != "rank" and np.isfinite(alone[s]):
                    self.usual.learn(f"{tick.subjects[s]}{ALONE}", float(alone[s]))

    def _places(self, tick: Tick, far: Floats) -> dict[str, list[int]]:
        """Return the ranks or communicators in which a suspect would be felt; each is one suspect's.

        That of the smallest part unless its neighbours suffer alike, of equals the latest's. Smaller is what lies in another suspect, or in
        a machine beside a switch: a wire of one GPU is not smaller than another GPU."""
        felt: dict[int, list[tuple[int, int, str]]] = {}
        inside: dict[str, list[int]] = {}
        for subject, who in self.suspects.items():
            inside[subject] = self.felt_in.of(tick, subject, who.mechanism)
            for s in inside[subject]:
                felt.setdefault(s, []).append((0 if kind(tick, subject) == COMMON else subject.count("/"), who.since, subject))
        places: dict[str, list[int]] = {}
        for s, some in sorted(felt.items()):
            widest, around = min(some)[0], {parent for _, _, subject in some for parent in parents(subject)}
            latest = max(c for c in some if c[0] == widest)
            alike = widest < max(some)[0] and self._alike(tick, s, inside[latest[2]], far)
            most = latest if alike else max((c for c in some if c[2] not in around), key=lambda c: (min(c[0], 1), *c[1:]))
            places.setdefault(most[2], []).append(s)
        return places

    def _alike(self, tick: Tick, s: int, mine: list[int], far: Floats) -> bool:
        """Say whether the other ranks of a suspect are as much worse than usual as this one, by half at least: then it is not this one's own."""
        more = {q: float(far[q]) - self.usual.of(_name(tick, q))[0] for q in mine}
        others = sorted(m for q, m in more.items() if q != s and math.isfinite(m))
        return bool(others) and others[len(others) // 2] >= more[s] / 2

    def _more(self, tick: Tick, subject: str, mine: list[int], far: Floats, carried: bool, few: NDArray[np.bool_]) -> tuple[int, float, bool]:
        """Return the worst of a suspect's ranks or communicators, by how much it is worse than usual, and whether that is known.

        Of what all ranks of a machine share the last rank, and by how much at least half of them are worse.
        """
        worst = (-1, -math.inf, False)
        for s in mine:
            usual, n = self.usual.of(f"{tick.subjects[s]}{ALONE}" if carried else _name(tick, s))
            more = float(far[s]) - usual
            if math.isfinite(more) and (n or not (carried or few[s])) and more > worst[1]:
                worst = (s, more, n > 0)
        if worst[0] >= 0 and len(mine) > 1 and (part := tick.roster.rows.get(subject)) is not None and part.table == COMMON:
            there = [s for s in mine if math.isfinite(far[s])]
            gained = sorted(float(far[s]) - self.usual.of(_name(tick, s))[0] for s in there)
            return max(there, key=lambda s: (float(far[s]), s)), max(gained[(len(gained) - 1) // 2], 0.0), worst[2]
        return worst[0], max(worst[1], 0.0), worst[2]

    def _cost(
        self, tick: Tick, standing: Standing, row: int, subject: str, mine: list[int], worst: tuple[int, float, bool], steps: Mapping[str, float],
        means: tuple[float, float], values: Floats,
    ) -> Finding | None:  # fmt: skip
        """Return what the worst of a suspect's ranks or communicators costs its job: from tick to tick, for the last one is not always the same.

        As long as its mean is of few ticks, and looked at in each, only what is beyond its error."""
        (s, more, known), (rate, ticks) = worst, means
        now = float(values[s]) if s >= 0 else math.nan
        if not now > 0:
            return None
        spread = float(standing.noise[row, s] if known else standing.scale[row, s])
        spread = spread if standing.peers(row, s) >= CROWD - 1 else max(float(np.median(standing.noise[row])), PAIR)  # of two or three: as of most
        before = now * math.exp(-more) if int(standing.kind[row]) == LOG else now - int(standing.sign[row]) * more
        group = standing.label[standing.layout[row]]
        others = np.where(group == group[s], self.sound, np.float32(0))
        others[mine] = 0
        next_one = float(np.nanmax(others)) if np.isfinite(others).any() else 0.0
        job = tick.roster.key(tick.subjects[s], "job")
        saved = max(now - max(before, next_one), 0.0) / max(steps.get(job, 0.0), now)
        who, what = self.suspects[subject], tick.metrics[row]
        old = self.saved.get(subject, (0, saved))
        share = old[1] + (saved - old[1]) * (max(rate, 1 / max(ticks, 1.0)) if tick.time - old[0] < WINDOW else 1.0)
        self.saved[subject] = (tick.time, share)
        error = spread * (now if int(standing.kind[row]) == LOG else 1.0) / max(steps.get(job, 0.0), now) * (max(ticks, 1.0) ** -0.5 - rate**0.5)
        share = max(share - ERRORS * error, 0.0)
        strength = min(KNOWN + (more / max(spread, 1e-9)) ** 2 / 2, MOST) if more > 0 else 0.0
        why = f"{what} of {tick.subjects[s]} is {now / before - 1:.1%} longer than usual, which makes the step {share:.1%} longer; {who.why}"
        return Finding(
            tick.time, subject, "service", "impact", round(strength, 4), who.mode, who.mechanism, what, now, before, standing.peers(row, s),
            since=tick.time, why=why, felt=share,
        )  # fmt: skip

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return {**self.memory.snapshot(), "#costs": np.array(json.dumps([self.suspects, self.usual.known, self.shares, self.saved, sorted(self.new)]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.memory.restore({k: v for k, v in state.items() if k != "#costs"})
        suspects, known, shares, saved, new = json.loads(str(state["#costs"]))
        self.suspects = {s: Suspect(*who) for s, who in suspects.items()}
        self.shares, self.felt_in = {name: (at, share) for name, (at, share) in shares.items()}, FeltIn()
        self.saved = {name: (at, share) for name, (at, share) in saved.items()}
        self.new = set(new)
        self.usual.known = {name: (distance, n) for name, (distance, n) in known.items()}


def _follow(mean: Floats, values: Floats, rate: Floats) -> None:
    """Follow what came by a running mean, in place."""
    came = np.isfinite(values)
    mean[:] = np.where(came, np.where(np.isfinite(mean), mean + (values - mean) * rate, values), mean)


def _name(tick: Tick, s: int) -> str:
    """Return under which name the usual distance is kept: the GPU of a rank, else the subject."""
    return (tick.roster.key(tick.subjects[s], "gpu") if tick.table == "rank" else "") or tick.subjects[s]
