"""Answering: which incidents there are to answer, and what was answered: in a results directory, in Kafka, and wherever else it was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grayscope.chosen import chosen
from grayscope.errors import UsageError, shorten
from grayscope.feedback import Answer, Asked, answers, asked, asked_of

from ._carriers import InFile, InKafka, Place

if TYPE_CHECKING:
    from grayscope.event import Event

#: Letters of an id that mean an incident.
LEAST = 3


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
        """Return the incident that is meant by an id, by three letters or more of its beginning, or by a subject that has only one.

        Raises
        ------
        UsageError
            There is none, or several: names ids that are near; or its id is no word, so that no answer could be told to be about it.
        """
        found = chosen(self.incidents, name)
        if len(name) < LEAST and name not in (found.id, found.subject):
            raise UsageError(f"{shorten(name)}: expected {LEAST} letters of an id at least, such as {shorten(found.id)}")
        if found.id.split() != [found.id] or not found.id.isprintable():
            raise UsageError(f"{shorten(found.id)}: expected an id that is one printable word: this one cannot be answered")
        return found


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
