"""Slurm: one line of reason per node, as text: node, reason, and the command with which a person would write it down."""

from __future__ import annotations

import re
import shlex

from grayscope.handing import Note, measured, plain
from grayscope.sinks._handed import Handed
from grayscope.wording import utc

#: Bytes of a reason that Slurm's accounting keeps.
LONGEST = 255
#: Whatever else Slurm reads as a list of nodes: ``n[1-9]``, ``a,b``, ``ALL``.
NODE = re.compile(r"(?!(?i:all|nodeset)$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Slurm(Handed):
    """Write ``node TAB reason TAB command``, the gravest of each node; a reason that is over is empty.

    Nothing is drained and nothing is run: the command sets a node's comment, which the scheduler does not read, or takes ours away again.
    """

    by_node = True
    by_hand = "the third column; it sets a comment, which the scheduler does not read"

    def line(self, n: Note, over: bool) -> str:
        """Return one line; a name that Slurm could take for several nodes is told nobody."""
        if not NODE.fullmatch(n.node):
            return ""
        if over:
            ours = rf"scontrol show node {n.node} | grep -q 'Comment=\[grayscope\]' && scontrol update NodeName={n.node} Comment="
            return f"{n.node}\t\t{ours}"
        return f"{n.node}\t{reason(n)}\tscontrol update NodeName={n.node} Comment={shlex.quote(reason(n))}"


def reason(n: Note) -> str:
    """Return a reason.

    Examples
    --------
    >>> reason(Note("ab", "n1", "n1/gpu3", "page", "gray", "slow_rank", 0, 0, "gpu_clock_hertz", 1.8e9, 2e9, 511))
    '[grayscope] gpu_clock_hertz gpu3 x0.9 vs 511 peers since 1970-01-01T00:00:00Z'
    >>> reason(Note("ab", "n1", "n1", "ticket", "failed", "gpu_lost", 0, 0))
    '[grayscope] gpu_lost node since 1970-01-01T00:00:00Z'
    """
    signal = plain(n.metric.partition("{")[0] or n.mode or n.state, 64)
    return " ".join(part for part in ("[grayscope]", signal, plain(n.device, 64), measured(n), "since", utc(n.began)) if part)[:LONGEST]
