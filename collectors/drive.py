"""Drive: how long this machine's disks take, what spare NVMe drives have left, and which RAID arrays miss a member."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError, Unsupported
from grayscope.message import Message

from ._diskstats import Disk, between, disks
from ._machine import Source
from ._nvmelog import Health, ask, health

NVME = "sys/class/nvme"
#: Looks from one health page to the next: the controller has to work for it, and what it tells changes slowly.
SELDOM = 6
#: States of an array that stand for "it serves" (Linux, admin-guide/md); all others do not.
SERVING = ("clean", "active", "active-idle", "write-pending", "read-auto", "readonly")
REBUILDING = ("resync", "recover", "reshape")


class Drive(Source):
    """Looks at disks, NVMe controllers and md arrays.

    Reads ``/proc/diskstats``, ``/sys/block/md*/md/{degraded,array_state,sync_action}``, ``/sys/class/nvme/*`` (no privileges,
    0.5 ms) and the health page of each NVMe controller by an ioctl, every sixth look (CAP_SYS_ADMIN; about 0.1 ms of the controller's time;
    without it temperatures come from hwmon, spare and wear are missing, which is counted as ``denied``). What it cannot see: drives
    behind a RAID card, SATA attributes, what single operations took (the mean of a look hides rare stalls).

    Names: Linux admin-guide/iostats and admin-guide/md, NVM Express base specification (log page 02h). Latency is milliseconds of all
    operations by their number, as iostat's await.

    Parameters
    ----------
    root : path
        Where ``sys``, ``proc`` and ``dev`` are.
    node : str
        Name of this node, the kernel's host name by default.
    clock : callable
        Seconds since 1970.
    catalogue : Catalogue, optional
    page : callable
        Returns the health page of the controller at a path; for tests.
    slow : float
        Seconds from one reading to the next of names and sensors; told again in between.

    Raises
    ------
    Unsupported
        No block device is shown.
    """

    def __init__(
        self, root: str | Path = "/", *, node: str = "", clock: Callable[[], float] = time.time, catalogue: Catalogue | None = None,
        page: Callable[[str], bytes] = ask, slow: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(root, node=node, clock=clock, catalogue=catalogue, slow=slow)
        if not self.tree.names("sys/block") and not self.tree.has("proc/diskstats"):
            raise Unsupported(f"drive: neither {self.tree.path('sys/block')} nor {self.tree.path('proc/diskstats')}: needs Linux with /proc and /sys")
        self.page = page
        self._before: tuple[int, dict[str, Disk]] = (0, {})
        self._blocks: list[str] = []
        self._arrays: list[str] = []
        self._refused: set[str] = set()
        self._pages: dict[str, Health] = {}

    def look(self, now: int) -> Iterable[Message]:
        """Add latencies, spares and missing members."""
        blocks = self.tree.names("sys/block")
        if blocks != self._blocks or self.tree.fresh:
            self._blocks, self._arrays = blocks, [n for n in blocks if self.tree.has(f"sys/block/{n}/md")]
            self.tree.release()
        controllers = [n for n in self.tree.names(NVME) if re.fullmatch(r"nvme[0-9]{1,4}", n)]
        keys = {name: self._keys(name) for name in controllers}
        self._latencies(now, keys)
        for name in controllers:
            self._health(name, keys[name])
        for name in self._arrays:
            self._array(name)
        return ()

    def _keys(self, name: str) -> dict[str, str]:
        told = {key: self.tree.slowly(self.tree.text, f"{NVME}/{name}/{file}") for key, file in (("sku", "model"), ("serial", "serial"))}
        return {key: value[:128] for key, value in told.items() if value}

    def _latencies(self, now: int, keys: dict[str, dict[str, str]]) -> None:
        then, before = self._before
        told = disks(self.tree.text("proc/diskstats") or "", self.tree.reject)
        # Partitions are parts of a disk that is there itself.
        whole = {name: disk for name, disk in told.items() if name in self._blocks}
        self._before = (now, whole)
        for name, disk in whole.items():
            if name in before:
                controller = _controller(name)
                seconds, moved = between(before[name], disk, (now - then) * 1e-6)
                subject = f"{self.machine.node}/{controller or name}"
                more = keys.get(controller, {})
                # Namespaces of one controller are one drive's; the first stands for it.
                if not controller or name == f"{controller}n1":
                    self.samples.add(subject, "drive_latency_seconds", seconds, **more)
                    self.samples.add(subject, "drive_throughput_bytes_per_second", moved, **more)

    def _health(self, name: str, keys: dict[str, str]) -> None:
        subject = f"{self.machine.node}/{name}"
        state = self.tree.text(f"{NVME}/{name}/state", hold=True)
        if state == "dead":
            self.samples.add(subject, "drive_health_warning", 1.0, **keys)
            return
        if self.tree.looks % SELDOM == 1 and name not in self._refused:
            self._ask(name)
        if name in self._pages:
            self._tell(self._pages[name], subject, keys)
        else:
            self._temperature(name, subject, keys)

    def _ask(self, name: str) -> None:
        """Get the health page of a controller; what it said is told again until the next one, for holes would look like losses."""
        self._pages.pop(name, None)
        try:
            self._pages[name] = health(self.page(self.tree.path(f"dev/{name}")))
        except OSError as error:
            self.tree.reject("denied" if isinstance(error, PermissionError) else "unreadable")
            self._refused.add(name)
        except InputError:
            self.tree.reject("bad_page")

    def _tell(self, found: Health, subject: str, keys: dict[str, str]) -> None:
        add = self.samples.add
        add(subject, "drive_health_warning", float(found.warning != 0), **keys)
        add(subject, "drive_spare_ratio", found.spare, **keys)
        add(subject, "drive_spare_ratio", found.spare_least, bound="min", **keys)
        add(subject, "drive_wear_ratio", found.used, **keys)
        add(subject, "drive_temperature_celsius", found.celsius, **keys)
        add(subject, "drive_media_errors_total", found.media_errors, **keys)
        add(subject, "drive_error_log_entries_total", found.log_entries, **keys)
        add(subject, "drive_unsafe_shutdowns_total", found.unsafe_shutdowns, **keys)
        add(subject, "drive_overheated_seconds_total", found.warm_seconds, severity="warning", **keys)
        add(subject, "drive_overheated_seconds_total", found.hot_seconds, severity="critical", **keys)

    def _temperature(self, name: str, subject: str, keys: dict[str, str]) -> None:
        for chip in self.tree.names(f"{NVME}/{name}"):
            if chip.startswith("hwmon"):
                degrees = self.tree.slowly(self.tree.number, f"{NVME}/{name}/{chip}/temp1_input")
                self.samples.add(subject, "drive_temperature_celsius", None if degrees is None else degrees * 1e-3, **keys)

    def _array(self, name: str) -> None:
        path, subject = f"sys/block/{name}/md", f"{self.machine.node}/{name}"
        if self.tree.has(f"{path}/degraded"):
            self.samples.add(subject, "raid_members_missing", self.tree.number(f"{path}/degraded"))
            action = self.tree.text(f"{path}/sync_action")
            self.samples.add(subject, "raid_array_rebuilding", None if action is None else float(action in REBUILDING))
        state = self.tree.text(f"{path}/array_state")
        # An array that was stopped on purpose is cleared away.
        if state and state != "clear":
            self.samples.add(subject, "raid_array_running", float(state in SERVING))


def _controller(name: str) -> str:
    """Return the NVMe controller of a namespace, ``""`` for other disks.

    Examples
    --------
    >>> _controller("nvme0n1"), _controller("sda")
    ('nvme0', '')
    """
    found = re.fullmatch(r"(nvme[0-9]{1,4})n[0-9]{1,4}", name)
    return found[1] if found else ""
