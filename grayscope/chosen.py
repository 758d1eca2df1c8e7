"""Chosen: the one incident that somebody means by an id, by its beginning or by a subject that has only one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from grayscope.errors import UsageError, shorten

#: Ids that an error names.
NAMED = 5


class Called(Protocol):
    """What has an id and a first suspect."""

    @property
    def id(self) -> str: ...  # noqa: D102

    @property
    def subject(self) -> str: ...  # noqa: D102


class Place(NamedTuple):
    """Where an incident stands in a table."""

    id: str
    subject: str
    row: int


C = TypeVar("C", bound=Called)


def chosen(incidents: Sequence[C], name: str) -> C:
    """Return the incident with this id, else the only one whose id begins so, else the only one with this first suspect.

    Raises
    ------
    UsageError
        None or several are meant: names those that are near.

    Examples
    --------
    >>> found = [Place("ab12", "n1", 0), Place("ab34", "n2", 1)]
    >>> chosen(found, "ab3").subject, chosen(found, "n1").id
    ('n2', 'ab12')
    >>> chosen(found, "ab")
    Traceback (most recent call last):
    grayscope.errors.UsageError: 2 incidents are meant by 'ab': ab12 (n1), ab34 (n2)
    >>> chosen(found, "ab35")
    Traceback (most recent call last):
    grayscope.errors.UsageError: no incident 'ab35': did you mean ab34 (n2)?
    """
    if not isinstance(name, str):
        raise UsageError(f"an incident is named by its id, a text, not by {shorten(repr(name), 80)}")
    ways: tuple[Callable[[Called], bool], ...] = (lambda i: i.id == name, lambda i: bool(name) and i.id.startswith(name), lambda i: i.subject == name)
    for meant in ways:
        found = [i for i in incidents if meant(i)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{len(found)} incidents are meant by {shorten(name)!r}: {_listed(found)}")
    if not incidents:
        raise UsageError(f"no incident {shorten(name)!r}: the run holds none at all")
    close = _near(incidents, name)
    hint = f"did you mean {_listed(close)}?" if close else f"there are {_listed(incidents)}"
    raise UsageError(f"no incident {shorten(name)!r}: {hint}")


def _near(incidents: Sequence[Called], name: str) -> list[Called]:
    words = {word: i for i in reversed(incidents) for word in (i.subject, i.id)}
    close = difflib.get_close_matches(name[:200], words, n=NAMED)
    return list({words[word].id: words[word] for word in close}.values())


def _listed(incidents: Sequence[Called]) -> str:
    more = f" and {len(incidents) - NAMED} more" if len(incidents) > NAMED else ""
    return ", ".join(f"{shorten(i.id, 40)} ({shorten(i.subject, 60)})" for i in incidents[:NAMED]) + more
