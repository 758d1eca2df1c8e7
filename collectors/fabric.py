"""Fabric: InfiniBand, RoCE and Ethernet ports of this machine: counters, state, rate, statistics of the driver, bonds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from grayscope.catalogue import Catalogue
from grayscope.errors import Unsupported
from grayscope.message import Message

from ._bonding import parse
from ._ethtool import Ethtool
from ._linkstate import Links
from ._machine import AGAIN, Source
from ._modules import Modules
from ._ports import ACTIVE, DEVICES, DISABLED, INTERFACES, Port, interfaces, ports, rate, state
from ._traffic import WORDS, Traffic

BONDS = "proc/net/bonding"
LANE = re.compile(r"rx_err_lane_([0-9])_phy", re.ASCII)
PAUSE = re.compile(r"([rt]x)_prio([0-7])_pause_duration", re.ASCII)
#: Counters of sysfs that stick at 255 or 65,535, and the driver's wide ones that tell the same.
WIDER = {"symbol_error": ("rx_pcs_symbol_err_phy", "rx_symbol_err_phy"), "link_downed": ("link_down_events_phy",), "port_xmit_discards": ("tx_discards_phy",)}
MEGABIT = 125_000.0


class Fabric(Source):
    """Looks at every port: what it corrected, dropped, sent again and waited for, whether it is up, how fast, and what share it carries.

    Reads ``/sys/class/infiniband/*/ports/*/{state,phys_state,rate,counters/*,hw_counters/*}``, ``/sys/class/net/*`` of interfaces that are
    hardware, the driver's statistics by ioctl SIOCETHTOOL, the sensors of transceivers that mlx5 shows, and ``/proc/net/bonding/*``; no
    privileges. About 45 files and one ioctl per port (0.3 ms, plus what the firmware takes: counters are cached by it for 10 ms). A counter
    that cannot be read (as on virtual functions, whose every read makes the driver log a line) is left alone for 60 looks. What it cannot
    see: the far end, errors per lane without mlx5's statistics, which rail a port is (the roster says so), counters of ports that a
    hypervisor keeps to itself.

    Names: Linux ABI document sysfs-class-infiniband, mlx5 counters (networking/device_drivers/ethernet/mellanox/mlx5/counters),
    sysfs-class-net, networking/bonding.

    Parameters
    ----------
    root : path
        Where ``sys`` and ``proc`` are.
    node : str
        Name of this node, the kernel's host name by default.
    clock : callable
        Seconds since 1970.
    catalogue : Catalogue, optional
    statistics : callable, optional
        Returns the driver's statistics of an interface; the kernel's own by default, nobody's under another root.

    Raises
    ------
    Unsupported
        Neither an RDMA device nor a network interface that is hardware.
    """

    def __init__(
        self, root: str | Path = "/", *, node: str = "", clock: Callable[[], float] = time.time, catalogue: Catalogue | None = None,
        statistics: Callable[[str], dict[str, int]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(root, node=node, clock=clock, catalogue=catalogue)
        if not self.tree.names(DEVICES) and not interfaces(self.machine):
            raise Unsupported(f"fabric: no port in {self.tree.path(DEVICES)} or {self.tree.path(INTERFACES)}: needs a NIC that this container can see")
        self.statistics = statistics or (Ethtool().read if str(root) == "/" else lambda _: {})
        catalogue = self.samples.live.series.naming.catalogue
        self.known = {alias for m in catalogue.metrics.values() if m.table == "nic" for alias in m.aliases}
        self.traffic = Traffic()
        self.links, self.modules = Links(), Modules(self.tree)
        self._downs: dict[str, float] = {}
        self._largest: dict[str, int] = {}
        self._silent: dict[str, int] = {}
        self._names: list[str | None] = []
        self._found: tuple[dict[str, str], list[Port]] = ({}, [])
        self._counters: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._due = 0

    def look(self, now: int) -> Iterable[Message]:
        """Add every port and bond; return an event for each that went down or came up."""
        (named, found), self._downs = self._there(), {}
        wide: dict[str, dict[str, int]] = {}
        for name, subject in named.items():
            # Several interfaces may be one port's, such as those that stand for virtual functions: the port's own has the physical counters.
            wide[subject] = self._driver(name) | wide.get(subject, {})
        up = {port.subject: self._port(port, wide.get(port.subject, {})) for port in found}
        keys = {port.subject: port.keys for port in found}
        for name, subject in named.items():
            lone = self._interface(name, subject, rdma=subject in keys, rail=not found)
            up.setdefault(subject, lone)
        for subject, numbers in wide.items():
            self._numbers(subject, numbers, keys.get(subject, {}))
        self.traffic.shares(found, now, self.samples)
        self._bonds(named)
        return self.links.events(up, self._downs, now, {subject: name for name, subject in named.items()})

    def _there(self) -> tuple[dict[str, str], list[Port]]:
        """Return interfaces and ports: looked up anew where devices came or went, and now and then."""
        devices = self.tree.names(DEVICES)
        names = [*devices, *self.tree.names(INTERFACES), *(self.tree.text(f"{DEVICES}/{d}/node_guid") for d in devices)]
        if names != self._names or self.tree.looks >= self._due:
            self._names, self._due = names, self.tree.looks + AGAIN
            self.tree.release()
            self._found = interfaces(self.machine), ports(self.machine)
            self._counters = {f"{p.path}/{folder}": self._offered(f"{p.path}/{folder}") for p in self._found[1] for folder in ("counters", "hw_counters")}
        return self._found

    def _offered(self, folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return names and paths of the counters in a folder that somebody knows."""
        names = tuple(name for name in self.tree.names(folder) if name in self.known)
        return names, tuple(f"{folder}/{name}" for name in names)

    def _driver(self, name: str) -> dict[str, int]:
        """Return an interface's statistics; one that refuses is asked again after 60 looks."""
        if self._silent.get(name, 0) > self.tree.looks:
            return {}
        try:
            return self.statistics(name)
        except OSError:
            self.tree.reject("no_statistics")
            self._silent[name] = self.tree.looks + 60
            return {}

    def _port(self, port: Port, wide: dict[str, int]) -> bool | None:
        """Add a port's state, rate and counters; return whether it is up, None where somebody has switched it off."""
        number, physical = (state(self.tree.text(f"{port.path}/{file}", hold=True)) for file in ("state", "phys_state"))
        add = self.samples.add
        add(port.subject, "nic_port_state", number, **port.keys)
        add(port.subject, "nic_port_physical_state", physical, **port.keys)
        up = number == ACTIVE if number is not None and physical != DISABLED else None
        add(port.subject, "nic_port_up", None if up is None else float(up), **port.keys)
        speed = rate(self.tree.text(f"{port.path}/rate", hold=True))
        # What a port that is down gives as its rate is a default of the driver's.
        if up and speed is not None:
            add(port.subject, "nic_port_rate_bytes_per_second", speed[0], **port.keys)
            add(port.subject, "nic_port_lanes_active", speed[1], **port.keys)
        self._module(port)
        told_better = {name for name, others in WIDER.items() if any(other in wide for other in others)}
        for folder in ("counters", "hw_counters"):
            self._count(port, *self._counters[f"{port.path}/{folder}"], told_better)
        return up

    def _count(self, port: Port, names: tuple[str, ...], paths: tuple[str, ...], without: set[str]) -> None:
        """Add what the files of a folder count."""
        if not without.isdisjoint(names):
            left = [(n, p) for n, p in zip(names, paths, strict=True) if n not in without]
            names, paths = tuple(n for n, _ in left), tuple(p for _, p in left)
        values = self.tree.numbers(paths)
        self.samples.add_all(port.subject, names, values, **port.keys)
        for name in WORDS:
            if name in names:
                self.traffic.note(port, values[names.index(name)])

    def _module(self, port: Port) -> None:
        device, _, number = port.path.rpartition("/ports/")
        told = self.modules.celsius(device)
        # A card of one port has one module, whatever its number; else modules stand in the order of ports.
        at = int(number) - 1 if len(told) > 1 else 0
        if at < len(told) and (len(told) > 1 or number == "1"):
            self.samples.add(port.subject, "nic_port_transceiver_temperature_celsius", told[at], **port.keys)

    def _interface(self, name: str, subject: str, *, rdma: bool, rail: bool) -> bool | None:
        """Add what sysfs tells of an interface; return whether it is up, None where it never was or is an RDMA device's."""
        path, add = f"{INTERFACES}/{name}", self.samples.add
        downs = self.tree.number(f"{path}/carrier_down_count", hold=True)
        if downs is not None:
            self._downs[subject] = downs
        if rdma:
            return None
        up = self.tree.text(f"{path}/operstate", hold=True) == "up"
        if not up and subject not in self.links.up:
            # Nothing was ever plugged in: no rail is missing.
            return None
        # Beside RDMA ports an interface manages the machine: it is no rail, and none is lost with it.
        add(subject, "nic_port_up", float(up) if rail else None)
        add(subject, "carrier_down_count", downs)
        speed = self.tree.number(f"{path}/speed") if up else None
        add(subject, "nic_port_rate_bytes_per_second", speed * MEGABIT if speed is not None and speed > 0 else None)
        for direction, short in (("receive", "rx"), ("transmit", "tx")):
            add(subject, "nic_port_transferred_bytes_total", self.tree.number(f"{path}/statistics/{short}_bytes", hold=True), direction=direction)
            add(subject, "nic_port_packets_total", self.tree.number(f"{path}/statistics/{short}_packets", hold=True), direction=direction)
        add(subject, "nic_port_receive_errors_total", self.tree.number(f"{path}/statistics/rx_crc_errors", hold=True), **{"class": "crc"})
        return up

    def _numbers(self, subject: str, told: dict[str, int], keys: dict[str, str]) -> None:
        """Add the statistics of the driver that the catalogue knows, and its two families of numbered names."""
        for name, value in told.items():
            if name in self.known:
                self.samples.add(subject, name, value, **keys)
            elif lane := LANE.fullmatch(name):
                self.samples.add(subject, "nic_port_lane_errors_total", value, lane=lane[1], **keys)
            elif pause := PAUSE.fullmatch(name):
                direction = "receive" if pause[1] == "rx" else "transmit"
                self.samples.add(subject, "nic_port_pause_seconds_total", value * 1e-6, direction=direction, priority=pause[2], **keys)

    def _bonds(self, named: dict[str, str]) -> None:
        for name in self.tree.names(BONDS):
            bond = parse(self.tree.text(f"{BONDS}/{name}") or "", self.tree.reject)
            subject = f"{self.machine.node}/{name}"
            # A member whose NIC is gone is no member any more: what the bond once had is what it should have.
            self._largest[name] = max(self._largest.get(name, 0), len(bond.members))
            self.samples.add(subject, "bond_members_expected", self._largest[name])
            self.samples.add(subject, "bond_members_active", bond.active)
            self.samples.add(subject, "bond_members_aggregated", bond.aggregated)
            for member in bond.members:
                self.samples.add(named.get(member.name, f"{self.machine.node}/{member.name}"), "bond_member_failures_total", member.failures)
