"""Seat: where a subject sits, as far as the roster knows: its kind, its node and the switch above it."""

from __future__ import annotations

from grayscope.roster import View


def seat(subject: str, view: View | None) -> dict[str, str]:
    """Return ``table``, ``node`` and ``leaf`` of a subject, each only where it is known.

    A switch sits under itself, and so do its ports; a group that was found guilty by its name has no row of its own.

    Examples
    --------
    >>> from grayscope.roster import RosterRow
    >>> rows = [RosterRow("n1", "node", keys={"leaf": "leaf04"}), RosterRow("n1/gpu0", "gpu"), RosterRow("leaf05", "leaf"), RosterRow("a>b", "path")]
    >>> view = View(0, {row.subject: row for row in rows})
    >>> seat("n1/gpu0", view), seat("leaf04", view), seat("leaf05/p1", view), seat("a>b", view)
    ({'table': 'gpu', 'node': 'n1', 'leaf': 'leaf04'}, {'table': 'leaf', 'leaf': 'leaf04'}, {'leaf': 'leaf05'}, {'table': 'path'})
    """
    if view is None:
        return {}
    root = subject.partition("/")[0]
    of = view.rows.get(subject), view.rows.get(root)
    table = of[0].table if of[0] is not None else ""
    kind = of[1].table if of[1] is not None else "leaf" if root in view.leaves else ""
    leaf = root if kind == "leaf" else next((row.keys["leaf"] for row in of if row is not None and row.keys.get("leaf")), "")
    found = {"table": table or (kind if subject == root else ""), "node": root if kind == "node" else "", "leaf": leaf}
    return {key: value for key, value in found.items() if value}
