"""Memory: corrected and uncorrected errors of the host's memory, per controller and module, from EDAC."""

from __future__ import annotations

import re
from collections.abc import Iterable

from grayscope.errors import Unsupported
from grayscope.message import Message

from ._machine import Source

CONTROLLERS = "sys/devices/system/edac/mc"
CORRECTED, UNCORRECTED = "host_memory_corrected_errors_total", "host_memory_uncorrected_errors_total"
PART = re.compile(r"(dimm|rank)[0-9]{1,4}", re.ASCII)


class Memory(Source):
    """Looks at EDAC's counters: one subject per memory controller, one metric per module.

    Reads ``/sys/devices/system/edac/mc/mc*/{ce_count,ue_count,ce_noinfo_count,ue_noinfo_count}`` and ``dimm*`` (or ``rank*``)
    ``/{dimm_ce_count,dimm_ue_count,dimm_label}``; no privileges; four files per module, memory reads only (0.8 ms for 32 modules).
    Counts that belong to no module are kept as ``dimm="unknown"``. What it cannot see: errors where the firmware handles them first, which
    modules share a bad channel, bit patterns (the kernel log has them). Counters are 32 bits wide and go back to zero at a reboot and
    when anybody writes ``reset_counters``.

    Names: Linux driver API, "Error Detection And Correction (EDAC) Devices", and ABI document sysfs-devices-edac.

    Takes what every source of the host takes.

    Raises
    ------
    Unsupported
        No memory controller is registered.
    """

    slowly = True

    def begin(self) -> None:
        """See whether there is anything to look at."""
        if not self._controllers():
            where = self.tree.path(CONTROLLERS)
            raise Unsupported(f"memory: no controller in {where}: needs ECC memory and the EDAC driver of this processor (a virtual machine has none)")

    def look(self, now: int) -> Iterable[Message]:
        """Add the counts of every controller."""
        del now
        for name in self._controllers():
            path, subject = f"{CONTROLLERS}/{name}", f"{self.machine.node}/{name}"
            modules = [p for p in self.tree.names(path) if PART.fullmatch(p)]
            for metric, kind in ((CORRECTED, "ce"), (UNCORRECTED, "ue")):
                told = [(m, self.tree.number(f"{path}/{m}/dimm_{kind}_count")) for m in modules]
                if all(count is None for _, count in told):
                    self.samples.add(subject, metric, self.tree.number(f"{path}/{kind}_count"))
                    continue
                # The controller's own count is the sum of these: both would count each error twice.
                for module, count in told:
                    self.samples.add(subject, metric, count, dimm=module)
                self.samples.add(subject, metric, self.tree.number(f"{path}/{kind}_noinfo_count"), dimm="unknown")
        return ()

    def _controllers(self) -> list[str]:
        return [n for n in self.tree.names(CONTROLLERS) if re.fullmatch(r"mc[0-9]{1,4}", n)]
