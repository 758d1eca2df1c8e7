"""Signalwords: one signal of an incident as a person reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from grayscope.catalogue import Catalogue
from grayscope.horizons import ENOUGH
from grayscope.medians import CROWD
from grayscope.wording import number, ratio, utc

#: What blame adds to a finding about those that were late because of the suspect.
CLEARED = re.compile(r"; cleared: (.*? \(they wait for it\))")
#: Detectors whose evidence counts less beside few peers; by these two of them a condition does not, for it only says why.
SHARED, SYMPTOMS = frozenset({"slower", "became", "stepped", "lasting", "spending"}), frozenset({"slower", "became"})


def signal_in_words(s: Mapping[str, Any]) -> str:
    """Return one signal: value, what was expected by how many, ratio, since; the detector's own words where they say more; and how little few peers tell.

    Examples
    --------
    >>> found = {"side": "service", "detector": "slower", "metric": "compute_seconds", "value": 2.4, "expected": 2.0, "n_peers": 3, "since": 0, "why": ""}
    >>> print(signal_in_words(found))
    compute_seconds 2.4 s, usual among 3 peers 2 s: 20% above, since when is unknown [slower, service]; few peers: evidence counts 3/7
    """
    return f"{_measured(s)}{_few(s)}"


def _measured(s: Mapping[str, Any]) -> str:
    since = f"since {utc(s['since'])}" if s["since"] else "since when is unknown"
    rest = f" [{s['detector']}, {s['side']}]"
    if s["value"] is None or s["expected"] is None:
        return f"{s['why'] or s['metric']}; {since}{rest}"
    far, why, n = ratio(s["value"], s["expected"]), CLEARED.sub("", s["why"]), s["n_peers"]
    if why and s["side"] == "redundancy":  # what is counted is in no unit of the metric: ticks with an error, lanes of so many
        return f"{why}{f' ({far} what is usual, {n} peers)' if n and f'{n} ' not in why else ''}, {since}{rest}"
    metric = Catalogue.load().get(s["metric"])
    unit = metric.unit if metric is not None else ""
    if why.startswith(s["metric"]) and "its peers (" in why:
        return f"{_numbers(s, unit, f'median of {n} peers')}, {since}{rest}"
    if s["metric"] in why and f" {far} " in why:  # its own past, a like row: the words have the numbers
        return f"{why}, {since}{rest}"
    return f"{_numbers(s, unit, f'usual among {n} peers' if n else 'expected')}, {since}{f'; {why}' if why else ''}{rest}"


def _few(s: Mapping[str, Any]) -> str:
    """Return how little evidence counts that rests on few peers."""
    n = s["n_peers"]
    if s["detector"] not in SHARED or not 0 < n < ENOUGH or (s["side"] == "condition" and s["detector"] in SYMPTOMS):
        return ""
    lent = s["detector"] == "spending" and n < CROWD - 1  # other groups tell what is usual, too
    return f"; few peers: evidence counts {f'{CROWD - 1}/{ENOUGH} at most' if lent else f'{n}/{ENOUGH}'}"


def _numbers(s: Mapping[str, Any], unit: str, expected: str) -> str:
    return f"{s['metric']} {number(s['value'], unit)}, {expected} {number(s['expected'], unit)}: {ratio(s['value'], s['expected'])}"
