"""Explaining: an incident in detail, for a person: what was measured against what, what is left, how sure, what would refute it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from grayscope.again import patience
from grayscope.cascade import effects
from grayscope.catalogue import Catalogue
from grayscope.eased import until
from grayscope.errors import shorten
from grayscope.incident import CHANGES, SEVERITIES, Incident, absences
from grayscope.ledger import Entry
from grayscope.ledgerwords import end_in_words, left_in_words, pace_in_words
from grayscope.modes import Modes
from grayscope.wording import number, ratio, utc

SIDES = {
    "health": "the system's own view", "redundancy": "spare capacity", "service": "what the workload gets", "condition": "a symptom",
    "load": "load", "coverage": "what is reported",
}  # fmt: skip
#: What to do first about a trouble without a name.
NAMELESS = "Compare it with its peers under the same load, then look at what else is held against it."
#: Signals, members and rivals that a text names; the rest is counted.
SHOWN = 8
#: Characters of a line, and of what was found in the line that wakes somebody.
WIDE, LINE = 400, 300
#: From this strength on it is a rule that speaks, no estimate (nats).
RULE = 50.0
#: What blame adds to a finding about those that were late because of the suspect.
CLEARED = re.compile(r"; cleared: (.*? \(they wait for it\))")
#: Nats beyond which the number of weeks means nothing any more.
SELDOM = math.log(1e6)


def explain(incident: Incident, spent: Entry | None = None) -> str:
    """Return a few lines on an incident, each with its label.

    Parameters
    ----------
    incident : Incident
    spent : Entry, optional
        What ends first of all that the first suspect has spent; see `nearest`.

    Examples
    --------
    >>> print(explain(Incident("ab", "n1", "n1", "masked", "ticket", "psu_lost", 0, 60_000_000)))
    what: n1 is masked (psu_lost), a ticket; began 1970-01-01T00:00:00Z, noticed 1970-01-01T00:01:00Z, open
    why first: nothing else is held
    how sure: 100% that it is n1 and none of the others
    refuted if: The trouble goes on unchanged after the first suspect has been left out.
    do first: Compare it with its peers under the same load, then look at what else is held against it.
    """
    lines = [
        ("what", _what(incident)), *_eased(incident), *_back(incident), ("why first", _first(incident)), *_signals(incident), *_members(incident),
        *_rivals(incident), *_cleared(incident), *_past(incident), *_left(incident, spent), ("how sure", _sure(incident)), ("refuted if", refuted(incident)),
        *_runbook(incident),
    ]  # fmt: skip
    return "\n".join(f"{label}: {shorten(text, WIDE)}" for label, text in lines)


def headline(incident: Incident, spent: Entry | None = None) -> str:
    """Return the one line that wakes somebody: what was found, its name, since when, how sure, what is left, what to do first.

    Examples
    --------
    >>> print(headline(Incident("ab", "n1", "n1", "masked", "ticket", "pcie_errors", 0, 60_000_000, summary="n1 is masked: replays rose")))
    n1 is masked: replays rose; pcie_errors since 1970-01-01T00:00:00Z; 100% that it is this one; left: not counted; \
first: Read AER of both ends of the link; reseat the card, riser or retimer.
    """
    mode = Modes.load().modes.get(incident.mode)
    found = incident.summary or f"{incident.subject} is {incident.state}"
    left, back = next((text for _, text in _left(incident, spent)), ""), _times(incident)
    short = "" if not left or re.search(r"\bleft\b", found[:LINE]) else "not counted" if "not counted here" in left else left.partition("; ")[0]
    parts = (
        shorten(found, LINE), f"{incident.mode or 'no name for it'} since {utc(incident.began)}", f"came back {back}" if back else "",
        f"{incident.probability:.0%} that it {'shows here, which is not accused' if _harmless(incident) else 'is this one'}", f"left: {short}" if short else "",
        f"first: {mode.runbook if mode is not None else NAMELESS}",
    )  # fmt: skip
    return "; ".join(part for part in parts if part)


def nearest(entries: Iterable[Entry]) -> Entry | None:
    """Return what ends first of what has been spent, by the latest row of each mechanism and unit.

    Examples
    --------
    >>> rows = [Entry(1, "a", "psu", 2, 1, 1, "supplies"), Entry(2, "a", "psu", 2, 2, 0, "supplies"), Entry(2, "a", "nic_fec", 4, 0, 4, "decades")]
    >>> found = nearest(rows)
    >>> found.mechanism, found.left
    ('psu', 0)
    """
    latest = {(e.mechanism, e.unit): e for e in sorted(entries, key=lambda e: e.time)}
    held = (e for e in latest.values() if e.spent > 0 and e.left >= 0)
    return min(held, key=lambda e: (e.left > 0, e.exhausted_at or 1 << 62, e.mechanism, e.unit), default=None)


def explained(incidents: Iterable[Incident], ledger: Iterable[Entry]) -> Iterator[tuple[Incident, str]]:
    """Yield incidents with their explanations, by what the ledger said until each of them ended."""
    of: dict[str, list[Entry]] = {}
    for entry in ledger:
        of.setdefault(entry.subject, []).append(entry)
    for i in incidents:
        yield i, explain(i, nearest(e for e in of.get(i.subject, ()) if i.ended is None or e.time <= i.ended))


def refuted(incident: Incident) -> str:
    """Return what would show that the incident is something else: by its mode, else by the side on which it shows."""
    known = Modes.load()
    if incident.mode in known.modes:
        return known.modes[incident.mode].refuted
    side = next((str(p.get("side", "")) for p in reversed(incident.evidence) if p.get("subject") == incident.subject), "")
    return known.refuted.get(side, "The trouble goes on unchanged after the first suspect has been left out.")


def _what(i: Incident) -> str:
    end = f"ended {utc(i.ended)}" if i.ended is not None else "open"
    name, times = i.mode or "no name for it", f"began {utc(i.began)}, noticed {utc(i.noticed)}"
    if i.ended is None:
        return f"{i.subject} is {i.state} ({name}), a {i.severity}; {times}{_louder(i)}, {end}"
    last = i.history[-1][1] if i.history else i.state
    at_last = f", {last} at last" if last != i.state else ""
    return f"{i.subject} was {i.state}{' at worst' if at_last else ''} ({name}), a {i.severity}{at_last}; {times}{_louder(i)}, {end}"


def _eased(i: Incident) -> Iterator[tuple[str, str]]:
    """Yield until when a page stays one that nobody suffers from any more."""
    if i.ended is None and i.severity == "page" and (end := until(i.history)) is not None:
        yield "eased", f"nobody waits for it since {utc(i.history[-1][0])}; a ticket from {utc(end)} on, unless somebody does before"


def _louder(i: Incident) -> str:
    """Return since when it was a page, if it began as less, and until when, if it is one no more."""
    if i.escalated is None:
        return ""
    calm = next((t for t, _, severity in i.history if t > i.escalated and severity != SEVERITIES[-1]), None)
    until = f" to {utc(calm)}" if calm is not None and (not i.history or i.history[-1][2] != SEVERITIES[-1]) else ""
    return f", a page from {utc(i.escalated)}{until}"


def _back(i: Incident) -> Iterator[tuple[str, str]]:
    """Yield how often it came back, and how long it must be away to count as over."""
    if known := absences(i.history):
        short, long, over = (f"{math.ceil(t / 60e6)} min" for t in (min(known), max(known), patience(i.history)))
        after = short if short == long else f"{short} to {long}"
        yield "came back", f"{_times(i)}, after {after}; what comes back within {over} of an end counts as the same"


def _times(i: Incident) -> str:
    """Return how often it came back, ``""`` if never; the history of what flaps for weeks is cut."""
    n, least = len(absences(i.history)), "at least " if len(i.history) >= CHANGES else ""
    return f"{least}{'once' if n == 1 else f'{n} times'}" if n else ""


def _first(i: Incident) -> str:
    """Return why the first suspect is the first: the same order as `suspects.lead` follows."""
    others = _latest(i)
    caused = sorted({str(p["mode"]) for s, p in others.items() if s != i.subject and p.get("mode") in effects(i.mode)})
    if caused:
        return f"{i.mode} may show itself as {', '.join(caused)}, not the other way round"
    if i.rivals and not set(others) - {i.subject}:
        return "the likeliest of those that the data cannot tell apart"
    return f"of {len(others)} the gravest, the one that says it most exactly, the strongest, in this order" if len(others) > 1 else "nothing else is held"


def _latest(i: Incident) -> dict[str, dict[str, object]]:
    """Return the newest piece of evidence of each member."""
    return {str(p["subject"]): p for p in i.evidence if "subject" in p}


def _signals(i: Incident) -> Iterator[tuple[str, str]]:
    """Yield the signals, each in its newest form, the first suspect's first."""
    found: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for piece in i.evidence:
        for signal in _told(piece):
            found[str(piece["subject"]), signal["detector"], signal["metric"]] = signal
    ordered = sorted(found.items(), key=lambda kv: kv[0][0] != i.subject)
    for (subject, _, _), signal in ordered[:SHOWN]:
        yield "shown by", f"{subject}, {SIDES.get(signal['side'], signal['side'])}: {_signal(signal)}"
    if len(ordered) > SHOWN:
        yield "shown by", f"{len(ordered) - SHOWN} more"


def _signal(s: Mapping[str, Any]) -> str:
    """Return one signal: value, what was expected by how many, ratio, since; then the detector's own words where they say more."""
    since = f"since {utc(s['since'])}" if s["since"] else "since when is unknown"
    rest = f" [{s['detector']}, {s['side']}]"
    if s["value"] is None or s["expected"] is None:
        return f"{s['why'] or s['metric']}; {since}{rest}"
    far, why, n = ratio(s["value"], s["expected"]), CLEARED.sub("", s["why"]), s["n_peers"]
    if why and s["side"] == "redundancy":  # what is counted is in no unit of the metric: ticks with an error, lanes of so many
        return f"{why}{f' ({far} what is usual, {n} peers)' if n and f'{n} ' not in why else ''}, {since}{rest}"
    metric = Catalogue.load().get(s["metric"])
    unit = metric.unit if metric is not None else ""
    if why.startswith(s["metric"]) and "its peers (" in why:
        return f"{_numbers(s, unit, f'median of {n} peers')}, {since}{rest}"
    if s["metric"] in why and f" {far} " in why:  # its own past, a like row: the words have the numbers
        return f"{why}, {since}{rest}"
    return f"{_numbers(s, unit, f'usual among {n} peers' if n else 'expected')}, {since}{f'; {why}' if why else ''}{rest}"


def _numbers(s: Mapping[str, Any], unit: str, expected: str) -> str:
    return f"{s['metric']} {number(s['value'], unit)}, {expected} {number(s['expected'], unit)}: {ratio(s['value'], s['expected'])}"


def _members(i: Incident) -> Iterator[tuple[str, str]]:
    others = [(s, p) for s, p in _latest(i).items() if s != i.subject]
    for subject, piece in others[:SHOWN]:
        mode = str(piece.get("mode", ""))
        follows = ", which may follow from it" if mode in effects(i.mode) else ""
        yield "with it", f"{subject} was {piece.get('state')} ({mode or 'no name for it'}){follows}"
    if len(others) > SHOWN:
        yield "with it", f"{len(others) - SHOWN} more"


def _rivals(i: Incident) -> Iterator[tuple[str, str]]:
    if i.rivals:
        more = f" and {len(i.rivals) - SHOWN} more" if len(i.rivals) > SHOWN else ""
        yield "or else", ", ".join(f"{subject} {chance:.0%}" for subject, chance in i.rivals[:SHOWN]) + more


def _cleared(i: Incident) -> Iterator[tuple[str, str]]:
    """Yield who was late only because of the first suspect, by the newest signal that knows."""
    told = [found[1] for p in reversed(i.evidence) if p.get("subject") == i.subject for s in _told(p) if (found := CLEARED.search(str(s["why"])))]
    if told:
        yield "cleared", told[0]


def _past(i: Incident) -> Iterator[tuple[str, str]]:
    """Yield how often the suspects were suspected in the weeks before, by the newest evidence that knows."""
    if told := next((str(p["before"]) for p in reversed(i.evidence) if p.get("before")), ""):
        yield "before", told


def _left(i: Incident, spent: Entry | None) -> Iterator[tuple[str, str]]:
    """Yield what is left: by the ledger, else by the newest signal that knows, else how much there is by what is published."""
    if spent is not None:
        pace = pace_in_words(spent)
        fast = f"spent at {pace}; " if pace else ""
        yield "left", f"{spent.mechanism}: {left_in_words(spent)}; {fast}when it is used up: {end_in_words(spent)}"
        return
    told: list[Any] = [s for p in i.evidence if p.get("subject") == i.subject for s in _told(p) if s["left"] is not None]
    if told:
        until = utc(told[-1]["exhausted_at"]) if told[-1]["exhausted_at"] else "not foreseeable"
        words = re.search(r"\bleft ([^;]+)", str(told[-1]["why"]))  # with how much there was, and of what
        yield "left", f"{told[-1]['metric']}: {words[1] if words else number(told[-1]['left'])}; when it is used up: {until}"
        return
    known = Modes.load()
    named = known.modes[i.mode].mechanism if i.mode in known.modes else None
    mechanism = known.mechanisms.get(named or _mechanism(i))
    if mechanism is not None:
        yield "left", f"{mechanism.name}: not counted here; it hides {mechanism.hides}, and there is of it: {mechanism.budget}"


def _mechanism(i: Incident) -> str:
    """Return the redundancy that the newest signal spends, by what its metric means."""
    signals = (s for p in reversed(i.evidence) if p.get("subject") == i.subject for s in _told(p) if s["side"] == "redundancy")
    metric = next((m for s in signals if (m := Catalogue.load().get(s["metric"])) is not None), None)
    return (metric.mechanism or "") if metric is not None else ""


def _told(piece: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    told: Iterable[Mapping[str, Any]] = piece.get("signals") or ()
    return told


def _sure(i: Incident) -> str:
    """Return both chances: that it is this one of the suspects, and how seldom noise alone would say as much."""
    whom = _whom(i)
    strength = max((float(str(p["strength"])) for p in i.evidence if "strength" in p), default=math.nan)
    if math.isnan(strength):
        return whom
    if strength >= RULE:
        return f"{whom}; that something is wrong is a rule's word, no estimate"
    weeks = math.exp(min(max(strength, 0.0), SELDOM))
    often = f"once in {float(f'{weeks:.2g}'):,.0f} weeks" if strength < SELDOM else "less than once in a million weeks"
    return f"{whom}; noise alone would say as much of one subject {often}"


def _whom(i: Incident) -> str:
    if _harmless(i):
        return f"{i.probability:.0%} that it shows at {i.subject}, which is not accused"
    return f"{i.probability:.0%} that it is {i.subject} and none of the others"


def _harmless(i: Incident) -> bool:
    """Say whether it is a look-alike: named where it shows, and nobody is to blame."""
    mode = Modes.load().modes.get(i.mode)
    return mode is not None and mode.severity == SEVERITIES[0] and mode.sides != ("coverage",)


def _runbook(i: Incident) -> Iterator[tuple[str, str]]:
    mode = Modes.load().modes.get(i.mode)
    if mode is not None:
        yield "do first", mode.runbook
    else:
        yield "do first", NAMELESS
