"""Crowd: when a good part of a peer group, on several machines, stands out at once, the group is two populations and nobody's fault.

Two kinds of parts that the roster does not tell apart, two versions of firmware, half a job in another phase: a median
cannot serve both halves, and accusing the smaller one would be fifty false incidents instead of one notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from grayscope.evidence import Finding
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Share of a peer group that is no exception any more.
CROWD = 0.25
#: Machines that are named where all of a crowd lie on so few.
TOLD = 2
Cell = tuple[int, int]


def crowds(accused: Iterable[Cell], tick: Tick, standing: Standing) -> dict[Cell, list[int]]:
    """Return the (metric, group) in which a crowd on at least two machines is accused, with its members.

    One machine alone may well be a quarter of a small job: then the machine is the suspect. One part elsewhere makes it no crowd either: it
    would hide behind a machine that has been hot for hours.

    Parameters
    ----------
    accused : iterable of (m, s)
    """
    found: dict[Cell, list[int]] = {}
    for m, s in accused:
        found.setdefault((m, int(standing.label[standing.layout[m], s])), []).append(s)
    return {
        (m, g): members
        for (m, g), members in found.items()
        if len(members) >= max(CROWD * int(standing.count[m, g]), 2) and spread([machine(tick, s) for s in members])
    }


def spread(machines: list[str]) -> bool:
    """Say whether parts that lie on these machines are more than one machine's and one by itself.

    Examples
    --------
    >>> spread(["n1", "n2"]), spread(["n1", "n1", "n2"]), spread(["n1", "n1", "n2", "n2"]), spread(["n1", "n1"])
    (True, False, True, False)
    """
    most = max(Counter(machines).values())
    return len(machines) - most >= min(most, 2)


def halved(machines: list[str], others: list[str]) -> bool:
    """Say whether a group lies on two machines, of which one is as a whole another population than the other: nobody can tell which.

    Examples
    --------
    >>> halved(["n1", "n1"], ["n2", "n2"]), halved(["n1", "n1"], ["n1", "n2"]), halved(["n1", "n1"], ["n2", "n3"])
    (True, False, False)
    """
    return len({*machines}) == len({*others}) == 1 and not {*machines} & {*others}


def machine(tick: Tick, s: int) -> str:
    """Return the machine that a subject lies on, as far as the roster or its name tells."""
    subject = tick.subjects[s]
    return tick.roster.key(subject, "node") or subject.partition("/")[0]


def split(tick: Tick, standing: Standing, cell: Cell, members: list[int], strength: float, detector: str) -> Finding:
    """Return the one finding about a divided group."""
    m, g = cell
    metric = standing.metrics[m]
    assert metric is not None
    subject = place(metric.peers, standing.called[standing.layout[m]][g])
    first, peers = tick.subjects[members[0]], int(standing.count[m, g])
    homes = sorted({machine(tick, s) for s in members})
    where = f", all on {' and '.join(homes)}" if len(homes) < min(len(members), TOLD + 1) else ""
    text = f"{len(members)} of {peers} peers differ from the others in {tick.metrics[m]}, first {first}{where}: two populations"
    return Finding(tick.time, subject, metric.side, detector, strength, "group_shift", "", tick.metrics[m], why=text)


def place(keys: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return the name of a group of equal keys.

    Examples
    --------
    >>> place(("sku", "job"), ("H100", "42")), place(("rail",), ("3",)), place(("node",), ("n017",)), place(("sku",), ("H100",)), place((), ())
    ('job:42', 'rail:3', 'n017', 'batch:sku=H100', 'site')
    """
    told: Mapping[str, str] = {k: v for k, v in zip(keys, values, strict=True) if v}
    if told.get("job", "").startswith("node:"):
        return told["job"].removeprefix("node:")
    for key in ("job", "rail"):
        if key in told:
            return told[key] if told[key].startswith(f"{key}:") else f"{key}:{told[key]}"
    for key in ("node", "leaf", "rack"):
        if key in told:
            return told[key]
    return f"batch:{','.join(f'{k}={v}' for k, v in told.items())}" if told else "site"
