"""Benchplan: which detectors run on which traces, and how a page describes that."""

from __future__ import annotations

import os
import platform
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grayscope import __version__, plugins
from grayscope.errors import InputError, UsageError, shorten
from grayscope.scoreboard import HOME, Run

from ._benchkeys import PACKAGES
from ._benchpage import Bench
from ._benchunits import Source

#: Seeds of a full bench; grayscope is tuned on others, so that these tell how it does on what it has not seen.
VALIDATION = range(1, 6)
TUNING = range(101, 200)
MOST = 1000
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

A row is found when a page or a ticket names the part, its parent or its direct child as first suspect or among the three next; `exact`
counts the first one alone. Who accuses nearly everybody finds nearly everything: read recall together with precision.

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
    numbers = parse_seeds(seeds) if seeds is not None else tuple(VALIDATION[:1] if quick else VALIDATION)
    simulated = [Source(n, seed, nodes, hours) for n in chosen for seed in (numbers[:1] if n == LARGE and scenarios is None else numbers)]
    simulated.sort(key=lambda s: -_size(s))  # the largest first: at the end no process waits long for the others
    recorded = list(_recorded(real, maps)) if real is not None or maps is not None else []
    told = [("--quick", quick), (f"--scenarios {scenarios}", scenarios is not None), (f"--detectors {detectors}", detectors != "all")]
    told += [(f"--seeds {seeds}", seeds is not None), (f"--nodes {nodes}", nodes is not None and not quick)]
    told += [(f"--hours {hours:g}" if hours else "", hours is not None and not quick), ("--real DATA --maps tests/maps", bool(recorded))]
    return Plan((*simulated, *recorded), tuple(_detectors(detectors)), numbers, quick, " ".join(["grayscope bench", *(text for text, there in told if there)]))


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds that a text names: a number counts them from 1; numbers with commas, and ranges, are the seeds themselves.

    Examples
    --------
    >>> parse_seeds("3"), parse_seeds("101,"), parse_seeds("101,103-105")
    ((1, 2, 3), (101,), (101, 103, 104, 105))
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    ends = [part.split("-") for part in parts]
    if not parts or not all(len(e) <= 2 and all(n.isascii() and n.isdigit() and len(n) < 10 for n in e) for e in ends):
        raise UsageError(f"--seeds: expected a number of seeds such as 5, or seeds such as 101,102 or 101-103, found {shorten(text)!r}")
    if text.strip().isdigit():
        ends = [["1", parts[0]]]
    ranges = [range(int(e[0]), int(e[-1]) + 1) for e in ends]
    if not 0 < sum(map(len, ranges)) <= MOST or not all(map(len, ranges)):
        raise UsageError(f"--seeds: expected 1 to {MOST} seeds, found {shorten(text)!r}")
    return tuple(dict.fromkeys(seed for r in ranges for seed in r))


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


def _recorded(real: Path | None, maps: Path | None) -> Iterator[Source]:
    """Yield the recorded sets whose map reads labels."""
    data = real or Path(os.environ.get("GRAYSCOPE_SHARED") or "../shared")
    data = data / "data" if (data / "data").is_dir() else data
    folder = maps or Path("tests/maps")
    for name, file in _toml(folder / "sets.toml").get("files", {}).items():
        if "truth" not in _toml(folder / f"{name}.toml"):
            continue
        if not (data / str(file)).is_file():
            raise InputError.at(folder / "sets.toml", name, f"a file in {data}", str(file))
        yield Source(name, file=data / str(file), mapping=folder / f"{name}.toml")


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
    notes = (
        *((SMALL,) if plan.quick else ()),
        *split(plan.seeds if any(s.kind == "simulated" for s in plan.sources) else ()),
        *(note.replace("\n", " ") for note in NOTES.split("\n\n")),
    )
    return Bench(runs, list(_sources(plan)), failed, f"pip install .\n{plan.command}", ran_on, notes)


def split(seeds: Sequence[int]) -> list[str]:
    """Return what to say of seeds that were tuned on and of those that were not.

    Examples
    --------
    >>> split([1, 2, 3])
    ['Seeds 1 to 3 were not looked at while tuning: that was done on seeds 101 to 199.']
    """
    tuned, kept, other = [s for s in seeds if s in TUNING], [s for s in seeds if s in VALIDATION], [s for s in seeds if s not in TUNING and s not in VALIDATION]
    said = [f"{_listed(kept)} not looked at while tuning: that was done on seeds {TUNING[0]} to {TUNING[-1]}."] if kept else []
    said += (
        [f"{_listed(tuned)} among those that grayscope is tuned on: these figures flatter it, those of seeds {VALIDATION[0]} to {VALIDATION[-1]} count."]
        if tuned
        else []
    )
    return said + ([f"{_listed(other)} neither among those tuned on nor among those kept for validation."] if other else [])


def _listed(seeds: Sequence[int]) -> str:
    """Return seeds as the start of a sentence.

    Examples
    --------
    >>> _listed([1]), _listed([1, 2, 3]), _listed([4, 7, 8])
    ('Seed 1 was', 'Seeds 1 to 3 were', 'Seeds 4, 7, 8 were')
    """
    if len(seeds) == 1:
        return f"Seed {seeds[0]} was"
    whole = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"Seeds {f'{seeds[0]} to {seeds[-1]}' if whole else ', '.join(map(str, seeds))} were"


def _few(seeds: Sequence[int]) -> str:
    """Return seeds for a cell of a table."""
    return _listed(seeds).split(" ", 1)[1].rsplit(" ", 1)[0]


def _sources(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    seeds: dict[str, list[Source]] = {}
    for source in (s for s in plan.sources if s.kind == "simulated"):
        seeds.setdefault(source.name, []).append(source)
    for name, same in sorted(seeds.items()):
        s = same[0].scenario()
        faster = f" Faults {s.acceleration:g} times as often as in the field." if s.faults and s.acceleration != 1 else ""
        yield name, f"{s.nodes} nodes, {s.hours:g} h", _few([x.seed for x in same]), f"{s.note}{faster}"
