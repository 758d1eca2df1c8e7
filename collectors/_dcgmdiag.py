"""Dcgmdiag: what ``dcgmi diag --json`` says of each GPU: its worst result, and why. DCGM 3 and 4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from grayscope.errors import InputError, shorten

#: The document's one key: DCGM 3, DCGM 4.
TITLES = ("DCGM GPU Diagnostic", "DCGM Diagnostic")
#: Results in the words of a health report, from best to worst; a test that was skipped says nothing.
RESULTS = {"pass": "healthy", "warn": "warning", "warning": "warning", "fail": "failure"}
WORST = ("healthy", "warning", "failure")
#: Tests of one document, results of one test, texts of one GPU.
MOST, TEXTS = 4096, 64
Entity = tuple[str, int]


def diagnosed(document: Mapping[str, Any]) -> dict[Entity, tuple[str, str]]:
    """Return (state, what is said about it) of every GPU that was tested.

    Raises
    ------
    InputError
        The run failed as a whole.

    Examples
    --------
    >>> failed = {"entity_group": "GPU", "entity_id": 3, "status": "Fail", "warnings": [{"warning": "DBE"}]}
    >>> diagnosed({"DCGM Diagnostic": {"test_categories": [{"tests": [{"name": "memory", "results": [failed]}]}]}})
    {('GPU', 3): ('failure', 'memory: DBE')}
    """
    body: Mapping[str, Any] = next((document[t] for t in TITLES if isinstance(document.get(t), dict)), {})
    if body.get("runtime_error"):
        raise InputError.at("dcgmi", "diag", "results of tests", shorten(body["runtime_error"], 200))
    states: dict[Entity, str] = {}
    texts: dict[Entity, list[str]] = {}
    for name, result in _results(body):
        state = RESULTS.get(str(result.get("status", "")).lower())
        for entity in _entities(result) if state else ():
            states[entity] = max(states.get(entity, "healthy"), state or "", key=WORST.index)
            if state != "healthy" and len(texts.setdefault(entity, [])) < TEXTS:
                texts[entity].append(f"{name}: {_said(result.get('warnings')) or state}")
    return {entity: (state, shorten(" ".join(texts.get(entity, ())), 400)) for entity, state in states.items()}


def _results(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for category in _dicts(body.get("test_categories")):
        for test in _dicts(category.get("tests")):
            yield from ((shorten(test.get("name", ""), 64), result) for result in _dicts(test.get("results")))


def _dicts(found: Any) -> list[dict[str, Any]]:
    return [x for x in found[:MOST] if isinstance(x, dict)] if isinstance(found, list) else []


def _entities(result: Mapping[str, Any]) -> list[Entity]:
    """Return the GPUs that a result is of: one by number, or (DCGM 3) several with commas; none for the machine's software."""
    if str(result.get("entity_group", "GPU")).upper() != "GPU":
        return []
    told = result.get("entity_id", result.get("gpu_id", result.get("gpu_ids", "")))
    numbers = (word.strip() for word in str(told)[: TEXTS * 8].split(","))
    return [("GPU", int(n)) for n in numbers if n.isascii() and n.isdigit() and len(n) < 7]


def _said(warnings: Any) -> str:
    if isinstance(warnings, list):
        return " ".join(str(w.get("warning", "")) if isinstance(w, dict) else str(w) for w in warnings[:TEXTS])
    return str(warnings or "")
