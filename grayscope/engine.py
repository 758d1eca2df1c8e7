"""Engine: the line from message to alert; no clock, no broker, no sink, no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from grayscope.alert import Alert
from grayscope.align import Align, AlignSettings
from grayscope.announce import Announce
from grayscope.blame import Blame
from grayscope.catalogue import Catalogue
from grayscope.desk import Desk
from grayscope.detector import Detector
from grayscope.errors import UsageError
from grayscope.evidence import NOTHING, Evidence
from grayscope.history import History
from grayscope.impact import Impact
from grayscope.incident import Incident
from grayscope.judge import SLACK, Judge
from grayscope.ledger import DAY, Entry
from grayscope.maintenance import LONGEST
from grayscope.message import Message
from grayscope.passing import PassThrough
from grayscope.planned import AFTER, Planned
from grayscope.rivals import mixture
from grayscope.stand import Stand
from grayscope.standing import Standing
from grayscope.summaries import Summaries
from grayscope.tick import Tick
from grayscope.verdict import Verdict


class Output(NamedTuple):
    """What one message brought about; usually nothing."""

    evidence: Evidence = NOTHING
    verdicts: tuple[Verdict, ...] = ()
    incidents: tuple[Incident, ...] = ()
    alerts: tuple[Alert, ...] = ()
    ledger: tuple[Entry, ...] = ()
    summaries: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine may be told.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    periods : mapping of str to int
        Period of each table in microseconds.
    disabled : frozenset of str
        Metrics that are not judged.
    align : AlignSettings
    horizon : int
        The end of a redundancy is urgent within so many microseconds.
    longest, after : int
        Planned work without an end is over after so long, and speaks for what is wrong for so long beyond its end, microseconds.
    """

    false_pages: float = 1.0
    periods: Mapping[str, int] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    align: AlignSettings = field(default_factory=AlignSettings)
    horizon: int = 14 * DAY
    longest: int = LONGEST
    after: int = AFTER


class Engine:
    """One cell's line, live or in replay: `step` takes a message, `flush` ends the stream.

    Rivals run with their own patience: blame is off and what they find passes straight to the desk.

    Parameters
    ----------
    detectors : iterable of Detector
        Stepped in the given order; rivals only, or none.
    catalogue : Catalogue, optional
        The packaged one by default.
    settings : EngineSettings, optional
    cluster : str
        Name in alerts and in incident ids.
    """

    def __init__(
        self, detectors: Iterable[Detector], catalogue: Catalogue | None = None, settings: EngineSettings | None = None, cluster: str = "cluster"
    ) -> None:
        self.settings = settings or EngineSettings()
        self.catalogue = catalogue or Catalogue.load()
        self.detectors = tuple(detectors)
        if not self.detectors:
            raise UsageError("no detector is enabled: name at least one")
        rivals, own = mixture(self.detectors)
        if rivals and own:
            raise UsageError(f"rivals are scored alone: {', '.join(rivals)} cannot run together with {', '.join(own)}; name rivals only, or none")
        self.align = Align(self._is_counter, self.settings.periods, self.settings.align)
        self.stand = Stand(self.catalogue, self.settings.disabled)
        self.history = History(self.settings.false_pages)
        self.blame, self.impact = None if rivals else Blame(self.settings.false_pages, self.history), Impact()
        self.judge = PassThrough() if rivals else Judge(self.settings.false_pages)
        level = -np.inf if isinstance(self.judge, PassThrough) else self.judge.enter - SLACK
        self.planned = Planned(level, self.settings.longest, self.settings.after)
        self.desk = Desk(cluster, self.history)
        self.announce = Announce(cluster, self.settings.horizon)
        self.summaries: Summaries | None = None  # for the comparison of cells, where there is one
        self.coverage: dict[tuple[str, str], Coverage] = {}
        self._covered: dict[str, tuple[tuple[str, ...], list[Coverage]]] = {}  # the same by table, in the order of its ticks' metrics
        self.ticks = 0

    def _is_counter(self, name: str) -> bool:
        metric = self.catalogue.get(name)
        return metric is not None and metric.type == "counter"

    @property
    def counts(self) -> dict[str, int]:
        """Rows read, late, duplicate and refused, ticks judged, and planned work that was forgotten too early."""
        left_out = {} if self.summaries is None else {"groups_left_out": self.summaries.left_out}
        return {**self.align.counts, "ticks": self.ticks, "works_dropped": self.planned.agenda.lost, **left_out}

    def step(self, message: Message) -> Output:
        """Take one message and return what it brought about."""
        return self._run(self.align.step(message))

    def flush(self) -> Output:
        """Close what is open: the stream has ended."""
        return self._run(self.align.flush())

    def _run(self, ticks: Iterable[Tick]) -> Output:
        outputs = [self._tick(tick) for tick in ticks]
        if not outputs:
            return Output()
        return Output(
            Evidence.join(o.evidence for o in outputs),
            tuple(v for o in outputs for v in o.verdicts),
            tuple(i for o in outputs for i in o.incidents),
            tuple(a for o in outputs for a in o.alerts),
            tuple(e for o in outputs for e in o.ledger),
            tuple(m for o in outputs for m in o.summaries),
        )

    def _tick(self, tick: Tick) -> Output:
        output = self.judged(tick, self.compared(tick))
        return output if self.summaries is None else output._replace(summaries=self.summaries.step(tick))

    def compared(self, tick: Tick) -> Standing:
        """Count a tick and compare it with peers and past: the first half of a step."""
        self.ticks += 1
        self._cover(tick)
        return self.stand.step(tick, self.judge.doubted)

    def judged(self, tick: Tick, standing: Standing) -> Output:
        """Return what a tick, compared here or by an engine of equal settings, brings about: the second half of a step."""
        found = [d.step(tick, standing) for d in self.detectors]
        ledger = tuple(e for part in found for e in part.ledger)
        evidence = Evidence.join(found)
        if self.blame is not None:
            self.history.look(tick)  # rivals know no past
            blamed = self.blame.step(self.impact.before(evidence, tick), tick, standing)
            felt = self.impact.step(blamed, tick, standing)
            evidence = self.history.step(felt, tick, lambda part, at: self.planned.agenda.over(part, at, tick.roster) is not None)
        verdicts = tuple(self.planned.step(tick, self.judge.step(tick, evidence), evidence))
        incidents = tuple(self.desk.step(verdicts, None if self.blame is None else tick.roster, tick.time))  # rivals know no ways, either
        return Output(evidence, verdicts, incidents, tuple(self.announce.step(incidents, ledger, tick.roster)), ledger)

    def _cover(self, tick: Tick) -> None:
        reported = np.count_nonzero(np.isfinite(tick.values), axis=1).tolist()
        names, of = self._covered.get(tick.table, ((), []))
        if names is not tick.metrics:
            of = [self.coverage.setdefault((tick.table, name), Coverage()) for name in tick.metrics]
            self._covered[tick.table] = (tick.metrics, of)
        for coverage, n in zip(of, reported, strict=True):
            coverage.add(tick.time, len(tick.subjects), n)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the state after align as plain arrays; open ticks are replayed from the broker instead."""
        parts: dict[str, Mapping[str, np.ndarray[Any, Any]]] = {"stand": self.stand.snapshot(), "planned": self.planned.snapshot()}
        parts |= {"blame": self.blame.snapshot(), "impact": self.impact.snapshot(), "history": self.history.snapshot()} if self.blame is not None else {}
        parts |= {"judge": self.judge.snapshot(), "desk": self.desk.snapshot(), "announce": self.announce.snapshot()}
        parts |= {"summaries": self.summaries.snapshot()} if self.summaries is not None else {}
        parts |= {name: d.snapshot() for name, d in _named(self.detectors)}
        return {f"{part}:{key}": array for part, state in parts.items() for key, array in state.items()}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned; a detector that was not there then begins anew, and what is told of one that has gone is left."""
        self.stand.restore(_part(state, "stand"))
        if self.blame is not None:
            self.blame.restore(_part(state, "blame"))
            self.impact.restore(_part(state, "impact"))
            self.history.restore(_part(state, "history"))
        self.judge.restore(_part(state, "judge"))
        self.planned.restore(_part(state, "planned"))
        self.desk.restore(_part(state, "desk"))
        self.announce.restore(self.desk.open.values(), _part(state, "announce"))
        if self.summaries is not None:
            self.summaries.restore(_part(state, "summaries"))
        for name, detector in _named(self.detectors):
            if known := _part(state, name):
                detector.restore(known)


@dataclass(slots=True)
class Coverage:
    """How much of one metric was there."""

    expected: int = 0
    reported: int = 0
    subjects: int = 0
    reporting: int = 0
    first: int = 0
    last: int = 0

    def add(self, time: int, subjects: int, reported: int) -> None:
        """Count one tick."""
        self.expected += subjects
        self.reported += reported
        self.subjects, self.reporting = max(self.subjects, subjects), max(self.reporting, reported)
        self.first, self.last = self.first or time, time


def _named(detectors: Iterable[Detector]) -> Iterator[tuple[str, Detector]]:
    """Yield each detector with the name of its part of a snapshot: of its kind, not of its place, for settings may add or drop others."""
    kinds: Counter[str] = Counter()
    for detector in detectors:
        kind = type(detector).__name__
        yield f"detector-{kind}{kinds[kind] or ''}", detector
        kinds[kind] += 1


def _part(state: Mapping[str, np.ndarray[Any, Any]], name: str) -> dict[str, np.ndarray[Any, Any]]:
    return {key.partition(":")[2]: array for key, array in state.items() if key.partition(":")[0] == name}
