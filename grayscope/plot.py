"""Plot: what an incident rests on, drawn for a notebook or a file: each suspect over the band of its peers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grayscope.errors import UsageError, shorten
from grayscope.incident import Incident
from grayscope.markup import esc
from grayscope.peerplot import document, title
from grayscope.series import Series
from grayscope.tracewriter import writing

PAGE = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>{body}</body></html>\n'


@dataclass(frozen=True, eq=False, repr=False)
class Plot:
    """The drawings of one incident; a notebook shows them by itself.

    A thick line is the suspect, the grey band eighty of a hundred peers, dashed their median, dotted its own past; below it the states it
    went through, each with its letter.

    Parameters
    ----------
    incident : Incident
    series : sequence of Series
        Drawn below each other; none is told in words.

    Examples
    --------
    >>> drawn = Plot(Incident("ab12", "n1/gpu0", "n1", "gray", "page", "slow_rank", 0, 0), ())
    >>> drawn
    <plot of ab12: nothing to draw>
    >>> "nothing to draw" in drawn.svg
    True
    """

    incident: Incident
    series: Sequence[Series]

    @property
    def svg(self) -> str:
        """Return the drawings as one SVG document that needs nothing else."""
        return document(self.series, self.incident)

    def save(self, path: str | Path) -> Path:
        """Write the drawings as an ``.svg`` or ``.html`` file and return its path.

        Raises
        ------
        UsageError
            The name ends otherwise.
        GrayscopeError
            It cannot be written.
        """
        path = Path(path)
        if path.suffix not in (".svg", ".html"):
            raise UsageError(f"{shorten(path)}: a plot is written as .svg or .html")
        name = esc(f"grayscope: {self.incident.subject}")
        with writing(path):
            path.write_text(self.svg if path.suffix == ".svg" else PAGE.format(title=name, body=self._repr_html_()), "utf-8")
        return path

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        # As an image its style touches nothing else on the page, and nothing in it can run.
        coded = base64.b64encode(self.svg.encode()).decode()
        words = esc("; ".join(title(s) for s in self.series) or "nothing to draw", 400)
        return f'<img alt="{words}" style="max-width:100%;background:#fff" src="data:image/svg+xml;base64,{coded}">'

    def __repr__(self) -> str:
        told = ", ".join(title(s) for s in self.series) or "nothing to draw"
        return f"<plot of {shorten(self.incident.id, 40)}: {shorten(told, 200)}>"
