"""Bonding: what /proc/net/bonding tells of a bond and its members, also of one that is up and yet carries nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

#: Lines of a file, members of a bond.
LINES, MEMBERS = 4096, 64


@dataclass(slots=True)
class Member:
    """One interface of a bond."""

    name: str
    up: bool = False
    failures: int | None = None
    aggregator: str = ""
    churned: bool = False


@dataclass(slots=True)
class Bond:
    """One bond; `aggregator` is the active one, ``""`` outside 802.3ad."""

    mode: str = ""
    aggregator: str = ""
    members: list[Member] = field(default_factory=list)

    @property
    def active(self) -> int:
        """Members whose link is up."""
        return sum(m.up for m in self.members)

    @property
    def aggregated(self) -> int | None:
        """Members that are up, in the active aggregator and not churned; None outside 802.3ad."""
        return sum(m.up and m.aggregator == self.aggregator and not m.churned for m in self.members) if self.aggregator else None


def parse(text: str, reject: Callable[[str], None]) -> Bond:
    r"""Return what a file says; a number that is none is counted (``not_a_number``).

    Source: Linux networking/bonding, and the driver's bond_procfs.c for the order of its lines.

    Examples
    --------
    >>> bond = parse("Bonding Mode: fault-tolerance\nMII Status: up\n\nSlave Interface: eth1\nMII Status: down\nLink Failure Count: 3", print)
    >>> bond.active, [(m.name, m.up, m.failures) for m in bond.members]
    (0, [('eth1', False, 3)])
    """
    bond = Bond()
    for line in text.splitlines()[:LINES]:
        key, _, value = line[:512].partition(":")
        key, value = key.strip(), value.strip()
        if key == "Slave Interface":
            if len(bond.members) >= MEMBERS or not value.isprintable() or "/" in value or not value:
                reject("bad_line")
                break
            bond.members.append(Member(value))
        elif not bond.members:
            # Before the first member: the bond's own lines.
            if key == "Bonding Mode":
                bond.mode = value
            elif key == "Aggregator ID":
                bond.aggregator = value
        else:
            _member(bond.members[-1], key, value, reject)
    return bond


def _member(member: Member, key: str, value: str, reject: Callable[[str], None]) -> None:
    if key == "MII Status":
        member.up = value == "up"
    elif key == "Link Failure Count":
        if value.isascii() and value.isdigit() and len(value) < 20:
            member.failures = int(value)
        else:
            reject("not_a_number")
    elif key == "Aggregator ID":
        member.aggregator = value
    elif key in ("Actor Churn State", "Partner Churn State"):
        member.churned |= value == "churned"
