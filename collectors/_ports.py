"""Ports: the ports of InfiniBand and RoCE devices in sysfs, and which network interface is which port."""

from __future__ import annotations

import re
from typing import NamedTuple

from ._machine import Machine

DEVICES, INTERFACES = "sys/class/infiniband", "sys/class/net"
RATE = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,2})?) Gb/sec(?: \(([0-9]{1,2})X)?", re.ASCII)
STATE = re.compile(r"([0-9]{1,2})(?::.*)?", re.ASCII)
#: IBTA: port state 4 is active; physical state 3 is disabled, by somebody.
ACTIVE, DISABLED = 4, 3


class Port(NamedTuple):
    """One port: its folder in sysfs, its name in the node (as exporters' labels make it), kind of link and keys for the roster."""

    path: str
    subject: str
    layer: str
    keys: dict[str, str]


def ports(machine: Machine) -> list[Port]:
    """Return all ports of all devices."""
    found, tree = [], machine.tree
    for device in tree.names(DEVICES):
        told = {key: tree.text(f"{DEVICES}/{device}/{file}") for key, file in (("sku", "board_id"), ("serial", "node_guid"))}
        keys = {key: value[:64] for key, value in told.items() if value}
        for number in tree.names(f"{DEVICES}/{device}/ports"):
            if re.fullmatch(r"[0-9]{1,3}", number):
                path = f"{DEVICES}/{device}/ports/{number}"
                found.append(Port(path, _subject(machine.node, device, number), (tree.text(f"{path}/link_layer") or "")[:16], keys))
    return found


def interfaces(machine: Machine) -> dict[str, str]:
    """Return the interfaces that are hardware, with their subjects: the port's of an RDMA device at the same PCI address, else their own."""
    tree, found = machine.tree, {}
    devices = {at: d for d in tree.names(DEVICES) if (at := machine.pci(f"{DEVICES}/{d}/device"))}
    for name in tree.names(INTERFACES):
        if not tree.has(f"{INTERFACES}/{name}/device"):
            continue
        device = devices.get(machine.pci(f"{INTERFACES}/{name}/device"))
        port = int(tree.number(f"{INTERFACES}/{name}/dev_port") or 0) + 1
        numbers = tree.names(f"{DEVICES}/{device}/ports") if device else []
        # Functions of one port each call it their first; two ports of one function count from zero.
        found[name] = _subject(machine.node, device, str(port) if str(port) in numbers else "1") if device else f"{machine.node}/{name}"
    return found


def state(text: str | None) -> int | None:
    """Return the number of a state such as ``4: ACTIVE``, None where there is none."""
    match = STATE.fullmatch(text or "")
    return int(match[1]) if match else None


def rate(text: str | None) -> tuple[float, float | None] | None:
    """Return (bytes per second, lanes) of a rate, None where there is none.

    Examples
    --------
    >>> rate("400 Gb/sec (4X NDR)"), rate("2.5 Gb/sec (1X SDR)"), rate("fast")
    ((50000000000.0, 4.0), (312500000.0, 1.0), None)
    """
    match = RATE.match(text or "")
    return (float(match[1]) * 1.25e8, float(match[2]) if match[2] else None) if match else None


def _subject(node: str, device: str, number: str) -> str:
    return f"{node}/{device}" + ("" if number == "1" else f"/p{number}")
