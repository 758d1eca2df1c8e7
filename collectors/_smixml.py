"""Smixml: the XML of ``nvidia-smi -q -x`` as plain text by path, with nothing in it that a parser would go and fetch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from grayscope.errors import InputError, shorten

#: Depth of elements, characters of one text, leaves of one card, cards of one document.
DEEPEST, LONGEST, LEAVES, CARDS = 24, 4096, 20_000, 256
BEGIN = re.compile(rb"<\?xml\b")


@dataclass(slots=True)
class Card:
    """One ``<gpu>``: the PCI address and the text of every leaf by its path, the first of equal paths."""

    address: str
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Document:
    """One look: the texts beside the cards, and the cards in the driver's order."""

    texts: dict[str, str] = field(default_factory=dict)
    cards: list[Card] = field(default_factory=list)


def documents(data: bytes, path: Path) -> Iterator[tuple[Document | None, str]]:
    """Yield (document, ``""``) for each look of a file, (None, what is wrong) for one that cannot be read.

    A loop (``-l``) prints one document after the other, and may be cut off in the last.
    """
    starts = [m.start() for m in BEGIN.finditer(data)] or [0]
    for begin, end in zip(starts, [*starts[1:], len(data)], strict=True):
        try:
            yield read(data[begin:end]), ""
        except InputError as error:
            yield None, f"{path}: byte {begin}: {error}"


def read(data: bytes) -> Document:
    """Return one document.

    Raises
    ------
    InputError
        Not this XML; an entity; deeper, longer or more than any driver prints.

    Examples
    --------
    >>> d = read(b'<nvidia_smi_log><gpu id="0:1"><fan_speed>30 %</fan_speed></gpu></nvidia_smi_log>')
    >>> d.cards[0].address, d.cards[0].texts
    ('0:1', {'fan_speed': '30 %'})
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = reader.start, reader.end, reader.text
    parser.EntityDeclHandler = parser.ExternalEntityRefHandler = parser.UnparsedEntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(f"not XML: {error}") from error
    except (ValueError, LookupError) as error:  # an encoding that is none
        raise InputError(f"not XML: {shorten(error)}") from error
    return reader.document


def _refuse(*_: object) -> int:
    raise InputError("an entity: expected plain XML, as nvidia-smi prints it")


class _Reader:
    """Takes the parser's calls; knows where it is by the names of the open elements."""

    def __init__(self) -> None:
        self.document = Document()
        self._open: list[str] = []
        self._card: Card | None = None
        self._text = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open and name != "nvidia_smi_log":
            raise InputError.at("root", "element", "nvidia_smi_log", name)
        if len(self._open) >= DEEPEST:
            raise InputError.at(shorten("/".join(self._open[:4])), "depth", f"at most {DEEPEST}", len(self._open) + 1)
        if len(self._open) == 1 and name == "gpu":
            if len(self.document.cards) >= CARDS:
                raise InputError.at("gpu", "cards", f"at most {CARDS}", "more")
            self._card = Card(attributes.get("id", "")[:64])
            self.document.cards.append(self._card)
        self._open.append(name)
        self._text = ""

    def text(self, data: str) -> None:
        if len(self._text) < LONGEST:
            self._text += data[:LONGEST]

    def end(self, _: str) -> None:
        card = self._card
        path = "/".join(self._open[2 if card is not None else 1 :])
        told = self._text.strip()
        self._text = ""
        self._open.pop()
        if card is not None and len(self._open) == 1:
            self._card = None
        elif told and path:
            texts = card.texts if card is not None else self.document.texts
            if len(texts) >= LEAVES:
                raise InputError.at(path, "leaves", f"at most {LEAVES}", "more")
            texts.setdefault(path[:256], told)
