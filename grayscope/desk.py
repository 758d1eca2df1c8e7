"""Desk: file verdicts as incidents; one fault is one incident from the first notice to its end, its cascade inside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from grayscope.again import Again
from grayscope.cascade import Member, another, belongs, contains, effects, machine, member_of, passes
from grayscope.eased import until
from grayscope.history import History
from grayscope.incident import CHANGES, SEVERITIES, Incident, incident_id
from grayscope.merging import KEEP, alike, grown, widened, worst
from grayscope.modes import MAINTENANCE, Modes
from grayscope.roster import View
from grayscope.suspects import lead, suspects
from grayscope.verdict import STATES, Verdict
from grayscope.whereabouts import Whereabouts

SEVERITY = {"gray": "page", "masked": "ticket", "failed": "ticket", "unknown": "notice"}
#: First suspects that an incident had before and that stay named.
FORMER = 2


class Desk:
    """The station. A verdict joins the open incident of its subject, or one that it belongs to by place and by cause.

    A communicator that was slow before anybody knew which part of its way is to blame has that part as its first suspect from then on.
    Where it was slow with others that cross the same part, they are one incident from then on, the oldest.
    A member upon which something else has come, unrelated to the others, leaves them for the incident where that belongs; so does what is
    left when work on a machine is over, all of which was one notice.
    The first suspect is the root of the cascade; state and severity are the gravest of all members, but a page does not become a ticket
    as long as its first suspect may soon make it one again (`eased`). What comes back soon after its end goes on with its incident.

    Parameters
    ----------
    cluster : str
        Part of every incident's identity.
    history : History, optional
        Who was suspected before; learns from what ends.
    """

    def __init__(self, cluster: str, history: History | None = None) -> None:
        self.cluster, self.history = cluster, history or History()
        self.open: dict[str, Incident] = {}
        self.members: dict[str, dict[str, Member]] = {}  # incident -> subject -> what is held about it
        self.former: dict[str, list[str]] = {}  # incident -> its first suspects before, latest last
        self.eased: dict[str, int] = {}  # page that nobody suffers from any more -> when it becomes a ticket
        self.where = Whereabouts()
        self.again = Again()

    def step(self, verdicts: Iterable[Verdict], roster: View | None = None, now: int = -1) -> Iterator[Incident]:
        """Yield every incident that a verdict opened, changed or ended, or that is no page any more `now`; the roster tells what traffic crosses."""
        for verdict in verdicts:
            crosses = roster.crosses(verdict.subject) if roster is not None else ()
            yield from self._take(verdict, _member(verdict, crosses) if verdict.state != "normal" else None)
        if any(end <= now for end in self.eased.values()):
            for key in [key for key in self.open if self.eased.get(key, now + 1) <= now]:  # in an order that a restart keeps
                yield self._stand(self.open[key], now)

    def _take(self, verdict: Verdict, member: Member | None) -> Iterator[Incident]:
        key = self._find(verdict, member)
        if member is not None and key is not None and another(member, self.members[key]):
            if self.members[key].pop(verdict.subject).severity == "page" and verdict.state == "failed":
                member = member._replace(severity="page")  # what fails after it was paged for is a page still
            self.where.drop(verdict.subject)
            yield self._left(self.open[key], verdict.time, verdict.subject)
            key = self._find(verdict, member)
        if key is not None:
            for other in alike(key, member, self.open, self.members, self.where) if member is not None else ():
                yield self._merged(other, key, verdict)
            yield self._change(self.open[key], verdict, member)
        elif member is not None:
            yield self._new(verdict, member)

    def _find(self, v: Verdict, member: Member | None) -> str | None:
        """Return the open incident that holds the subject, else one in which it takes part in a cascade."""
        key = self.where.holder(v.subject)
        if key is not None or member is None:
            return key
        unsure = (k for name, _ in v.rivals if (k := self.where.holder(name)) is not None)
        near = self.where.near(v.subject, member.crosses)
        cascade = next((k for k in (*near, *unsure) if belongs(member, self.members[k])), None)
        return cascade or next((k for k in near if self._worked(member, k)), None)

    def _worked(self, member: Member, key: str) -> bool:
        """Say whether an incident is a notice of work on the machine where this is: one notice, whatever the work does there."""
        calm = all(severity == "notice" for _, _, severity in self.open[key].history)
        return member.planned and calm and all(m.planned and machine(m) == machine(member) for m in self.members[key].values())

    def _merged(self, younger: str, older: str, v: Verdict) -> Incident:
        """Return an incident that ends because it goes on in an older one; it is no news for anybody's past, and does not come back by itself."""
        gone, members = self.open.pop(younger), self.members.pop(younger)
        self.eased.pop(younger, None)
        self.where.end(younger, members)
        self.open[older] = grown(self.open[older], gone, members, self.members[older])
        self.members[older] |= members
        for subject, member in members.items():
            self.where.put(subject, older, member.crosses)
        words = f"{gone.subject} has not recovered: it goes on in incident {older}, for both cross {v.subject}"
        return replace(worst(gone), summary=words, ended=v.time)

    def _new(self, v: Verdict, member: Member) -> Incident:
        before = self.again.take(v.subject, v.mode, v.time)
        if before is not None:
            return self._resume(before, v, member)
        key = incident_id(self.cluster, v.subject, v.time)
        incident = Incident(
            key, v.subject, v.subject, v.state, member.severity, v.mode, min(v.since, v.time), v.time,
            history=((v.time, v.state, member.severity),), summary=f"{v.subject} is {v.state}: {v.why}", evidence=(self._piece(v),),
            rivals=v.rivals, probability=suspects({v.subject: member}, member)[0],
        )  # fmt: skip
        self.open[key], self.members[key] = incident, {v.subject: member}
        self.where.put(v.subject, key, member.crosses)
        return incident

    def _resume(self, old: Incident, v: Verdict, member: Member) -> Incident:
        """Return an incident that had ended and goes on; who was paged for it before is no escalation."""
        self.members[old.id] = {v.subject: member}
        self.where.put(v.subject, old.id, member.crosses)
        new = self._stand(replace(old, evidence=(*old.evidence, self._piece(v))[-KEEP:]), v.time)
        if any(severity == "page" for _, _, severity in old.history):
            new = self.open[old.id] = replace(new, escalated=old.escalated)
        return new

    def _change(self, old: Incident, v: Verdict, member: Member | None) -> Incident:
        members = self.members[old.id]
        if member is None:
            mode = lead(members, old.subject).mode
            self._recover(members, old.subject, v.subject)
            return self._stand(old, v.time) if _stands(members) else self._end(old, v.time, mode)
        place = old.place if v.subject in members else widened(old.place, member, members)
        members[v.subject] = member
        self.where.put(v.subject, old.id, member.crosses)
        joined = replace(old, place=place, evidence=(*old.evidence, self._piece(v))[-KEEP:], began=min(old.began, v.since))
        return self._stand(joined, v.time)

    def _left(self, old: Incident, time: int, subject: str) -> Incident:
        """Return what is left of an incident when a member has a matter of its own: nothing where only the name of a root that has recovered is."""
        members = self.members[old.id]
        return self._stand(old, time, subject) if _stands(members) else self._end(old, time, lead(members, old.subject).mode)

    def _recover(self, members: dict[str, Member], first: str, subject: str) -> None:
        """Let a member go; the root of a cascade stays its name as long as nothing but its effects is left."""
        gone = members.pop(subject, None)
        if gone is not None and subject == first and members and all(m.mode in effects(gone.mode) for m in members.values()):
            members[subject] = gone._replace(state="normal", severity="notice")
        elif gone is not None:
            self.where.drop(subject)

    def _stand(self, old: Incident, time: int, left: str = "") -> Incident:
        """Return the incident as its members make it: the root first, as grave as the gravest; `left` it for one of its own."""
        members = self.members[old.id]
        first = lead(members, old.subject)
        state = max((m.state for m in members.values()), key=STATES.index)
        severity = self._loud(old, time, state, eases=first.subject == old.subject and not (left and state != old.state))
        probability, rivals = suspects(members, first, self._before(old, first.subject, left), self.history)
        changed = (state, severity) != (old.state, old.severity)
        new = replace(
            old, subject=first.subject, state=state, severity=severity, mode=_called(first, members, old.mode), summary=_summary(first, state, members),
            history=_longer(old, time, state, severity) if changed else old.history, probability=probability, rivals=rivals,
            escalated=time if severity == "page" and old.severity != "page" and old.escalated is None else old.escalated,
        )  # fmt: skip
        self.open[old.id] = new
        return new

    def _loud(self, old: Incident, time: int, state: str, eases: bool) -> str:
        """Return how loud the members make an incident in this state, or have made it not long ago, where who did so is its first suspect still."""
        members = self.members[old.id].values()
        severity = max((m.severity for m in members), key=SEVERITIES.index)
        self.eased.pop(old.id, None)
        if old.severity != "page":
            return severity
        if state == "failed":
            return "page"
        eases = eases and severity == "ticket" and not any(m.planned for m in members)
        end = until(old.history if state == old.state else [*old.history, (time, state, severity)]) if eases else None
        if end is None or time >= end:
            return severity
        self.eased[old.id] = end
        return "page"

    def _before(self, old: Incident, first: str, left: str) -> list[str]:
        """Return who was the first suspect before, latest last: who was told of them may be there now."""
        names, was = self.former.get(old.id, []), self.members[old.id].get(old.subject)
        refined = was is not None and passes(was, first)  # the same trouble, told more exactly
        if first != old.subject != left and old.severity != "notice" and not refined:
            names = self.former[old.id] = [*(s for s in names if s not in (first, old.subject)), old.subject][-FORMER:]
        return [s for s in names if self.where.holder(s) is None]  # who is in trouble elsewhere has not recovered

    def _piece(self, v: Verdict) -> dict[str, object]:
        told = {"time": v.time, "subject": v.subject, "state": v.state, "side": v.side, "metric": v.metric, "strength": v.strength, "why": v.why}
        before = "; ".join(text for name in (v.subject, *(s for s, _ in v.rivals)) if (text := self.history.told(name)))
        return {**told, "mode": v.mode, "mechanism": v.mechanism, "signals": [s._asdict() for s in v.shown], **({"before": before} if before else {})}

    def _end(self, old: Incident, time: int, mode: str) -> Incident:
        """Return the incident as it is remembered: at its gravest, and then under its own name, though work eased it since."""
        self.where.end(old.id, self.members[old.id])
        del self.open[old.id], self.members[old.id]
        self.eased.pop(old.id, None)
        gravest = worst(old)
        eased = old.mode == MAINTENANCE and gravest.severity != "notice"
        ended = replace(gravest, mode=mode if eased else old.mode, ended=time)
        self.again.put(ended)
        self.history.add(ended)
        known = {*self.open, *(i.id for i in self.again)}
        self.former = {key: names for key, names in self.former.items() if key in known}
        return ended

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all open incidents, those that have just ended, and who was first suspect before, as one JSON text in an array."""
        held = [[asdict(i) for i in self.open.values()], self.members, [asdict(i) for i in self.again], self.former]
        return {"desk": np.array(json.dumps(held, default=sorted))}  # sets have no order of their own

    def restore(self, state: dict[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        incidents, members, ended, self.former = json.loads(str(state["desk"]))
        self.members = {key: {s: member_of(m) for s, m in some.items()} for key, some in members.items()}
        self.where = Whereabouts()
        for key, some in self.members.items():
            for subject, member in some.items():
                self.where.put(subject, key, member.crosses)
        self.open = {i.id: i for i in map(_incident, incidents)}
        self.eased = {i.id: end for i in self.open.values() if i.severity == "page" and (end := until(i.history)) is not None}
        self.again.fill(map(_incident, ended))


def _incident(fields: dict[str, Any]) -> Incident:
    """Return an incident from its fields as JSON gives them back."""
    history, rivals = tuple(map(tuple, fields["history"])), tuple(map(tuple, fields["rivals"]))
    return Incident(**{**fields, "history": history, "rivals": rivals, "evidence": tuple(fields["evidence"])})


def _longer(old: Incident, time: int, state: str, severity: str) -> tuple[tuple[int, str, str], ...]:
    """Return the history with one more change; something that flaps for weeks keeps its first and its latest."""
    history = (*old.history, (time, state, severity))
    return history if len(history) <= CHANGES else (history[0], *history[-CHANGES + 1 :])


def severity_of(v: Verdict) -> str:
    """Return how loud a verdict is: by its state, but never louder than its mode may be by that side."""
    mode = Modes.load().modes.get(v.mode)
    loud = SEVERITY[v.state]
    return min(loud, mode.severity, key=SEVERITIES.index) if mode is not None and v.side in mode.sides else loud


def _member(v: Verdict, crosses: tuple[str, ...] = ()) -> Member:
    """Return what is held about a subject."""
    planned = v.mode == MAINTENANCE
    mode, ways = v.behind if planned else v.mode, frozenset(c for c in crosses if not contains(c, v.subject))  # a path's ends are in its name
    return Member(v.subject, v.state, severity_of(v), mode, v.side, v.strength, v.since, v.why, v.rivals, planned, v.also, ways)


def _called(first: Member, members: dict[str, Member], before: str) -> str:
    """Return the mode of an incident: maintenance where somebody works on all of it."""
    if all(m.planned for m in members.values()):
        return MAINTENANCE
    return first.mode or (before if before != MAINTENANCE else "")


def _stands(members: dict[str, Member]) -> bool:
    return any(m.state != "normal" for m in members.values())


def _summary(first: Member, state: str, members: dict[str, Member]) -> str:
    """Return the line for a person: the suspect and what was measured on it, and what it did to others."""
    felt = next((m for m in sorted(members.values(), key=lambda m: -m.strength) if m.state == state and m.subject != first.subject), None)
    if first.state == "normal" and felt is not None:
        return f"{first.subject} has recovered, {felt.subject} is still {state}: {felt.why}; it began with: {first.why}"
    more = f"; {felt.subject} suffers: {felt.why}" if felt is not None and first.state != state else ""
    return f"{first.subject} is {state}: {first.why}{more}"
