"""Suspects: which member of an incident is the root of its cascade, and how likely the others are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grayscope.cascade import SHARED, SLOW, Member, at_once, brings, contains, effects, one_name, passes
from grayscope.history import WEIGHS, History
from grayscope.verdict import STATES

#: Parts of a machine that must show at once what it brings about to make it the suspect.
PARTS = 3
#: How much less likely a member is to be the culprit that the first suspect's mode explains.
EXPLAINED = 0.25


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
    beside = [(s, m) for s, m in members.items() if one_name(m.mode) == one_name(first.mode) and s.rpartition("/")[0] == place]
    alike = [s for s, m in beside if m.mode in SHARED or at_once(m, first)]
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
