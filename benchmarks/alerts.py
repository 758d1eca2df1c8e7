"""Alerts as they read: one of every name that generated fleets bring out, put into docs/alerts.md with which of eight questions it answers.

    python benchmarks/alerts.py            # some minutes
    python benchmarks/alerts.py --seeds 101,102 --hours 2

Only the part between the two marks of the page is written; the reading above it is a person's.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from grayscope.explaining import explained
from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.incident import SEVERITIES, Incident
from grayscope.replaying import replay

PAGE = Path(__file__).parents[1] / "docs/alerts.md"
BEGIN, END = "<!-- examples -->", "<!-- end of examples -->"
SCENARIOS = ("mixed", "memory", "links", "thermal")
Found = dict[str, tuple[Incident, str, str]]


def answers(incident: Incident, detail: str) -> dict[str, str]:
    """Return which questions of somebody woken at night the summary with its detail answers."""
    lines = [line.partition(": ") for line in detail.splitlines()]
    of = {label: " ".join(text for name, _, text in lines if name == label) for label in {name for name, _, _ in lines}}
    shown = of.get("shown by", "") + incident.summary
    said = {
        "which component": incident.subject in incident.summary,
        "what is wrong": bool(incident.mode),
        "against whom": bool(re.search(r"peers|own past|members|healthy is|usual|expected| of \d|partners|others", shown)),
        "by how much": bool(re.search(r"\d%|\d times|\d of \S+ |\d+ of the last|lost|for \d+ ticks|is \d|all \d", shown)),
        "since when": "since 2" in shown or "began 2" in of.get("what", ""),
        "how sure": "%" in of.get("how sure", ""),
        "what is left": "left" in of,
        "what to do first": bool(of.get("do first")),
    }
    return {question: "yes" if yes else "**no**" for question, yes in said.items()} | _left(of.get("left", ""), shown)


def _left(left: str, shown: str) -> dict[str, str]:
    """Return what stands in for yes and no where nothing is counted, or no redundancy is in play."""
    if "not counted here" in left:
        return {"what is left": "not counted"}
    return {} if left or "redundancy" in shown else {"what is left": "none in play"}


def collect(scenario: str, seed: int, hours: float, found: Found) -> None:
    """Add the first incident of each name that a fleet brings out, of the gravest severity seen so far."""
    with tempfile.TemporaryDirectory() as home:
        Simulation(load(scenario).but(nodes=16, hours=hours, seed=seed)).write(Path(home) / "trace")
        run = replay(Path(home) / "trace")
    for incident, detail in explained(run.found, run.entries):
        known = found.get(incident.mode)
        if known is None or SEVERITIES.index(incident.severity) > SEVERITIES.index(known[0].severity):
            found[incident.mode] = (incident, detail, f"{scenario}, seed {seed}")


def examples(found: Found) -> str:
    """Return the written part of the page."""
    told = {mode: answers(incident, detail) for mode, (incident, detail, _) in sorted(found.items())}
    head = list(next(iter(told.values()), {}))
    parts = ["", f"| name | {' | '.join(head)} |", f"|---|{'---|' * len(head)}"]
    parts += [f"| {mode or 'no name'} | {' | '.join(said[h] for h in head)} |" for mode, said in told.items()]
    for mode, (incident, detail, where) in sorted(found.items()):
        page = f"[runbook](runbooks/{mode}.md), " if mode else ""
        parts += ["", f"### {mode or 'no name'}", f"{incident.severity}; {page}{where}", "```text", incident.summary, "", detail, "```"]
    return "\n".join([*parts, ""])


def main() -> None:
    """Simulate, replay, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="101,102,103")
    parser.add_argument("--hours", type=float, default=3.0)
    asked = parser.parse_args()
    found: Found = {}
    for seed in map(int, asked.seeds.split(",")):
        for scenario in SCENARIOS:
            collect(scenario, seed, asked.hours, found)
            print(f"{scenario} {seed}: {len(found)} names", flush=True)
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{examples(found)}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
