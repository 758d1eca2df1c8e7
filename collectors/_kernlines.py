r"""Kernlines: what one line of the kernel's log means: Xid, SXid, AER, EDAC, machine checks, mlx5, links, NVMe, disks, hung tasks.

Sources of the words: NVIDIA's open kernel modules (kernel_rc.c, nvswitch), Fabric Manager guide DU-09883-001, Linux 6.x drivers/pci/pcie/aer.c,
drivers/edac/edac_mc.c, arch/x86/kernel/cpu/mce, drivers/acpi/apei/ghes.c, mlx5 core/events.c, drivers/nvme/host, block/blk-core.c, kernel/hung_task.c.
Every pattern is anchored, its open parts are bounded: a hostile line costs no more than a long one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ._machine import address

#: Characters of a line that are looked at, of a text that is kept.
LONGEST, KEPT = 2048, 200
PCI = r"(?P<pci>[0-9a-fA-F]{1,8}:[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2})?(?:\.[0-7])?)"
XID = re.compile(
    rf"NVRM: Xid \((?:PCI:)?{PCI}(?: GPU-I:\d{{1,3}}(?: GPU-CI:\d{{1,3}})?)?\): (?P<xid>\d{{1,6}})(?=,|\s|$)"
    r"(?:, pid='?[^,']{0,64}'?)?(?:, name='?[^,']{0,64}'?)?(?:,\s?(?P<text>.*))?", re.ASCII,
)  # fmt: skip
#: Where the driver's own words begin, by which rules are chosen: a process may put a comma into its name.
OWN = re.compile(r"GPU recovery action changed from|[A-Z0-9_]{2,24}(?:/[A-Z0-9_]{2,24})?\s{1,4}(?:Fatal|Nonfatal)\s{1,4}XC\d", re.ASCII)
LOST = re.compile(rf"NVRM: GPU (?:at )?(?:PCI:)?{PCI}: GPU has fallen off the bus", re.ASCII)
SXID = re.compile(rf"nvidia-nvswitch(?P<part>\d{{1,3}}): SXid \(PCI:{PCI}\): (?P<sxid>\d{{1,6}})(?=,|\s|$),?\s?(?P<text>.*)", re.ASCII)
MANAGER = re.compile(
    r"detected NVSwitch (?P<severity>non-fatal|fatal) error (?P<sxid>\d{1,6}) on fid \d{1,4} on NVSwitch pci bus id \S{1,20} physical id (?P<part>\d{1,4})"
    r"(?P<text>.*)", re.ASCII,
)  # fmt: skip
AER = re.compile(
    r"(?:\S{1,32} )?(?P<pci>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]): (?:AER: )?"
    r"PCIe Bus Error: severity=(?P<severity>[^,]{1,40})(?P<text>.*)", re.ASCII,
)  # fmt: skip
EDAC = re.compile(r"EDAC (?P<part>MC\d{1,3}): (?P<count>\d{1,9}) (?P<kind>CE|UE) (?P<text>.*)", re.ASCII)
POISON = re.compile(r"(?:mce: Uncorrected hardware memory error|Memory failure: 0x[0-9a-fA-F]{1,16}: recovery action)(?P<text>.*)", re.ASCII)
CHECK = re.compile(r"mce: (?P<text>\[Hardware Error\]: Machine check events logged.*|CMCI storm detected.*)", re.ASCII)
GHES = re.compile(r"\{\d{1,9}\}\[Hardware Error\]: event severity: (?P<severity>[a-z]{4,12})(?P<text>.*)", re.ASCII)
MODULE = re.compile(rf"mlx5_core {PCI}(?: \S{{1,20}})?:? ?(?:\S{{1,40}}: )?Port module event(?:\[error\])?: module \d{{1,3}}, (?P<text>.*)", re.ASCII)
SLOT = re.compile(rf"mlx5_core {PCI}:? (?P<text>.{{0,80}}Detected insufficient power on the PCIe slot.*)", re.ASCII)
LINK = re.compile(
    rf"(?:[a-z0-9_]{{2,20}} {PCI}:? )?(?<!\S)(?P<net>(?!ata\d|pciehp|usb)[a-z][A-Za-z0-9_.\-]{{1,14}}): (?:.{{0,40}}?)"
    r"(?:NIC )?[Ll]ink (?:is )?(?P<what>[Uu]p|[Dd]own)(?![a-z])(?P<text>.*)", re.ASCII,
)  # fmt: skip
NVME = re.compile(r"nvme (?P<part>nvme\d{1,4}): (?P<text>.*)", re.ASCII)
DISK = re.compile(r"(?:blk_update_request: |print_req_error: )?(?:critical )?(?P<what>I/O|medium) error, dev (?P<part>[a-z0-9]{2,20})(?P<text>.*)", re.ASCII)
MEMBER = re.compile(r"md/raid\d{0,2}:(?P<part>md\d{1,4}): Disk failure on (?P<text>.*)", re.ASCII)


class Said(NamedTuple):
    """What a line says: about whom (`kind` and `part`), and in which words of `grayscope.events`.

    Parameters
    ----------
    kind : str
        ``gpu`` and ``pcie`` (`part` is a PCI address), ``nic`` (an address or the name of an interface), ``drive``, ``node`` (a part of the node,
        ``""`` for itself).
    """

    kind: str
    part: str
    source: str
    code: str
    text: str
    times: int = 1


def meaning(line: str) -> Said | None:
    """Return what a line says, None where it says nothing that is known.

    Examples
    --------
    >>> meaning("NVRM: Xid (PCI:0000:3b:00): 94, pid=2503421, name=python3, Ch 00000008")[:5]
    ('gpu', '0000:3b:00.0', 'xid', '94', 'Ch 00000008')
    >>> meaning("EDAC MC0: 3 CE memory read error on CPU_SrcID#0_Chan#1_DIMM#0 (channel:1)")[:4]
    ('node', 'mc0', 'edac', 'ce')
    >>> meaning("usb 1-2: New USB device found") is None
    True
    """
    line = line[:LONGEST]
    for word, read in READERS:
        if word in line:
            said = read(line)
            if said is not None:
                return said._replace(text=_plain(said.text))
    return None


def _xid(line: str) -> Said | None:
    found = XID.search(line)
    if found is None or not (where := address(found["pci"])):
        return None
    text = found["text"] or ""
    own = OWN.search(text)
    return Said("gpu", where, "xid", found["xid"], text[own.start() :] if own is not None else text)


def _lost(line: str) -> Said | None:
    found = LOST.search(line)
    where = address(found["pci"]) if found is not None else ""
    return Said("gpu", where, "xid", "79", "GPU has fallen off the bus") if where else None


def _sxid(line: str) -> Said | None:
    found = SXID.search(line)
    # One event prints its severity and its registers in lines of their own.
    if found is None or found["text"].startswith(("Severity ", "Data {")):
        return None
    return Said("node", f"nvswitch{found['part']}", "sxid", found["sxid"], found["text"])


def _manager(line: str) -> Said | None:
    found = MANAGER.search(line)
    if found is None:
        return None
    return Said("node", f"nvswitch{found['part']}", "sxid", found["sxid"], f"{found['severity'].capitalize()},{found['text']}")


def _aer(line: str) -> Said | None:
    found = AER.search(line)
    if found is None:
        return None
    severity = found["severity"].lower()
    code = "corrected" if severity.startswith("correct") else "nonfatal" if "non-fatal" in severity else "fatal" if "fatal" in severity else ""
    return Said("pcie", address(found["pci"]), "aer", code or "nonfatal", found["text"].lstrip(", "))


def _edac(line: str) -> Said | None:
    found = EDAC.search(line)
    return Said("node", found["part"].lower(), "edac", found["kind"].lower(), found["text"], max(int(found["count"]), 1)) if found is not None else None


def _machine_check(line: str) -> Said | None:
    if (found := GHES.search(line)) is not None:
        return Said("node", "", "ghes", found["severity"], "firmware tells of an error")
    if (found := CHECK.search(line)) is not None:
        return Said("node", "", "mce", "storm" if "storm" in found["text"] else "logged", found["text"])
    found = POISON.search(line)
    if found is None:
        return None
    return Said("node", "", "mce", "poisoned" if "recovery action" in found[0] else "ue", found["text"].lstrip(": "))


#: Words of mlx5's module events, in the order in which they are looked for.
MODULES = {
    "unplugged": "unplugged", "plugged": "plugged", "high temperature": "high_temperature", "power budget": "power_budget", "bus stuck": "bus_stuck",
    "bad or shorted": "bad_cable", "unknown identifier": "unknown_cable", "cable error": "cable_error",
}  # fmt: skip


def _module(line: str) -> Said | None:
    if (found := SLOT.search(line)) is not None:
        return Said("nic", address(found["pci"]), "module", "slot_power", found["text"])
    found = MODULE.search(line)
    if found is None:
        return None
    words = found["text"].lower()
    return Said("nic", address(found["pci"]), "module", next((code for word, code in MODULES.items() if word in words), "cable_error"), found["text"])


def _link(line: str) -> Said | None:
    found = LINK.search(line)
    if found is None:
        return None
    where = address(found["pci"]) if found["pci"] else ""
    return Said("nic", where or found["net"], "link", found["what"].lower(), f"port {found['net']}")


def _nvme(line: str) -> Said | None:
    found = NVME.search(line)
    if found is None:
        return None
    words = found["text"].lower()
    code = (
        "timeout" if "timeout" in words and "i/o" in words else "removed" if words.startswith("removing") or "failed to set up" in words
        else "not_ready" if "not ready" in words else "dead" if "disabling" in words and "fail" in words else "reset" if "reset" in words else ""
    )  # fmt: skip
    return Said("drive", found["part"], "nvme", code, found["text"]) if code else None


def _disk(line: str) -> Said | None:
    if (found := MEMBER.search(line)) is not None:
        return Said("node", found["part"], "disk", "member_failed", f"disk failure on {found['text']}")
    found = DISK.search(line)
    if found is None:
        return None
    # A partition or a namespace is a part of the drive that the other sources name.
    part = re.sub(r"(?<=^nvme\d)(\d{0,3})n\d+(p\d+)?$", r"\1", found["part"])
    return Said("drive", part, "disk", "medium_error" if found["what"] == "medium" else "io_error", found[0])


#: Words of the kernel about programs and processors, each with its code.
SYMPTOMS = (
    ("blocked for more than", re.compile(r"INFO: task \S.{0,60}:\d{1,10} blocked for more than (?P<text>\d{1,6} seconds)", re.ASCII), "hung_task"),
    ("soft lockup", re.compile(r"BUG: soft lockup - (?P<text>CPU#\d{1,5} stuck for \d{1,6}s)", re.ASCII), "soft_lockup"),
    ("hard LOCKUP", re.compile(r"(?:Watchdog detected )?hard LOCKUP on (?P<text>cpu \d{1,5})", re.ASCII), "hard_lockup"),
    ("detected stall", re.compile(r"rcu(?:_\w{1,20})?: (?:INFO: )?\w{3,20} (?:self-)?detected (?P<text>stalls?)", re.ASCII), "rcu_stall"),
    ("Out of memory", re.compile(r"Out of memory: (?P<text>Kill(?:ed)? process \d{1,10})", re.ASCII), "oom_kill"),
    ("temperature above", re.compile(r"(?P<text>(?:CPU\d{1,5}: )?(?:Core|Package) temperature(?:/speed)? above threshold)", re.ASCII), "cpu_throttled"),
    ("available PCIe", re.compile(r"(?P<text>\d[\d.]{0,9} Gb/s available PCIe bandwidth, limited by .{0,80})", re.ASCII), "pcie_bandwidth"),
)


def _symptom(line: str) -> Said | None:
    for word, pattern, code in SYMPTOMS:
        if word in line and (found := pattern.search(line)) is not None:
            return Said("node", "", "kernel", code, found["text"])
    return None


#: A word without which a line is none of the reader's, and the reader.
READERS: tuple[tuple[str, Callable[[str], Said | None]], ...] = (
    ("NVRM: Xid", _xid), ("fallen off the bus", _lost), ("SXid (", _sxid), ("NVSwitch", _manager), ("PCIe Bus Error", _aer), ("EDAC MC", _edac),
    ("Hardware Error", _machine_check), ("Uncorrected hardware", _machine_check), ("Memory failure", _machine_check), ("CMCI storm", _machine_check),
    ("mlx5_core", _module), ("nvme", _nvme), (" error, dev ", _disk), ("Disk failure", _disk), ("ink ", _link),
    *((word, _symptom) for word, _, _ in SYMPTOMS),
)  # fmt: skip


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[: 2 * KEPT]).strip()[:KEPT]
