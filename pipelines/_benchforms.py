"""Benchforms: the pieces that a page is made of, their Markdown and their HTML, and how figures are written."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grayscope.bootstrap import Interval

HEAD = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>grayscope benchmark</title>'
STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#111827}table{border-collapse:collapse;margin:1em 0}"
    "td,th{border-bottom:1px solid #d1d5db;padding:.25em .7em;text-align:right}td:first-child,th:first-child,.words td,.words th{text-align:left}"
    "code{background:#f3f4f6;padding:.1em .3em}svg{max-width:100%;height:auto}"
)


@dataclass(frozen=True)
class Heading:
    """A title of a level."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Table:
    """Cells are plain text; the first column is a name, the others are numbers unless said."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True


@dataclass(frozen=True)
class Plot:
    """A chart; Markdown shows it from a file of that name beside the page."""

    name: str
    title: str
    svg: str


@dataclass(frozen=True)
class Code:
    """Lines to type."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    texts: Sequence[str]


Piece = Heading | Table | Plot | Code | Points | str


# -- words ----------------------------------------------------------------------------------------------------------


def shown(value: float | None) -> str:
    """Return a figure in few digits.

    Examples
    --------
    >>> shown(None), shown(0.98765), shown(1234.5), shown(0.0)
    ('-', '0.988', '1,230', '0')
    """
    return "-" if value is None else f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def between(value: float | None, ends: Interval | None) -> str:
    """Return a figure with its interval."""
    return shown(value) if ends is None or value is None else f"{shown(value)} ({shown(ends[0])} to {shown(ends[1])})"


def duration(seconds: float | None) -> str:
    """Return a duration in its largest fitting unit.

    Examples
    --------
    >>> duration(90.0), duration(600.0), duration(None)
    ('90 s', '10 min', '-')
    """
    if seconds is None:
        return "-"
    size, unit = next((size, unit) for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (0, "s")) if seconds >= 2 * size or not size)
    return f"{seconds / (size or 1):.3g} {unit}"


# -- forms ----------------------------------------------------------------------------------------------------------


def markdown(page: Sequence[Piece], stem: str) -> str:
    """Return the page as Markdown; plots are files named ``<stem>-<name>.svg``."""
    return "\n\n".join(_marked(piece, stem) for piece in page) + "\n"


def _marked(piece: Piece, stem: str) -> str:
    if isinstance(piece, Heading):
        return f"{'#' * piece.level} {piece.text}"
    if isinstance(piece, Plot):
        return f"![{piece.title}]({stem}-{piece.name}.svg)"
    if isinstance(piece, Code):
        return f"```sh\n{piece.text}\n```"
    if isinstance(piece, Points):
        return "\n".join(f"- {text}" for text in piece.texts)
    if isinstance(piece, Table):
        lines = [piece.head, ["---", *("---:" if piece.numbers else "---" for _ in piece.head[1:])], *piece.rows]
        return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
    return piece


def document(page: Sequence[Piece]) -> str:
    """Return the page as one HTML file with the plots inside."""
    body = "\n".join(_tagged(piece) for piece in page)
    return f"{HEAD}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"


def _tagged(piece: Piece) -> str:
    if isinstance(piece, Heading):
        return f"<h{piece.level}>{html.escape(piece.text)}</h{piece.level}>"
    if isinstance(piece, Plot):
        return piece.svg
    if isinstance(piece, Code):
        return f"<pre><code>{html.escape(piece.text)}</code></pre>"
    if isinstance(piece, Points):
        return f"<ul>{''.join(f'<li>{_inline(text)}</li>' for text in piece.texts)}</ul>"
    if isinstance(piece, Table):
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in piece.head)
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>\n" for row in piece.rows)
        kind = "" if piece.numbers else ' class="words"'
        return f"<table{kind}><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"
    return f"<p>{_inline(piece)}</p>"


def _inline(text: str) -> str:
    """Return text with what stands between backquotes as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if k % 2 else part for k, part in enumerate(parts))
