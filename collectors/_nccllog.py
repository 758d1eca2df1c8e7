"""Log: lines of NCCL_DEBUG output that tell of failover, errors that were retried, and ports that became slower.

None of it shows in a metric: a failover is one line. Sources: NVIDIA/nccl src/transport/net_ib (texts of 2.28 to 2.30), user guide
"NCCL_DEBUG". Texts differ between versions and are matched loosely.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ._ncclinspector import clean

PREFIX = re.compile(r"(?:\[[0-9 :.T-]{8,32}\] )?(?P<host>[A-Za-z0-9_.-]{1,253}):(?P<pid>\d{1,9}):\d{1,9} \[(?P<gpu>\d{1,4})\] ")
#: Code and kind of event, and its text. Quantifiers are bounded: these run on lines from outside.
NIC = r"NET/IB ?: ?(?P<nic>[^\s:]{1,64})(?::(?P<port>\d{1,3}))?"
LINES = (
    ("failover", "failover", re.compile(r"NET/IB ?: ?Device \d{1,4} marked as failed\. Initiating recovery\?")),
    ("failover", "qp_replaced", re.compile(r"NET/IB.{0,200}Replacing QP")),
    ("failover", "carried_on", re.compile(r"NET/IB.{0,300}The error is not fatal")),
    ("recovered", "recovered", re.compile(r"NET/IB.{0,200}(?:Port recovery succeeded|has been recovered)")),
    ("net_error", "completion_error", re.compile(r"NET/IB ?: ?Got completion (?:from peer|with error)(?:.{0,600}?hca (?P<nic>\S{1,64}))?")),
    ("async_event", "async_event", re.compile(NIC + r" Got (?:non-fatal|fatal) async event: ")),
    ("speed_down", "speed_change", re.compile(rf"(?:{NIC}.{{0,99}} )?speed change detected: (?P<old>\d{{1,9}}) -> (?P<new>\d{{1,9}}) Mbps")),
)  # fmt: skip


class Told(NamedTuple):
    """One line: who wrote it, and about which NIC (``""``: the host)."""

    host: str
    pid: int
    code: str
    kind: str
    nic: str
    text: str

    @property
    def subject(self) -> str:
        """Return the component that it is about."""
        return f"{self.host}/{self.nic}" if self.nic else self.host


def read(line: str) -> Told | None:
    """Return what a line tells, None if it is one of the many others.

    Examples
    --------
    >>> told = read("n017:4242:4300 [3] NCCL INFO NET/IB : mlx5_0:1 Got non-fatal async event: port error(10)")
    >>> told.subject, told.code
    ('n017/mlx5_0', 'async_event')
    >>> read("n017:4242:4300 [3] NCCL INFO Connected all rings") is None
    True
    """
    if "NET/IB" not in line and "speed change" not in line:
        return None
    prefix = PREFIX.match(line[:400])
    if prefix is None:
        return None
    rest = line[prefix.end() : prefix.end() + 2000]
    for code, kind, pattern in LINES:
        found = pattern.search(rest)
        if found is None:
            continue
        said = found.groupdict()
        if code == "speed_down" and int(said["new"]) >= int(said["old"]):
            code = "async_event"  # faster again: told, but nothing is lost
        nic = clean(said.get("nic") or "")
        nic += f"/p{said['port']}" if nic and said.get("port") not in (None, "1") else ""
        return Told(clean(prefix["host"]), int(prefix["pid"]), code, kind, "" if nic in ("IB", "NET") else nic, _text(rest))
    return None


def _text(rest: str) -> str:
    return "".join(c if c.isprintable() else " " for c in rest)[:300]
