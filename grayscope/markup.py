"""Markup: texts as HTML that no name can break out of, for pages and notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from grayscope.errors import shorten


def esc(text: object, most: int = 300) -> str:
    """Return a text that is safe between tags and in quoted attributes: one line, nothing invisible, of bounded length.

    Examples
    --------
    >>> esc('<script>"x"'), esc("a\\u202eb")
    ('&lt;script&gt;&quot;x&quot;', 'a\\\\u202eb')
    """
    return html.escape(shorten(text, most), quote=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numeric: frozenset[int] = frozenset()) -> str:
    """Return a table that scrolls by itself where it is too wide; cells are escaped here.

    Examples
    --------
    >>> "<td>&lt;b&gt;</td>" in table(["name"], [["<b>"]])
    True
    """
    names = "".join(f"<th scope=col>{esc(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td{' class=r' if n in numeric else ''}>{esc(c)}</td>" for n, c in enumerate(row)) + "</tr>" for row in rows)
    return f"<div class=wide tabindex=0><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>"


def explanation(text: str) -> str:
    """Return the lines of `grayscope.explaining.explain` as a list of labels and texts.

    Examples
    --------
    >>> explanation("what: n1 is gray: x")
    '<dl><dt>what</dt><dd>n1 is gray: x</dd></dl>'
    """
    lines = "".join(f"<dt>{esc(a)}</dt><dd>{esc(b, 450)}</dd>" for a, _, b in (line.partition(": ") for line in text.splitlines()))
    return f"<dl>{lines}</dl>"
