"""Whereabouts: which open incident holds a subject, and which hold anything near it, so that the desk need not ask them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Whereabouts:
    """An index over the members of incidents, in the order in which the incidents were opened.

    No part of any state: it follows from the members.

    Examples
    --------
    >>> index = Whereabouts({"x": ["n1/gpu0"], "y": ["n2", "n1>n3"]})
    >>> index.holder("n2"), index.holder("n1"), index.near("n1"), index.near("n3/gpu4"), index.near("n4")
    ('y', None, ['x', 'y'], ['y'], [])
    >>> index.put("comm:1-rail2", "z", ["n3/nic2", "n5/nic2"])
    >>> index.near("n5/nic2"), index.near("comm:2-rail2", ["n5/nic2", "n6/nic2"])
    (['z'], ['z'])
    """

    def __init__(self, members: Mapping[str, Iterable[str]] | None = None) -> None:
        self._holder: dict[str, str] = {}
        self._roots: dict[str, set[str]] = {}  # subject -> what it is found by
        self._near: dict[str, dict[str, int]] = {}  # root of a name -> incident -> how many of its members have that root
        self._order: dict[str, int] = {}  # incident -> its number
        self._opened = 0
        for incident, subjects in (members or {}).items():
            for subject in subjects:
                self.put(subject, incident)

    def holder(self, subject: str) -> str | None:
        """Return the incident that holds a subject."""
        return self._holder.get(subject)

    def near(self, subject: str, crosses: Iterable[str] = ()) -> list[str]:
        """Return the incidents with a member that may be related to a subject by its name or what it crosses, first opened first."""
        return sorted({i for root in _all_roots(subject, crosses) for i in self._near.get(root, ())}, key=self._order.__getitem__)

    def put(self, subject: str, incident: str, crosses: Iterable[str] = ()) -> None:
        """Note that an incident holds a subject, which no other does, and what the subject crosses."""
        found_by = _all_roots(subject, crosses)
        if self._roots.get(subject) == found_by:
            return
        if subject in self._holder:
            self.drop(subject)
        self._holder[subject] = incident
        if incident not in self._order:
            self._order[incident] = self._opened = self._opened + 1
        self._roots[subject] = found_by
        for root in found_by:
            there = self._near.setdefault(root, {})
            there[incident] = there.get(incident, 0) + 1

    def drop(self, subject: str) -> None:
        """Note that nobody holds a subject any more."""
        incident = self._holder.pop(subject)
        for root in self._roots.pop(subject):
            there = self._near[root]
            there[incident] -= 1
            if not there[incident]:
                del there[incident]
            if not there:
                del self._near[root]

    def end(self, incident: str, subjects: Iterable[str]) -> None:
        """Forget an incident and all that it holds."""
        for subject in subjects:
            self.drop(subject)
        self._order.pop(incident, None)


def _all_roots(subject: str, crosses: Iterable[str]) -> set[str]:
    return roots(subject).union(*map(roots, crosses))


def roots(subject: str) -> set[str]:
    """Return the machines that a name begins with: of a path its own and those of its ends.

    Two subjects that `cascade.related` may join share one: what contains the other begins alike, so do siblings, and the
    end of a path has the path's.

    Examples
    --------
    >>> roots("n1/gpu0/pcie"), sorted(roots("n1/nic0>n2/nic0")), sorted(roots("a>b"))
    ({'n1'}, ['n1', 'n2'], ['a', 'a>b', 'b'])
    """
    found = {subject.partition("/")[0]}
    return found | {end.partition("/")[0] for end in subject.split(">")} if ">" in subject else found
