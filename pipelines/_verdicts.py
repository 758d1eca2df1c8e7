"""Verdicts: what one look at a machine amounts to: troubles with the worst first, and the forms that monitoring wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from grayscope.catalogue import Catalogue
from grayscope.event import Event
from grayscope.eventpolicy import Policy

if TYPE_CHECKING:
    from grayscope.message import Message

    from ._glanceledger import Line, Values
    from ._oneglance import Seen

#: From worst to best; Nagios' number of each (1 warning, 2 critical, 3 unknown).
RANKS = {"critical": 2, "warning": 1, "unknown": 3, "ok": 0}
#: node-problem-detector cuts its message here (`max_output_length`).
SHORT = 80
#: Microseconds: what the log told longer ago is history.
RECENT = 3600 * 1_000_000


class Trouble(NamedTuple):
    """One thing that is wrong: ``critical`` (the machine itself calls it broken), ``warning`` (a spare is gone) or ``unknown``."""

    rank: str
    subject: str
    text: str


def troubles(seen: Sequence[Seen], lines: Iterable[Line], missing: Iterable[str], values: Values, node: str, now: int) -> list[Trouble]:
    """Return all troubles, the worst first."""
    found = [*_broken(values), *_told([m for s in seen for m in s.messages], now)]
    found += [Trouble("warning", x.subject, f"{x.mechanism}: {x.left:g} of {x.budget:g} {x.unit} left{f'; {x.says}' if x.says else ''}") for x in lines
              if x.state == "spent"]  # fmt: skip
    found += [Trouble("warning", node, text) for text in missing]
    found += [Trouble("unknown", node, f"source {s.name} {s.state}: {s.said}") for s in seen if s.state in ("failed", "stalled")]
    if not any(s.state == "running" for s in seen):
        found.append(Trouble("unknown", node, "no source of this machine answers"))
    return sorted(set(found), key=lambda t: (list(RANKS).index(t.rank), t.subject, t.text))


def _broken(values: Values) -> Iterator[Trouble]:
    """Yield what a state of the side `health` calls broken; a counter's total may be years old."""
    catalogue = Catalogue.load()
    for parts in values.values():
        for subject, numbers in parts.items():
            for name, value in numbers.items():
                metric = catalogue.get(name)
                if metric is not None and metric.side == "health" and metric.type == "state" and (value < 1 if metric.worse == "lower" else value > 0):
                    yield Trouble("critical", subject, f"{name} is {value:g}")


def _told(messages: Iterable[Message], now: int) -> Iterator[Trouble]:
    policy = Policy.load()
    for event in messages:
        if isinstance(event, Event) and now - event.time < RECENT and (rule := policy.of(event)) is not None and rule.kind == "fact":
            yield Trouble("critical" if rule.side == "health" else "warning", event.subject, f"{event.source} {event.code}: {event.text}")


def nagios(found: Sequence[Trouble], seen: Sequence[Seen], lines: Sequence[Line]) -> tuple[int, str]:
    """Return (exit status, output) of a Nagios-style check: one line with performance data, further troubles below it."""
    worst = found[0].rank if found else "ok"
    running, spent = sum(s.state == "running" for s in seen), sum(x.state == "spent" for x in lines)
    first = _plain(f"{found[0].subject}: {found[0].text}") if found else f"{running} sources, {len(lines)} redundancies, none spent"
    rest = [_plain(f"{t.rank.upper()} {t.subject}: {t.text}") for t in found[1:]]
    data = f"sources={running};;;0 redundancies={len(lines)};;;0 spent={spent};1;;0 troubles={len(found)};;;0"
    return RANKS[worst], "\n".join([f"GRAYSCOPE {worst.upper()} - {first} | {data}", *rest])


def problem(found: Sequence[Trouble]) -> tuple[int, str]:
    """Return (exit status, output) of a node-problem-detector plugin: 0 fine, 1 problem, 2 unknown; the culprit first.

    Examples
    --------
    >>> problem([]), problem([Trouble("warning", "n1/gpu3", "hbm_row_spares: 0 left")])
    ((0, 'no redundancy is spent'), (1, 'n1/gpu3 hbm_row_spares: 0 left'))
    """
    real = [t for t in found if t.rank != "unknown"]
    if real:
        more = f" (+{len(real) - 1})" if len(real) > 1 else ""
        return 1, _plain(f"{real[0].subject} {real[0].text}")[: SHORT - len(more)] + more
    return (2, _plain(found[0].text)[:SHORT]) if found else (0, "no redundancy is spent")


def _plain(text: str) -> str:
    """Return text that cannot be taken for another line or for performance data."""
    return "".join(c if c.isprintable() and c != "|" else "_" for c in text)[:1000]
