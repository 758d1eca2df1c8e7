"""Maintenance: planned work and feedback that people have written into a file with `grayscope maintenance` and `grayscope feedback`.

Reads
    One file of events, a line of JSON each, again whenever it has changed. One machine of a cell reads it for all.
Gives
    events of the sources ``maintenance`` and ``feedback``, stamped with the time of the look: work that is not over is told again every ten
    minutes, for those who listen since then; answers once, those of the last week again after a restart.
Needs
    Leave to read the file.
Cost
    A look at the file's date; some milliseconds where it has changed.
Cannot see
    Work that nobody has written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from grayscope.agenda import Agenda
from grayscope.errors import GrayscopeError, shorten
from grayscope.event import PEOPLE, Event
from grayscope.maintenance import NEVER_BEYOND, SOURCE, Work
from grayscope.message import Message
from grayscope.told import read_file

#: Seconds after which work that is not over is told again.
REPEAT = 600.0
#: Microseconds for which the end of work is told: whoever heard of its beginning should hear of it.
RECENT = 3600 * 1_000_000
#: Microseconds for which an answer is told after a restart: it may have been written while nobody looked, and a repeat is harmless.
WEEK = 7 * 24 * RECENT


class Maintenance:
    """Follows a file of events. Delivery: at least once.

    Parameters
    ----------
    path : path
        Need not be there yet.

    Attributes
    ----------
    rejected : dict of str to int
        Lines that are no event of ours, each once.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = Path(path), clock
        self.rejected: dict[str, int] = {}
        self.last_error = ""
        self._works: dict[tuple[str, int], Work] = {}
        self._answers: list[Event] = []
        self._said: set[Work | Event] = set()
        self._seen: tuple[int, int, int] | None = None
        self._again = float("-inf")
        self._problems: set[str] = set()

    def collect(self) -> list[Message]:
        """Return what is new in the file, and every ten minutes all that still holds."""
        now = self.clock()
        repeat = now >= self._again or now < self._again - 2 * REPEAT  # the clock was set back
        changed = self._read()
        if not repeat and not changed:
            return []
        first, moment = self._again == float("-inf"), int(now * 1e6)
        self._again = now + REPEAT if repeat else self._again
        works = [w for w in self._works.values() if (_holds(w, moment) if repeat else w not in self._said)]
        answers = [a for a in self._answers if a not in self._said and (not first or moment - a.time < WEEK)]
        self._said = {*self._works.values(), *self._answers}
        return [*(w.event(moment) for w in works), *(replace(a, time=moment) for a in answers)]

    def _read(self) -> bool:
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return False
            events, problems = read_file(self.path)
        except FileNotFoundError:
            self.rejected["no_file"] = 1  # nothing was planned so far, or the path is wrong: it is said, and waited for
            self.last_error = f"{self.path}: there is no such file yet"
            return False
        except (OSError, GrayscopeError) as error:
            self.rejected["unreadable"] = self.rejected.get("unreadable", 0) + 1
            self.last_error = f"{self.path}: {error.strerror}" if isinstance(error, OSError) else str(error)
            return False
        self._seen = seen
        self._take(events)
        news = {*problems} - self._problems
        self._problems = {*problems}
        others = sum(e.source not in PEOPLE for e in events)
        for reason, count in (("no_event", len(news)), ("other_source", others)):
            if count:
                self.rejected[reason] = self.rejected.get(reason, 0) + count
        self.last_error = shorten(problems[-1], 300) if problems else ""
        return True

    def _take(self, events: list[Event]) -> None:
        """Keep of all words on one piece of work what they come to: told again, an earlier word must not overrule a later one."""
        agenda = Agenda()
        for event in sorted(events):
            agenda.take(event)
        self._works = agenda.works
        if agenda.lost:
            self.rejected["too_much_work"] = agenda.lost
        self._answers = [e for e in events if e.source in PEOPLE and e.source != SOURCE]


def _holds(work: Work, moment: int) -> bool:
    """Say whether work still matters to somebody who did not hear of it: it is not over, or ended not long ago."""
    return work.until(NEVER_BEYOND) + RECENT >= moment
