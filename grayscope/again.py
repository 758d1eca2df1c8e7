"""Again: incidents that have just ended; what comes back on the same part under the same name within the hour is the same fault.

Nobody drains, repairs and proves a part in that time. So it is no new fault: the load or the job had gone, or the evidence had faded.
What has come and gone before has shown how long it may be away, and is waited for so long. Of what has no name nobody can say that it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from grayscope.cascade import one_name
from grayscope.incident import Incident, absences

#: Microseconds for which an incident that has ended may go on at least, and at most: a shift.
WITHIN, LONGEST = 3_600_000_000, 8 * 3_600_000_000
#: Share of those that still come and go of which the next absence may be longer than waited for.
MISSED = 0.05


def patience(history: Sequence[tuple[int, str, str]]) -> int:
    """Return how long something that has ended may come back as the same, by how long it was away each time before, microseconds.

    If it comes back by chance, at a rate of which nothing is known but `n` absences of `total` length, the next one is longer than t with
    probability (1 + t / total) ** -n (an exponential law whose rate is uncertain: Pareto). So what flaps each minute is over soon.

    Examples
    --------
    >>> minute = 60_000_000
    >>> away = lambda *m: [h for k in m for h in ((0, "normal", "notice"), (k * minute, "gray", "page"))]
    >>> [patience(away(*m)) // minute for m in ((), (5,), (20,), (20, 20), (20, 20, 20), (5, 5, 5))]
    [60, 95, 380, 138, 102, 60]
    """
    known = absences(history)
    return max(WITHIN, min(LONGEST, int(sum(known) * (MISSED ** (-1.0 / len(known)) - 1.0)))) if known else WITHIN


class Again:
    """The latest incident of each first suspect and name, for an hour after its end, or as long as it is used to be away.

    Examples
    --------
    >>> known = Again()
    >>> known.put(Incident("ab", "n1/gpu0", "n1", "gray", "page", "slow_rank", 0, 60, ended=100, history=((60, "gray", "page"),)))
    >>> known.take("n1/gpu0", "ecc_burst", 200), known.take("n1/gpu0", "slow_rank", 100 + WITHIN + 1)
    (None, None)
    >>> known.take("n1/gpu0", "slow_rank", 200).history
    ((60, 'gray', 'page'), (100, 'normal', 'notice'))
    """

    def __init__(self) -> None:
        self._ended: dict[tuple[str, str], tuple[int, Incident]] = {}  # with the moment until which it may go on

    def put(self, incident: Incident) -> None:
        """Keep an incident that ends; forget those that have been away for too long."""
        last = incident.ended if incident.ended is not None else 0
        self._ended = {key: kept for key, kept in self._ended.items() if last <= kept[0]}
        if incident.mode:
            self._ended[incident.subject, one_name(incident.mode)] = _until(incident), incident

    def take(self, subject: str, mode: str, time: int) -> Incident | None:
        """Return the incident that goes on when this trouble is found, open once more and calm as it was in between; None where it is a new one."""
        mode = one_name(mode)
        until, old = self._ended.get((subject, mode), (0, None))
        if old is None or old.ended is None or time > until:
            return None
        del self._ended[subject, mode]
        return replace(old, state="normal", severity="notice", ended=None, history=(*old.history, (old.ended, "normal", "notice")))

    def __iter__(self) -> Iterator[Incident]:
        return (incident for _, incident in self._ended.values())

    def fill(self, incidents: Iterable[Incident]) -> None:
        """Become what holds these."""
        self._ended = {(i.subject, one_name(i.mode)): (_until(i), i) for i in incidents}


def _until(incident: Incident) -> int:
    """Return until when an incident that has ended may go on."""
    return (incident.ended or 0) + patience(incident.history)
