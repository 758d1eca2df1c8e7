"""Rocmjson: the JSON of rocm-smi as samples; what its keys mean is said in the catalogue, under the very keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from grayscope.catalogue import Catalogue
from grayscope.errors import InputError, shorten

CARD = re.compile(r"card([0-9]{1,4})")
#: A number, with the unit around it that some keys have: ``(300Mhz)``, ``64.0``, ``0 (16.0GT/s x16)`` is another thing.
NUMBER = re.compile(r"\(?([-+]?[0-9]{1,24}(?:\.[0-9]{1,12})?)(?:[Mm][Hh][Zz])?\)?")
LINK = re.compile(r"[0-9]+ \(([0-9]+(?:\.[0-9]+)?)GT/s x([0-9]{1,2})\)")
#: Transfers per second and lane of the generations of PCIe.
GENERATIONS = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
CARDS, KEYS, BLANK = 256, 4096, ("n/a", "none", "unknown", "", "0x0")


class Sample(NamedTuple):
    """One number: name, labels, value."""

    name: str
    labels: dict[str, str]
    value: float


def parse(data: bytes) -> dict[str, Any]:
    """Return the JSON object of an output; the tool may print warnings before it.

    Raises
    ------
    InputError
        There is none.

    Examples
    --------
    >>> parse(b"WARNING: AMD GPU device(s) is/are in a low-power state." + bytes([10]) + b'{"card0": {"GPU use (%)": "7"}}')
    {'card0': {'GPU use (%)': '7'}}
    """
    text = data.decode("utf-8", "replace")
    begin = text.find("{")
    try:
        found, _ = json.JSONDecoder().raw_decode(text, max(begin, 0))
    except (ValueError, RecursionError) as error:
        raise InputError.at("rocm-smi", "JSON", "an object with card0, card1, ...", f"{shorten(error, 60)} in {shorten(text, 60)!r}") from error
    if not isinstance(found, dict) or not any(CARD.fullmatch(key) for key in found):
        raise InputError.at("rocm-smi", "JSON", "an object with card0, card1, ...", shorten(list(found) if isinstance(found, dict) else found, 60))
    return found


class Reader:
    """Turns outputs into samples; counts what cannot be read.

    Parameters
    ----------
    catalogue : Catalogue
    rejected : dict of str to int
    """

    def __init__(self, catalogue: Catalogue, rejected: dict[str, int]) -> None:
        self.catalogue, self.rejected = catalogue, rejected

    def samples(self, found: dict[str, Any], node: str) -> Iterator[Sample]:
        """Yield what the catalogue knows of each card."""
        system = found.get("system")
        driver = _word(system.get("Driver version")) if isinstance(system, dict) else ""
        cards = [(m[1], card) for key, card in found.items() if (m := CARD.fullmatch(key))]
        for number, card in cards[:CARDS]:
            if not isinstance(card, dict) or len(card) > KEYS:
                self._reject("broken_card")
                continue
            told = {"hostname": node, "gpu": str(int(number)), "driver": driver, "modelName": _word(card.get("Card series") or card.get("Card Series"))}
            told["UUID"] = _word(card.get("Unique ID")) or _word(card.get("Serial Number"))
            labels = {k: v for k, v in told.items() if v}
            yield Sample("gpu_present", labels, 1.0)
            yield from self._card(card, labels)

    def _card(self, card: dict[str, Any], labels: dict[str, str]) -> Iterator[Sample]:
        for key, told in card.items():
            text = _word(told)
            if not text:
                continue
            if key == "pcie clock level":
                yield from self._link(text, labels)
            elif key in self.catalogue.aliases:
                number = NUMBER.fullmatch(text)
                if number is None:
                    self._reject("not_a_number")
                else:
                    yield Sample(key, labels, float(number[1]))

    def _link(self, text: str, labels: dict[str, str]) -> Iterator[Sample]:
        link = LINK.fullmatch(text)
        generation = GENERATIONS.get(float(link[1])) if link else None
        if link is None or generation is None:
            self._reject("not_a_link")
            return
        yield Sample("pcie_link_generation", labels, float(generation))
        yield Sample("pcie_link_width_lanes", labels, float(link[2]))

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def _word(told: object) -> str:
    """Return a text or number as text, ``""`` where the tool says that it does not know."""
    text = str(told).strip()[:256] if isinstance(told, (str, int, float)) and not isinstance(told, bool) else ""
    return "" if text.lower() in BLANK or text.startswith("N/A ") else text
