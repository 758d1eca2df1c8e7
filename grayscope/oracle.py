"""Oracle: what one would say who names every fault at once, exactly and in one incident each; the rules of scoring keep even that one below 1.

Where one place has two troubles, the incident of the first matches the second as well, and is there before the second's own: that one comes
second, as a repeat, and the second row is not found exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from grayscope.matching import Row, Said


def oracle(rows: Iterable[Row]) -> list[Said]:
    """Return one incident per fault, in order of time; rows of one subject and mode that follow each other without a gap are one fault.

    Examples
    --------
    >>> first = Row("n1", "fan_degraded", "masked", 100, 200)
    >>> [(i.subject, i.history, i.ended) for i in oracle([first, Row("n1", "fan_degraded", "gray", 200, 300), Row("n1", "fan_degraded", "gray", 500, 600)])]
    [('n1', ((100, 'masked', 'ticket'), (200, 'gray', 'page')), 300), ('n1', ((500, 'gray', 'page'),), 600)]
    """
    made = [_said(n, some) for n, some in enumerate(_faults(rows))]
    return sorted(made, key=lambda i: (i.history[0][0], i.id))


def _faults(rows: Iterable[Row]) -> Iterator[list[Row]]:
    fault: list[Row] = []
    for row in sorted(rows, key=lambda r: (r.subject, r.mode, r.began)):
        if fault and (row.subject, row.mode) == (fault[0].subject, fault[0].mode) and row.began <= max(r.ended for r in fault):
            fault.append(row)
            continue
        if fault:
            yield fault
        fault = [row]
    if fault:
        yield fault


def _said(n: int, fault: list[Row]) -> Said:
    history = tuple((row.began, row.state, "ticket" if row.state == "masked" else "page") for row in fault)
    return Said(f"{n:06d}", fault[0].subject, history[-1][2], fault[0].mode, (), history, max(row.ended for row in fault))
