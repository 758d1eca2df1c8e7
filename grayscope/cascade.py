"""Cascade: which troubles belong to one fault, and which of them is its root: a fan heats a GPU, which throttles, which is late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from grayscope.history import WEIGHS, History
from grayscope.modes import Modes
from grayscope.verdict import STATES

#: Troubles that neighbours of one machine share: heat, power, and slowness that no part explains; a worn row of memory or a slow drive are
#: each their own.
SPREADING = frozenset({"thermal_throttle", "power_cap", "slow_component", "became_slower"})
#: Those of them that a machine brings about, and parts that must show them at once to make the machine the suspect.
SHARED, PARTS = frozenset({"thermal_throttle", "power_cap"}), 3
#: Slowness that no part explains, and microseconds within which parts of one machine that begin so are one matter.
SLOW, MOMENT = frozenset({"slow_rank"}), 60_000_000
#: Sides of evidence about a component itself: not what it does to others, nor a symptom of what others do to it.
OWN = frozenset({"redundancy", "health"})
#: How much less likely a member is to be the culprit that the first suspect's mode explains.
EXPLAINED = 0.25


class Member(NamedTuple):
    """What an incident holds about one of its subjects.

    `planned`: somebody works there, and `mode` is what the trouble would be called without. `also`: what else is wrong with the subject itself.
    `crosses`: what its traffic goes through, of which its name tells nothing.
    """

    subject: str
    state: str
    severity: str
    mode: str
    side: str
    strength: float
    since: int
    why: str
    rivals: tuple[tuple[str, float], ...] = ()
    planned: bool = False
    also: tuple[str, ...] = ()
    crosses: frozenset[str] = frozenset()


def member_of(fields: Sequence[Any]) -> Member:
    """Return a member from its fields as JSON gives them back."""
    m = Member(*fields)
    return m._replace(rivals=tuple((name, chance) for name, chance in m.rivals), also=tuple(m.also), crosses=frozenset(m.crosses))


@cache
def effects(mode: str) -> frozenset[str]:
    """Return all that a mode may show itself as, and what that may show itself as in turn.

    Examples
    --------
    >>> sorted(effects("fan_degraded"))[-1], effects("no such mode")
    ('thermal_throttle', frozenset())
    """
    known, found, waiting = Modes.load().modes, set[str](), [mode]
    while waiting:
        entry = known.get(waiting.pop())
        new = (entry.explains if entry else frozenset()) - found
        found |= new
        waiting += sorted(new)
    return frozenset(found - {mode})


def related(a: Member, b: Member) -> bool:
    """Say whether two troubles are one fault: by place, and because one may bring about the other.

    Examples
    --------
    >>> fan = Member("n1", "masked", "ticket", "fan_degraded", "condition", 9.0, 0, "")
    >>> hot = Member("n1/gpu3", "masked", "ticket", "thermal_throttle", "condition", 9.0, 0, "")
    >>> related(fan, hot), related(hot, hot._replace(subject="n1/gpu4")), related(fan, hot._replace(subject="n2/gpu3"))
    (True, True, False)
    >>> slow = Member("comm:1-rail2", "gray", "page", "slow_component", "service", 9.0, 0, "", crosses=frozenset({"n1/nic2", "leaf04"}))
    >>> worn = hot._replace(subject="n1/nic2", mode="fec_margin")
    >>> related(slow, worn), related(slow, worn._replace(subject="n1/nic3")), related(slow, worn._replace(subject="leaf04/p17"))
    (True, False, True)
    """
    explained = a.mode == b.mode or b.mode in brings(a) or a.mode in brings(b)
    if explained and b.subject in dict(a.rivals):
        return True  # the evidence itself could not tell one from the other
    causal = explained or _nameless(a) or _nameless(b)
    if contains(a.subject, b.subject) or contains(b.subject, a.subject):
        return causal and not _unbraked(a, b) and not _unbraked(b, a)
    if passes(a, b.subject) or passes(b, a.subject):
        # Of dozens of parts on a way some always have something without a name, and crowds of many ways meet in one switch.
        return explained and "unknown" not in (a.state, b.state)
    place = a.subject.rpartition("/")[0]  # ranks of a job are no neighbours
    siblings = place == b.subject.rpartition("/")[0] != "" and ":" not in place
    return siblings and a.mode == b.mode and (a.mode in SPREADING or _at_once(a, b))


def _at_once(a: Member, b: Member) -> bool:
    """Say whether two parts began to be slow at the same moment, with nothing that says why: what they share is likelier than two faults in one minute."""
    return a.side == b.side == "service" and a.mode in SLOW and abs(a.since - b.since) <= MOMENT


def brings(m: Member) -> frozenset[str]:
    """Return what a member may bring about in others: the effects of its mode, and of what else is wrong with it.

    Examples
    --------
    >>> m = Member("n1", "masked", "ticket", "lemon_node", "health", 9.0, 0, "")
    >>> "slow_rank" in brings(m), "slow_rank" in brings(m._replace(also=("bond_degraded",)))
    (False, True)
    """
    return effects(m.mode) | _besides(m) if m.also else effects(m.mode)


def _besides(m: Member) -> frozenset[str]:
    """Return the effects of what else is wrong with a member; the loss of a spare that would brake it has none as long as nothing says so."""
    return frozenset().union(*(effects(other) for other in m.also if other not in SHARED))


def _nameless(m: Member) -> bool:
    """Say whether a trouble may be anybody's effect: it has no name, and it is no loss of a spare, which is a cause by itself."""
    return not m.mode and m.side != "redundancy"


def _unbraked(whole: Member, part: Member) -> bool:
    """Say whether a part is only slow while its machine has lost a spare that would brake it, and nothing says that it does: another reason makes it slow."""
    spare = whole.mode in SHARED and whole.side == "redundancy"
    unlike = part.mode != whole.mode and part.mode not in _besides(whole)
    return spare and unlike and part.side == "service" and contains(whole.subject, part.subject)


def belongs(new: Member, members: Mapping[str, Member]) -> bool:
    """Say whether a trouble is part of the fault that these members are: related to one, and not only to an effect that another cause has already.

    Examples
    --------
    >>> port = Member("n1/nic0", "masked", "ticket", "nic_errors", "redundancy", 9.0, 0, "")
    >>> slow = Member("n1", "gray", "page", "slow_component", "service", 9.0, 0, "")
    >>> lanes = Member("n1/gpu3/pcie", "masked", "ticket", "pcie_width", "redundancy", 9.0, 0, "")
    >>> belongs(lanes, {"n1": slow}), belongs(lanes, {"n1": slow, "n1/nic0": port}), belongs(port, {"n1": slow})
    (True, False, True)
    """
    return any(related(new, m) and not _explained(m, new, members) for m in members.values())


def another(now: Member, members: Mapping[str, Member]) -> bool:
    """Say whether what has come upon a member is a trouble of its own: no effect of what it was held for, and related to no other that still stands.

    Examples
    --------
    >>> fan = Member("n1", "masked", "ticket", "fan_degraded", "condition", 9.0, 0, "")
    >>> hot = Member("n1/gpu3", "masked", "ticket", "thermal_throttle", "condition", 9.0, 0, "")
    >>> lost = hot._replace(state="failed", mode="gpu_lost", side="health")
    >>> another(lost, {"n1": fan, "n1/gpu3": hot}), another(lost, {"n1/gpu3": hot}), another(hot, {"n1": fan, "n1/gpu3": hot})
    (True, False, False)
    """
    before = members[now.subject].mode if now.subject in members else ""
    if now.side not in OWN or not before or not now.mode or now.mode == before or now.mode in effects(before):
        return False
    others = [m for s, m in members.items() if s != now.subject and m.state != "normal"]
    return bool(others) and not any(related(now, m) for m in others)


def _only_slow(mode: str) -> bool:
    """Say whether a mode is slowness and no cause of it."""
    known = Modes.load().modes.get(mode)
    return known is None or known.sides == ("service",)


def _explained(effect: Member, new: Member, members: Mapping[str, Member]) -> bool:
    """Say whether a member is what another member, which has nothing to do with the new trouble, brought about."""
    if passes(effect, new.subject) and any(_says(o, effect) and not related(new, o) for o in members.values()):
        return True  # as slow as the slowest part: that is known, and who crosses everything makes no one fault of all
    place = new.subject.rpartition("/")[0]
    beside = _at_once(new, effect) and place == effect.subject.rpartition("/")[0] and effect.subject not in dict(new.rivals)
    if not beside and ((new.side == "service" and _only_slow(new.mode)) or effect.mode not in effects(new.mode)):
        return False  # what is only slow may be an effect itself
    causes = (o for o in members.values() if o.subject != effect.subject and effect.mode in brings(o) and related(o, effect))
    return any(not related(new, o) for o in causes)


def _says(part: Member, way: Member) -> bool:
    """Say whether a part on a way says what is wrong with all of it."""
    return passes(way, part.subject) and (way.mode == part.mode or way.mode in brings(part))


def lead(members: Mapping[str, Member], before: str) -> Member:
    """Return the first suspect: the root of the cascade, else the gravest; who was it `before` stays if nothing speaks against it.

    Examples
    --------
    >>> fan = Member("n1", "masked", "ticket", "fan_degraded", "condition", 9.0, 0, "")
    >>> late = Member("n1/gpu3", "gray", "page", "slow_rank", "service", 20.0, 0, "")
    >>> lead({"n1": fan, "n1/gpu3": late}, "n1/gpu3").subject
    'n1'
    """
    modes = {m.mode for m in members.values()}
    brought = frozenset[str]().union(*map(brings, members.values()))

    def order(m: Member) -> tuple[bool, bool, int, bool, float, bool, float, str]:
        # What has no name is the effect of what has one.
        caused = m.mode in brought or (not m.mode and modes != {""})
        # A whole leads its parts, unless it only repeats what one of them says more exactly.
        # Of what traffic crosses one counts, and of the ways through a part one: each is as slow as the slowest part on it.
        inner = [o for s, o in members.items() if contains(m.subject, s)] + [o for s, o in members.items() if passes(m, s)][:1]
        alike = [o for o in members.values() if o.mode == m.mode and contains(o.subject, m.subject)]
        alike += [o for o in members.values() if o.mode == m.mode and passes(o, m.subject)][:1]
        whole = len(inner) > 1 or (len(inner) == 1 and inner[0].mode != m.mode) or (not inner and len(alike) == 1)
        sure = 1.0 - sum(chance for _, chance in m.rivals)
        return (bool((brings(m) - {m.mode}) & modes), not caused, STATES.index(m.state), whole, round(sure, 4), m.subject == before, m.strength, m.subject)

    return _shared(max(members.values(), key=order), members)


def _shared(first: Member, members: Mapping[str, Member]) -> Member:
    """Return the machine as the suspect where several of its parts are hot or braked, or became slow at once: they share its air and its supply."""
    place = first.subject.rpartition("/")[0]
    alike = [s for s, m in members.items() if m.mode == first.mode and s.rpartition("/")[0] == place and (m.mode in SHARED or _at_once(m, first))]
    shared = first.mode in SHARED | SLOW and place and ":" not in place and len(alike) >= PARTS  # ranks of a job share no machine
    return first._replace(subject=place, why=f"{len(alike)} of its parts alike, first {first.subject}: {first.why}") if shared else first


def suspects(
    members: Mapping[str, Member], first: Member, former: Sequence[str] = (), history: History | None = None
) -> tuple[float, tuple[tuple[str, float], ...]]:
    """Return the first suspect's probability and the others with theirs, likeliest first.

    Where the evidence itself could not tell the first suspect from others, those are its rivals. What the first suspect lies in is none,
    if all that is wrong with it is what a part of it in such trouble brings about. Who was the first suspect before and has recovered
    stays one of them, unless one of the two lies in the other: people were sent there. Who was suspected more often than the first in the weeks before
    is likelier than others, but no likelier than the first, which has more than a past against it.

    Examples
    --------
    >>> lanes = Member("n1/gpu3/pcie", "masked", "ticket", "pcie_width", "redundancy", 9.0, 0, "")
    >>> slow = Member("n1/gpu3", "gray", "page", "slow_rank", "service", 9.0, 0, "")
    >>> suspects({"n1/gpu3/pcie": lanes, "n1/gpu3": slow}, lanes), suspects({"n1/gpu3/pcie": lanes, "n1/gpu3": slow}, slow)[0]
    ((1.0, ()), 0.6666666666666666)
    >>> suspects({"n1/gpu3": slow}, slow, ["n1", "n1/gpu2"])
    (0.8, (('n1/gpu2', 0.2),))
    """
    left = [s for s in former if s not in members and s not in dict(first.rivals) and not _within(s, first.subject)]
    if first.rivals:
        sure = round(1.0 - sum(chance for _, chance in first.rivals), 4)
        if not left:
            return sure, first.rivals
        weights = {first.subject: sure, **dict(first.rivals)}
    else:
        caused = effects(first.mode)
        weights = {first.subject: 1.0} | {
            s: EXPLAINED if m.mode in caused else 0.5 for s, m in members.items() if s != first.subject and not _repeats(m, first, caused)
        }
    weights |= dict.fromkeys(left, EXPLAINED)
    if history is not None and not first.rivals:
        mine = history.weight(first.subject)
        weights = {s: w if s == first.subject else min(w * max(history.weight(s) / mine, 1.0 / WEIGHS), 1.0) for s, w in weights.items()}
    total = sum(weights.values())
    rivals = sorted(((s, w / total) for s, w in weights.items() if s != first.subject), key=lambda r: (-r[1], r[0]))
    return weights[first.subject] / total, tuple(rivals)


def _within(a: str, b: str) -> bool:
    """Say whether two suspects are the same, or one lies in the other."""
    return a == b or contains(a, b) or contains(b, a)


def _repeats(m: Member, first: Member, caused: frozenset[str]) -> bool:
    lies = first.subject.startswith(f"{m.subject}/") or passes(m, first.subject)
    return lies and bool(m.mode) and m.mode in {first.mode, *caused}


def passes(m: Member, subject: str) -> bool:
    """Say whether a member's traffic goes through a subject: it is as slow as the slowest part on its way. A path is on it if both its ends are.

    Examples
    --------
    >>> ring = Member("comm:1-rail2", "gray", "page", "slow_component", "service", 9.0, 0, "", crosses=frozenset({"n1/nic2", "leaf04", "spine01"}))
    >>> [passes(ring, s) for s in ("leaf04", "leaf04/p17", "leaf04>spine01", "n1", "leaf05", "n1/nic2>n7/nic2")]
    [True, True, True, False, False, False]
    """
    return bool(m.crosses) and _on(m.crosses, subject)


def _on(crosses: frozenset[str], subject: str) -> bool:
    ends = subject.split(">")
    return not crosses.isdisjoint(_wholes(subject)) if len(ends) == 1 else subject in crosses or all(_on(crosses, end) for end in ends)


@lru_cache(maxsize=65536)
def _wholes(subject: str) -> tuple[str, ...]:
    """Return a subject and all that it lies in by its name."""
    parts = subject.split("/")
    return tuple("/".join(parts[:n]) for n in range(1, len(parts) + 1))


def contains(place: str, subject: str) -> bool:
    """Say whether a subject lies in a place, or is a path that ends there.

    Examples
    --------
    >>> contains("n1", "n1/gpu0"), contains("n1", "n10"), contains("n7", "n3>n7"), contains("n1", "n1")
    (True, False, True, False)
    """
    return subject.startswith(f"{place}/") or (">" in subject and ">" not in place and place in subject.split(">"))
