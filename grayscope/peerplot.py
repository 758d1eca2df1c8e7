"""Peerplot: a suspect over the band of its peers as SVG, for a page that has a style and as a document of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from grayscope.incident import Incident
from grayscope.markup import esc
from grayscope.series import Series
from grayscope.wording import number, utc

WIDE, HIGH, LEFT, TOP, FLOOR = 600, 204, 100, 18, 140
#: Height of a caption in a document, and how many characters fit into it.
CAPTION, LONG = 20, 84
LETTERS = {"normal": "", "unknown": "?", "masked": "M", "gray": "G", "failed": "F"}
STYLE = """
svg text{font:13px "DejaVu Sans",sans-serif;fill:#111}
.unknown{fill:#eee}.masked{fill:#f3d46b}.gray{fill:#8a5a9e}.failed{fill:#111}
.frame{fill:none;stroke:#bbb}.band{fill:#ccc}.mid{fill:none;stroke:#777;stroke-width:1.5;stroke-dasharray:6 3}.own{fill:none;stroke:#000;
stroke-width:2.5;stroke-linecap:round}.past{fill:none;stroke:#000;stroke-width:1.2;stroke-dasharray:1 4}.mark{stroke:#000;fill:none}
svg .b{stroke:#111}svg text.in{fill:#111}svg text.in.gray,svg text.in.failed{fill:#fff}
"""


def title(series: Series) -> str:
    """Return what a plot shows, in words."""
    return f"{series.metric} of {series.subject} beside {series.peers} peers"


def plot(series: Series, incident: Incident) -> str:
    """Return a figure for a page that has `STYLE`: the suspect over the band of its peers, onset, notice, and the states it went through."""
    label = esc(title(series), 400)
    inner = f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{label}">{_drawn(series, incident)}</svg>'
    return f"<figure><figcaption>{label}</figcaption>{inner}</figure>"


def document(series: Sequence[Series], incident: Incident) -> str:
    """Return one SVG document with its own style: the plots below each other on white, or a line that says that there is none."""
    high = (HIGH + CAPTION) * max(len(series), 1)
    parts = [
        f'<svg y="{(HIGH + CAPTION) * n}" width="{WIDE}" height="{HIGH + CAPTION}"><text x="4" y="15">{esc(title(s), LONG)}</text>'
        f'<svg y="{CAPTION}" width="{WIDE}" height="{HIGH}">{_drawn(s, incident)}</svg></svg>'
        for n, s in enumerate(series)
    ]  # fmt: skip
    none = '<text x="4" y="30">The trace holds no numbers of this incident: nothing to draw.</text>'
    name = esc("; ".join(title(s) for s in series) or f"no numbers of {incident.subject}", 400)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high}" width="{WIDE}" height="{high}" role="img"><title>{name}</title>'
        f'<style>{STYLE}</style><rect width="{WIDE}" height="{high}" fill="#fff"/>{"".join(parts) or none}</svg>\n'
    )


def _drawn(series: Series, incident: Incident) -> str:
    values = [v for line in (series.own, series.low, series.high, (series.past,)) for v in line if v is not None]
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
    past = f'<path class="past" d="M{LEFT} {y(series.past)}H{WIDE - 8}"/>' if series.past is not None else ""
    marks = _mark(x(incident.began), "onset", 11, "4 3") + _mark(x(incident.noticed), "noticed", FLOOR + 40, "1 2")
    shown = (bottom + pad, top - pad) if top - bottom > 2.5 * pad else (bottom + pad,)
    levels = "".join(
        f'<text x="{LEFT - 5}" y="{y(v) + 4}" text-anchor="end">{esc(number(v, series.unit))}</text>' for v in shown
    )  # fmt: skip
    return (
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDE - LEFT - 8}" height="{FLOOR - TOP}"/>'
        f'<polygon class="band" points="{band}"/><path class="mid" d="{middle}"/>{past}<path class="own" d="{own}"/>'
        f"{marks}{levels}{_track(series, incident, x)}"
        f'<text x="{LEFT}" y="{HIGH - 6}">{utc(series.begin)}</text>'
        f'<text x="{WIDE - 8}" y="{HIGH - 6}" text-anchor="end">{utc(series.end)}</text>'
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
