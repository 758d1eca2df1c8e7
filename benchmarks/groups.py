"""Whether a group that moves together is named, as one incident: leaves, racks, rails and lots of parts, drawn at random over a fleet of four jobs.

In each draw all nodes of a group, or all but one, get slower or start to count errors at one moment; jobs and lots are spread over the fleet by chance. Beside
them stand draws in which as many nodes that share nothing are troubled at once, where to name a group is wrong, and draws without any trouble. The rows go
straight to the engine, in ticks of 10 s; the seeds 101 to 199 are those that grayscope is tuned on.

Usage: python benchmarks/groups.py [--seeds 1-20] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope import assembly
from grayscope.incident import Incident
from grayscope.pipelines._benchseeds import parse
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick
from grayscope.together import name

Floats = NDArray[np.float64]
PERIOD, NODES, PARTS, JOBS, LOTS = 10_000_000, 32, 4, 4, 6
#: Ticks before and after the moment at which the trouble begins: 50 minutes each.
CALM, AFTER = 300, 300
RETRANSMITS = 'nic_port_retransmits_total{cause="ack_timeout"}'
ECC = 'gpu_ecc_corrected_errors_total{location="dram",retention="volatile"}'
#: Table and metric of what may go wrong, and by how much.
SIGNALS = {"10 % slower": ("rank", "compute_seconds", 0.1), "30 % slower": ("rank", "compute_seconds", 0.3), "retransmits": ("nic", RETRANSMITS, 5.0),
           "ECC errors": ("gpu", ECC, 5.0)}  # fmt: skip
#: Of which tables the parts share such a group.
KINDS = {"leaf": ("rank", "nic", "gpu"), "rack": ("rank", "nic", "gpu"), "rail": ("nic",), "lot": ("rank", "gpu")}
NOISE, HEALTHY = 0.02, 0.002


class Draw(NamedTuple):
    """One fleet and what goes wrong in it: kind and value of the group ("" if none), signal, troubled subjects."""

    kind: str
    value: str
    signal: str
    troubled: frozenset[str]
    view: View


def fleet(rng: np.random.Generator) -> View:
    """Return a roster: leaves of eight nodes, racks of four across the leaves, four jobs and six lots spread by chance."""
    jobs, lots = rng.permutation(NODES) % JOBS, rng.integers(0, LOTS, NODES)
    rows, ranks = [], [0] * JOBS
    for n in range(NODES):
        node, job = f"n{n:03d}", int(jobs[n])
        keys = {"node": node, "leaf": f"leaf{n // 8}", "rack": f"rack{n % 8}", "job": f"job:{job}", "sku": "H100"}
        rows.append(RosterRow(node, "node", keys=keys))
        for g in range(PARTS):
            gpu, lot, rail = f"{node}/gpu{g}", {"lot": f"lot{lots[n]}"}, {"rail": f"rail:{g}"}
            rows += [RosterRow(gpu, "gpu", keys={**keys, **lot}), RosterRow(f"{node}/nic{g}", "nic", keys={**keys, **rail})]
            rows.append(RosterRow(f"job:{job}/r{ranks[job]:03d}", "rank", keys={**keys, **lot, **rail, "gpu": gpu, "role": "dp"}))
            ranks[job] += 1
    return Roster(rows).at(0)


def drawn(kind: str, signal: str, whole: bool, seed: int) -> Draw:
    """Return a fleet in which a group, or as many nodes that share nothing (`kind` "none"), will be troubled; none of them with `signal` ""."""
    rng = np.random.default_rng([seed, *f"{kind} {signal} {whole}".encode()])
    view = fleet(rng)
    if not signal:
        return Draw("", "", "", frozenset(), view)
    subjects = view.tables[SIGNALS[signal][0]]
    if kind == "none":
        nodes = {f"n{n:03d}" for n in (0, 9, 18, 27)[: 4 if whole else 3]}  # of four leaves, racks and rows
        return Draw("", "", signal, frozenset(s for s in subjects if view.key(s, "node") in nodes), view)
    values = sorted({view.key(s, kind) for s in subjects})
    sizes = {v: len({view.key(s, "node") for s in subjects if view.key(s, kind) == v}) for v in values}
    value = str(rng.choice([v for v in values if sizes[v] >= 4]))
    spared = "" if whole else str(rng.choice(sorted({view.key(s, "node") for s in subjects if view.key(s, kind) == value})))
    return Draw(kind, value, signal, frozenset(s for s in subjects if view.key(s, kind) == value and view.key(s, "node") != spared), view)


def series(draw: Draw, table: str, metrics: tuple[str, ...], rng: np.random.Generator) -> Callable[[int], Floats]:
    """Return what makes the values [M, S] of one tick."""
    names = draw.view.tables[table]
    bad = np.array([s in draw.troubled for s in names])

    def values(t: int) -> Floats:
        rows = []
        for metric in metrics:
            mine = bad & (t > CALM) & (bool(draw.signal) and SIGNALS[draw.signal][1] == metric)
            size = SIGNALS[draw.signal][2] if draw.signal else 0.0
            slow = np.exp(NOISE * rng.standard_normal(len(names)) + np.log1p(size) * mine)
            rows.append(slow if metric == "compute_seconds" else np.where(mine, rng.poisson(size, len(names)), rng.random(len(names)) < HEALTHY).astype(float))
        return np.stack(rows)

    return values


def replayed(draw: Draw, seed: int) -> list[Incident]:
    """Return the last word on each incident of one draw."""
    tables = {table: tuple(dict.fromkeys(m for t, m, _ in SIGNALS.values() if t == table)) for table in ("rank", "nic", "gpu")}
    engine, rng = assembly.engine(Settings(), periods=dict.fromkeys(tables, PERIOD)), np.random.default_rng([seed, 7])
    made, last = {table: series(draw, table, metrics, rng) for table, metrics in tables.items()}, dict[str, Incident]()
    for t in range(1, CALM + AFTER + 1):
        for table, metrics in tables.items():
            names = draw.view.tables[table]
            tick = Tick(table, t * PERIOD, PERIOD, draw.view, names, metrics, made[table](t).astype(np.float32), np.zeros(len(names), bool))
            last |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}
    return list(last.values())


def scored(draw: Draw, incidents: list[Incident]) -> dict[str, float]:
    """Return what one draw adds to its line."""
    wanted = name((draw.kind, draw.value)) if draw.kind else ""
    named = [i for i in incidents if i.subject == wanted]
    groups = sum(i.subject.startswith(("leaf", "rack", "rail:", "batch:", "job:", "site")) and "/" not in i.subject for i in incidents)
    return {"draws": 1, "named": bool(named), "as one": len(named) == 1 == len(incidents), "incidents": len(incidents), "groups said": groups,
            "pages": sum(i.severity == "page" for i in incidents)}  # fmt: skip


def plan() -> list[tuple[str, str, bool]]:
    """Return every kind of group with every signal that its parts may show, whole and all but one node; then those without a group."""
    some = [(kind, s, whole) for kind, tables in KINDS.items() for s, (table, *_) in SIGNALS.items() if table in tables for whole in (True, False)]
    return [*some, *(("none", s, whole) for s in SIGNALS for whole in (True, False)), ("none", "", True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-2", help="as in `grayscope bench`")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lines: dict[str, Any] = {}
    todo = [(*one, seed) for one in plan() for seed in parse(options.seeds)]
    for number, (kind, signal, whole, seed) in enumerate(todo, 1):
        draw = drawn(kind, signal, whole, seed)
        label = f"{kind if signal else 'healthy'}{f', {signal}' if signal else ''}{'' if whole else ', all but one'}"
        line = lines.setdefault(label, {})
        for key, value in scored(draw, replayed(draw, seed)).items():
            line[key] = line.get(key, 0) + int(value)
        print(f"{number}/{len(todo)} {label}", file=sys.stderr)
    if options.json:
        print(json.dumps(lines))
        return
    keys = list(next(iter(lines.values())))
    print(f"{'':34}" + "".join(f"{key:>12}" for key in keys))
    for label, line in lines.items():
        print(f"{label:34}" + "".join(f"{line[key]:>12}" for key in keys))


if __name__ == "__main__":
    main()
