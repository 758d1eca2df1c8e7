"""Promtext: samples as Prometheus or OpenMetrics text; names and values from outside cannot break it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

#: Characters of a label's value.
LONG = 256
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Sample(NamedTuple):
    """One value of a series; `labels` may be text that is escaped already."""

    name: str
    kind: str
    labels: Mapping[str, str] | str
    value: float


def families(
    samples: Iterable[tuple[str, str, Mapping[str, str] | str, float]], openmetrics: bool = False, says: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield lines, each family's together; OpenMetrics names a counter's family without ``_total``.

    Parameters
    ----------
    samples : iterable of (name, type, labels, value)
    openmetrics : bool
    says : mapping of str to str, optional
        What a family means.

    Examples
    --------
    >>> print(*families([("x_total", "counter", {"a": 'b"'}, 2.0)], says={"x_total": "Things."}), sep="\\n")
    # HELP x_total Things.
    # TYPE x_total counter
    x_total{a="b\\""} 2.0
    """
    found: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for name, kind, labels, value in samples:
        text = labels if isinstance(labels, str) else ",".join(f'{k}="{escape(v)}"' for k, v in labels.items())
        kinds.setdefault(name, kind)
        found.setdefault(name, []).append(f"{name}{{{text}}} {value!r}" if text else f"{name} {value!r}")
    for name, lines in found.items():
        family = name.removesuffix("_total") if openmetrics and kinds[name] == "counter" else name
        if says and name in says:
            yield f"# HELP {family} {says[name]}"
        yield f"# TYPE {family} {kinds[name]}"
        yield from lines


def page(lines: Iterable[str], openmetrics: bool) -> tuple[bytes, str]:
    """Return a page and its content type."""
    text = "\n".join([*lines, "# EOF", ""] if openmetrics else [*lines, ""])
    return text.encode("utf-8", "replace"), OPEN if openmetrics else PLAIN


def escape(text: str) -> str:
    r"""Return a label value that cannot end its quotes; see `bounded`.

    Examples
    --------
    >>> print(escape('a"b\\c\n'))
    a\"b\\c\n
    """
    return bounded(text).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def bounded(text: str, limit: int = LONG) -> str:
    """Return a text of at most `limit` characters; a longer one is cut and gets a sum at its end, so that two of them stay two.

    Examples
    --------
    >>> bounded("n1"), len(bounded("x" * 10_000)), bounded("x" * 999) == bounded("x" * 1000)
    ('n1', 256, False)
    """
    if len(text) <= limit:
        return text
    end = "…" + hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
    return text[: limit - len(end)] + end


def is_name(text: str) -> bool:
    """Say whether a text can name a metric.

    Examples
    --------
    >>> is_name("grayscope_lag_messages"), is_name('a"b')
    (True, False)
    """
    return re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text) is not None
