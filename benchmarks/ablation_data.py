"""The data on which parts show what they are for: drawn situations, hostile noise, a small fleet, and recordings."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import injected
import numpy as np
import polars as pl
from ablation_parts import Part
from ablation_runs import Figures, Task, _plain, do
from ablation_scenes import SCENES, play
from ablation_scenes_more import MORE
from ablation_scenes_paths import PATHS
from calibration_noise import NOISES
from calibration_noise import Source as Noisy
from calibration_runs import Task as Calibrated
from calibration_runs import _fault, _messages, _watched
from numpy.typing import NDArray
from real_telemetry import SETS, imported

from grayscope import assembly, plugins
from grayscope.fleet.scenario import load
from grayscope.fleet.simulation import Simulation
from grayscope.incident import SEVERITIES, Incident
from grayscope.pipelines._benchunits import Source
from grayscope.replaying import replay
from grayscope.score import score
from grayscope.settings import Settings
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter

MINUTE = 60_000_000
#: GPUs, hours and seconds between rows of noise; false pages configured per 1,000 GPU-weeks.
NOISE, RATE = (1792, 48.0, 180), 100.0
#: Fleets with remapped rows, of the first seeds.
FLEETS = 3


class Said(NamedTuple):
    """What was said on some data: in words, and what that is worth; more is better, and only compared with itself."""

    worth: float
    words: str


def rings(incident: Incident) -> int:
    """Return how often somebody was told of it: each time it became louder."""
    return sum(a < b for a, b in pairwise([0, *(SEVERITIES.index(severity) for _, _, severity in incident.history)]))


def scene(name: str, part: Part, seeds: Sequence[int], _: Path | None) -> Said:
    """Draw a situation once for each seed: right is who says all that is to be accused, once, and nobody else."""
    right = others = times = 0
    late = 0.0
    for seed in seeds:
        drawn = (SCENES | MORE | PATHS)[name](np.random.default_rng([seed, *name.encode()]))
        told, end = play(drawn, part.detectors)
        loud = [i for i in told if i.severity != "notice" and i.noticed >= drawn.since]
        right += sorted(i.subject for i in loud) == sorted(drawn.wanted) and all(i.severity == drawn.severity or not drawn.severity for i in loud)
        others += sum(i.subject not in drawn.wanted for i in loud)
        times += sum(rings(i) for i in loud)
        late += sum(((i.ended or end) - drawn.until) / MINUTE for i in loud) if drawn.until else 0.0
    words = f"{right} of {len(seeds)} right, {others} others accused, told {times} times" + (
        f", open for {late / len(seeds):.0f} min after it was over" if late else ""
    )
    return Said(right - 0.1 * others - 1e-3 * late - 1e-3 * times, words)


def noise(name: str, part: Part, seeds: Sequence[int], _: Path | None) -> Said:
    """Count what is said of healthy parts in one kind of hostile noise."""
    subjects, hours, period = NOISE
    loud: list[Incident] = []
    for seed in seeds[:1]:
        source = Noisy(next(n for n in NOISES if n.name == name), subjects, period, seed)
        settings = Settings(false_pages_per_1000_gpu_weeks=RATE, detectors=part.detectors)
        engine = assembly.engine(settings, periods={source.noise.table: period * 1_000_000})
        loud += [i for i in _watched(engine, _messages(source, round(hours * 3600 / period)))[0].values() if i.severity != "notice"]
    pages = sum(i.severity == "page" for i in loud)
    return Said(-len(loud) - pages, f"{pages} false pages, {len(loud) - pages} false tickets")


def fault(name: str, part: Part, seeds: Sequence[int], _: Path | None) -> Said:
    """Make one rank of each job 3 % slower in one kind of hostile noise, and see who is found within 1,500 looks."""
    (count,) = _fault(Calibrated("fault", name, (RATE,), seeds[0], 1024, 10, 1500 / 360, "3 %", part.detectors))
    delay = f" after {np.median(count.delays):.0f} looks" if count.delays else ""
    return Said(
        len(count.delays) - count.pages, f"{len(count.delays)} of {count.faults} found{delay}, {count.pages} false pages, {count.tickets} false tickets"
    )


def intervals(name: str, part: Part, seeds: Sequence[int], _: Path | None) -> Said:
    """Simulate small fleets whose rows are remapped, and score how well their end is told: as narrow as may be, as long as seven of ten hold.

    Widths are compared by their geometric mean: what a fleet teaches narrows the first intervals of an end, and most are later ones, which their median is.
    A fleet with a single end teaches nobody: therefore a few are drawn.
    """
    hold, count, widths = 0, 0, []
    for seed in seeds[:FLEETS]:
        with tempfile.TemporaryDirectory() as folder:
            trace, out = Path(folder, "trace"), Path(folder, "out")
            Simulation(load(name).but(nodes=8, hours=6.0, seed=seed, faults=("hbm_row_spares",), controls=())).write(trace)
            truth = Trace.open(trace).truth()
            if truth is None:  # nothing broke there
                continue
            run, ledger = replay(trace, settings=Settings(detectors=part.detectors), out=out), pl.read_parquet(out / "ledger.parquet")
            inside, said = score(truth, [_plain(i) for i in run.found], 1.0, ledger=ledger.to_arrow()).overall.ledger  # type: ignore[arg-type]
        hold, count = hold + inside, count + said
        widths.append(_widths(ledger))
    width = float(np.concatenate([*widths, []]).mean()) if any(map(len, widths)) else 0.0
    words = f"{hold} of {count} intervals hold, mean ratio of their ends {math.exp(width):.2f}"
    return Said(-width - 100 * max(0.7 - hold / max(count, 1), 0), words)


def _widths(ledger: pl.DataFrame) -> NDArray[np.float64]:
    """Return the log ratio of the hours to both ends of each interval that has two, [intervals]."""
    ends = ledger.drop_nulls(["exhausted_low", "exhausted_high"])
    low, high, time = (ends[c].cast(pl.Int64).to_numpy().astype(np.float64) for c in ("exhausted_low", "exhausted_high", "time"))
    both = (low > time) & (high > low)
    return np.log((high - time)[both] / (low - time)[both])


def recorded(name: str, part: Part, _: Sequence[int], data: Path | None) -> Said:
    """Replay a recorded set with labels."""
    assert data is not None
    with tempfile.TemporaryDirectory() as folder:
        imported(name, data / SETS[name], Path(folder, "trace"))
        return _of(do(Task(Source(name), part.name, str(Path(folder, "trace")))))


def dumps(name: str, part: Part, _: Sequence[int], data: Path | None) -> Said:
    """Replay dumps of a job that hung, whose label names the ranks."""
    assert data is not None
    label = (data / "flight_recorder" / name / "fault_injection.log").read_text("utf-8").splitlines()[0]
    wanted = {f"job:{name}/r{r}" for r in json.loads(label.partition(":")[2])}
    with tempfile.TemporaryDirectory() as folder:
        with TraceWriter(Path(folder, "trace")) as writer:
            plugins.collector("flightrecorder", data / "flight_recorder" / name).write(writer)
        pages = {i.subject for i in replay(Path(folder, "trace"), settings=Settings(detectors=part.detectors)).found if i.severity == "page"}
    return Said(len(pages & wanted) - len(pages - wanted), f"{len(pages & wanted)} of {len(wanted)} ranks named, {len(pages - wanted)} others")


def mesh(name: str, part: Part, seeds: Sequence[int], data: Path | None) -> Said:
    """Replay a part of the recorded mesh of probes into which faults were injected."""
    assert data is not None
    total, frame = Figures(), pl.read_parquet(data / SETS[name])
    for seed in seeds:
        _, spoiled, truth, trunks = injected.mesh(frame, np.random.default_rng([seed, 1]), True)
        with tempfile.TemporaryDirectory() as folder:
            total += do(Task(Source(name, seed), part.name, str(injected.traced(name, spoiled, truth, trunks, Path(folder, "trace")))))
    return _of(total)


def _of(f: Figures) -> Said:
    words = f"{f.found} of {f.rows} found, {f.false} false ({f.pages} pages), {f.exact} exact, {f.right} in their state, {f.repeats} repeats"
    return Said(f.f1 * 100 - f.pages + 0.01 * (f.exact + f.right - f.repeats + f.explained), f"{words}, {f.explained} look-alikes told")


KINDS: dict[str, Callable[[str, Part, Sequence[int], Path | None], Said]] = {
    f.__name__: f for f in (scene, noise, fault, intervals, recorded, dumps, mesh)
}  # fmt: skip
