"""Nvidiasmi: XML of ``nvidia-smi -q -x``, one look or a loop of them, as a trace."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.tracewriter import TraceWriter

from ._filed import Files, contents, stamps
from ._smipaths import GONE, values
from ._smixml import Card, Document, documents

MONTHS = {name: i for i, name in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)}
STAMP = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) {1,2}([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})")


class Nvidiasmi(Files):
    """Reads files of one or more nodes. Delivery: every look once; a look that is cut off is counted and left out.

    A card keeps the number under which its node's files first show it; a card that is not listed any more, or whose values say that
    it is lost, is ``gpu_present`` 0 and an event. Times are the tool's own, which have no zone: they are taken as UTC, less
    `utc_offset`; a look without one is stamped by `start` and `step`, else with the time of the file's last change.

    Not read: processes, clocks that are supported, slices of a divided card (the card itself is).

    Source of the names: ``nvidia-smi -q -x`` of drivers 515 to 595 (nvsmi_device_v11 to v13.dtd), older ones by the DTD's elder names.

    Parameters
    ----------
    paths : sequence of path
    start, step : int, optional
        Microseconds.
    node : str
        Name of the node; by default each file's name up to its first dot, so files of many nodes stay apart.
    utc_offset : int
        Microseconds by which the node's clock is ahead of UTC.
    """

    def __init__(
        self, paths: Sequence[str | Path], *, start: int | None = None, step: int | None = None, node: str = "", utc_offset: int = 0,
        catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        super().__init__(paths, start=start, step=step, node=node, catalogue=catalogue)
        self.utc_offset = utc_offset
        self._numbers: dict[str, dict[str, int]] = {}
        self._labels: dict[tuple[str, str], dict[str, str]] = {}
        self._lost: dict[str, bool] = {}
        self._first_error = ""

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all looks; return counts.

        Raises
        ------
        InputError
            A file that cannot be read, or that holds no look at all.
        """
        looks = 0
        for path, stamp in zip(self.paths, stamps(self.paths, self.start, self.step), strict=True):
            node, here = self.of(path), 0
            for document, wrong in documents(contents(path), path):
                if document is None:
                    self._first_error = self._first_error or wrong
                    self.filed.reject("broken_look")
                    continue
                self._look(document, node, moment(document.texts.get("timestamp", ""), self.utc_offset) or stamp + here * (self.step or 0))
                here += 1
            if not here:
                raise InputError(self._first_error or f"{path}: no look: expected the output of nvidia-smi -q -x")
            looks += here
        return {"files": len(self.paths), "looks": looks, **self.filed.write(writer, self.step, progress)}

    def _look(self, document: Document, node: str, time: int) -> None:
        numbers = self._numbers.setdefault(node, {})
        seen = set()
        for i, card in enumerate(document.cards):
            uuid = card.texts.get("uuid", card.address) or f"card {i}"
            number = numbers.setdefault(uuid, _free(numbers, i))
            seen.add(uuid)
            labels = {"hostname": node, "gpu": str(number), "UUID": uuid, "modelName": card.texts.get("product_name", ""),
                      "driver": document.texts.get("driver_version", "")}  # fmt: skip
            self._labels[node, uuid] = {k: v for k, v in labels.items() if v}
            self._card(card, self._labels[node, uuid], time, f"{node}/gpu{number}")
        for uuid, number in numbers.items():
            if uuid not in seen:
                self.filed.add("gpu_present", self._labels[node, uuid], time, 0.0)
                self._turn(f"{node}/gpu{number}", time, "nvidia-smi does not list it any more")

    def _card(self, card: Card, labels: dict[str, str], time: int, subject: str) -> None:
        said = next((text.strip("[]") for text in card.texts.values() if text.strip("[]").lower() in GONE), "")
        self.filed.add("gpu_present", labels, time, float(not said))
        self._turn(subject, time, f"nvidia-smi: {said}" if said else "")
        found, odd = values(card.texts)
        if odd:
            self.filed.reject("not_understood", odd)
        for (name, own), value in found.items():
            self.filed.add(name, {**labels, **dict(own)}, time, value)

    def _turn(self, subject: str, time: int, reason: str) -> None:
        """Tell that a card went or came back, once."""
        if bool(reason) != self._lost.get(subject, False):
            self._lost[subject] = bool(reason)
            self.filed.tell(Event(time, subject, "health", "unhealthy" if reason else "healthy", reason or "nvidia-smi: it is there again"))


def _free(numbers: dict[str, int], wanted: int) -> int:
    """Return the wanted number, or the next that no card has."""
    taken = set(numbers.values())
    return wanted if wanted not in taken else next(n for n in range(len(taken) + 1) if n not in taken)


def moment(text: str, utc_offset: int = 0) -> int | None:
    """Return the tool's time in microseconds, None if it is none; names of days and months are English there in every locale.

    Examples
    --------
    >>> moment("Mon Apr 24 16:11:51 2023"), moment("Thu Aug  6 01:03:40 2026", 3_600_000_000), moment("now")
    (1682352711000000, 1785974620000000, None)
    """
    found = STAMP.fullmatch(text.strip())
    if found is None or found[1] not in MONTHS:
        return None
    day, hour, minute, second, year = (int(found[i]) for i in (2, 3, 4, 5, 6))
    try:
        return int(datetime(year, MONTHS[found[1]], day, hour, minute, second, tzinfo=UTC).timestamp()) * 1_000_000 - utc_offset
    except ValueError:
        return None
