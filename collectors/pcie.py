"""Pcie: AER error counts of both ends of every link, its width and its speed, from sysfs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from grayscope.errors import Unsupported
from grayscope.message import Message

from ._machine import ADDRESS, AGAIN, Source, address

DEVICES = "sys/bus/pci/devices"
#: Kinds of devices that are watched where nobody else names them: storage, network, display, bridges to nothing, accelerators.
CLASSES = ("0x01", "0x02", "0x03", "0x0b40", "0x12")
#: Names of correctable errors: of current kernels, then of the ABI's text and older ones.
CORRECTABLE = {
    "rxerr": "receiver", "badtlp": "bad_tlp", "baddllp": "bad_dllp", "rollover": "rollover", "timeout": "timeout", "nonfatalerr": "advisory",
    "corrinterr": "internal", "headerof": "header_overflow",
    "receivererror": "receiver", "relay_numrollover": "rollover", "replay_numrollover": "rollover", "replaytimertimeout": "timeout",
    "advisorynon-fatal": "advisory", "advisorynon-fatalerror": "advisory", "correctedinternalerror": "internal", "headerlogoverflow": "header_overflow",
}  # fmt: skip
#: GT/s per lane, generation.
SPEEDS = {"2.5": 1, "5": 2, "5.0": 2, "8": 3, "8.0": 3, "16": 4, "16.0": 4, "32": 5, "32.0": 5, "64": 6, "64.0": 6, "128": 7, "128.0": 7}
COUNT = re.compile(r"(\S.*?)\s+([0-9]{1,20})", re.ASCII)
LINES = 64
#: Lanes of an electrical link; what a broken device says (0, 63, 255) is none of them.
LANES = (1, 2, 4, 8, 12, 16, 32)


class Pcie(Source):
    """Looks at the links of GPUs, NICs, drives and accelerators, each with the port above it.

    Reads ``/sys/bus/pci/devices/<address>/{aer_dev_correctable,aer_dev_nonfatal,aer_dev_fatal,current_link_width,max_link_width,
    current_link_speed,max_link_speed,class}``; no privileges; about sixteen small files per device and port (0.15 ms), no access to the device but
    for width and speed, one configuration read each. What it cannot see: errors where the firmware owns AER (the files are absent
    or stay at zero: look into the BMC's log), replays below the limit at which the device reports (NVML counts them), whether
    the slot itself is narrower than the card (the maximum is the device's). Counts may stand at either end: the upper port's are
    kept with the device below it (``end="upstream"``), if it has one device below.

    Names: Linux ABI documents sysfs-bus-pci-devices-aer and sysfs-bus-pci, PCI Express AER Driver Guide.

    Takes what every source of the host takes.

    Raises
    ------
    Unsupported
        No PCI devices are shown.
    """

    slowly = True

    def begin(self) -> None:
        """See whether there is anything to look at."""
        if not self.tree.names(DEVICES):
            raise Unsupported(f"pcie: {self.tree.path(DEVICES)} shows no device: this machine has no PCI bus, or the container does not see /sys")
        self._kept: dict[str, tuple[str, str, dict[str, str]]] = {}  # device -> path in sysfs of the port above, subject, keys
        self._told: dict[str, tuple[bytes, dict[str, float]]] = {}
        self._due = 0

    def look(self, now: int) -> Iterable[Message]:
        """Add the counts and states of every watched link."""
        del now
        if self.tree.looks >= self._due:
            self._due, self._kept = self.tree.looks + AGAIN, self._watched()
            self._told.clear()
        for device, (above, subject, keys) in self._kept.items():
            path = f"{DEVICES}/{device}"
            if not self.tree.has(path):
                continue
            self._errors(path, subject, keys)
            if above:
                self._errors(f"{DEVICES}/{above}", subject, {**keys, "end": "upstream"})
            self._link(path, subject, keys, gpu=device in self.machine.gpus)
        return ()

    def _watched(self) -> dict[str, tuple[str, str, dict[str, str]]]:
        """Return the devices that have a link of their own, with the port above where nothing else hangs from it."""
        names = [n for n in self.tree.names(DEVICES) if ADDRESS.fullmatch(n)]
        named = {n: n in self.machine.parts or (self.tree.text(f"{DEVICES}/{n}/class") or "").startswith(CLASSES) for n in names}
        above = {n: self._above(n) for n in names}
        # Functions of one device share its link: the first stands for all.
        shared = {n for n in names if not n.endswith(".0") and f"{n[:-1]}0" in names and n not in self.machine.gpus}
        links = [n for n in names if n not in shared]
        alone = {p for p in above.values() if p and sum(above[n] == p for n in links) == 1}
        watched = [n for n in links if named[n] and self.tree.has(f"{DEVICES}/{n}/max_link_width")]
        return {n: (above[n] if above[n] in alone else "", *self._named(n)) for n in watched}

    def _above(self, device: str) -> str:
        """Return the address of the port above a device, ``""`` at the root."""
        parts = self.tree.link(f"{DEVICES}/{device}").split("/")
        return address(parts[-2]) if len(parts) > 1 and ADDRESS.fullmatch(parts[-2]) else ""

    def _named(self, device: str) -> tuple[str, dict[str, str]]:
        """Return subject and keys: the link of a part that has a name lies in it, any other is called by its address."""
        gpu = self.machine.gpus.get(device)
        if gpu is not None:
            return f"{self.machine.part(device)}/pcie", {"sku": gpu.model, "UUID": gpu.uuid, "gpu": str(gpu.slot)}
        segment, bus, rest = device.split(":")
        slot, function = rest.split(".")
        subject = self.machine.part(device)
        keys = {"segment": segment, "bus": bus, "device": slot, "function": function}
        return (f"{subject}/pcie" if device in self.machine.parts else subject), keys

    def _errors(self, path: str, subject: str, keys: dict[str, str]) -> None:
        for name, count in self._counts(f"{path}/aer_dev_correctable").items():
            known = CORRECTABLE.get(name)
            if name == "total_err_cor":
                self.samples.add(subject, "pcie_correctable_errors_total", count, family="aer", **keys)
            elif known:
                self.samples.add(subject, "pcie_correctable_errors_total", count, family="aer", type=known, **keys)
        for severity in ("nonfatal", "fatal"):
            counts = self._counts(f"{path}/aer_dev_{severity}")
            if counts:
                # The total may be less than its parts where one message told of several errors.
                value = counts.get(f"total_err_{severity}", sum(counts.values()))
                self.samples.add(subject, "pcie_uncorrectable_errors_total", value, family="aer", severity=severity, **keys)

    def _counts(self, path: str) -> dict[str, float]:
        data = self.tree.data(path)
        # Nearly always nothing has changed: what the same bytes mean is known.
        before, found = self._told.get(path, (None, {}))
        if data is None or data == before:
            return found if data is not None else {}
        wrong = self.tree.rejected.get("bad_line", 0)
        found = counts(data.decode("utf-8", "replace"), self.tree.reject)
        if wrong == self.tree.rejected.get("bad_line", 0):
            self._told[path] = (data, found)
        return found

    def _link(self, path: str, subject: str, keys: dict[str, str], *, gpu: bool) -> None:
        # NVML knows a GPU's maximum better: what slot and card can do together.
        for which, more in (("current", {}), *(() if gpu else (("max", {"bound": "max"}),))):
            width = self.tree.number(f"{path}/{which}_link_width")
            if width in LANES:
                self.samples.add(subject, "pcie_link_width_lanes", width, **more, **keys)
            generation = SPEEDS.get((self.tree.text(f"{path}/{which}_link_speed") or "").partition(" ")[0])
            self.samples.add(subject, "pcie_link_generation", generation, **more, **keys)


def counts(text: str, reject: Callable[[str], None]) -> dict[str, float]:
    r"""Return the counts of an AER file by name in lower case without blanks; a line that is none is counted.

    Examples
    --------
    >>> counts("RxErr 3\nRELAY_NUM Rollover 1\nTOTAL_ERR_COR 4", print)
    {'rxerr': 3.0, 'relay_numrollover': 1.0, 'total_err_cor': 4.0}
    >>> counts("RxErr 99999999999999999999", print)
    bad_line
    {}
    """
    found: dict[str, float] = {}
    for line in text.splitlines()[:LINES]:
        match = COUNT.fullmatch(line.strip()[:200])
        count = -1 if match is None else int(match[2])
        if match is None or count >= 2**64:
            reject("bad_line")
        else:
            found["".join(match[1].lower().split())] = float(count)
    return found
