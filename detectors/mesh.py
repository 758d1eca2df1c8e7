"""Mesh: an end of many paths whose paths are all a little worse, though no single one of them stands out.

A probe or a bandwidth test between two ends says only that one of the two, or something between them, is slow. Many of
them together form a matrix, and its rows and columns have medians that are far steadier than a cell: an end that sends
or receives badly shows long before any of its paths does. Source: the delay matrix of C4D (HPCA 2025) and median polish.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope import kernels, matrix
from grayscope.columns import Array, Columns, Field, Memory
from grayscope.detector import State
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.grouped import cells, medians
from grayscope.horizons import Explain, Horizons
from grayscope.kernels import SIGMA
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import why

#: What an end can do badly, in the order of the columns; after them come the things between the ends, and the blocks.
WAYS = ("sending", "receiving", "sending and receiving")
OTHERS = ("between", "block")
KINDS = len(WAYS) + len(OTHERS)
#: Ticks over which a column's own usual effect is learned, over which its noise is, and for which an accused one teaches nothing.
PAST, NOISE, DOUBT = 2048, 128, 64
#: Ticks from which on a single leap no longer counts in full, and from which on a path's usual residual is known.
YOUNG, KNOWN = 16, 16
#: Least spread of effects, on the scale of ratios.
FLOOR = 0.005

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The columns: every end in every way, then what lies between, then the blocks."""

    mesh: matrix.Mesh
    names: tuple[str, ...]
    subjects: tuple[tuple[str, ...], ...]
    label: NDArray[np.int32]

    @classmethod
    def of(cls, tick: Tick) -> Layout:
        """Lay out the columns of a tick."""
        mesh = matrix.Mesh.of(tick)
        subjects = (*(((end,)) for _ in WAYS for end in mesh.ends), *mesh.between)
        names = (*(f"{end} {way}" for way in WAYS for end in mesh.ends), *(f"{' '.join(of)} between" for of in mesh.between))
        label = np.repeat(np.arange(KINDS, dtype=np.int32), [*[len(mesh.ends)] * len(WAYS), mesh.named, len(mesh.between) - mesh.named])
        return cls(mesh, names, subjects, label.astype(np.int32)[None])


class Mesh:
    """Follow every end's row and column of the path tables, and what lies between, beside the others and beside its own past.

    Finds what several paths share, not single cells: those are for `slower` and `became`. Blocks, what the ends of one place send
    to those of another, only beside their own past. Not for: fewer than four ends, ends of fewer than three paths, and a mesh of
    which half is bad.

    Parameters
    ----------
    false_pages : float
        Accepted false pages per 1,000 subject-weeks.
    """

    rival: ClassVar[bool] = False
    #: Tables that it is made for.
    tables: ClassVar[frozenset[str]] = frozenset({"path"})

    def __init__(self, *, false_pages: float = 1.0) -> None:
        # Beside the others an end may be worse for good; beside its own past only as long as that does not follow.
        self.slower, self.became = Horizons("mesh", false_pages, grouped=False), Horizons("mesh", false_pages, 256, grouped=False)
        fields = {
            "scale": Field(np.float32, 0.0),
            "base": Field(np.float32, 0.0),
            "age": Field(np.int32, 0),
            "noise": Field(np.float32, 0.0),
            "last": Field(np.float32, np.nan),
        }
        past = {f"{name} past": fields[name] for name in ("scale", "base", "age")}
        self.memory = Memory({**fields, **past})
        self.cells = Memory({**fields, "scale": Field(np.float32, 0.0, (0,))})
        self.doubted: dict[str, dict[str, int]] = {}  # table -> subject -> tick at which it was last accused
        self._known: dict[str, tuple[object, object, Layout]] = {}

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the ends and the things between that stand out, each in the way in which it does so most."""
        lay = self._layout(tick)
        if len(lay.mesh.ends) < matrix.ENDS:
            return NOTHING
        columns = Tick(tick.table, tick.time, tick.period, tick.roster, lay.names, tick.metrics, tick.values[:0], np.zeros(len(lay.names), bool))
        memory = self.memory.of(columns)
        stood = self._stand(tick, standing, lay, memory)
        found: dict[tuple[str, str], Finding] = {}
        for horizons, residual, scale, than in (
            (self.slower, stood.residual, stood.scale, "the others"),
            (self.became, stood.past, stood.noise, "its own past"),
        ):
            for f in horizons.step(columns, stood, residual, scale, _explain(horizons, residual, scale, lay, than)):
                if f.strength > found.get((f.subject, f.metric), f._replace(strength=-np.inf)).strength:
                    found[f.subject, f.metric] = f
        self._doubt(tick.table, memory.ticks, {subject for subject, _ in found})
        return Evidence(found[key] for key in sorted(found))

    def _doubt(self, table: str, now: int, accused: set[str]) -> None:
        kept = {subject: at for subject, at in self.doubted.get(table, {}).items() if now - at < DOUBT}
        self.doubted[table] = kept | dict.fromkeys(sorted(accused), now)

    def _layout(self, tick: Tick) -> Layout:
        """Return the columns, worked out again only when the roster has changed."""
        known = self._known.get(tick.table)
        if known is None or known[0] is not tick.roster or known[1] is not tick.subjects:
            known = self._known[tick.table] = (tick.roster, tick.subjects, Layout.of(tick))
        return known[2]

    def _stand(self, tick: Tick, standing: Standing, lay: Layout, memory: Columns) -> Standing:
        """Return how the columns stand beside the others and beside their past: this level's residuals are the next one's samples."""
        residual, rows = _effects(standing.residual, lay.mesh), len(standing.metrics)
        residual[:, lay.label[0] == KINDS - 1] = np.nan  # far places are far: a block is held to its own past alone
        label = np.tile(lay.label, (rows, 1))
        spread, count = medians(np.abs(residual), label, KINDS)
        spread, nobody = np.nan_to_num(spread), np.zeros(rows, np.int32)
        past, a = _effects(self._usual(tick, standing), lay.mesh), memory.arrays
        doubted = self.doubted.get(tick.table, {})
        doubt = np.array([of[0] in doubted for of in lay.subjects], bool)
        floor, none = np.full_like(spread, FLOOR), np.zeros(rows, np.float32)
        order = np.argsort(lay.label, axis=1, kind="stable").astype(np.int32)
        starts = np.array([[0, *np.cumsum(np.bincount(lay.label[0], minlength=KINDS))]], np.int32)
        common = (nobody, order, starts, np.full(1, KINDS, np.int32), standing.sign, floor, none, doubt)
        unused = np.zeros_like(residual)  # noise is measured from tick to tick, see `_noise`
        kernels.remember(residual, spread, *common, a["scale"], unused, a["base"], a["age"], np.empty_like(residual), PAST, np.zeros_like(spread))
        away, left = np.nan_to_num(medians(np.abs(past), label, KINDS)[0]), np.empty_like(past)
        kernels.remember(past, away, *common, a["scale past"], unused, a["base past"], a["age past"], left, PAST, np.zeros_like(spread))
        middle, _ = medians(standing.centre, np.zeros_like(standing.centre, np.int32), 1)
        centre = np.repeat(middle, KINDS, axis=1)
        still, called = np.zeros(lay.label.shape, bool), (tuple((kind,) for kind in (*WAYS, *OTHERS)),)
        return Standing(
            standing.metrics, standing.kind, standing.sign, residual, left, a["scale"], _noise(left, label, a), centre, spread, count,
            np.zeros_like(centre), centre, nobody, lay.label, doubt, still, called,
        )  # fmt: skip

    def _usual(self, tick: Tick, standing: Standing) -> Floats:
        """Return how far each path is from its own usual residual, which is learned by small steps: spikes and leaps hardly move it.

        NaN until it has been learned from `KNOWN` ticks.
        """
        a = self.cells.of(tick).arrays
        r, base, noise, last, age = standing.residual, a["base"], a["noise"], a["last"], a["age"]
        came = np.isfinite(r)
        past = np.where(age >= KNOWN, r - base, np.float32(np.nan))
        noise += _learned(np.abs(r - last), noise, age)
        edge = np.where(age < YOUNG, np.float32(np.inf), 2 * np.maximum(noise, np.float32(FLOOR)))
        base += np.where(came, np.clip(r - base, -edge, edge) / np.clip(age + 1, 1, PAST), 0).astype(np.float32)
        last[:] = np.where(came, r, last)
        age += came
        return past.astype(np.float32)

    def snapshot(self) -> State:
        """Return the whole state."""
        out = {f"{part}#{key}": array for part, of in self._parts() for key, array in of.snapshot().items()}
        return out | {"doubted": np.array(json.dumps(self.doubted))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        for part, of in self._parts():
            of.restore({key.partition("#")[2]: array for key, array in state.items() if key.startswith(f"{part}#")})
        self.doubted = json.loads(str(state["doubted"]))
        self._known = {}

    def _parts(self) -> tuple[tuple[str, Horizons | Memory], ...]:
        return ("slower", self.slower), ("became", self.became), ("memory", self.memory), ("cells", self.cells)


def _effects(residual: Floats, mesh: matrix.Mesh) -> Floats:
    """Return what every column adds to its paths."""
    out, into = matrix.polish(residual, mesh)
    between = matrix.shared(matrix.rest(residual, mesh, out, into), mesh)
    effects = np.concatenate([out, into, (out + into) / 2, between], axis=1).astype(np.float32)
    if not mesh.directed:
        effects[:, : 2 * len(mesh.ends)] = np.nan
    return effects


def _noise(past: Floats, label: NDArray[np.int32], memory: Mapping[str, Array]) -> Floats:
    """Return the usual distance of each column from its past.

    How columns of a kind differ is learned from how far each moves from tick to tick, which no lasting fault changes;
    how large the distance is, from all columns of the kind together. None counts as steadier than its kind.
    """
    noise, last, age = memory["noise"], memory["last"], memory["age past"]
    noise += _learned(np.abs(past - last), noise, age)
    last[:] = np.where(np.isfinite(past), past, last)
    usual, _ = medians(np.where(noise > 0, noise, np.float32(np.nan)), label, KINDS)
    away, _ = medians(np.abs(past), label, KINDS)
    ratio = np.where(away * SIGMA > usual, away * SIGMA / usual, np.float32(1))
    least: Floats = np.maximum(noise, np.nan_to_num(cells(usual, label))) * cells(ratio, label)
    return np.maximum(least, np.float32(FLOOR)).astype(np.float32)


def _learned(leap: Floats, noise: Floats, age: NDArray[np.int32]) -> Floats:
    """Return by how much a usual leap from tick to tick changes; a single leap no longer counts in full after the first ticks."""
    away = leap * np.float32(1.25 / 2**0.5)
    edge = np.where(age < YOUNG, np.float32(np.inf), np.maximum(3 * noise, np.float32(FLOOR)))
    return np.where(np.isfinite(away), (np.minimum(away, edge) - noise) / np.clip(age, 1, NOISE), 0).astype(np.float32)


def _explain(horizons: Horizons, residual: Floats, scale: Floats, lay: Layout, than: str) -> Explain:
    def explain(tick: Tick, standing: Standing, m: int, s: int, level: float, horizon: int) -> Finding:
        metric = standing.metrics[m]
        assert metric is not None
        shift = _size(horizons, residual, scale, tick, m, s, horizon)
        usual = float(standing.residual[m, s] - residual[m, s])
        usual = usual if np.isfinite(usual) else 0.0
        chance = 1.0 / len(lay.subjects[s])
        found = Finding(
            tick.time, lay.subjects[s][0], metric.side, "mesh", round(level, 4), metric.mode or "slow_path", metric.mechanism or "", tick.metrics[m],
            standing.effect(m, s, usual + shift), standing.effect(m, s, usual), standing.peers(m, s),
            rivals=json.dumps([[name, round(chance, 4)] for name in lay.subjects[s][1:9]]) if chance < 1 else "",
        )  # fmt: skip
        n = len(lay.mesh.ends)
        how = "on its paths beyond what their ends explain"
        if s < len(WAYS) * n:
            how = f"{_way(*(_size(horizons, residual, scale, tick, m, way * n + s % n, horizon) for way in (0, 1)))} over its paths"
        return found._replace(why=f"{how}: {why(found, metric.unit, than)}")

    return explain


def _size(horizons: Horizons, residual: Floats, scale: Floats, tick: Tick, m: int, s: int, horizon: int) -> float:
    """Return the lasting size of a column's effect on the metric's scale."""
    spread, now = float(scale[m, s]), float(residual[m, s])
    return horizons.shown(tick, m, s, horizon, now / spread if spread > 0 else 0.0) * spread


def _way(out: float, into: float) -> str:
    """Return in which direction an end is bad: in both unless one is less than half of the other.

    Examples
    --------
    >>> _way(0.1, 0.02), _way(0.0, 0.1), _way(0.1, 0.07), _way(0.0, 0.0)
    ('sending', 'receiving', 'sending and receiving', 'sending and receiving')
    """
    if min(out, into) >= max(out, into) / 2:
        return WAYS[2]
    return WAYS[0] if out > into else WAYS[1]
