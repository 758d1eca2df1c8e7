"""Events: what Xid, SXid, AER, EDAC, link and health events come down to, by a policy that is data.

One fact is one finding however often it is told. What breaks hardware visibly is `health`, what the vendor says to ignore
and yet spends spares is `redundancy`; a program's fault accuses no part unless one part alone has it in several jobs; the
clean-up after a job is nobody's. A fact fades with its half-life and goes when another event takes it back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from grayscope.event import PEOPLE, Event
from grayscope.eventpolicy import Policy, Rule
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.facts import DAY, HOUR, SAME, TOGETHER, Burst, Fact, Facts
from grayscope.roster import View
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Rules, not estimates; below FAINT nothing is said any more.
CERTAIN, FAINT = 50.0, 1.0
#: Facts are told again every so many ticks; the judge holds them for 40.
AGAIN = 8
#: Parts of one job that tell the same together: it is the job's matter.
STORM = 4
#: Half-life of what happened to a job: it is over when it has happened.
PASSES = 600_000_000
#: Share of a component's parts that have the same fact to make it the component's; share of all parts that may have a
#: program's fault in several jobs before it is the programs' after all.
MOST, FEW = 0.75, 0.05


class Events:
    """Fold events into facts, and facts into evidence by `grayscope.eventpolicy`.

    Events arrive with the tick of every table; each counts once, in the table of its subject. Codes that nobody knows are
    counted in `facts.unknown` and accuse nobody.

    Parameters
    ----------
    false_pages : float
        Unused: a policy has no rate.
    policy : Policy, optional
        The packaged one by default.
    """

    rival: ClassVar[bool] = False

    def __init__(self, *, false_pages: float = 1.0, policy: Policy | None = None) -> None:
        del false_pages
        self.policy = policy or Policy.load()
        self.facts = Facts()
        self.ticks: dict[str, int] = {}  # table -> ticks
        self.periods: dict[str, int] = {}
        self.changed: set[str] = set()  # tables with news

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the facts that hold, when there is news and every few ticks."""
        del standing
        self.ticks[tick.table] = self.ticks.get(tick.table, 0) + 1
        self.periods[tick.table] = tick.period
        for event in tick.events:
            if event.source != "clock" and event.source not in PEOPLE and self.facts.new(event):
                self._take(event, tick)
        findings = []
        if tick.table in self.changed or self.ticks[tick.table] % AGAIN == 0:
            self.changed.discard(tick.table)
            self.facts.forget(tick.time, max(HOUR, 4 * max(self.periods.values())))
            findings = [*self._whole(list(self._facts(tick)), tick), *self._jobs(tick)]
        return Evidence(findings) if findings else NOTHING

    def _take(self, event: Event, tick: Tick) -> None:
        rule = self.policy.of(event)
        if rule is None:
            self.facts.unknown[f"{event.source}:{event.code}"[:80]] += event.count
        elif rule.kind == "clears":
            self.changed |= self.facts.clear(event.subject, rule.clears)
        else:
            row = tick.roster.rows.get(event.subject)
            table = row.table if row is not None and row.table in self.ticks else tick.table
            job = tick.roster.key(event.subject, "job") if rule.kind in ("jobs", "follows") else ""
            self.facts.take(event, table, job.removeprefix("job:"), said=self._graver(event, rule), beside=_parts(tick.roster, table)[job] > 1)
            self.changed.add(table)

    def _graver(self, event: Event, rule: Rule) -> bool:
        """Say whether the event's text is to be kept: one fault is told in several lines, and not all say how grave it is."""
        old = self.facts.known.get((event.subject, event.source, event.code))
        if old is None or rule.kind == "fact" or event.time - old.last > SAME:
            return True
        before = self.policy.of(Event(old.last, event.subject, event.source, event.code, old.text))
        return before is None or before.kind != "fact"

    # -- parts ------------------------------------------------------------------------------------------------------

    def _facts(self, tick: Tick) -> Iterator[Finding]:
        recurrent = self._recurrent(tick)
        for (subject, source, code), fact in sorted(self.facts.known.items()):
            rule = self.policy.of(Event(fact.last, subject, source, code, fact.text)) if fact.table == tick.table else None
            if rule is None or not self._holds((subject, source, code), fact, rule, recurrent):
                continue
            strength = CERTAIN * 0.5 ** (max(tick.time - fact.last, 0) / rule.half_life)
            if strength >= FAINT:
                text = _told(source, code, fact, rule)
                found = Finding(tick.time, subject, rule.side, "events", round(strength, 4), rule.mode, rule.mechanism, f"{source}:{code}", float(fact.lines))
                yield found._replace(expected=0.0, since=min(t for t in fact.times if t > fact.times[-1] - DAY), why=text)

    def _holds(self, key: tuple[str, str, str], fact: Fact, rule: Rule, recurrent: frozenset[tuple[str, str, str]]) -> bool:
        if rule.kind == "repeats":
            return sum(t > fact.last - DAY for t in fact.times) >= rule.needs
        return rule.kind == "fact" or (rule.kind == "jobs" and key in recurrent)

    def _recurrent(self, tick: Tick) -> frozenset[tuple[str, str, str]]:
        """Return a program's faults that one part alone has had in several jobs, unless many parts have: then it is the programs'.

        A job of one part has no others that were spared: run twice, its program's own fault is on the same part twice.
        """
        found = []
        for key, fact in self.facts.known.items():
            rule = self.policy.of(Event(fact.last, *key)) if fact.table == tick.table and len(fact.jobs) > 1 else None
            if rule is not None and rule.kind == "jobs" and tick.time - fact.last >= TOGETHER:
                alone = [job for job in fact.jobs if not job.startswith("node:") and self._peak(job, key) < STORM]
                found += [key] if len(alone) >= rule.needs else []
        counted = Counter((source, code) for _, source, code in found)
        return frozenset(k for k in found if counted[k[1], k[2]] <= max(FEW * len(tick.subjects), 1))

    def _peak(self, job: str, key: tuple[str, str, str]) -> int:
        burst = self.facts.bursts.get((job, key[1], key[2]))
        return burst.most if burst is not None else 0

    def _whole(self, findings: list[Finding], tick: Tick) -> Iterator[Finding]:
        """Yield findings with the parts of a component replaced by it where nearly all of them tell the same."""
        alike: dict[tuple[str, str], list[Finding]] = {}
        for f in findings:
            alike.setdefault((f.metric, f.subject.rpartition("/")[0]), []).append(f)
        parts = Counter(s.rpartition("/")[0] for s in tick.subjects) if any(len(some) > 1 for some in alike.values()) else Counter[str]()
        for (_, parent), some in alike.items():
            if parent and len(some) >= max(MOST * parts[parent], 2):
                first = max(some, key=lambda f: f.strength)
                yield first._replace(subject=parent, why=f"{len(some)} of its {parts[parent]} parts alike, first {first.subject}: {first.why}")
            else:
                yield from some

    # -- jobs -------------------------------------------------------------------------------------------------------

    def _jobs(self, tick: Tick) -> Iterator[Finding]:
        """Yield a notice for what happened to a job, not to a part: a program's fault, a storm of clean-ups."""
        for (job, source, code), burst in sorted(self.facts.bursts.items()):
            rule = self.policy.of(Event(burst.last, job, source, code)) if burst.table == tick.table else None
            strength = 0.0 if rule is None else CERTAIN * 0.5 ** (max(tick.time - burst.last, 0) / PASSES)
            if rule is None or strength < FAINT or (rule.kind == "follows" and len(burst.members) < STORM):
                continue
            mode = "xid_storm" if rule.kind == "follows" else "user_bug"
            place = job.partition(":")[2] if job.startswith("node:") else f"job:{job}"
            found = Finding(tick.time, place, "health", "events", round(strength, 4), mode, "", f"{source}:{code}", float(len(burst.members)), 0.0)
            yield found._replace(since=burst.first, why=_shared(source, code, burst, rule))

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state as one JSON text in an array."""
        return {"events": np.array(json.dumps([self.facts.snapshot(), self.ticks, self.periods, sorted(self.changed)]))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        facts, self.ticks, self.periods, changed = json.loads(str(state["events"]))
        self.facts, self.changed = Facts(), set(changed)
        self.facts.restore(facts)


@lru_cache(maxsize=32)
def _parts(view: View, table: str) -> Counter[str]:
    """Return how many subjects of a table run each job."""
    return Counter(view.key(s, "job") for s in view.tables.get(table, ()))


def _told(source: str, code: str, fact: Fact, rule: Rule) -> str:
    often = f", {len(fact.times)} times" if len(fact.times) > 1 else ""
    often += f", {fact.lines} lines" if fact.lines > 1 else ""
    jobs = f", in jobs {', '.join(sorted(fact.jobs))}" if rule.kind == "jobs" else ""
    return f"{source} {code}{often}{jobs} ({_reason(rule)}){_quoted(fact.text)}"


def _shared(source: str, code: str, burst: Burst, rule: Rule) -> str:
    return f"{source} {code} on {len(burst.members)} of its parts within a minute, first {burst.members[0]} ({_reason(rule)})"


def _reason(rule: Rule) -> str:
    """Return why a rule says so, without the mark of the list that it is from."""
    return rule.source_of_rule.removeprefix("XC: ")


def _quoted(text: str) -> str:
    plain = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    plain = plain[:120].strip()
    return f": {plain}" if plain else ""
