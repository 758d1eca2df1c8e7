"""Kubernetes: Events about nodes, or conditions of nodes, as JSON lines for a person or a controller of yours to apply."""

from __future__ import annotations

import hashlib
import json
import re

from grayscope.errors import UsageError
from grayscope.handing import Note, camel
from grayscope.promtext import bounded
from grayscope.sinks._handed import Handed
from grayscope.wording import utc

#: Bytes of a message that the API server takes.
MESSAGE = 1024
NODE = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


class Kubernetes(Handed):
    """Write one object a line. Neither form changes where pods run; grayscope itself asks the API server for nothing.

    Parameters
    ----------
    path : str
        A file to which lines are appended; ``-`` for standard output.
    least : str
        Severity from which on an incident is written.
    conditions : bool
        Write the condition ``GrayFailure`` of each node, by its gravest incident, instead of an Event per incident.
    """

    by_hand = "kubectl create -f FILE    (an Event that is there already is refused, so it may be repeated)"

    def __init__(self, path: str, *, least: str = "ticket", conditions: bool = False) -> None:
        super().__init__(path, least=least)
        if not isinstance(conditions, bool):
            raise UsageError(f"conditions: expected true or false, found {str(conditions)[:80]!r}")
        self.by_node = conditions
        if conditions:
            self.by_hand = "for a controller that keeps the conditions of nodes, as node-problem-detector does"

    def line(self, n: Note, over: bool) -> str:
        """Return one JSON object; a name that no node can have is told nobody."""
        if not NODE.fullmatch(n.node):
            return ""
        return json.dumps({"node": n.node, "condition": condition(n, over)} if self.by_node else event(n, over))


def event(n: Note, over: bool) -> dict[str, object]:
    """Return a core/v1 Event about the node; its name is the same each time it is made.

    Examples
    --------
    >>> made = event(Note("ab", "n1", "n1/gpu3", "page", "gray", "slow_rank", 0, 5_000_000, summary="n1/gpu3 is gray"), False)
    >>> made["reason"], made["type"], made["message"], made["firstTimestamp"]
    ('SlowRank', 'Warning', 'n1/gpu3 is gray (incident ab)', '1970-01-01T00:00:05Z')
    """
    key = hashlib.blake2b(repr((*n.identity, n.time, over)).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{n.node[:200].rstrip('.-')}.{key}", "namespace": "default"},
        "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": n.node, "uid": n.node},
        "type": "Normal" if over else "Warning", "reason": named(n) + ("Over" if over else ""), "message": message(n, over),
        "source": {"component": "grayscope"}, "reportingComponent": "grayscope", "reportingInstance": "grayscope",
        "firstTimestamp": utc(n.time), "lastTimestamp": utc(n.time), "count": 1,
    }  # fmt: skip


def condition(n: Note, over: bool) -> dict[str, str]:
    """Return a node's condition; `True` is the trouble, as with all conditions but ``Ready``."""
    told = {"reason": "NoGrayFailure", "message": "grayscope sees no gray failure"} if over else {"reason": named(n), "message": message(n, over)}
    return {"type": "GrayFailure", "status": "False" if over else "True", **told, "lastTransitionTime": utc(n.time), "lastHeartbeatTime": utc(n.time)}


def named(n: Note) -> str:
    """Return the reason: the mode, else the state, in CamelCase."""
    return camel(n.mode or n.state) or "Gray"


def message(n: Note, over: bool) -> str:
    """Return one line of at most 1,024 bytes, without control characters."""
    end = _line(f" (incident {n.incident})")
    text = _line(f"{bounded(n.subject)} is as it was" if over else n.summary[:MESSAGE])
    return text.encode()[: MESSAGE - len(end.encode())].decode("utf-8", "ignore") + end


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode())
