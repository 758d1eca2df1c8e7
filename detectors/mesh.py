"""Mesh: an end of many paths whose paths are all a little worse, though no single one of them stands out.

A probe or a bandwidth test between two ends says only that one of the two, or something between them, is slow. Many of
them together form a matrix, and its rows and columns have medians that are far steadier than a cell: an end that sends
or receives badly shows long before any of its paths does. Source: the delay matrix of C4D (HPCA 2025) and median polish.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grayscope import kernels, matrix
from grayscope.columns import Columns, Field, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.grouped import medians
from grayscope.horizons import Explain, Horizons, State
from grayscope.standing import Standing
from grayscope.tick import Tick
from grayscope.wording import why

#: What an end can do badly, in the order of the columns.
WAYS = ("sending", "receiving", "sending and receiving")
#: Ticks over which an end's own usual effect is learned, and for which an accused end teaches nothing.
PAST, DOUBT = 2048, 64
#: Least spread of effects, on the scale of ratios.
FLOOR = 0.005

Floats = NDArray[np.float32]


class Mesh:
    """Follow every end's row and column of the path tables, beside the other ends and beside its own past.

    Finds ends, not links: a single bad cell is for `slower` and `became`, what several of them share for blame. Not
    for: fewer than four ends, ends of fewer than three paths, and a mesh of which half is bad.

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
        self.slower, self.became = Horizons(false_pages), Horizons(false_pages, longest=256)
        self.memory = Memory({"scale": Field(np.float32, 0.0), "base": Field(np.float32, 0.0), "age": Field(np.int32, 0)})
        self.doubted: dict[str, dict[str, int]] = {}  # table -> end -> tick at which it was last accused
        self._known: tuple[object, object, matrix.Mesh, Tick] | None = None

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return the ends that stand out, each in the way in which it does so most."""
        mesh, names = self._mesh(tick)
        if len(mesh.ends) < matrix.ENDS:
            return NOTHING
        ends = Tick(tick.table, tick.time, tick.period, tick.roster, names, tick.metrics, tick.values[:0], np.zeros(len(names), bool))
        memory = self.memory.of(ends)
        stood = self._stand(standing, mesh, memory, np.array([end in self.doubted.get(tick.table, {}) for end in mesh.ends] * len(WAYS), bool))
        found: dict[tuple[str, str], Finding] = {}
        for horizons, residual, than in ((self.slower, stood.residual, "the other ends"), (self.became, stood.past, "its own past")):
            for f in horizons.step(ends, stood, residual, _explain(horizons, residual, mesh, than)):
                if f.strength > found.get((f.subject, f.metric), f._replace(strength=-np.inf)).strength:
                    found[f.subject, f.metric] = f
        self._doubt(tick.table, memory.ticks, {end for end, _ in found})
        return Evidence(found[key] for key in sorted(found))

    def _doubt(self, table: str, now: int, accused: set[str]) -> None:
        kept = {end: at for end, at in self.doubted.get(table, {}).items() if now - at < DOUBT}
        self.doubted[table] = kept | dict.fromkeys(sorted(accused), now)

    def _mesh(self, tick: Tick) -> tuple[matrix.Mesh, tuple[str, ...]]:
        """Return who is at the ends, worked out again only when the roster has changed."""
        known = self._known
        if known is None or known[0] is not tick.roster or known[1] is not tick.subjects:
            mesh = matrix.Mesh.of(tick)
            known = self._known = (tick.roster, tick.subjects, mesh, tuple(f"{end} {way}" for way in WAYS for end in mesh.ends))
        return known[2], known[3]

    def _stand(self, standing: Standing, mesh: matrix.Mesh, memory: Columns, doubt: NDArray[np.bool_]) -> Standing:
        """Return how the ends stand: the next level's comparison, made of the residuals of this one."""
        n, rows = len(mesh.ends), len(standing.metrics)
        out, into = matrix.polish(standing.residual, mesh)
        residual = np.concatenate([out, into, (out + into) / 2], axis=1).astype(np.float32)
        if not mesh.directed:
            residual[:, : 2 * n] = np.nan
        label = np.repeat(np.arange(len(WAYS), dtype=np.int32), n)[None]
        spread, count = medians(np.abs(residual), np.tile(label, (rows, 1)), len(WAYS))
        spread, nobody = np.nan_to_num(spread), np.zeros(rows, np.int32)
        past, a = np.empty_like(residual), memory.arrays
        kernels.remember(
            residual, spread, label, nobody, standing.sign, np.full_like(spread, FLOOR), np.zeros(rows, np.float32), doubt,
            a["scale"], a["base"], a["age"], past, PAST,
        )  # fmt: skip
        middle, _ = medians(standing.centre, np.zeros_like(standing.centre, np.int32), 1)
        centre = np.repeat(middle, len(WAYS), axis=1)
        still, called = np.zeros(label.shape, bool), (tuple((way,) for way in WAYS),)
        return Standing(
            standing.metrics, standing.kind, standing.sign, residual, past, a["scale"], centre, spread, count, np.zeros_like(centre), centre,
            nobody, label, still, called,
        )  # fmt: skip

    def snapshot(self) -> State:
        """Return the whole state."""
        out = {f"{part}#{key}": array for part, of in self._parts() for key, array in of.snapshot().items()}
        return out | {"doubted": np.array(json.dumps(self.doubted))}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        for part, of in self._parts():
            of.restore({key.partition("#")[2]: array for key, array in state.items() if key.startswith(f"{part}#")})
        self.doubted = json.loads(str(state["doubted"]))
        self._known = None

    def _parts(self) -> tuple[tuple[str, Horizons | Memory], ...]:
        return ("slower", self.slower), ("became", self.became), ("memory", self.memory)


def _explain(horizons: Horizons, residual: Floats, mesh: matrix.Mesh, than: str) -> Explain:
    def explain(tick: Tick, standing: Standing, m: int, s: int, level: float, horizon: int) -> Finding:
        metric = standing.metrics[m]
        assert metric is not None
        end = s % len(mesh.ends)
        sizes = [_size(horizons, residual, tick, standing, m, way * len(mesh.ends) + end, horizon) for way in (0, 1)]
        shift = horizons.shown(tick, m, s, horizon, float(residual[m, s] / standing.scale[m, s]))
        usual = float(standing.residual[m, s] - residual[m, s]) / float(standing.scale[m, s])
        usual = usual if np.isfinite(usual) else 0.0
        found = Finding(
            tick.time, mesh.ends[end], metric.side, "mesh", round(level, 4), metric.mode or "slow_path", metric.mechanism or "", tick.metrics[m],
            standing.effect(m, s, usual + shift), standing.effect(m, s, usual), standing.peers(m, s),
        )  # fmt: skip
        return found._replace(why=f"{_way(*sizes)} over its paths: {why(found, metric.unit, than)}")

    return explain


def _size(horizons: Horizons, residual: Floats, tick: Tick, standing: Standing, m: int, s: int, horizon: int) -> float:
    scale, now = float(standing.scale[m, s]), float(residual[m, s])
    return horizons.shown(tick, m, s, horizon, now / scale if scale > 0 else 0.0) * scale


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
