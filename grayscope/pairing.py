"""Pairing: which incidents of two runs are about the same trouble, for ids differ as soon as one of them notices a tick earlier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grayscope.incident import Incident

FOREVER = 2**62


def pairs(these: Sequence[Incident], others: Sequence[Incident]) -> list[tuple[Incident, Incident]]:
    """Return pairs, each incident in one at most, by the time noticed in the first run.

    Two incidents can be one trouble if they overlap in time and the first suspect of one is a suspect or a member of the other, or holds or is
    part of the other's first suspect. Of several the same id wins, then the same first suspect, the same mode, and what was noticed nearest.

    Examples
    --------
    >>> a = Incident("a", "n1/gpu0", "n1", "gray", "page", "", 0, 60)
    >>> b = Incident("b", "n1", "n1", "gray", "page", "", 10, 90)
    >>> c = Incident("c", "n2", "n2", "gray", "page", "", 10, 90)
    >>> [(x.id, y.id) for x, y in pairs([a], [c, b])]
    [('a', 'b')]
    """
    ranked = sorted((_distance(these[n], others[k]), n, k) for n, k in _candidates(these, others) if _overlap(these[n], others[k]))
    taken: dict[int, int] = {}
    gone: set[int] = set()
    for _, n, k in ranked:
        if n not in taken and k not in gone:
            taken[n] = k
            gone.add(k)
    return sorted(((these[n], others[k]) for n, k in taken.items()), key=lambda pair: (pair[0].noticed, pair[0].id))


def suspects(incident: Incident) -> set[str]:
    """Return the first suspect, its rivals and the members."""
    return {incident.subject, *(s for s, _ in incident.rivals), *(str(p["subject"]) for p in incident.evidence if "subject" in p)}


def _candidates(these: Sequence[Incident], others: Sequence[Incident]) -> Iterator[tuple[int, int]]:
    subjects, names = _index([{i.subject} for i in others]), _index([suspects(i) | _holders(i.subject) for i in others])
    for n, incident in enumerate(these):
        near = set(names.get(incident.subject, ()))
        for name in suspects(incident) | _holders(incident.subject):
            near.update(subjects.get(name, ()))
        yield from ((n, k) for k in sorted(near))


def _index(words: Sequence[set[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for k, these in enumerate(words):
        for word in these:
            found.setdefault(word, []).append(k)
    return found


def _holders(subject: str) -> set[str]:
    """Return what holds a part.

    Examples
    --------
    >>> sorted(_holders("n1/gpu0/pcie"))
    ['n1', 'n1/gpu0']
    """
    parts = subject[:1000].split("/")
    return {"/".join(parts[:n]) for n in range(1, len(parts))}


def _overlap(a: Incident, b: Incident) -> bool:
    return a.began <= (FOREVER if b.ended is None else b.ended) and b.began <= (FOREVER if a.ended is None else a.ended)


def _distance(a: Incident, b: Incident) -> tuple[bool, bool, bool, int]:
    return a.id != b.id, a.subject != b.subject, a.mode != b.mode, abs(a.noticed - b.noticed)
