"""Case: one incident as a person works on it in a notebook: its words, why, and its plot."""

from __future__ import annotations

from dataclasses import dataclass

from grayscope.errors import shorten
from grayscope.explaining import called
from grayscope.incident import Incident
from grayscope.markup import esc, explanation
from grayscope.plot import Plot


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """One incident with all that is known of it; a notebook shows it by itself.

    Parameters
    ----------
    incident : Incident
    explanation : str
        Lines of `grayscope.explaining.explain`.
    plot : Plot or None
        None where the run has no trace.

    Examples
    --------
    >>> Case(Incident("ab12", "n1", "n1", "gray", "page", "slow_rank", 0, 0, summary="n1 is gray: late"), "what: late", None)
    <page ab12: n1 is gray: late>
    """

    incident: Incident
    explanation: str
    plot: Plot | None = None

    def __str__(self) -> str:
        return self.explanation

    def __repr__(self) -> str:
        i = self.incident
        return f"<{i.severity} {shorten(i.id, 40)}: {shorten(i.summary or i.subject, 200)}>"

    def _repr_html_(self) -> str:
        i = self.incident
        head = f"{i.severity.upper()} {i.subject}: {called(i)}"
        drawn = self.plot._repr_html_() if self.plot is not None and self.plot.series else ""
        return f"<div><b>{esc(head, 400)}</b><p>{esc(i.summary or 'no words', 500)}</p>{drawn}{explanation(self.explanation)}</div>"
