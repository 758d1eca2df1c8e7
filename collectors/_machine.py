"""Machine: the node's name and boot, and which component sits at which PCI address, from what Linux shows without privileges."""

from __future__ import annotations

import re
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.message import Message

from ._samples import Samples
from ._sysfs import Tree

ADDRESS = re.compile(r"(?:(?P<domain>[0-9a-f]{1,8}):)?(?P<bus>[0-9a-f]{2}):(?P<device>[0-9a-f]{2})(?:\.(?P<function>[0-7]))?", re.ASCII)
GPUS = "proc/driver/nvidia/gpus"
#: Looks after which the places of devices are looked up anew.
AGAIN = 30


def address(text: str) -> str:
    """Return a PCI address as sysfs writes it, ``""`` if it is none.

    Examples
    --------
    >>> address("00000000:3B:00.0"), address("0000:3b:00"), address("18:00.0"), address("PCI"), address("10001:00:02.0")
    ('0000:3b:00.0', '0000:3b:00.0', '0000:18:00.0', '', '10001:00:02.0')
    """
    found = ADDRESS.fullmatch(text.strip().lower())
    if found is None:
        return ""
    return f"{int(found['domain'] or '0', 16):04x}:{found['bus']}:{found['device']}.{found['function'] or '0'}"


class Gpu(NamedTuple):
    """What the driver's proc files tell of a GPU; `slot` is its number in order of PCI address, as NVML counts."""

    slot: int
    model: str
    uuid: str


class Machine:
    """This machine, or the tree that stands for it.

    Parameters
    ----------
    tree : Tree
    node : str
        Name of the node; the kernel's host name where empty.
    """

    def __init__(self, tree: Tree, node: str = "") -> None:
        self.tree = tree
        found = node or tree.text("proc/sys/kernel/hostname") or socket.gethostname()
        self.node = "".join(c if c.isprintable() and c != "/" else "_" for c in found)[:200]
        self.gpus: dict[str, Gpu] = {}
        self.parts: dict[str, str] = {}  # PCI address -> path in the node
        self._due = 0

    @property
    def boot_id(self) -> str:
        """The kernel's name for this boot, ``""`` where it does not tell."""
        return (self.tree.text("proc/sys/kernel/random/boot_id") or "")[:64]

    @cached_property
    def product(self) -> str:
        """What the machine is sold as, ``""`` where the firmware does not tell."""
        words = (self.tree.text(f"sys/class/dmi/id/{name}") or "" for name in ("sys_vendor", "product_name"))
        return " ".join(w for w in words if w)[:128]

    @property
    def keys(self) -> dict[str, str]:
        """Roster keys of the node itself and of what is built into it."""
        return {"sku": self.product} if self.product else {}

    def booted(self) -> int | None:
        """Return when the machine started, in microseconds since 1970; whole seconds, and the same all through a boot but for clock steps."""
        found = re.search(r"^btime ([0-9]{1,12})$", self.tree.text("proc/stat") or "", re.MULTILINE)
        return int(found[1]) * 1_000_000 if found else None

    def look(self) -> None:
        """Look up anew, now and then, what sits where."""
        if self.tree.looks >= self._due:
            self._due = self.tree.looks + AGAIN
            found = self._gpus()
            # One that fell off the bus leaves a gap: the others keep their numbers, as NVML's do until the driver is loaded again.
            if not found or not found.keys() < self.gpus.keys():
                self.gpus = found
            self.parts = {a: f"gpu{g.slot}" for a, g in self.gpus.items()}
            # A NIC may show itself as an RDMA device and as a network interface: it is called by the former.
            for kind in ("class/infiniband", "class/nvme", "class/net"):
                for name in self.tree.names(f"sys/{kind}"):
                    at = self.pci(f"sys/{kind}/{name}/device")
                    if at:
                        self.parts.setdefault(at, name)

    def pci(self, link: str) -> str:
        """Return the PCI address at which a device's link ends, passing over an NVMe controller; ``""`` where it has none."""
        if (at := address(self.tree.link(link).rpartition("/")[2])) and ":" in at:
            return at
        target = self.tree.target(link)
        return next((a for part in target.split("/")[:-3:-1] if (a := address(part)) and ":" in part), "")

    def part(self, where: str) -> str:
        """Return the subject at a PCI address: a part that has a name, else the address in the node."""
        return f"{self.node}/{self.parts.get(where) or where}"

    def _gpus(self) -> dict[str, Gpu]:
        found = sorted((a, name) for name in self.tree.names(GPUS) if (a := address(name)))
        return {a: Gpu(i, *self._information(name)) for i, (a, name) in enumerate(found)}

    def _information(self, name: str) -> tuple[str, str]:
        lines = (line.partition(":") for line in (self.tree.text(f"{GPUS}/{name}/information") or "").splitlines()[:64])
        told = {key.strip(): value.strip()[:128] for key, _, value in lines}
        return told.get("Model", ""), told.get("GPU UUID", "")


class Source(ABC):
    """What the host's live collectors have in common: a root, a node, samples, and one look per `collect`.

    Parameters
    ----------
    root : path
        Where ``sys``, ``proc`` and ``dev`` are.
    node : str
        Name of this node, the kernel's host name by default.
    clock : callable
        Seconds since 1970.
    catalogue : Catalogue, optional
    slow : float
        Seconds from one reading to the next of what changes slowly, on multiples of it; told again in between. 0 for each look.

    Raises
    ------
    Unsupported
        This machine has nothing of the kind.
    """

    #: Whether all of it changes slowly: the looks in between tell again what the last one found.
    slowly = False

    def __init__(
        self, root: str | Path = "/", *, node: str = "", clock: Callable[[], float] = time.time, catalogue: Catalogue | None = None, slow: float = 0.0
    ) -> None:
        self.clock = clock
        self.tree = Tree(root, {}, slow)
        self.machine = Machine(self.tree, node)
        self.samples = Samples(self.machine.node, catalogue)
        self.rejected = self.tree.rejected = self.samples.rejected
        self._repeated: list[Batch] = []
        self.begin()

    def begin(self) -> None:  # noqa: B027 - who takes more arguments has a constructor
        """See whether there is anything to look at, and get ready; `Unsupported` says what is missing."""

    def collect(self) -> list[Message]:
        """Look once; return roster rows where somebody is new or changed, then one batch per table, then events."""
        now = int(self.clock() * 1e6)
        self.tree.begin(now * 1e-6)
        if self.slowly and not self.tree.fresh:
            return [Batch(b.table, np.array([now]), b.subjects, b.metrics, b.values) for b in self._repeated]
        self.samples.begin()
        self.machine.look()
        events = list(self.look(now))
        told = self.samples.messages(now)
        if self.slowly and self.tree.slow > 0:
            self._repeated = [self._still(m) for m in told if isinstance(m, Batch)]
        return told + events

    def _still(self, batch: Batch) -> Batch:
        """Return what a look in between says: the same, but counters did not move as far as anybody looked."""
        known, values = self.samples.live.series.naming.catalogue, batch.values.copy()
        values[:, [(entry := known.get(name)) is not None and entry.type == "counter" for name in batch.metrics]] *= 0
        return Batch(batch.table, batch.times, batch.subjects, batch.metrics, values)

    @abstractmethod
    def look(self, now: int) -> Iterable[Message]:
        """Add what there is to see to `samples`; return events."""
