"""Remaining: what is left of the redundancy that an incident spends, by the ledger, by its signals, or by what is published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from grayscope.catalogue import Catalogue
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.ledgerwords import UNLIMITED, end_in_words, left_in_words, pace_in_words
from grayscope.modes import Modes
from grayscope.wording import number, utc

#: What is said where neither ledger nor signal knows.
UNCOUNTED = "not counted here"


def nearest(entries: Iterable[Entry], mechanism: str | None = None) -> Entry | None:
    """Return what ends first of what has been spent, by the latest row of each mechanism and unit.

    Where no budget is known, the latest row of `mechanism` (None: of any).

    Examples
    --------
    >>> rows = [Entry(1, "a", "psu", 2, 1, 1, "supplies"), Entry(2, "a", "psu", 2, 2, 0, "supplies"), Entry(2, "a", "nic_fec", 4, 0, 4, "decades")]
    >>> found = nearest(rows)
    >>> found.mechanism, found.left
    ('psu', 0)
    >>> replays = Entry(3, "a", "nvlink_replay", spent=56, unit="events", rate=336)
    >>> nearest([replays], "nvlink_replay").spent, nearest([replays, *rows], "nvlink_replay").mechanism, nearest([replays], "hbm_ecc")
    (56, 'psu', None)
    """
    latest = {(e.mechanism, e.unit): e for e in sorted(entries, key=lambda e: e.time)}
    spent = [e for e in latest.values() if e.spent > 0]
    ends = min((e for e in spent if e.left >= 0), key=lambda e: (e.left > 0, e.exhausted_at or 1 << 62, e.mechanism, e.unit), default=None)
    return ends or max((e for e in spent if mechanism in (None, e.mechanism)), key=lambda e: (e.time, e.unit), default=None)


def spends(incident: Incident) -> str:
    """Return the redundancy that an incident is about, ``""`` if none: what its own signals spend, before what its name is usually hidden by.

    Not every redundancy has a name of its own: a link's recovery is told as `nvlink_errors`, and is no replay.
    """
    mine = [p for p in reversed(incident.evidence) if p.get("subject") == incident.subject]
    named = next((str(p["mechanism"]) for p in mine if p.get("mechanism") and any(_named(s, incident) for s in told(p))), "")
    mode = Modes.load().modes.get(incident.mode)
    signals = [s for p in mine for s in told(p)]
    meant = next((m for s in signals if _named(s, incident) and (m := _meant(s))), "")
    return named or meant or (mode.mechanism if mode is not None else None) or next((m for s in signals if s["side"] == "redundancy" and (m := _meant(s))), "")


def left(i: Incident, spent: Entry | None, over: bool = False) -> Iterator[str]:
    """Yield what is left: by the ledger, else by the newest signal that knows, else how much there is by what is published.

    Once the first suspect has recovered, and that is `over`, its signals tell what was left then.
    """
    known: list[Any] = [s for p in i.evidence if p.get("subject") == i.subject for s in told(p) if s["left"] is not None]
    mechanism = Modes.load().mechanisms.get(spends(i))
    if spent is not None and spent.left >= 0:
        pace = pace_in_words(spent)
        fast = f"spent at {pace}; " if pace else ""
        yield f"{spent.mechanism}: {left_in_words(spent)}; {fast}when it is used up: {end_in_words(spent)}"
    elif known and not over:
        until = utc(known[-1]["exhausted_at"]) if known[-1]["exhausted_at"] else "not foreseeable"
        words = re.search(r"\bleft ([^;]+)", str(known[-1]["why"]))  # with how much there was, and of what
        yield f"{known[-1]['metric']}: {words[1] if words else number(known[-1]['left'])}; when it is used up: {until}"
    elif spent is not None:
        yield f"{spent.mechanism}: {left_in_words(spent)}{_beside(i, spent.mechanism)}"
    elif over and (known or mechanism is not None):
        yield f"{mechanism.name if mechanism is not None else known[-1]['metric']}: nothing is known to be spent since {i.subject} has recovered"
    elif mechanism is not None:
        measure = ", its peers are the measure" if mechanism.budget in UNLIMITED else ""
        budget = f"{mechanism.budget}{measure}{_beside(i, mechanism.name) if measure else ''}"
        yield f"{mechanism.name}: {UNCOUNTED}; it hides {mechanism.hides}, and there is of it: {budget}"


def told(piece: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Return the signals of a piece of evidence."""
    signals: Iterable[Mapping[str, Any]] = piece.get("signals") or ()
    return signals


def _named(signal: Mapping[str, Any], i: Incident) -> bool:
    """Say whether a signal spends something, under the incident's name."""
    return bool(signal["side"] == "redundancy" and signal["mode"] == i.mode)


def _meant(signal: Mapping[str, Any]) -> str:
    """Return the redundancy that a signal spends, by what its metric means."""
    metric = Catalogue.load().get(signal["metric"])
    return (metric.mechanism or "") if metric is not None else ""


def _beside(i: Incident, mechanism: str) -> str:
    """Return how the newest signal about a redundancy compares with its peers, which are the measure."""
    mine = [s for p in reversed(i.evidence) if p.get("subject") == i.subject for s in told(p) if s["side"] == "redundancy" and _meant(s) == mechanism]
    for s in mine:
        if words := re.search(r"its \d+ peers show [^;]+", s["why"]):  # the expected is a limit
            return f"; {words[0]}"
        if s["n_peers"] and s["value"] is not None and s["expected"] is not None and s["detector"] != "ledger" and "own past" not in s["why"]:
            metric = Catalogue.load().get(s["metric"])
            ticks, unit = s["detector"] == "spending", metric.unit if metric is not None else ""
            value, usual = (f"{s['value']:.0f} ticks with some", f"{s['expected']:.2g}") if ticks else (number(s[k], unit) for k in ("value", "expected"))
            return f"; {value}, {usual} would be usual among its {s['n_peers']} peers"
    return ""
