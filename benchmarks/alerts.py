"""Alerts as they read: one of every name, put into docs/alerts.md with which of eight questions its one line answers.

    python benchmarks/alerts.py            # some minutes

First come generated fleets, then faults planted in one, then streams made by hand (`alerts_made.py`), each only for names that those before
did not bring out. Only the part between the two marks of the page is written; the reading above it is a person's.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import alerts_made

from grayscope.explaining import UNNAMED, called
from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.incident import SEVERITIES, Incident
from grayscope.modes import Modes
from grayscope.replaying import replay

PAGE = Path(__file__).parents[1] / "docs/alerts.md"
BEGIN, END = "<!-- examples -->", "<!-- end of examples -->"
#: Scenario, seed and hours.
FLEETS = (("mixed", 101, 5), ("memory", 101, 4), ("thermal", 101, 4), ("controls", 101, 4), ("mixed", 102, 5), ("links", 102, 4))
#: Names that nothing says, and what is said in their stead.
NEVER = {name: mode.silence for name, mode in Modes.load().modes.items() if mode.silence}
Found = dict[str, tuple[Incident, str, str]]


def answers(incident: Incident, line: str) -> dict[str, str]:
    """Return which questions of somebody woken at night the one line answers."""
    signals = [s for p in incident.evidence for s in list(p.get("signals") or ())]  # type: ignore[call-overload]
    ruled = "a rule" if any(s["detector"] == "events" for s in signals) else "**no**"
    redundant = any(s["side"] == "redundancy" and s["detector"] != "events" for s in signals)
    against = bool(re.search(r"peers|own past|members|healthy is|usual|expected| of \d|partners|others|lost|alike", line))
    return {
        "which component": _yes(line.startswith(incident.subject)),
        "what is wrong": _yes(called(incident) != UNNAMED and called(incident) in line),
        "against whom": "yes" if against else ruled,
        "by how much": "yes" if re.search(r"\d%|\d times|\d of \S+ |\d+ of the last|lost|for \d+ ticks|is \d|all \d|every \d", line) else ruled,
        "since when": _yes("since 2" in line),
        "how sure": _yes("% that" in line),
        "what is left": "not counted" if "left: not counted" in line else "yes" if re.search(r"\bleft\b", line) else "**no**" if redundant else "none in play",
        "what to do first": _yes("; first: " in line),
    }


def _yes(said: bool) -> str:
    return "yes" if said else "**no**"


def add(found: Found, told: list[tuple[Incident, str]], where: str, *, only: frozenset[str] | None = None) -> None:
    """Keep of each name the gravest, before that one that is still open, before that the first; with `only`, of those names alone."""
    for incident, text in told:
        known = found.get(incident.mode)
        if (only is None or incident.mode in only) and (known is None or _rank(incident) > _rank(known[0])):
            found[incident.mode] = (incident, text, where)


def _rank(incident: Incident) -> tuple[int, bool]:
    return SEVERITIES.index(incident.severity), incident.ended is None


def fleet(scenario: str, seed: int, hours: float) -> list[tuple[Incident, str]]:
    """Return what a generated fleet of 16 nodes brings out."""
    with tempfile.TemporaryDirectory() as home:
        Simulation(load(scenario).but(nodes=16, hours=hours, seed=seed)).write(Path(home) / "trace")
        run = replay(Path(home) / "trace")
    return alerts_made.told(run.found, run.entries)


def examples(found: Found) -> str:
    """Return the written part of the page."""
    told = {mode: answers(incident, text.partition("\n")[0]) for mode, (incident, text, _) in sorted(found.items())}
    head = list(next(iter(told.values()), {}))
    parts = ["", f"| name | {' | '.join(head)} |", f"|---|{'---|' * len(head)}"]
    parts += [f"| {mode or 'no name'} | {' | '.join(said[h] for h in head)} |" for mode, said in told.items()]
    parts += ["", "Names that no alert carries:", "", "| name | instead |", "|---|---|", *(f"| {name} | {why} |" for name, why in NEVER.items())]
    for mode, (incident, text, where) in sorted(found.items()):
        page = f"[runbook](runbooks/{mode}.md), " if mode else ""
        parts += ["", f"### {mode or 'no name'}", f"{incident.severity}; {page}{where}", "```text", text, "```"]
    return "\n".join([*parts, ""])


def main() -> None:
    """Simulate, replay, write."""
    found: Found = {}
    for scenario, seed, hours in FLEETS:
        add(found, fleet(scenario, seed, hours), f"{scenario}, seed {seed}")
        print(f"{scenario} {seed}: {len(found)} names", flush=True)
    wanted = frozenset(Modes.load().modes) - set(found) - set(NEVER)
    add(found, alerts_made.planted(), "planted", only=wanted)
    for name, told in alerts_made.made():
        add(found, told, "made by hand", only=wanted & {name})
    print(f"{len(found)} names; without: {', '.join(sorted(frozenset(Modes.load().modes) - set(found) - set(NEVER))) or 'none'}")
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{examples(found)}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
