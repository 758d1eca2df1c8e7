"""Answering: which incidents there are to answer, and what was answered: in a results directory, in Kafka, and wherever else it was written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grayscope.errors import UsageError, shorten
from grayscope.feedback import Answer, Asked, answers, asked, asked_of

from ._carriers import InFile, InKafka, Place

if TYPE_CHECKING:
    from grayscope.event import Event


class Answered:
    """Incidents, answers, and where the next answer goes.

    Parameters
    ----------
    results : path or None
        A results directory; its answers lie in it unless a place is named.
    place : Place or None
        Else: Kafka's incidents.
    """

    def __init__(self, results: Path | None, place: Place | None) -> None:
        self.results, self.place = results, place
        self.incidents: list[Asked] = _of_results(results) if results is not None else _of_kafka(place)

    def carrier(self) -> Place:
        """Return where an answer is written."""
        if self.place is not None:
            return self.place
        return _beside(self.results)

    def said(self) -> dict[str, Answer]:
        """Return the last word on each incident, from wherever it was written."""
        events: list[Event] = _beside(self.results).events() if self.results is not None else []
        return answers([*events, *(self.place.events() if self.place is not None else ())])

    def one(self, name: str) -> Asked:
        """Return the incident that is meant by an id or its beginning.

        Raises
        ------
        UsageError
            There is none, or several: names ids that are near.
        """
        found = [i for i in self.incidents if i.id == name] or [i for i in self.incidents if len(name) >= 3 and i.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{shorten(name)}: the beginning of several incidents: {_listed(found)}")
        if not self.incidents:
            raise UsageError(f"{shorten(name)}: there is no incident at all")
        there = [i for i in self.incidents if i.subject == name or i.subject.startswith(f"{name}/")]
        raise UsageError(f"no incident is called {shorten(name)!r}: {f'those of it are {_listed(there)}' if there else _near(name, self.incidents)}")


def _listed(incidents: Sequence[Asked]) -> str:
    more = f" and {len(incidents) - 5} more" if len(incidents) > 5 else ""
    return ", ".join(f"{i.id} ({shorten(i.subject, 60)})" for i in incidents[:5]) + more


def _near(name: str, incidents: Sequence[Asked]) -> str:
    import difflib

    close = difflib.get_close_matches(name, [i.id for i in incidents], n=3, cutoff=0.5)
    if close:
        return f"near are {_listed([i for i in incidents if i.id in close])}"
    return f"known are {_listed(sorted(incidents, key=lambda i: -i.noticed))}"


def _beside(results: Path | None) -> InFile:
    from grayscope.results import FEEDBACK

    assert results is not None
    return InFile(results / FEEDBACK)


def _of_results(results: Path) -> list[Asked]:
    from grayscope.recalling import recall_incidents
    from grayscope.results import read_results

    return [asked(i) for i in recall_incidents(read_results(results).incidents, str(results / "incidents.parquet"))]


def _of_kafka(place: Place | None) -> list[Asked]:
    if not isinstance(place, InKafka):
        raise UsageError("--results: expected the results directory that holds the incidents, or --servers or a --config with [kafka]")
    from grayscope.brokers._kafkatold import incidents

    return sorted((found for told in incidents(place.settings) if (found := asked_of(told)) is not None), key=lambda i: (i.noticed, i.id))
