"""Reportdraw: texts and drawings of a page as HTML and SVG that no name can break out of."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from grayscope.errors import shorten
from grayscope.incident import Incident
from grayscope.wording import number, utc

from ._reportseries import Series

WIDE, HIGH, LEFT, TOP, FLOOR = 600, 204, 100, 18, 140
LETTERS = {"normal": "", "unknown": "?", "masked": "M", "gray": "G", "failed": "F"}


def esc(text: object, most: int = 300) -> str:
    """Return a text that is safe between tags and in quoted attributes: one line, nothing invisible, of bounded length.

    Examples
    --------
    >>> esc('<script>"x"'), esc("a\\u202eb")
    ('&lt;script&gt;&quot;x&quot;', 'a\\\\u202eb')
    """
    return html.escape(shorten(text, most), quote=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numeric: frozenset[int] = frozenset()) -> str:
    """Return a table that scrolls by itself where it is too wide; cells are escaped here."""
    names = "".join(f"<th scope=col>{esc(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td{' class=r' if n in numeric else ''}>{esc(c)}</td>" for n, c in enumerate(row)) + "</tr>" for row in rows)
    return f"<div class=wide tabindex=0><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>"


def plot(series: Series, incident: Incident) -> str:
    """Return one SVG: the suspect over the band of its peers, onset, notice, and the states it went through."""
    values = [v for line in (series.own, series.low, series.high) for v in line if v is not None]
    bottom, top = min(values), max(values)
    pad = (top - bottom) * 0.06 or abs(top) * 0.05 or 1.0
    bottom, top = bottom - pad, top + pad

    def x(time: int) -> float:
        share = (time - series.begin) / (series.end - series.begin)
        return round(LEFT + min(max(share, 0.0), 1.0) * (WIDE - LEFT - 8), 1)

    def y(value: float) -> float:
        return round(FLOOR - (value - bottom) / (top - bottom) * (FLOOR - TOP), 1)

    at = [x(t) for t in series.times]
    known = [(px, y(lo), y(hi)) for px, lo, hi in zip(at, series.low, series.high, strict=True) if lo is not None and hi is not None]
    band = " ".join([f"{px},{hi}" for px, _, hi in known] + [f"{px},{lo}" for px, lo, _ in reversed(known)])
    middle, own = (_path(at, [None if v is None else y(v) for v in line]) for line in (series.middle, series.own))
    label = f"{series.metric} of {series.subject} beside {series.peers} peers"
    marks = _mark(x(incident.began), "onset", 11, "4 3") + _mark(x(incident.noticed), "noticed", FLOOR + 40, "1 2")
    shown = (bottom + pad, top - pad) if top - bottom > 2.5 * pad else (bottom + pad,)
    levels = "".join(
        f'<text x="{LEFT - 5}" y="{y(v) + 4}" text-anchor="end">{esc(number(v, series.unit))}</text>' for v in shown
    )  # fmt: skip
    return (
        f'<figure><figcaption>{esc(label, 400)}</figcaption><svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{esc(label, 400)}">'
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDE - LEFT - 8}" height="{FLOOR - TOP}"/>'
        f'<polygon class="band" points="{band}"/><path class="mid" d="{middle}"/><path class="own" d="{own}"/>{marks}{levels}{_track(series, incident, x)}'
        f'<text x="{LEFT}" y="{HIGH - 6}">{utc(series.begin)}</text>'
        f'<text x="{WIDE - 8}" y="{HIGH - 6}" text-anchor="end">{utc(series.end)}</text></svg></figure>'
    )


def _path(at: Sequence[float], heights: Sequence[float | None]) -> str:
    """Return a line that stops where nothing is known.

    Examples
    --------
    >>> _path([0, 1, 2, 3], [5, None, 6, 7])
    'M0 5h0M2 6L3 7'
    """
    pieces, pen = [], False
    for px, py in zip(at, heights, strict=True):
        if py is not None:
            pieces.append(f"{'L' if pen else 'M'}{px} {py}")
        pen = py is not None
    alone = [f"{a}h0" if a[0] == "M" and b[0] == "M" else a for a, b in pairwise([*pieces, "M"])]
    return "".join(alone)


def _mark(px: float, word: str, py: int, dash: str) -> str:
    side = ' text-anchor="end"' if px > WIDE - 80 else ""
    low = max(py - 12, FLOOR)
    return (
        f'<path class="mark" stroke-dasharray="{dash}" d="M{px} {TOP - 4}V{low}"/><text x="{px + (-4 if side else 4)}" y="{py}"{side}>{word}</text>'
    )  # fmt: skip


def _track(series: Series, incident: Incident, x: Callable[[int], float]) -> str:
    """Return the strip of states below the plot: a box for each, with its letter."""
    end = incident.ended if incident.ended is not None else series.end
    changes = [*((t, s) for t, s, _ in incident.history), (end, "normal")]
    boxes = [f'<text x="{LEFT - 5}" y="{FLOOR + 20}" text-anchor="end">state</text>']
    for (begin, state), (until, _) in pairwise(changes):
        left, right = x(begin), x(max(until, begin))
        if state in LETTERS and right > left:
            boxes.append(f'<rect class="b {state}" x="{left}" y="{FLOOR + 8}" width="{round(right - left, 1)}" height="16"/>')
            if right - left > 12:
                boxes.append(f'<text class="in {state}" x="{round((left + right) / 2, 1)}" y="{FLOOR + 20}" text-anchor="middle">{LETTERS[state]}</text>')
    return "".join(boxes)
