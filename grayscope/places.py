"""Places: on which node and in which job the subjects of a table are, worked out again only when they or the roster have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grayscope.roster import View
from grayscope.tick import Tick


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The places of one table under one view of the roster.

    Parameters
    ----------
    view, subjects
        What it was worked out from.
    nodes, jobs : tuple of str
        By name.
    node, job : ndarray of int, shape [S]
        Which of them each subject is on, -1 for no job.
    shared : tuple of (str, ndarray)
        Racks and leaves of at least two nodes, and who is there.
    """

    view: View
    subjects: tuple[str, ...]
    nodes: tuple[str, ...]
    node: NDArray[np.intp]
    jobs: tuple[str, ...]
    job: NDArray[np.intp]
    shared: tuple[tuple[str, NDArray[np.intp]], ...]


class Places:
    """The places of every table; no part of any state, bounded by the tables' subjects."""

    def __init__(self) -> None:
        self._known: dict[str, Placed] = {}

    def of(self, tick: Tick) -> Placed:
        """Return where the tick's subjects are: a rank on the node of its GPU, whatever its name begins with; parts are in no job."""
        known = self._known.get(tick.table)
        if known is None or known.view is not tick.roster or known.subjects is not tick.subjects:
            homes = tuple(gpu or s for gpu, s in zip(tick.roster.column(tick.subjects, "gpu"), tick.subjects, strict=True))
            nodes, node = numbered(tick.roster.column(homes, "node"))
            jobs, job = numbered(_jobs(tick.roster, tick.subjects), "")
            known = self._known[tick.table] = Placed(tick.roster, tick.subjects, nodes, node, jobs, job, _shared(tick, node))
        return known


def _jobs(view: View, subjects: tuple[str, ...]) -> list[str]:
    """Return the jobs of what only a job has, as a rank or itself; its row need not say so.

    Examples
    --------
    >>> _jobs(View(0, {}), ("job:42", "job:42/r7", "comm:ab", "n1/gpu0"))
    ['42', '42', '', '']
    """
    if not any(s.startswith(("job:", "comm:")) for s in subjects):
        return [""] * len(subjects)
    told = zip(view.column(subjects, "job"), subjects, strict=True)
    return [(job or s).removeprefix("job:") if s.startswith("job:") else job.removeprefix("job:") if s.startswith("comm:") else "" for job, s in told]


def _shared(tick: Tick, node: NDArray[np.intp]) -> tuple[tuple[str, NDArray[np.intp]], ...]:
    found: dict[str, list[int]] = {}
    racks, leaves = (tick.roster.column(tick.subjects, key) for key in ("rack", "leaf"))
    for names in (racks, tuple(leaf if leaf != rack else "" for rack, leaf in zip(racks, leaves, strict=True))):
        for s, name in enumerate(names):
            if name:
                found.setdefault(name, []).append(s)
    return tuple((name, np.array(who, np.intp)) for name, who in sorted(found.items(), key=lambda of: -len(of[1])) if len(np.unique(node[who])) > 1)


def numbered(names: Sequence[str], none: str | None = None) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Return the different names in order, and the number of each; -1 for `none`.

    Examples
    --------
    >>> numbered(["b", "a", "", "b"], "")[0], numbered(["b", "a", "", "b"], "")[1].tolist()
    (('a', 'b'), [1, 0, -1, 1])
    """
    different = tuple(sorted(set(names) - {none}))
    number = {name: i for i, name in enumerate(different)}
    return different, np.array([number.get(name, -1) for name in names], np.intp)


def parents(subject: str) -> Iterator[str]:
    """Yield what a subject lies in, the widest first.

    Examples
    --------
    >>> list(parents("n1/gpu2/pcie")), list(parents("n1"))
    (['n1', 'n1/gpu2'], [])
    """
    parts = subject.split("/")
    return ("/".join(parts[:n]) for n in range(1, len(parts)))
