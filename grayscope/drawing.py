"""Drawing: a small chart of lines or points as SVG text, for pages that must not need a plotting package."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 100, 190, 40, 56
COLOURS = ("#0b5fa5", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be185d", "#0f766e", "#4b5563", "#b91c1c", "#4d7c0f", "#1e3a8a", "#86198f")
#: Room for a name beside a dot.
LABEL = 76
#: Lines are told apart by their dashes too, for those who do not see the colours.
DASHES = ("", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Axis:
    """One axis.

    Parameters
    ----------
    title : str
    ticks : sequence of (value, label)
        Ascending; the first and the last are the ends of the axis.
    log : bool
        Equal ratios are equally far apart; values below the first tick are drawn on it.
    """

    title: str
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies: 0 at the first tick, 1 at the last.

        Examples
        --------
        >>> Axis("s", [(1, "1"), (100, "100")], log=True).place(10), Axis("", [(0, "0"), (4, "4")]).place(9)
        (0.5, 1.0)
        """
        low, high, at = (self._scale(v) for v in (self.ticks[0][0], self.ticks[-1][0], max(value, self.ticks[0][0])))
        return min((at - low) / (high - low), 1.0)

    def _scale(self, value: float) -> float:
        return math.log10(value) if self.log else value


def chart(title: str, across: Axis, up: Axis, series: Mapping[str, Sequence[tuple[float, float]]], thick: str = "") -> str:
    """Return an SVG document: a series of one point is a dot with its name beside it, one of several a line.

    Parameters
    ----------
    title : str
    across, up : Axis
    series : mapping of str to sequence of (x, y)
        By name, in the order of the legend; an empty one is left out.
    thick : str
        The series that stands out.

    Examples
    --------
    >>> axis = Axis("share", [(0, "0"), (1, "1")])
    >>> chart("t", axis, axis, {"a<b": [(0, 0), (1, 1)]}).count("a&lt;b")
    2
    """
    shown = {name: points for name, points in series.items() if points}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 22, title, size=14),
        *_grid(across, up),
    ]
    x, y = _placers(across, up)
    for n, (name, points) in enumerate(shown.items()):
        colour, wide = COLOURS[n % len(COLOURS)], 3.5 if name == thick else 1.6
        parts += _mark(n, name, [(x(a), y(b)) for a, b in points], colour, wide)
        top = TOP + 8 + 20 * n
        parts += _mark(n, "", [(WIDTH - RIGHT + 16, top), (WIDTH - RIGHT + 44, top)] if len(points) > 1 else [(WIDTH - RIGHT + 30, top)], colour, wide)
        parts.append(_text(WIDTH - RIGHT + 52, top + 4, name))
    parts += _labels({name: (x(a), y(b)) for name, points in shown.items() if len(points) == 1 for a, b in points})
    return "\n".join([*parts, "</svg>\n"])


def _placers(across: Axis, up: Axis) -> tuple[Callable[[float], float], Callable[[float], float]]:
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return lambda v: LEFT + wide * across.place(v), lambda v: TOP + high * (1 - up.place(v))


def _grid(across: Axis, up: Axis) -> list[str]:
    x, y = _placers(across, up)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [_line([(x(v), TOP), (x(v), bottom)], "#e5e7eb", 1) + _text(x(v), bottom + 18, label, "middle") for v, label in across.ticks]
    parts += [_line([(LEFT, y(v)), (right, y(v))], "#e5e7eb", 1) + _text(LEFT - 8, y(v) + 4, label, "end") for v, label in up.ticks]
    middle = (TOP + bottom) / 2
    turned = f'<g transform="translate(16 {middle:.1f}) rotate(-90)">{_text(0, 0, up.title, "middle")}</g>'
    return [*parts, _line([(LEFT, TOP), (LEFT, bottom), (right, bottom)], "#111827", 1), _text((LEFT + right) / 2, HEIGHT - 14, across.title, "middle"), turned]


def _mark(n: int, name: str, points: Sequence[tuple[float, float]], colour: str, wide: float) -> list[str]:
    """Return a line with its dots; the name appears where a pointer rests on it."""
    note = f"<title>{html.escape(name)}</title>" if name else ""
    radius = 3.0 if len(points) > 1 else 3 + wide
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">{note}</circle>' for x, y in points]
    return [*([_line(points, colour, wide, DASHES[n % len(DASHES)])] if len(points) > 1 else []), *(dots[-1:] if name and len(points) > 1 else dots[:1])]


def _labels(dots: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the name beside each dot, on the side with room; one that would cover another moves up."""
    placed: list[tuple[float, float]] = []
    parts = []
    for name, (x, y) in sorted(dots.items(), key=lambda d: (-d[1][1], d[0])):
        left = x > WIDTH - RIGHT - LABEL
        at = (x - LABEL if left else x, y)
        while any(abs(at[0] - a) < LABEL and abs(at[1] - b) < 12 for a, b in placed):
            at = (at[0], at[1] - 4)
        placed.append(at)
        parts.append(_text(x + (-9 if left else 9), at[1] - 4, name, "end" if left else "start", 11))
    return parts


def _line(points: Sequence[tuple[float, float]], colour: str, wide: float, dashes: str = "") -> str:
    broken = f' stroke-dasharray="{dashes}"' if dashes else ""
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{wide}"{broken}/>'


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="#111827">{html.escape(text)}</text>'
