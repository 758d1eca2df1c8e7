"""Merging: which incidents turn out to be one fault, and what an incident is with the members of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from grayscope.cascade import Member, passes, related
from grayscope.eased import loudness
from grayscope.incident import SEVERITIES, Incident
from grayscope.verdict import STATES
from grayscope.whereabouts import Whereabouts

#: Pieces of evidence that an incident keeps.
KEEP = 20


def alike(key: str, part: Member, opened: Mapping[str, Incident], members: Mapping[str, Mapping[str, Member]], where: Whereabouts) -> list[str]:
    """Return younger incidents, no graver, of nothing but ways through a part that explains them: they are one fault with that of the part.

    Parameters
    ----------
    key : str
        The incident of the part.
    part : Member
    opened : mapping of str to Incident
    members : mapping of str to mapping of str to Member
        Incident to subject to what is held about it.
    where : Whereabouts
        Of the same members.
    """
    near, loud = where.near(part.subject, part.crosses), loudness(opened[key].state, opened[key].severity)
    younger = [k for k in near[near.index(key) + 1 :] if loudness(opened[k].state, opened[k].severity) <= loud] if key in near else []
    return [k for k in younger if all(passes(m, part.subject) and related(part, m) for m in members[k].values())]


def grown(held: Incident, gone: Incident, new: Mapping[str, Member], members: Mapping[str, Member]) -> Incident:
    """Return an incident with the place, the beginning and the evidence of another, whose members are `new`, too."""
    place, known = held.place, dict(members)
    for subject, member in new.items():
        place = widened(place, member, known)
        known[subject] = member
    told = sorted((*gone.evidence, *held.evidence), key=lambda piece: int(str(piece["time"])))
    return replace(held, place=place, began=min(held.began, gone.began), evidence=tuple(told[-KEEP:]))


def worst(old: Incident) -> Incident:
    """Return an incident as it was at its gravest."""
    _, state, severity = max(old.history, key=lambda h: (SEVERITIES.index(h[2]), STATES.index(h[1])))
    return replace(old, state=state, severity=severity)


def widened(place: str, new: Member, members: dict[str, Member]) -> str:
    """Return the smallest place that contains all members, with the new one: what traffic crosses lies in its communicator."""
    whole = members.get(place)
    if whole is not None and passes(whole, new.subject):
        return place
    return new.subject if passes(new, place) else _common(place, new.subject)


def _common(a: str, b: str) -> str:
    """Return the smallest place that contains both.

    Examples
    --------
    >>> _common("n1/gpu0", "n1/gpu0/pcie"), _common("n1/gpu0", "n1/gpu3"), _common("n1", "n2")
    ('n1/gpu0', 'n1', 'site')
    """
    shared = []
    for x, y in zip(a.split("/"), b.split("/"), strict=False):
        if x != y:
            break
        shared.append(x)
    return "/".join(shared) or "site"
