"""Blame: move workload evidence from where it was felt to the component that made others wait."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grayscope.alone import corroborated
from grayscope.cascade import GATHERS
from grayscope.columns import Field, Memory
from grayscope.commblame import Congestion, Held, Waiting, moved
from grayscope.evidence import Evidence, Finding
from grayscope.history import History
from grayscope.horizons import threshold
from grayscope.hostbusy import HostBusy
from grayscope.ownreason import Reasons
from grayscope.pathblame import PathBlame
from grayscope.populations import CROSSING
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.together import Together
from grayscope.upstream import Upstream
from grayscope.waiting import walked

#: Share of a component's parts that stand out together to make it the component's matter.
MOST = 0.75
#: Sides that accuse; the others only tell what was seen.
ACCUSING = frozenset({"service", "redundancy", "condition"})
#: Ticks over which the excess of ranks and paths is averaged, and its clip in usual spreads.
LATELY, CLIP = 16, 6.0
#: Microseconds for which what was said about a component itself makes it the likelier suspect on a path.
TOLD = 3_600_000_000


class Blame:
    """Report a suspect rank as its GPU, all parts of one thing as that thing, and paths as what they share.

    Which rank is the suspect is mostly settled before: in metrics that contain waiting the one that waits least stands
    out; what is left is to walk from communicator to communicator. When nearly all GPUs of a node stand out in one
    metric, they share a cause, and the node is the suspect; so with leaves, rails and batches. Of paths, what many bad
    ones cross and few good ones is.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    history : History, optional
        Who was suspected before.
    """

    def __init__(self, false_pages: float = 1.0, history: History | None = None) -> None:
        self.history = history or History()
        self.level = threshold(false_pages)
        self.ticks: dict[str, int] = {}
        self.told: dict[str, int] = {}  # component -> when something was last said about itself
        self.began: dict[str, int] = {}  # since when, by the first that was said
        self.ill: dict[str, int] = {}  # those of them whose condition it was
        self.spent: dict[str, int] = {}  # those of them that spent a reserve or broke
        self.lately = Memory({"excess": Field(np.float32, 0.0)})
        self.paths, self.together, self.congestion = PathBlame(self.level, self.history), Together(), Congestion()
        self.hosts, self.waiting, self.upstream, self.reasons = HostBusy(self.level), Waiting(), Upstream(self.history), Reasons()
        self._parts: dict[str, tuple[object, object, Counter[str], bool]] = {}

    def step(self, evidence: Evidence, tick: Tick, standing: Standing | None = None) -> Evidence:
        """Return the evidence with its subjects moved.

        Parameters
        ----------
        evidence : Evidence
        tick : Tick
        standing : Standing, optional
            Without it, neither chains of waiting nor components between the ends of paths are looked for.
        """
        now = self.ticks[tick.table] = self.ticks.get(tick.table, 0) + 1
        parts, crossed = self._counted(tick)
        excess = self._excess(tick, standing) if (crossed or tick.table == "rank") and standing is not None else None
        if standing is not None:
            self.hosts.look(tick, standing)
            self.congestion.look(tick, standing)
            if excess is not None and tick.table != "rank":
                self.upstream.weigh(tick, standing, excess)
        if not (len(evidence) or evidence.crowds):
            return evidence
        found = self.upstream.step(list(evidence), tick)
        found = list(corroborated(found, tick, self.ill)) if tick.table == "rank" else found
        self._hear(found, tick)
        if standing is not None:
            self.congestion.hear(found, {name: m.mode or "" for name, m in zip(tick.metrics, standing.metrics, strict=True) if m is not None}, tick.time)
        if tick.table == "rank" and standing is not None and excess is not None:
            found = list(walked(found, tick, standing, excess))
        if crossed and tick.table not in ("rank", "comm"):
            nothing = np.zeros((len(tick.metrics), len(tick.subjects)), np.float32)
            known, crowded = nothing if excess is None else excess, self.congestion.explains(tick)
            found = self.paths.step(found, tick, now, ACCUSING, known, self.told, crowded, evidence.crowds)
        if tick.table == "comm":
            self.congestion.note(found, tick)
            found = self.waiting.ready((f if self.congestion.crowded(f, tick) else self._moved(f, tick) for f in found), tick)
        if tick.table in ("comm", "path"):
            found = self.congestion.called(found, tick, self.told, self.level)
        found, crowds = self.reasons.split(found, () if tick.table in CROSSING else evidence.crowds, tick)
        found = list(self.together.step(found, tick, now, crowds, self.congestion.explains(tick)))
        moved_on = list(_gathered([_to_gpu(f, tick) for f in found], parts))
        return Evidence(self.hosts.explained(moved_on, tick) if tick.table == "rank" else moved_on)

    def _excess(self, tick: Tick, standing: Standing) -> NDArray[np.float32]:
        """Return by how many usual spreads each cell was worse than expected lately: beside its own past where that is known."""
        lately = self.lately.of(tick).arrays["excess"]
        with np.errstate(divide="ignore", invalid="ignore"):
            beside = np.where(np.isfinite(standing.past), standing.past, standing.residual) if tick.table != "rank" else standing.residual
            scaled = np.clip(beside / standing.scale, -CLIP, CLIP)
        came = np.isfinite(scaled)
        lately += np.where(came, (scaled - lately) / np.float32(LATELY), np.float32(0))
        return lately

    def _hear(self, findings: list[Finding], tick: Tick) -> None:
        # A hint too weak to be said by itself is no reason to accuse one of dozens of members: some of them always have one.
        loud = [f for f in findings if f.side in ("redundancy", "health", "condition") and f.strength >= self.level]
        self.told |= {f.subject: tick.time for f in loud}
        for f in loud:
            self.began[f.subject] = min(f.since or f.time, self.began.get(f.subject, f.time))
        self.spent |= {f.subject: tick.time for f in loud if f.side != "condition"}
        self.ill |= {f.subject: tick.time for f in loud if f.side == "condition"}
        self.reasons.hear(findings, tick.time, self.level, TOLD)
        for known in (self.told, self.spent, self.ill):
            for subject in [s for s, at in known.items() if tick.time - at > TOLD]:
                del known[subject]
        self.began = {subject: since for subject, since in self.began.items() if subject in self.told}

    def _moved(self, f: Finding, tick: Tick) -> Finding:
        """Return a finding about a communicator as one about the part of it that is to blame: a cause does not come after its effect."""
        by = self.congestion.began(f, tick) + GATHERS
        return moved(f, tick, {place: at for place, at in self.told.items() if self.began.get(place, 0) <= by}, self.spent, self.history)

    def _counted(self, tick: Tick) -> tuple[Counter[str], bool]:
        """Return how many subjects lie directly in each component, and whether any of them crosses something."""
        known = self._parts.get(tick.table)
        if known is None or known[0] is not tick.subjects or known[1] is not tick.roster:
            seats = tick.roster.column(tick.subjects, "gpu") if tick.table == "rank" else ("",) * len(tick.subjects)
            within = [(gpu or s).rpartition("/")[0] for gpu, s in zip(seats, tick.subjects, strict=True)]
            direct = Counter(within)
            # An only part (the PCIe link of a GPU) is one of its node's.
            parts = direct + Counter(p.partition("/")[0] for p in within if direct[p] == 1 and "/" in p)
            known = self._parts[tick.table] = (tick.subjects, tick.roster, parts, any(tick.roster.crosses(s) for s in tick.subjects))
        return known[2], known[3]

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the state as one JSON text in an array, and the excess of ranks and paths."""
        parts = self.paths.votes, self.paths.ends, self.together.snapshot(), self.congestion.last, self.hosts.snapshot(), self.waiting.since
        slow, reasons = [*self.congestion.slow_since.items()], [self.reasons.said, self.reasons.shown, self.reasons.slow]
        more = [self.spent, [*self.congestion.held.items()], self.congestion.spans, slow, self.ill, reasons, self.began, self.paths.blocks, self.paths.said]
        text = json.dumps([self.ticks, self.told, *parts, *more])
        return {"blame": np.array(text), "upstream": np.array(self.upstream.snapshot()), **self.lately.snapshot()}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        known = json.loads(str(state["blame"]))
        self.ticks, self.told, self.paths.votes, ends, together, self.congestion.last, hosts, since, *spent = known
        self.spent, held, self.congestion.spans, heard, self.ill, (self.reasons.said, *spans), self.began, self.paths.blocks, self.paths.said = spent
        self.reasons.shown, self.reasons.slow = ({part: {name: (a, b) for name, (a, b) in some.items()} for part, some in told.items()} for told in spans)
        self.hosts.restore(hosts)
        self.congestion.slow_since = {(table, name, metric): (first, last) for (table, name, metric), (first, last) in heard}
        self.congestion.held = {(table, name, metric): Held(*told) for (table, name, metric), told in held}
        self.waiting.since = {name: (first, last) for name, (first, last) in since.items()}
        self.paths.ends = {table: {end: (seen, size) for end, (seen, size) in some.items()} for table, some in ends.items()}
        self.together.restore(together)
        self.upstream.restore(str(state["upstream"]))
        self.lately.restore({key: array for key, array in state.items() if key not in ("blame", "upstream")})


def _to_gpu(finding: Finding, tick: Tick) -> Finding:
    gpu = tick.roster.key(finding.subject, "gpu") if tick.table == "rank" else ""
    if not gpu or finding.side == "coverage":
        return finding
    return finding._replace(subject=gpu, why=f"{finding.why} (felt by {finding.subject})")


def _gathered(findings: list[Finding], parts: Counter[str]) -> Iterator[Finding]:
    """Yield findings with siblings replaced by their parent where nearly all of them stand out alike."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for f in findings:
        parent = f.subject.rpartition("/")[0]
        parent = parent.partition("/")[0] if parts[parent] == 1 else parent
        alone = f.side not in ACCUSING or parts[parent] < 2 or not parent
        alike.setdefault(("", "", f.subject) if alone else (f.detector, f.metric, parent), []).append(f)
    for (detector, _, parent), some in alike.items():
        if detector and len({f.subject for f in some}) >= max(MOST * parts[parent], 2):
            first = max(some, key=lambda f: f.strength)
            yield first._replace(subject=parent, why=f"{len(some)} of its {parts[parent]} parts alike, first {first.subject}: {first.why}")
        else:
            yield from some
