"""Cascade: which troubles belong to one fault: a fan heats a GPU, which throttles, which is late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from grayscope.modes import Modes

#: Troubles that neighbours of one machine share: heat, power, and slowness that no part explains; a worn row of memory or a slow drive are
#: each their own.
SPREADING = frozenset({"thermal_throttle", "power_cap", "slow_component", "became_slower"})
#: Those of them that a machine brings about.
SHARED = frozenset({"thermal_throttle", "power_cap"})
#: Slowness that no part explains: a part is the first until it has been seen for long enough to be called the second. Microseconds within which
#: parts of one machine that begin so are one matter.
NOW, EVER = "slow_rank", "slow_silicon"
SLOW, MOMENT = frozenset({NOW, EVER}), 60_000_000
#: Microseconds that evidence needs to gather: what began so much later than the slowness of a way is not its cause.
GATHERS = 900_000_000
#: Sides of evidence about a component itself: not what it does to others, nor a symptom of what others do to it.
OWN = frozenset({"redundancy", "health"})


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


def one_name(mode: str) -> str:
    """Return the name under which a trouble is the same whether or not it is known yet how long it has been there.

    Examples
    --------
    >>> one_name("slow_silicon"), one_name("slow_rank"), one_name("ecc_burst")
    ('slow_rank', 'slow_rank', 'ecc_burst')
    """
    return NOW if mode in SLOW else mode


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
        return explained and "unknown" not in (a.state, b.state) and not _later(a, b) and not _later(b, a)
    place = a.subject.rpartition("/")[0]  # ranks of a job are no neighbours
    siblings = place == b.subject.rpartition("/")[0] != "" and ":" not in place
    return siblings and one_name(a.mode) == one_name(b.mode) and (a.mode in SPREADING or at_once(a, b))


def at_once(a: Member, b: Member) -> bool:
    """Say whether two parts began to be slow at the same moment, with nothing that says why: what they share is likelier than two faults in one minute."""
    return a.side == b.side == "service" and a.mode in SLOW and abs(a.since - b.since) <= MOMENT


def _later(part: Member, way: Member) -> bool:
    """Say whether a part on a way only got into trouble long after the way had become slow: a cause does not come after its effect."""
    return passes(way, part.subject) and way.mode != part.mode and way.mode in brings(part) and part.since > way.since + GATHERS


def machine(m: Member) -> str:
    """Return the machine, switch or whole that a member lies in by its name."""
    return m.subject.partition("/")[0]


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
    others = [m for s, m in members.items() if s != now.subject and m.state != "normal"]
    if now.subject in members and members[now.subject].planned and not now.planned:
        return bool(others) and not any(related(now, m) for m in others)  # only the work that is over made them one
    if before and now.state == "unknown" and any(passes(now, s) for s in members if s != now.subject):
        return not any(related(now, m) for m in others)  # what is crowded or not heard of accuses nobody on its way, who may have recovered
    if now.side not in OWN or not before or not now.mode or now.mode == before or now.mode in effects(before):
        return False
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
    beside = at_once(new, effect) and place == effect.subject.rpartition("/")[0] and effect.subject not in dict(new.rivals)
    if not beside and ((new.side == "service" and _only_slow(new.mode)) or effect.mode not in effects(new.mode)):
        return False  # what is only slow may be an effect itself
    causes = (o for o in members.values() if o.subject != effect.subject and effect.mode in brings(o) and related(o, effect))
    return any(not related(new, o) for o in causes)


def _says(part: Member, way: Member) -> bool:
    """Say whether a part on a way says what is wrong with all of it."""
    return passes(way, part.subject) and (way.mode == part.mode or way.mode in brings(part))


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
