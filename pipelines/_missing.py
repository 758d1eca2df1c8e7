"""Missing: what should be on this machine and does not answer: what its bus shows and what the scheduler was promised."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from grayscope.roster import RosterRow

#: Vendors of accelerators by their PCI number, and the classes of display and processing devices.
VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD"}
CLASSES = re.compile(r"0x(0300|0302|0380|1200)")
MOST = 4096


def on_the_bus(root: str | Path) -> dict[str, list[str]]:
    """Return the addresses of accelerators by vendor; nothing where there is no PCI bus."""
    found: dict[str, list[str]] = {}
    devices = Path(root) / "sys/bus/pci/devices"
    try:
        paths = sorted(devices.iterdir())[:MOST]
    except OSError:
        return found
    for path in paths:
        vendor = VENDORS.get(_word(path / "vendor"))
        # A management controller's display adapter has class 0300 too, but none of these vendors.
        if vendor is not None and CLASSES.match(_word(path / "class")):
            found.setdefault(vendor, []).append(path.name)
    return found


def missing(root: str | Path, node: str, rows: Mapping[str, RosterRow], gpus: set[str]) -> Iterator[str]:
    """Yield one sentence per thing that should be there.

    Parameters
    ----------
    rows : mapping
        The roster: its key `gpus` of the node says what was promised.
    gpus : set of str
        GPUs that answered.
    """
    bus = on_the_bus(root)
    shown = sum(len(addresses) for addresses in bus.values())
    if shown and not gpus:
        what = ", ".join(f"{len(a)} of {vendor}" for vendor, a in sorted(bus.items()))
        yield f"the bus shows {shown} accelerators ({what}) and no source reads them"
    elif shown > len(gpus) > 0:
        yield f"the bus shows {shown} accelerators, {len(gpus)} answer"
    promised = rows[node].keys.get("gpus", "") if node in rows else ""
    if promised.isdigit() and len(promised) < 6 and int(promised) > max(len(gpus), 0):
        yield f"{promised} GPUs are promised for this node, {len(gpus)} answer"


def _word(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""
