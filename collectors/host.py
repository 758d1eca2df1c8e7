"""Host: pressure, processor time and throttling, temperatures, fans and power supplies of this machine, from proc and sysfs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from grayscope.errors import Unsupported
from grayscope.message import Message

from ._hwmon import Chips
from ._machine import Source

PRESSURE = "host_pressure_seconds_total"
#: Kernel's file, and what of it is told: on the whole machine the processors are never all kept waiting by themselves.
STALLS = {"cpu": ("some",), "memory": ("some", "full"), "io": ("some", "full"), "irq": ("full",)}
TOTAL = re.compile(r"^(some|full) .*\btotal=([0-9]{1,20})$", re.MULTILINE | re.ASCII)
CPUS = "sys/devices/system/cpu"
#: Columns of a line of proc/stat; guest time is contained in user time.
COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
ZONES = 64
#: Looks after which processors are looked up anew, unless one went.
AGAIN = 360


class Host(Source):
    """Looks at the machine itself: what slows programs down that no device counter shows.

    Reads ``/proc/{stat,uptime,pressure/*}``, ``/sys/devices/system/cpu/cpu*/thermal_throttle``, ``/sys/class/thermal`` and
    ``/sys/class/hwmon``; no privileges; about 1.2 ms for 96 cores, more where a sensor sits behind a slow bus (each read
    of an I2C fan may take milliseconds: those chips are read by their drivers' caches, at most once a second). What it cannot see:
    fans and supplies behind the BMC (Redfish, IPMI), throttling of other processors than x86, whose time the programs lost.

    Names: Linux documents accounting/psi, filesystems/proc, x86 thermal_throttle (sysfs-devices-system-cpu), hwmon/sysfs-interface;
    ``vin`` and ``pin`` of supplies are those of the pmbus drivers.

    Takes what every source of the host takes; `slow` is for sensors and counts of throttling.

    Raises
    ------
    Unsupported
        No ``/proc/stat``.
    """

    def begin(self) -> None:
        """See whether there is anything to look at."""
        if not self.tree.has("proc/stat"):
            raise Unsupported(f"host: no {self.tree.path('proc/stat')}: needs Linux with /proc mounted")
        self.chips = Chips(self.tree)
        self._ticks: list[int] = []
        self._cores: list[str] = []
        self._packages: list[str] = []
        self._slow: list[tuple[str, str, float | None, dict[str, str]]] = []
        self._due = 0

    def look(self, now: int) -> Iterable[Message]:
        """Add everything that there is."""
        del now
        if self.tree.looks >= self._due:
            self._due = self.tree.looks + AGAIN
            self._find_processors()
        self._processors()
        self._pressure()
        if self.tree.fresh:
            self._slow.clear()
            self._throttling()
            self._zones()
            self._sensors()
        for subject, name, value, labels in self._slow:
            self.samples.add(subject, name, value, **labels)
        return ()

    def _add(self, name: str, value: float | None, **labels: str) -> None:
        self.samples.add(self.machine.node, name, value, **self.machine.keys, **labels)

    def _note(self, name: str, value: float | None, **labels: str) -> None:
        self._slow.append((self.machine.node, name, value, {**self.machine.keys, **labels}))

    def _processors(self) -> None:
        text = self.tree.text("proc/stat") or ""
        ticks = processor_ticks(text)
        if len(ticks) != len(COLUMNS):
            self.tree.reject("bad_line")
            return
        spent = dict(zip(COLUMNS, (a - b for a, b in zip(ticks, self._ticks, strict=False)), strict=False))
        self._ticks = ticks
        total = sum(spent.values())
        # Idle and waiting time may step back on a processor that goes off line: such a look says nothing.
        if total > 0 and min(spent.values()) >= 0:
            self._add("host_cpu_busy_ratio", 1 - (spent["idle"] + spent["iowait"]) / total)
            self._add("host_cpu_time_ratio", spent["steal"] / total, kind="steal")
            self._add("host_cpu_time_ratio", (spent["irq"] + spent["softirq"]) / total, kind="interrupt")
            self._add("host_cpu_time_ratio", spent["iowait"] / total, kind="iowait")
        blocked = re.search(r"^procs_blocked ([0-9]{1,9})$", text, re.MULTILINE | re.ASCII)
        self._add("host_processes_blocked", float(blocked[1]) if blocked else None)
        up = re.match(r"[0-9]{1,12}(?:\.[0-9]{1,6})?(?= )", self.tree.text("proc/uptime") or "", re.ASCII)
        self._add("node_uptime_seconds", float(up[0]) if up else None)

    def _pressure(self) -> None:
        for scope, kinds in STALLS.items():
            told = dict(TOTAL.findall(self.tree.text(f"proc/pressure/{scope}") or ""))
            for kind in kinds:
                if kind in told:
                    self._add(PRESSURE, int(told[kind]) * 1e-6, kind=kind, scope=scope)

    def _find_processors(self) -> None:
        """Note one processor of each core and of each package: siblings repeat the counts."""
        cores: dict[tuple[str, str], str] = {}
        for name in self.tree.names(CPUS):
            if re.fullmatch(r"cpu[0-9]{1,5}", name) and self.tree.has(f"{CPUS}/{name}/thermal_throttle"):
                package, core = (self.tree.text(f"{CPUS}/{name}/topology/{what}") or name for what in ("physical_package_id", "core_id"))
                cores.setdefault((package, core), name)
        packages = {package: name for (package, _), name in reversed(cores.items())}
        self._cores, self._packages = list(cores.values()), list(packages.values())

    def _throttling(self) -> None:
        for scope, names in (("core", self._cores), ("package", self._packages)):
            for file, metric, factor in ((f"{scope}_throttle_total_time_ms", "host_cpu_throttle_seconds_total", 1e-3),
                                         (f"{scope}_throttle_count", "host_cpu_throttles_total", 1.0)):  # fmt: skip
                told = [self.tree.number(f"{CPUS}/{name}/thermal_throttle/{file}") for name in names]
                # A sum with a part missing would fall and rise again; a processor that went off line takes its files along.
                there = [n for n in told if n is not None]
                if len(there) < len(told):
                    self._due = 0 if there else self._due
                elif told:
                    self._note(metric, factor * sum(there), scope=scope)

    def _zones(self) -> None:
        seen: dict[str, int] = {}
        for zone in [n for n in self.tree.names("sys/class/thermal") if n.startswith("thermal_zone")][:ZONES]:
            kind = (self.tree.text(f"sys/class/thermal/{zone}/type") or zone)[:64]
            seen[kind] = number = seen.get(kind, -1) + 1
            degrees = self.tree.number(f"sys/class/thermal/{zone}/temp")
            if degrees is not None and -50_000 < degrees < 200_000:
                self._note("host_temperature_celsius", degrees * 1e-3, sensor=f"{kind}-{number}" if number else kind)

    def _sensors(self) -> None:
        self.chips.look()
        for sensor, degrees in self.chips.temperatures():
            inlet = any(word in sensor.lower() for word in ("inlet", "ambient"))
            self._note("inlet_temperature_celsius" if inlet else "host_temperature_celsius", degrees, sensor=sensor)
        fans = list(self.chips.fans())
        for name, speed, _ in fans:
            self._slow.append((f"{self.machine.node}/{name}", "fan_speed_rpm", speed, self.machine.keys))
        judged = [ok for _, _, ok in fans if ok is not None]
        # One fan alone has no spare.
        if len(judged) > 1:
            self._note("fan_redundancy_intact", float(all(judged)))
        supplies = self.chips.supplies()
        if len(supplies) > 1:
            self._note("psu_redundancy_intact", float(all(supplies)))


def processor_ticks(text: str) -> list[int]:
    r"""Return what all processors have spent, by `COLUMNS`, empty where the text has no such line.

    Examples
    --------
    >>> processor_ticks("cpu  10 1 5 100 2 0 1 0 0 0\ncpu0 10 1 5 100 2 0 1 0 0 0")
    [10, 1, 5, 100, 2, 0, 1, 0]
    >>> processor_ticks("cpu  ten")
    []
    """
    words = text.partition("\n")[0].split()
    numbers = [int(w) for w in words[1 : len(COLUMNS) + 1] if w.isascii() and w.isdigit() and len(w) < 21]
    return numbers if words[:1] == ["cpu"] and len(numbers) == len(COLUMNS) else []
