"""Scontrol: what Slurm says of nodes, jobs and switches, as text of ``scontrol show`` or as JSON of its REST interface; wire format only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from grayscope.errors import InputError

#: Bytes of one document, and records in it.
LARGEST, RECORDS = 64 << 20, 500_000
#: The first key of a record says what it is.
KINDS = {"NodeName": "node", "JobId": "job", "SwitchName": "switch", "BlockName": "block"}
KEY = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z0-9_:/.]*)=")
#: REST (slurmrestd, data_parser v0.0.40 and later): list -> kind, and its names for what the text calls otherwise.
REST = {"nodes": "node", "jobs": "job"}
NAMES = {
    "node": {"name": "NodeName", "state": "State", "partitions": "Partitions", "gres": "Gres", "reason": "Reason"},
    "job": {"job_id": "JobId", "job_state": "JobState", "nodes": "NodeList", "partition": "Partition", "gres_detail": "GRES"},
}


def records(data: bytes, where: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (kind, fields) of every record; `kind` is ``node``, ``job``, ``switch`` or ``block``.

    Raises
    ------
    InputError
        Neither JSON with nodes or jobs nor text of `scontrol show`, or beyond bounds.

    Examples
    --------
    >>> list(records(b"NodeName=n1 CPUTot=8 Gres=gpu:h100:8(S:0-1)\\n   State=IDLE+DRAIN Reason=bad fan [root@now]\\n", "f"))
    [('node', {'NodeName': 'n1', 'CPUTot': '8', 'Gres': 'gpu:h100:8(S:0-1)', 'State': 'IDLE+DRAIN', 'Reason': 'bad fan [root@now]'})]
    """
    if len(data) > LARGEST:
        raise InputError.at(where, "size", f"at most {LARGEST} bytes", len(data))
    text = data.decode("utf-8", "replace")
    found = _rest(text, where) if text.lstrip()[:1] == "{" else _text(text)
    empty = True
    for number, record in enumerate(found):
        if number >= RECORDS:
            raise InputError.at(where, "records", f"at most {RECORDS}", "more")
        empty = False
        yield record
    if empty:
        raise InputError.at(where, "content", "records that begin with NodeName=, JobId=, SwitchName= or BlockName=", text[:200])


def _text(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A record begins with its name at the start of a line; what follows, up to the next one, belongs to it."""
    fields: dict[str, str] = {}
    kind = ""
    for line in text.splitlines():
        pairs = _pairs(line)
        first = next(iter(pairs), "")
        if first in KINDS and not line[:1].isspace():
            if fields:
                yield kind, fields
            kind = KINDS[first]
            fields = dict(pairs) if kind != "job" else {first: pairs[first]}
        elif first == "Nodes" and "GRES" in pairs and kind == "job":
            # `show job -d`: one line per node, with the indices of its GPUs.
            fields["GRES"] = f"{fields.get('GRES', '')};{pairs['Nodes']} {pairs['GRES']}"
        elif fields:
            # A job's name, comment and command are its user's: only what begins a line of a job is the scheduler's word.
            own = pairs if kind != "job" else {first: pairs.get(first, "")}
            fields |= {k: v for k, v in own.items() if k not in fields}
    if fields:
        yield kind, fields


def _pairs(line: str) -> dict[str, str]:
    """Split ``A=1 B=two words C=3``: a value ends where the next key begins."""
    marks = list(KEY.finditer(line))
    ends = [m.start() for m in marks[1:]] + [len(line)]
    return {m[1]: line[m.end() : end].strip() for m, end in zip(marks, ends, strict=False)}


def _rest(text: str, where: str) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError.at(where, "JSON", "an answer of slurmrestd", error) from error
    for name, kind in REST.items():
        found = document.get(name, [])
        if not isinstance(found, list):
            raise InputError.at(where, name, "a list", type(found).__name__)
        for entry in found:
            if isinstance(entry, dict) and entry.get("name" if kind == "node" else "job_id") is not None:
                yield kind, {ours: _plain(entry[theirs]) for theirs, ours in NAMES[kind].items() if entry.get(theirs) is not None}


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ("+" if all(isinstance(v, str) and "(" not in v for v in value) else ";").join(str(v) for v in value)
    return str(value.get("number", "")) if isinstance(value, dict) else str(value)
