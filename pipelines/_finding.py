"""Finding: which incidents of a results directory a person means by an id or a subject."""

from __future__ import annotations

from collections.abc import Sequence

from grayscope.errors import UsageError, shorten
from grayscope.incident import SEVERITIES, Incident
from grayscope.plugins import nearest


def find(incidents: Sequence[Incident], name: str) -> list[Incident]:
    """Return the incidents meant: by id or its beginning, by first suspect, by what is below or within it; gravest first.

    Raises
    ------
    UsageError
        None is meant: names the nearest subject.

    Examples
    --------
    >>> i = Incident("ab12", "n1/gpu0/pcie", "n1", "gray", "page", "", 0, 0)
    >>> [len(find([i], name)) for name in ("ab12", "ab1", "n1/gpu0/pcie", "n1/gpu0", "n1")]
    [1, 1, 1, 1, 1]
    """
    ways = (
        lambda i: i.id == name,
        lambda i: i.subject == name,
        lambda i: len(name) >= 3 and i.id.startswith(name),
        lambda i: i.subject.startswith(f"{name}/") or i.place == name,
        lambda i: any(name in (p.get("subject"), *(subject for subject, _ in i.rivals)) for p in (*i.evidence, {})),
    )
    for meant in ways:
        if found := [i for i in incidents if meant(i)]:
            return sorted(found, key=lambda i: (-SEVERITIES.index(i.severity), i.noticed, i.id))
    if not incidents:
        raise UsageError(f"{shorten(name)}: the results hold no incident at all")
    raise UsageError(f"no incident of {shorten(name)!r}: {shorten(nearest(name, [x for i in incidents for x in (i.subject, i.id)]), 300)}")
