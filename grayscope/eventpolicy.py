"""Eventpolicy: what each Xid, SXid, AER, EDAC, link, NCCL and health event means, as data (`events.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

from grayscope.catalogue import SIDES
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.modes import Modes

KINDS = ("fact", "repeats", "jobs", "follows", "noted", "clears")
HOUR = 3600 * 1_000_000
#: Codes that one rule may name.
CODES = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of event means; see `events.toml` for the words.

    Parameters
    ----------
    half_life_h : float
        Hours after which a fact that was not seen again counts half.
    needs : int
        Separate events within a day, or jobs.
    """

    source: str
    codes: frozenset[str]
    kind: str
    source_of_rule: str
    when: str = ""
    side: str = ""
    mode: str = ""
    mechanism: str = ""
    half_life_h: float = 2.0
    needs: int = 1
    clears: tuple[str, ...] = ()

    @property
    def half_life(self) -> int:
        """Half-life in microseconds."""
        return round(self.half_life_h * HOUR)


class Policy:
    """All rules.

    Examples
    --------
    >>> policy = Policy.load()
    >>> policy.of(Event(0, "n1/gpu0", "xid", "48")).mode, policy.of(Event(0, "n1/gpu0", "xid", "13")).kind
    ('uncorrectable_memory', 'jobs')
    >>> policy.of(Event(0, "n1/gpu0", "xid", "99999")) is None
    True
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._by: dict[tuple[str, str], list[Rule]] = {}
        for rule in self.rules:
            for code in sorted(rule.codes):
                self._by.setdefault((rule.source, code), []).append(rule)

    @classmethod
    def load(cls) -> Policy:
        """Return the packaged table; parsed once."""
        return _packaged()

    @classmethod
    def parse(cls, text: str, where: str = "events") -> Policy:
        """Build a policy from TOML.

        Raises
        ------
        InputError
            Names rule and key, what was expected and found.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{where}: not TOML: {error}") from error
        defaults = document.get("defaults", {})
        return cls(_rule(given, defaults, f"{where}: rule {i + 1}") for i, given in enumerate(document.get("rule", ())))

    def of(self, event: Event) -> Rule | None:
        """Return the rule for an event, None if nobody knows its code."""
        for rule in self._by.get((event.source, event.code.lower()), ()):
            if rule.when in event.text:
                return rule
        return None


@cache
def _packaged() -> Policy:
    return Policy.parse(resources.files("grayscope").joinpath("events.toml").read_text("utf-8"))


def _rule(given: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]], where: str) -> Rule:
    known = {f.name for f in fields(Rule)}
    for key in given.keys() - known:
        raise InputError.at(where, "key", ", ".join(sorted(known)), key)
    for key in {"source", "codes", "kind", "source_of_rule"} - given.keys():
        raise InputError.at(where, key, "a text", "nothing")
    kind = given["kind"]
    if kind not in KINDS:
        raise InputError.at(where, "kind", ", ".join(KINDS), kind)
    filled = {**defaults.get(kind, {}), **given, "codes": expand(given["codes"], where), "clears": tuple(given.get("clears", ()))}
    rule = Rule(**filled)
    _check(rule, where)
    return rule


def _check(rule: Rule, where: str) -> None:
    modes = Modes.load()
    accuses = rule.kind in ("fact", "repeats", "jobs")
    if accuses and rule.side not in SIDES:
        raise InputError.at(where, "side", ", ".join(SIDES), rule.side or "nothing")
    if rule.mode and rule.mode not in modes.modes:
        raise InputError.at(where, "mode", "the name of a mode", rule.mode)
    if rule.mechanism and rule.mechanism not in modes.mechanisms:
        raise InputError.at(where, "mechanism", "the name of a mechanism", rule.mechanism)
    if (rule.kind == "clears") != bool(rule.clears):
        raise InputError.at(where, "clears", "a list, with kind clears alone", rule.clears)
    if rule.half_life_h <= 0 or rule.needs < 1:
        raise InputError.at(where, "half_life_h and needs", "positive numbers", f"{rule.half_life_h} and {rule.needs}")


def expand(text: str, where: str = "events") -> frozenset[str]:
    """Return the codes that a list with ranges names.

    Examples
    --------
    >>> sorted(expand("48, 119-121, ce"))
    ['119', '120', '121', '48', 'ce']
    """
    codes: set[str] = set()
    for part in (p.strip() for p in text.split(",")):
        first, dash, last = part.partition("-")
        if dash and first.isdecimal() and last.isdecimal():
            if not 0 <= int(last) - int(first) < CODES:
                raise InputError.at(where, "codes", f"a range of at most {CODES}", part)
            codes |= {str(n) for n in range(int(first), int(last) + 1)}
        elif part:
            codes.add(part.lower())
    return frozenset(codes)
