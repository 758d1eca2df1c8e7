"""Benchplan: which detectors run on which traces, and how a page describes that."""

from __future__ import annotations

import os
import platform
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from grayscope import __version__, plugins
from grayscope.errors import InputError, UsageError, shorten
from grayscope.scoreboard import HOME, Run

from ._benchkeys import PACKAGES
from ._benchpage import Bench
from ._benchseeds import VALIDATION, of_page, parse, which
from ._benchunits import Source

#: Too large to be run with every seed.
LARGE = "scale"
#: Those in which three hours of sixteen nodes show something.
QUICK = ("links", "memory", "mixed", "null", "thermal", "weak")
NOTES = """\
The fleets are simulated by the makers of the detectors: both may share a wrong idea of how hardware fails. Magnitudes carry a source or the
word assumed in the files of the scenarios and hazards.

Rivals are written anew from published descriptions with their published constants, without training data or hooks that we do not have; each
file says what was left out. They are not the originals, and nobody tuned them on these traces.

Faults are planted far more often than they happen. `precision at base rates` weighs each incident by how often its cause would really come;
false incidents that no planted look-alike explains keep their full weight.

Intervals take truth rows and incidents as independent of each other; those of one trace are not quite, so real uncertainty is larger.

A masked fault slows nothing yet. Missing it costs recall here although no job felt it.

One fault may have many rows: each time its effect crosses one per cent of a step, or falls below it, a row ends and the next begins. Recall
counts rows, as the format says; a fault is found if any of its rows is.

A row is found when a page or a ticket names the part, its parent or its direct child as first suspect or among the three next; `exact`
counts the first one alone, of the incident that matched first; `exact by any`, of any that matched, for one place may have two troubles.
`at best` is what one would reach who named every fault the moment it begins, exactly and in one incident: where a place has two troubles, the
incident of the first matches the second too and was there before its own, which then counts as a repeat.
Who accuses nearly everybody finds nearly everything: read recall together with precision.

CPU seconds are those of the replay on a machine that did other things too. The rivals share one pass: reading, aligning and comparing is done
once for all of them, and `CPU s` holds each one's own steps and an equal share of that. `CPU s alone` holds all of it, as for grayscope, which
goes through every trace by itself because its doubts reach back into what it compares: compare it by that column."""
SMALL = "This was a small run (`--quick`): few rows per mode, wide intervals, and three hours leave little past to learn from. Read it as a smoke test."


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Parameters
    ----------
    sources : tuple of Source
    detectors : tuple of str
    seeds : tuple of int
    quick : bool
    command : str
        What to type for the same plan; folders of this machine left out.
    """

    sources: tuple[Source, ...]
    detectors: tuple[str, ...]
    seeds: tuple[int, ...]
    quick: bool
    command: str


def plan(
    scenarios: str | None, detectors: str, seeds: str | None, nodes: int | None, hours: float | None, quick: bool, real: Path | None, maps: Path | None
) -> Plan:  # fmt: skip
    """Return a plan; names are checked before anything starts."""
    from grayscope.fleet.scenario import load, names

    chosen = _split(scenarios) if scenarios is not None else [n for n in names() if not quick or n in QUICK]
    for name in chosen:
        load(name).but(nodes=nodes, hours=hours)
    numbers = parse(seeds) if seeds is not None else tuple(VALIDATION[:1] if quick else VALIDATION)
    simulated = [Source(n, seed, nodes, hours) for n in chosen for seed in (numbers[:1] if n == LARGE and scenarios is None else numbers)]
    simulated.sort(key=lambda s: -_size(s))  # the largest first: at the end no process waits long for the others
    sets = list(recorded(real, maps)) if real is not None or maps is not None else []
    told = [("--quick", quick), (f"--scenarios {scenarios}", scenarios is not None), (f"--detectors {detectors}", detectors != "all")]
    told += [(f"--seeds {(seeds or '').replace(' ', '')}", seeds is not None), (f"--nodes {nodes}", nodes is not None and not quick)]
    told += [(f"--hours {hours:g}" if hours else "", hours is not None and not quick), ("--real DATA --maps tests/maps", bool(sets))]
    return Plan((*simulated, *sets), tuple(_detectors(detectors)), numbers, quick, " ".join(["grayscope bench", *(text for text, there in told if there)]))


def _size(source: Source) -> float:
    scenario = source.scenario()
    return scenario.nodes * scenario.hours


def rivals() -> list[str]:
    """Return the rivals."""
    return [name for name in plugins.names("detectors") if plugins.load("detectors", name).rival]


def _detectors(text: str) -> list[str]:
    known = [HOME, *plugins.names("detectors")]
    chosen = [HOME, *rivals()] if text == "all" else _split(text)
    for name in chosen:
        if name not in known:
            raise UsageError(f"no detector is called {shorten(name)!r}: {plugins.nearest(name, known)}")
    return chosen


def _split(text: str) -> list[str]:
    found = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise UsageError(f"expected names, separated by commas, found {shorten(text)!r}")
    return found


def recorded(real: Path | None, maps: Path | None) -> Iterator[Source]:
    """Yield the recorded sets whose map reads labels, those that are there; none at all is an error."""
    data = real or Path(os.environ.get("GRAYSCOPE_SHARED") or "../shared")
    data = data / "data" if (data / "data").is_dir() else data
    folder, found = maps or Path("tests/maps"), 0
    for name, file in _toml(folder / "sets.toml").get("files", {}).items():
        if "truth" not in _toml(folder / f"{name}.toml"):
            continue
        if not (data / str(file)).is_file():
            click.echo(f"{name}: {file} is not in {data}: left out", err=True)
            continue
        found += 1
        yield Source(name, file=data / str(file), mapping=folder / f"{name}.toml")
    if not found:
        raise InputError.at(folder / "sets.toml", "files", f"at least one labelled set in {data}", "none")


def _toml(file: Path) -> Mapping[str, Mapping[str, object]]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not TOML: {shorten(error)}") from error


# -- describing -----------------------------------------------------------------------------------------------------


def bench(plan: Plan, runs: Sequence[Run], failed: Mapping[str, str]) -> Bench:
    """Return what a page says."""
    from importlib import metadata

    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    ran_on = (
        f"It ran on {os.cpu_count()} CPU cores ({platform.machine()}) without a GPU, Python {platform.python_version()}, grayscope {__version__}, {versions}."
    )
    seeds = of_page(plan.seeds) if any(s.kind == "simulated" for s in plan.sources) else []
    notes = (*([SMALL] if plan.quick else []), *(note.replace("\n", " ") for note in NOTES.split("\n\n")))
    return Bench(runs, list(_sources(plan)), failed, f"pip install .\n{plan.command}", ran_on, notes, " ".join(seeds))


def _sources(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    seeds: dict[str, list[Source]] = {}
    for source in (s for s in plan.sources if s.kind == "simulated"):
        seeds.setdefault(source.name, []).append(source)
    for name, same in sorted(seeds.items()):
        s = same[0].scenario()
        faster = f" Faults {s.acceleration:g} times as often as in the field." if s.faults and s.acceleration != 1 else ""
        yield name, f"{s.nodes} nodes, {s.hours:g} h", which([x.seed for x in same]), f"{s.note}{faster}"
