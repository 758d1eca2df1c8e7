"""Handing: which incidents another system is told of, and the few facts that it takes: node, part, signal, ratio, peers, since."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from grayscope.catalogue import Catalogue
from grayscope.eased import loudness
from grayscope.errors import UsageError
from grayscope.incident import SEVERITIES, Incident
from grayscope.promtext import bounded
from grayscope.roster import View
from grayscope.seat import seat
from grayscope.verdict import STATES

#: Tables whose subjects sit on a node.
ABOARD = frozenset({"node", "gpu", "pcie", "nvlink", "nic", "drive"})
#: A ratio beyond this says no more than that it is large.
LARGE = 999.0


class Note(NamedTuple):
    """An incident on one node as another system takes it; `value` and `expected` are None where there is no number."""

    incident: str
    node: str
    subject: str
    severity: str
    state: str
    mode: str
    began: int
    time: int
    metric: str = ""
    value: float | None = None
    expected: float | None = None
    n_peers: int = 0
    probability: float = 1.0
    summary: str = ""
    keys: Mapping[str, str] = {}

    @property
    def device(self) -> str:
        """The part within its node; ``node`` for the whole."""
        return self.subject.partition("/")[2] or "node"

    @property
    def identity(self) -> tuple[str, ...]:
        """What another system tells it by: words may change while it stays the same."""
        return (self.incident, self.node, self.subject, self.mode, self.severity, self.state)

    @property
    def matter(self) -> tuple[str, ...]:
        """What must be told to be over before it can be another: how grave it is may change without an end."""
        return (self.node, self.subject, self.mode or self.state)

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """The graver, then the elder, is the greater."""
        return loudness(self.state, self.severity), STATES.index(self.state), -self.began, self.incident


def note(incident: Incident, node: str, keys: Mapping[str, str] | None = None) -> Note:
    """Return the facts of an incident: of the newest signals of its first suspect the first that is measured against peers.

    Examples
    --------
    >>> signal = {"metric": "gpu_clock_hertz", "value": 1.8e9, "expected": 2e9, "n_peers": 511}
    >>> i = Incident("ab", "n1/gpu3", "n1", "gray", "page", "", 0, 0, evidence=({"subject": "n1/gpu3", "signals": [signal]},))
    >>> n = note(i, "n1")
    >>> n.device, n.metric, measured(n)
    ('gpu3', 'gpu_clock_hertz', 'x0.9 vs 511 peers')
    """
    s = _signal(incident)
    time = incident.ended if incident.ended is not None else incident.history[-1][0] if incident.history else incident.noticed
    return Note(
        bounded(incident.id, 64), node, incident.subject, incident.severity, incident.state, incident.mode, incident.began, time, str(s.get("metric") or ""),
        s.get("value"), s.get("expected"), int(s.get("n_peers") or 0), incident.probability, incident.summary, keys or {},
    )  # fmt: skip


def measured(n: Note) -> str:
    """Return how far off and against how many, ``""`` where nothing was measured."""
    peers = f"vs {n.n_peers} peers" if n.n_peers else "vs what is usual"
    if n.value is None or n.expected is None or not (math.isfinite(n.value) and math.isfinite(n.expected)):
        return ""
    if n.expected == 0:
        return f"{'above' if n.value > 0 else 'below'} {peers.removeprefix('vs ')}" if n.value else ""
    times = n.value / n.expected
    return f"{f'x{times:.3g}' if abs(times) <= LARGE else f'x>{LARGE:.0f}'} {peers}"


def node_of(incident: Incident, view: View | None) -> str:
    """Return the node on which the first suspect sits, ``""`` if it sits on none: a switch, a path, a job.

    With a roster it is the roster that says so. Without one the name and the metrics do: a switch that is blamed by
    what its hosts feel looks like a node then.

    Examples
    --------
    >>> [node_of(Incident("ab", s, s, "gray", "page", "", 0, 0), None) for s in ("n1/gpu3", "n1", "leaf04/p17", "job:42/r1", "a>b")]
    ['n1', 'n1', '', '', '']
    """
    root, _, part = incident.subject.partition("/")
    if view is None or not view.rows:
        signal = _signal(incident)
        metric = Catalogue.load().get(str(signal.get("metric") or ""))
        foreign = metric is not None and metric.table in ("leaf", "port")
        return "" if foreign or re.search(r"[:>]", root) or re.fullmatch(r"p\d+", part) else root
    row = view.rows.get(incident.subject)
    if root not in view.rows and row is not None and row.table in ABOARD:
        return root
    return seat(incident.subject, view).get("node", "")


class Handing:
    """What others have been told; a step yields what they are to be told anew.

    Parameters
    ----------
    least : str
        Severity from which on an incident is told.
    by_node : bool
        Of each node only the gravest incident is told: for systems that keep one text per node.

    Attributes
    ----------
    nowhere : int
        Incidents that are told to nobody, as they are on no node.
    """

    def __init__(self, least: str = "ticket", *, by_node: bool = False) -> None:
        if least not in SEVERITIES:
            raise UsageError(f"least: expected {', '.join(SEVERITIES)}, found {str(least)[:80]!r}")
        self.least, self.by_node = SEVERITIES.index(least), by_node
        self.open: dict[str, Note] = {}
        self.told: dict[str, Note] = {}  # node or incident -> what was told of it last
        self.nowhere = 0
        self._away: set[str] = set()

    def step(self, incidents: Iterable[Incident], view: View | None = None) -> Iterator[tuple[Note, bool]]:
        """Yield (facts, whether it is over); what has moved or changed its name is first told to be over.

        An end is told even where the beginning is unknown, as after a restart.
        """
        for incident in incidents:
            old, new = self.open.pop(incident.id, None), self._note(incident, view)
            if incident.ended is None and new is not None:
                self.open[incident.id] = new
            if self.by_node:
                for node in dict.fromkeys(n.node for n in (old, new) if n is not None):
                    yield from self._turn(node, new)
                continue
            if old is not None and (new is None or incident.ended is not None or old.matter != new.matter):
                yield old._replace(time=new.time if new is not None else old.time), True
            elif old is None and new is not None and incident.ended is not None:
                yield new, True
            if incident.ended is None and new is not None and (old is None or old.identity != new.identity):
                yield new, False

    def _turn(self, node: str, new: Note | None) -> Iterator[tuple[Note, bool]]:
        """Yield what stands for the node from now on, if it is another than before."""
        gravest = max((n for n in self.open.values() if n.node == node), key=lambda n: n.rank, default=None)
        before = self.told.pop(node, None)
        if gravest is not None:
            self.told[node] = gravest
            if before is None or before.identity != gravest.identity:
                yield gravest, False
        elif before is not None or new is not None:
            last = before or new
            assert last is not None
            yield last._replace(time=new.time if new is not None else last.time), True

    def _note(self, incident: Incident, view: View | None) -> Note | None:
        if SEVERITIES.index(incident.severity) < self.least:
            return None
        node = node_of(incident, view)
        if node:
            self._away.discard(incident.id)
            row = view.rows.get(incident.subject) if view is not None else None
            return note(incident, node, row.keys if row is not None else None)
        self.nowhere += incident.id not in self._away
        self._away.add(incident.id)
        if incident.ended is not None:
            self._away.discard(incident.id)
        return None


def plain(text: str, limit: int) -> str:
    r"""Return text of at most `limit` characters that ends no quotes, no line and no shell word: printable ASCII, the rest as ``_``.

    Examples
    --------
    >>> plain('a"b\n$(x) ü', 80), plain("x" * 99, 10)
    ('a_b__(x) _', 'xxxxxxx...')
    """
    clean = re.sub(r"[^ -~]|[\"'`\\$|;&]", "_", text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def camel(words: str) -> str:
    """Return a name of ours as a word in CamelCase.

    Examples
    --------
    >>> camel("thermal_throttle"), camel("n\\n1")
    ('ThermalThrottle', 'N1')
    """
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", words))[:100]


def _signal(incident: Incident) -> Mapping[str, Any]:
    pieces: list[Any] = [p for p in incident.evidence if p.get("subject") == incident.subject]
    found = [s for p in pieces[-1:] for s in p.get("signals") or ()] or pieces[-1:]
    against = (s for s in found if s.get("value") is not None and s.get("expected") and s.get("n_peers"))
    return next(against, found[0] if found else {})
