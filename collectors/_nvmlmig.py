"""Nvmlmig: the GPU instances of divided cards (MIG): the memory that each uses and how busy it is; all else is the card's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from grayscope.batch import Batch
from grayscope.message import Message
from grayscope.roster import RosterRow

from ._nvmlfields import GONE
from ._nvmlgpm import METRICS, Gpm
from ._nvmlgpu import Gpu, ask, text
from ._said import Said

TABLE, MEMORY = "mig", "mig_memory_used_bytes"
#: What the card's activity is called, and what an instance's is.
ACTIVITY = {name: name.replace("gpu_", "mig_", 1) for name in METRICS}
#: Instances of a card that are looked for; the driver has seven.
MOST = 32


class Instance(NamedTuple):
    """One GPU instance: its number on the card names it, its UUID tells it from the next one of that number."""

    row: RosterRow
    handle: Any
    gpm: Gpm


class Mig:
    """Looks at the instances of divided cards. They may be made and taken away at any time: what is gone ends in the roster.

    Source: nvml.h, sections "Multi Instance GPU Management" and GPM. Several compute instances of one GPU instance share its memory and
    its counters, so they are one subject.

    Parameters
    ----------
    nvml : module
    rejected : dict of str to int
        Where failures are counted, as ``mig``.
    """

    def __init__(self, nvml: Any, rejected: dict[str, int]) -> None:
        self.nvml, self.rejected, self.said = nvml, rejected, Said()
        self._cards: dict[str, dict[str, Instance]] = {}
        self._stale: set[str] = set()

    def messages(self, now: int, cards: Sequence[Gpu], deep: bool) -> list[Message]:
        """Return roster rows of the instances that are new or gone, and one batch of what they tell.

        Parameters
        ----------
        now : int
            Microseconds.
        cards : sequence of Gpu
            Those that answer.
        deep : bool
            Look for new instances.
        """
        rows: list[RosterRow] = []
        told: dict[str, dict[str, float]] = {}
        for card in cards:
            if card.divided or card.subject in self._cards:
                if deep or card.subject in self._stale or card.subject not in self._cards:
                    rows += self._find(card, now)
                told |= {name: self._read(card, instance) for name, instance in self._cards[card.subject].items()}
        return [*([tuple(rows)] if rows else []), *_batch(now, told)]

    def close(self) -> None:
        """Give back what the driver holds for us."""
        for instances in self._cards.values():
            for instance in instances.values():
                instance.gpm.close()
        self._cards = {}

    def _find(self, card: Gpu, now: int) -> list[RosterRow]:
        before = self._cards.get(card.subject, {})
        found = self._listed(card, before) if card.divided else {}
        for instance in before.values():
            if instance not in found.values():
                instance.gpm.close()
        self._cards[card.subject] = found
        self._stale.discard(card.subject)
        return [*self.said.ended([n for n in before if n not in found], now), *self.said.news([i.row for i in found.values()], now)]

    def _listed(self, card: Gpu, before: dict[str, Instance]) -> dict[str, Instance]:
        nvml = self.nvml
        found: dict[str, Instance] = {}
        try:
            places = min(int(ask(nvml, lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(card.handle), 0)), MOST)
            for place in range(places):
                handle = ask(nvml, partial(nvml.nvmlDeviceGetMigDeviceHandleByIndex, card.handle, place), None)
                row = self._row(card, handle) if handle is not None else None
                if row is not None and row.subject not in found:
                    known = before.get(row.subject)
                    same = known is not None and known.row.keys == row.keys
                    found[row.subject] = known._replace(handle=handle) if known is not None and same else Instance(row, handle, Gpm(nvml, _number(row)))
        except nvml.NVMLError:  # the card is gone, which is told of the card
            return before
        return found

    def _row(self, card: Gpu, handle: Any) -> RosterRow | None:
        nvml = self.nvml
        number = ask(nvml, lambda: nvml.nvmlDeviceGetGpuInstanceId(handle), None)
        if number is None:
            return None
        told: dict[str, Any] = {"sku": ask(nvml, lambda: nvml.nvmlDeviceGetName(handle)), "uuid": ask(nvml, lambda: nvml.nvmlDeviceGetUUID(handle))}
        own: dict[str, str] = {key: clean for key, value in told.items() if (clean := text(value))}
        shared: dict[str, str] = {key: card.keys[key] for key in ("node", "module", "driver") if key in card.keys}
        keys = {**shared, **own, "slot": f"{card.keys.get('slot', '')}/{number}"}
        return RosterRow(f"{card.subject}/mig{number}", TABLE, keys=keys)

    def _read(self, card: Gpu, instance: Instance) -> dict[str, float]:
        nvml = self.nvml
        told: dict[str, float] = {}
        try:
            told[MEMORY] = float(nvml.nvmlDeviceGetMemoryInfo(instance.handle, nvml.nvmlMemory_v2).used)
            told |= {ACTIVITY[name]: value for name, value in instance.gpm.read(card.handle).items()}
        except nvml.NVMLError as error:
            self._stale.add(card.subject)
            if error.value not in GONE:
                self.rejected["mig"] = self.rejected.get("mig", 0) + 1
        return told


def _number(row: RosterRow) -> int:
    return int(row.subject.rpartition("mig")[2])


def _batch(now: int, told: dict[str, dict[str, float]]) -> list[Batch]:
    subjects = tuple(s for s in told if told[s])
    metrics: tuple[str, ...] = tuple(m for m in (MEMORY, *ACTIVITY.values()) if any(m in told[s] for s in subjects))
    if not metrics:
        return []
    values = np.array([[[told[s].get(m, np.nan) for s in subjects] for m in metrics]], np.float32)
    return [Batch(TABLE, np.array([now]), subjects, metrics, values)]
