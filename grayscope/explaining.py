"""Explaining: an incident in detail, for a person: what was measured against what, what is left, how sure, what would refute it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from grayscope.again import patience
from grayscope.cascade import effects
from grayscope.eased import until
from grayscope.errors import shorten
from grayscope.incident import CHANGES, SEVERITIES, Incident, absences
from grayscope.ledger import Entry
from grayscope.ledgerwords import UNLIMITED
from grayscope.modes import Modes
from grayscope.remaining import UNCOUNTED, left, nearest, spends, told
from grayscope.signalwords import CLEARED, signal_in_words
from grayscope.wording import utc

SIDES = {
    "health": "the system's own view", "redundancy": "spare capacity", "service": "what the workload gets", "condition": "a symptom",
    "load": "load", "coverage": "what is reported",
}  # fmt: skip
#: What a trouble without a name is called, and what to do first about it.
UNNAMED = "no name for it"
NAMELESS = "Compare it with its peers under the same load, then look at what else is held against it."
#: Signals, members and rivals that a text names; the rest is counted.
SHOWN = 8
#: Characters of a line, and of what was found in the line that wakes somebody.
WIDE, LINE = 400, 300
#: From this strength on it is a rule that speaks, no estimate (nats).
RULE = 50.0
#: How the description says that nothing is known of how much there is.
JUDGED = re.compile(r"there is of it: (none published|none), its peers are the measure")
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
        ("what", _what(incident)), *_history(incident), *_eased(incident), *_back(incident), ("why first", _first(incident)),
        *_signals(incident), *_members(incident),
        *_rivals(incident), *_cleared(incident), *_past(incident), *(("left", text) for text in left(incident, spent, bool(_still(incident)))),
        ("how sure", _sure(incident)), ("refuted if", refuted(incident)), *_runbook(incident),
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
    found = incident.summary or f"{incident.subject} is {incident.state}"
    over, back = bool(_still(incident)), _times(incident)
    name = f"began as {called(incident)}," if over else called(incident)
    here = "shows here, which is not accused" if _harmless(incident) else "began here" if over else "is this one"
    rest = "" if re.search(r"\bleft\b", found[:LINE]) else next((_short(text) for text in left(incident, spent, over)), "")
    parts = (
        shorten(found, LINE), f"{name} since {utc(incident.began)}", f"came back {back}" if back else "",
        f"{incident.probability:.0%} that it {here}", f"left: {rest}" if rest else "", f"first: {_advice(incident)}",
    )  # fmt: skip
    return "; ".join(part for part in parts if part)


def _short(remains: str) -> str:
    """Return what is left as the one line says it."""
    if UNCOUNTED in remains:
        return f"{UNLIMITED[found[1]]}, its peers are the measure" if (found := JUDGED.search(remains)) else "not counted"
    return remains.partition("; ")[0]


def called(incident: Incident) -> str:
    """Return what an incident is called: by its mode, else by the redundancy that is spent, else that there is no name for it.

    Examples
    --------
    >>> called(Incident("ab", "n1", "n1", "gray", "page", "slow_rank", 0, 0)), called(Incident("ab", "n1", "n1", "gray", "page", "", 0, 0))
    ('slow_rank', 'no name for it')
    """
    return incident.mode or spends(incident) or UNNAMED


def explained(incidents: Iterable[Incident], ledger: Iterable[Entry]) -> Iterator[tuple[Incident, str]]:
    """Yield incidents with their explanations, by what the ledger said until each of them ended."""
    for incident, _, detail in spoken(incidents, ledger):
        yield incident, detail


def spoken(incidents: Iterable[Incident], ledger: Iterable[Entry]) -> Iterator[tuple[Incident, str, str]]:
    """Yield incidents with their lines and their explanations, by what the ledger said until each of them ended."""
    of: dict[str, list[Entry]] = {}
    for entry in ledger:
        of.setdefault(entry.subject, []).append(entry)
    for i in incidents:
        spent = nearest((e for e in of.get(i.subject, ()) if i.ended is None or e.time <= i.ended), spends(i))
        yield i, headline(i, spent), explain(i, spent)


def refuted(incident: Incident) -> str:
    """Return what would show that the incident is something else: by its mode, else by the side on which it shows."""
    known = Modes.load()
    if incident.mode in known.modes:
        return known.modes[incident.mode].refuted
    side = next((str(p.get("side", "")) for p in reversed(incident.evidence) if p.get("subject") == incident.subject), "")
    return known.refuted.get(side, "The trouble goes on unchanged after the first suspect has been left out.")


def _what(i: Incident) -> str:
    end = f"ended {utc(i.ended)}" if i.ended is not None else "open"
    name, times = called(i), f"began {utc(i.began)}, noticed {utc(i.noticed)}"
    if i.ended is None:
        now = f"has recovered ({name}), {still[0]} is still {i.state} ({still[1] or UNNAMED})" if (still := _still(i)) else f"is {i.state} ({name})"
        return f"{i.subject} {now}, a {i.severity}; {times}{_louder(i)}, {end}"
    last = i.history[-1][1] if i.history else i.state
    at_last = f", {last} at last" if last != i.state else ""
    return f"{i.subject} was {i.state}{' at worst' if at_last else ''} ({name}), a {i.severity}{at_last}; {times}{_louder(i)}, {end}"


def _still(i: Incident) -> tuple[str, str] | None:
    """Return who is still in trouble, and its mode, after the first suspect of an open incident has recovered; the desk says so in the summary."""
    found = re.match(rf"{re.escape(i.subject)} has recovered, (.+?) is still {i.state}: ", i.summary) if i.ended is None else None
    return (found[1], str(_latest(i).get(found[1], {}).get("mode", ""))) if found else None


def _history(i: Incident) -> Iterator[tuple[str, str]]:
    """Yield from when on it was what, if it changed: what has failed is known by what it was before."""
    if len(i.history) > 1:
        steps = [f"{state} from {utc(time)}" for n, (time, state, _) in enumerate(i.history) if not n or state != i.history[n - 1][1]]
        cut = [f"{len(steps) - SHOWN + 1} more changes"] if len(steps) > SHOWN else []
        yield from [("history", ", ".join([steps[0], *cut, *steps[1:][-SHOWN + 2 :]]))] if len(steps) > 1 else []


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
        for signal in told(piece):
            found[str(piece["subject"]), signal["detector"], signal["metric"]] = signal
    ordered = sorted(found.items(), key=lambda kv: kv[0][0] != i.subject)
    for (subject, _, _), signal in ordered[:SHOWN]:
        yield "shown by", f"{subject}, {SIDES.get(signal['side'], signal['side'])}: {signal_in_words(signal)}"
    if len(ordered) > SHOWN:
        yield "shown by", f"{len(ordered) - SHOWN} more"


def _members(i: Incident) -> Iterator[tuple[str, str]]:
    others = [(s, p) for s, p in _latest(i).items() if s != i.subject]
    for subject, piece in others[:SHOWN]:
        mode = str(piece.get("mode", ""))
        follows = ", which may follow from it" if mode in effects(i.mode) else ""
        yield "with it", f"{subject} was {piece.get('state')} ({mode or piece.get('mechanism') or UNNAMED}){follows}"
    if len(others) > SHOWN:
        yield "with it", f"{len(others) - SHOWN} more"


def _rivals(i: Incident) -> Iterator[tuple[str, str]]:
    if i.rivals:
        more = f" and {len(i.rivals) - SHOWN} more" if len(i.rivals) > SHOWN else ""
        yield "or else", ", ".join(f"{subject} {chance:.0%}" for subject, chance in i.rivals[:SHOWN]) + more


def _cleared(i: Incident) -> Iterator[tuple[str, str]]:
    """Yield who was late only because of the first suspect, by the newest signal that knows."""
    cleared = [found[1] for p in reversed(i.evidence) if p.get("subject") == i.subject for s in told(p) if (found := CLEARED.search(str(s["why"])))]
    if cleared:
        yield "cleared", cleared[0]


def _past(i: Incident) -> Iterator[tuple[str, str]]:
    """Yield how often the suspects were suspected in the weeks before, by the newest evidence that knows."""
    if before := next((str(p["before"]) for p in reversed(i.evidence) if p.get("before")), ""):
        yield "before", before


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
    if _still(i):
        return f"{i.probability:.0%} that it began with {i.subject} and none of the others"
    return f"{i.probability:.0%} that it is {i.subject} and none of the others"


def _harmless(i: Incident) -> bool:
    """Say whether it is a look-alike: named where it shows, and nobody is to blame."""
    mode = Modes.load().modes.get(i.mode)
    return mode is not None and mode.severity == SEVERITIES[0] and mode.sides != ("coverage",)


def _runbook(i: Incident) -> Iterator[tuple[str, str]]:
    then = f"; of {i.subject}, which has recovered: {_first_step(i.mode)}" if _still(i) else ""
    yield "do first", f"{_advice(i)}{then}"


def _advice(i: Incident) -> str:
    """Return what to do first: about whoever is still in trouble."""
    still = _still(i)
    return f"of {still[0]}: {_first_step(still[1])}" if still else _first_step(i.mode)


def _first_step(name: str) -> str:
    mode = Modes.load().modes.get(name)
    return mode.runbook if mode is not None else NAMELESS
