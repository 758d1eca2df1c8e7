"""Faults injected into real noise: what is found of them by grayscope and by every rival, each alone, and how often both halves agree.

The noise is recorded: round trips over a mesh of probes, and the running times of equal jobs on equal GPUs (the data folder is
``GRAYSCOPE_SHARED`` or ``../shared`` beside the repository). A seed picks a part of the mesh, the victims, the sizes and the onsets;
the spoiled rows go through the same import map as the clean ones. The noise has no labels: what a detector says about the clean rows
too is its own affair. So everything stands twice: recall, precision and F1 over all that was said; and `fresh`, `beyond` and `F1 new` over
what was said only because of the faults (a victim that was accused without its fault counts as found, but not as fresh).

Usage: python benchmarks/injected.py [--quick] [--seeds 1,2,3] [--sets probe_mesh,...] [--detectors grayscope,...]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from real_telemetry import ROOT, SETS

from grayscope import plugins
from grayscope.incident import Incident
from grayscope.replaying import replay
from grayscope.score import score
from grayscope.settings import Settings
from grayscope.tracewriter import TraceWriter

#: Nodes of the mesh in one trace, and racks that they are dealt to: pairs of racks are joined by a trunk.
NODES, RACKS = 40, 8
#: Factors on the times: smallest and largest; drawn evenly on the logarithm.
SIZES = {"device": (1.1, 1.5), "sender": (1.15, 1.6), "path": (2.0, 5.0), "trunk": (1.3, 3.0), "gpu": (1.03, 1.3)}
#: Slower GPUs in one trace.
GPUS = 4

Truth = list[dict[str, Any]]
Trunks = dict[tuple[str, str], str]


@dataclass
class Tally:
    """What one detector did over all seeds of one set."""

    planted: int = 0
    found: int = 0
    fresh: int = 0
    exact: int = 0
    matched: int = 0
    false: int = 0
    beyond: int = 0
    kinds: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    halves: list[float] = field(default_factory=list)

    @property
    def f1(self) -> float:
        """Return F1 over everything that was said."""
        return mean(share(self.matched, self.false), self.found / max(self.planted, 1))

    @property
    def f1_new(self) -> float:
        """Return F1 over what was said only because of the faults."""
        return mean(share(self.matched, self.beyond), self.fresh / max(self.planted, 1))


def mesh(frame: pl.DataFrame, rng: np.random.Generator, quick: bool) -> tuple[pl.DataFrame, pl.DataFrame, Truth, Trunks]:
    """Return a part of the mesh clean and spoiled, what is wrong with it, and the trunks."""
    names = rng.choice(frame["src"].unique().sort().to_numpy(), NODES, replace=False)
    rack = {int(n): i % RACKS for i, n in enumerate(names)}
    frame = frame.filter(pl.col("src").is_in(names) & pl.col("dst").is_in(names) & (pl.col("slice") <= (160 if quick else 344)))
    trunks = {(str(a), str(b)): f"trunk{rack[a]}-{rack[b]}" for a in rack for b in rack if rack[a] != rack[b]}
    last = int(frame["slice"].max())  # type: ignore[arg-type]
    device, sender, source, target, left, right = (int(n) for n in names[rng.permutation(RACKS)[:6]])
    src, dst = pl.col("src"), pl.col("dst")
    ours = {s: [n for n in rack if rack[n] == rack[s]] for s in (left, right)}
    where = {
        "device": (f"{device}", (src == device) | (dst == device)), "sender": (f"{sender}", src == sender),
        "path": (f"{source}>{target}", (src == source) & (dst == target)),
        "trunk": (trunks[str(left), str(right)], src.is_in(ours[left]) & dst.is_in(ours[right])),
    }  # fmt: skip
    spoiled, truth = frame, Truth()
    for kind, (subject, cells) in where.items():
        onset, size = int(rng.integers(last * 2 // 5, last * 3 // 5)), drawn(rng, kind)
        factor = pl.when(cells & (pl.col("slice") >= onset)).then(size).otherwise(1.0)
        spoiled = spoiled.with_columns((pl.col("rtt_seconds") * factor).cast(pl.Float32))
        truth.append(row(subject, kind, 1_388_534_400_000_000 + (onset - 1) * 60_000_000, size))
    return frame, spoiled, truth, trunks


def gpus(frame: pl.DataFrame, rng: np.random.Generator, alone: bool) -> tuple[pl.DataFrame, pl.DataFrame, Truth, Trunks]:
    """Return the runs clean and with some GPUs slower, always or from some run on; all of a node where it runs in step."""
    run = "run" if "run" in frame.columns else "reps"
    spoiled, truth = frame, Truth()
    uuids = frame["uuid"].unique().sort().to_numpy()
    for uuid in rng.choice(uuids, GPUS, replace=False):
        at = frame.filter(pl.col("uuid") == uuid).row(0, named=True)
        node = f"{at['cabinet']}-{at['node']}"
        cells = pl.col("uuid") == uuid if alone else (pl.col("cabinet") == at["cabinet"]) & (pl.col("node") == at["node"])
        runs = frame[run].unique().sort().to_list()
        first = runs[0] if rng.random() < 0.5 else runs[int(rng.integers(1, 3))]
        size = drawn(rng, "gpu")
        factor = pl.when(cells & (pl.col(run) >= first)).then(size).otherwise(1.0)
        spoiled = spoiled.with_columns(pl.col("perf") * factor)
        hours = first - runs[0]
        truth.append(row(f"{node}/gpu{at['device']}" if alone else node, "gpu", 1_640_995_200_000_000 + hours * 3_600_000_000, size))
    return frame, spoiled, truth, {}


def drawn(rng: np.random.Generator, kind: str) -> float:
    """Return how many times slower a victim gets."""
    low, high = np.log(SIZES[kind])
    return float(np.exp(rng.uniform(low, high)))


def row(subject: str, kind: str, began: int, size: float) -> dict[str, Any]:
    """Return a row of truth."""
    return {"subject": subject, "mode": "slow_path" if kind != "gpu" else "slow_silicon", "state": "gray", "began": began, "note": f"{kind} x {size:.2f}"}


def traced(name: str, frame: pl.DataFrame, truth: Truth, trunks: Trunks, out: Path) -> Path:
    """Import rows through the set's map, with truth, and with the trunks among what paths cross."""
    suffix = Path(SETS[name]).suffix
    file = out.with_suffix(suffix)
    frame.write_parquet(file) if suffix == ".parquet" else frame.write_csv(file)
    table = plugins.collector("table", file, ROOT / "tests" / "maps" / f"{name}.toml")
    with TraceWriter(out, cluster=table.cluster, note=table.note, tables=table.tables, metrics=table.metrics) as writer:
        table.write(writer)
        if truth:
            writer.truth(truth)
    roster = pq.read_table(out / "roster.parquet")
    if trunks:
        crosses = [[c[0], trunks[c[0], c[1]], c[1]] if c and (c[0], c[1]) in trunks else c for c in roster["crosses"].to_pylist()]
        at = roster.column_names.index("crosses")
        pq.write_table(roster.set_column(at, "crosses", pa.array(crosses, roster.schema.field("crosses").type)), out / "roster.parquet")
    return out


def said(trace: Path, detector: str) -> list[Incident]:
    """Return the pages and tickets of a detector set on a trace."""
    names = () if detector == "grayscope" else (detector,)
    return [i for i in replay(trace, settings=Settings(detectors=names)).found if i.severity != "notice"]


def plain(found: Iterable[Incident]) -> list[dict[str, Any]]:
    """Return incidents as the scorer takes them."""
    return [{k: getattr(i, k) for k in ("id", "subject", "severity", "mode", "rivals", "history", "ended")} for i in found]


def halves(name: str, frame: pl.DataFrame, trunks: Trunks, folder: Path) -> Iterator[Path]:
    """Yield the traces of the early and the late rows."""
    column = next(c for c in ("slice", "run", "reps") if c in frame.columns)
    early, late = halved(int(frame[column].min()), int(frame[column].max()))  # type: ignore[arg-type]
    for half, rows in (("early", frame.filter(pl.col(column) <= early)), ("late", frame.filter(pl.col(column) >= late))):
        first = rows[column].min() - frame[column].min()  # type: ignore[operator]
        yield traced(name, rows.with_columns(pl.col(column) - first), [], trunks, folder / half)


def halved(first: int, last: int) -> tuple[int, int]:
    """Return where the first half ends and the second begins: halves are as long as each other, and share the middle one of an odd number."""
    middle = (first + last) // 2
    return middle, last - (middle - first)


def judged(name: str, seed: int, detectors: list[str], quick: bool, tallies: dict[str, Tally]) -> None:
    """Make the traces of one seed and let every detector see them."""
    file = shared() / SETS[name]
    frame = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file)
    rng = np.random.default_rng([seed, sorted(SETS).index(name)])
    clean, spoiled, truth, trunks = mesh(frame, rng, quick) if name == "probe_mesh" else gpus(frame, rng, "pagerank" in name)
    with tempfile.TemporaryDirectory() as folder:
        parts = list(halves(name, clean, trunks, Path(folder))) if not quick else []
        traces = [traced(name, rows, wrong, trunks, Path(folder) / part) for part, rows, wrong in (("clean", clean, []), ("spoiled", spoiled, truth))]
        for detector in detectors:
            count(tallies[detector], truth, said(traces[0], detector), said(traces[1], detector))
            if parts:
                early, late = ({i.subject for i in said(p, detector)} for p in parts)
                tallies[detector].halves.append(len(early & late) / len(early | late) if early | late else 1.0)


def count(tally: Tally, truth: Truth, before: list[Incident], after: list[Incident]) -> None:
    """Add what was found, and what was not there."""
    part, clean = (score(truth, plain(some), 1.0).overall for some in (after, before))
    named = {i.subject for i in before}
    tally.fresh += sum(new.incident is not None and old.incident is None for new, old in zip(part.finds, clean.finds, strict=True))
    tally.planted += len(part.finds)
    tally.found += len(part.found)
    tally.exact += sum(f.exact for f in part.found)
    tally.matched += part.matched
    tally.false += len(part.false)
    tally.beyond += sum(i.subject not in named for i in part.false)
    for find, wrong in zip(part.finds, truth, strict=True):
        of = tally.kinds[str(wrong["note"]).split(" ")[0]]
        of[0] += find.incident is not None
        of[1] += 1


def shown(name: str, tallies: dict[str, Tally]) -> None:
    """Print one line per detector, best first."""
    titles = ("planted", "recall", "precis.", "F1", "fresh", "beyond", "F1 new", "exact", "false", "halves")
    print(f"\n{name}\n{'detector':<12}" + "".join(f"{t:>8}" for t in titles) + "  by kind")
    for detector, t in sorted(tallies.items(), key=lambda x: (-x[1].f1, -x[1].f1_new)):
        kinds = ", ".join(f"{k} {a}/{n}" for k, (a, n) in t.kinds.items())
        agree = f"{np.mean(t.halves):.2f}" if t.halves else "-"
        cells = [t.found / max(t.planted, 1), share(t.matched, t.false), t.f1, t.fresh / max(t.planted, 1), share(t.matched, t.beyond), t.f1_new]
        numbers = "".join(f"{c:>8.2f}" for c in (*cells, t.exact / max(t.found, 1)))
        print(f"{detector:<12}{t.planted:>8}{numbers}{t.false:>8}{agree:>8}  {kinds}")


def share(matched: int, others: int) -> float:
    """Return matched over all; 0 where nothing was said."""
    return matched / (matched + others) if matched + others else 0.0


def mean(p: float, r: float) -> float:
    """Return the harmonic mean."""
    return 2 * p * r / (p + r) if p + r else 0.0


def shared() -> Path:
    """Return the folder with the recorded data."""
    return Path(os.environ.get("GRAYSCOPE_SHARED") or ROOT.parent / "shared") / "data"


def main() -> None:
    """Run all sets, or those that are named."""
    sets = ["probe_mesh", "gpu_variability_pagerank", "gpu_variability_resnet", "gpu_variability_bert"]
    rivals = [n for n in plugins.names("detectors") if plugins.load("detectors", n).rival]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, the first 160 slices of the mesh, no halves")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--sets", default=",".join(sets))
    parser.add_argument("--detectors", default=",".join(["grayscope", *rivals]))
    given = parser.parse_args()
    if not shared().is_dir():
        print(f"no real telemetry at {shared().parent}: set GRAYSCOPE_SHARED to a folder that holds data/ to see it here")
        return
    for name in given.sets.split(","):
        if name not in sets:
            raise SystemExit(f"no such set: {name!r}; known: {', '.join(sets)}")
        tallies = {d: Tally() for d in given.detectors.split(",")}
        for seed in [int(s) for s in given.seeds.split(",")][: 1 if given.quick else None]:
            judged(name, seed, list(tallies), given.quick, tallies)
        shown(name, tallies)


if __name__ == "__main__":
    main()
