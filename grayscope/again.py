"""Again: incidents that have just ended; what comes back on the same part under the same name within the hour is the same fault.

Nobody drains, repairs and proves a part in that time. So it is no new fault: the load or the job had gone, or the evidence had faded.
Of what has no name nobody can say that it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from grayscope.incident import Incident

#: Microseconds for which an incident that has ended may go on.
WITHIN = 3_600_000_000


class Again:
    """The latest incident of each first suspect, for an hour after its end.

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
        self._ended: dict[str, Incident] = {}

    def put(self, incident: Incident) -> None:
        """Keep an incident that ends; forget those that ended more than an hour before."""
        last = incident.ended if incident.ended is not None else 0
        self._ended = {s: i for s, i in self._ended.items() if i.ended is not None and last - i.ended <= WITHIN and s != incident.subject}
        self._ended[incident.subject] = incident

    def take(self, subject: str, mode: str, time: int) -> Incident | None:
        """Return the incident that goes on when this trouble is found, open once more and calm as it was in between; None where it is a new one."""
        old = self._ended.get(subject)
        if old is None or old.ended is None or not mode or old.mode != mode or time - old.ended > WITHIN:
            return None
        del self._ended[subject]
        return replace(old, state="normal", severity="notice", ended=None, history=(*old.history, (old.ended, "normal", "notice")))

    def __iter__(self) -> Iterator[Incident]:
        return iter(self._ended.values())

    def fill(self, incidents: Iterable[Incident]) -> None:
        """Become what holds these."""
        self._ended = {i.subject: i for i in incidents}
