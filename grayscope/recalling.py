"""Recalling: incidents and ledger rows as records again, from the tables of a results directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from grayscope.errors import InputError
from grayscope.incident import SEVERITIES, Incident
from grayscope.ledger import NAN, Entry
from grayscope.results import INCIDENTS, LEDGER

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = ("time", "since", "exhausted_at")
#: What `explain` reads of a signal without asking whether it is there.
SIGNAL = {"side": "", "detector": "", "metric": "", "mode": "", "strength": 0.0, "value": None, "expected": None, "n_peers": 0, "since": 0, "left": None,
          "exhausted_at": None, "why": ""}  # fmt: skip


def recall_incidents(table: pa.Table, where: str = "incidents") -> list[Incident]:
    """Return the incidents of a results directory, by time noticed.

    Parameters
    ----------
    table : pyarrow.Table
        As `grayscope.results.INCIDENTS` describes it.
    where : str
        Named in errors.

    Raises
    ------
    InputError
        A column is missing, or the evidence of a row is not what `grayscope.results` writes.
    """
    return [_incident(row, f"{where}: row {n}") for n, row in enumerate(_rows(table, INCIDENTS, where))]


def recall_entries(table: pa.Table, where: str = "ledger") -> list[Entry]:
    """Return the rows of the redundancy ledger.

    Raises
    ------
    InputError
        A column is missing.
    """
    found = []
    for row in _rows(table, LEDGER, where):
        budget, spent, left, rate = (NAN if row[name] is None else row[name] for name in ("budget", "spent", "left", "rate"))
        ends = (microseconds(row[name]) or 0 for name in ("exhausted_low", "exhausted_at", "exhausted_high"))
        found.append(Entry(microseconds(row["time"]) or 0, row["subject"], row["mechanism"], budget, spent, left, row["unit"] or "1", rate, *ends))
    return found


def microseconds(moment: datetime | str | int | None) -> int | None:
    """Return a time as microseconds, whichever way it was written.

    Examples
    --------
    >>> microseconds("1970-01-01T00:00:01Z"), microseconds(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)), microseconds("7 us"), microseconds(None)
    (1000000, 2000000, 7, None)
    """
    if moment is None or isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        if moment.endswith(" us"):
            return int(moment.removesuffix(" us"))
        moment = datetime.fromisoformat(moment)
    return (moment - EPOCH) // timedelta(microseconds=1)


def fitted(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """Return the columns of a schema in its types.

    Raises
    ------
    InputError
        One is missing, or holds something else.

    Examples
    --------
    >>> fitted(pa.table({"b": [1], "a": [2]}), pa.schema([("a", pa.float64())]), "t").to_pylist()
    [{'a': 2.0}]
    """
    for name in schema.names:
        if name not in table.column_names:
            raise InputError.at(where, f"column {name}", "to be there", ", ".join(table.column_names))
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InputError(f"{where}: not the columns of a results directory: {error}") from error


def _rows(table: pa.Table, schema: pa.Schema, where: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = fitted(table, schema, where).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InputError(f"{where}: not the columns of a results directory: {error}") from error
    return rows


def _incident(row: Mapping[str, Any], where: str) -> Incident:
    if row["severity"] not in SEVERITIES:
        raise InputError.at(where, "severity", ", ".join(SEVERITIES), row["severity"])
    try:
        evidence = tuple(_piece(piece) for piece in json.loads(row["evidence"] or "[]"))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: evidence: expected a JSON list of objects with readable times, found {str(row['evidence'])[:80]!r}") from error
    began, noticed = microseconds(row["began"]) or 0, microseconds(row["noticed"]) or 0
    history = tuple((microseconds(h["time"]) or 0, h["state"], h["severity"]) for h in row["history"] or ())
    rivals = tuple((r["subject"], r["probability"]) for r in row["rivals"] or ())
    return Incident(
        row["id"], row["subject"], row["place"], row["state"], row["severity"], row["mode"] or "", began, noticed, microseconds(row["escalated"]),
        microseconds(row["ended"]), history, 1.0 if row["probability"] is None else row["probability"], rivals, row["summary"] or "", evidence,
    )  # fmt: skip


def _piece(piece: Mapping[str, Any]) -> dict[str, object]:
    """Return a piece of evidence with its times, and those of its signals, as numbers again."""
    told: dict[str, object] = {k: (microseconds(v) if k in TIMES else v) for k, v in piece.items()}
    return told | {"signals": [SIGNAL | _piece(s) for s in piece["signals"]]} if "signals" in piece else told
