"""Results: what a run said, on disk: verdicts, incidents, coverage, scores and how it was run."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from grayscope.errors import InputError, UsageError, shorten
from grayscope.evidence import SCHEMA as EVIDENCE
from grayscope.evidence import Evidence
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.saidrows import incident_dict, pieces
from grayscope.tracefiles import read_table
from grayscope.tracewriter import writing
from grayscope.verdict import Verdict

if TYPE_CHECKING:
    from grayscope.engine import Coverage

TIME = pa.timestamp("us", "UTC")
#: What people found, as events (`grayscope.feedback`); no run writes it.
FEEDBACK = "feedback.jsonl"
VERDICTS = pa.schema(
    [("time", TIME), ("subject", pa.string()), ("state", pa.string()), ("previous", pa.string()), ("strength", pa.float64()), ("why", pa.string()),
     ("mechanism", pa.string()), ("left", pa.float64()), ("exhausted_at", TIME)]
)  # fmt: skip
LEDGER = pa.schema(
    [("time", TIME), ("subject", pa.string()), ("mechanism", pa.string()), ("budget", pa.float64()), ("spent", pa.float64()), ("left", pa.float64()),
     ("unit", pa.string()), ("rate", pa.float64()), ("exhausted_low", TIME), ("exhausted_at", TIME), ("exhausted_high", TIME)]
)  # fmt: skip
HISTORY = pa.list_(pa.struct([("time", TIME), ("state", pa.string()), ("severity", pa.string())]))
RIVALS = pa.list_(pa.struct([("subject", pa.string()), ("probability", pa.float64())]))
INCIDENTS = pa.schema(
    [("id", pa.string()), ("subject", pa.string()), ("place", pa.string()), ("state", pa.string()), ("severity", pa.string()), ("mode", pa.string()),
     ("began", TIME), ("noticed", TIME), ("escalated", TIME), ("ended", TIME), ("history", HISTORY), ("probability", pa.float64()), ("rivals", RIVALS),
     ("summary", pa.string()), ("evidence", pa.string())]
)  # fmt: skip
SCORES = pa.schema([f for f in EVIDENCE if f.name in ("time", "subject", "side", "detector", "strength")])
COVERAGE = pa.schema(
    [("table", pa.string()), ("metric", pa.string()), ("expected", pa.int64()), ("reporting", pa.int64()), ("share", pa.float64()), ("first", TIME),
     ("last", TIME)]
)  # fmt: skip

SCHEMAS = {"verdicts": VERDICTS, "incidents": INCIDENTS, "ledger": LEDGER, "scores": SCORES, "coverage": COVERAGE}


def tables(
    verdicts: Iterable[Verdict],
    incidents: Iterable[Incident],
    evidence: Iterable[Evidence],
    coverage: Mapping[tuple[str, str], Coverage],
    ledger: Iterable[Entry] = (),
) -> dict[str, pa.Table]:
    """Return the tables of a results directory by name, sorted as they are written."""
    said = sorted(verdicts, key=lambda v: (v.time, v.table, v.subject))
    return {
        "verdicts": pa.Table.from_pylist([_verdict(v) for v in said], VERDICTS),
        "ledger": pa.Table.from_pylist([_entry(e) for e in sorted(ledger, key=lambda e: (e.time, e.subject, e.mechanism, e.unit))], LEDGER),
        "incidents": pa.Table.from_pylist([_incident(i) for i in sorted(incidents, key=lambda i: (i.noticed, i.id))], INCIDENTS),
        "scores": pa.concat_tables([SCORES.empty_table(), *(e.to_arrow().select(SCORES.names) for e in evidence if len(e))]),
        "coverage": pa.Table.from_pylist([_cover(*key, c) for key, c in sorted(coverage.items())], COVERAGE),
    }


class ResultsWriter:
    """Write a results directory and put it in place at once.

    Parameters
    ----------
    path : path
        Replaced if it is an older results directory, refused if it is something else.
    scores : bool
        Also keep the evidence stream.
    """

    def __init__(self, path: str | Path, *, scores: bool = False) -> None:
        self.path, self.keep_scores = Path(path), scores
        if self.path.exists() and not (self.path / "run.json").exists():
            raise UsageError(f"{self.path}: exists and holds no results: name a new directory")
        self._verdicts: list[Verdict] = []
        self._incidents: list[Incident] = []
        self._evidence: list[Evidence] = []
        self._ledger: list[Entry] = []

    def verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Add verdicts."""
        self._verdicts += verdicts

    def incidents(self, incidents: Sequence[Incident]) -> None:
        """Add incidents, each in its latest form."""
        self._incidents += incidents

    def ledger(self, entries: Sequence[Entry]) -> None:
        """Add rows of the redundancy ledger."""
        self._ledger += entries

    def evidence(self, evidence: Evidence) -> None:
        """Add evidence; kept with `scores` only."""
        if self.keep_scores:
            self._evidence.append(evidence)

    def close(self, coverage: Mapping[tuple[str, str], Coverage], run: Mapping[str, Any]) -> None:
        """Write all files."""
        work = self.path.with_name(f".{self.path.name}.partial")
        try:
            with writing(self.path):
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir(parents=True)
                self._files(work, coverage, run)
                if (self.path / FEEDBACK).exists():  # what people found stays true when a run is done again
                    shutil.copyfile(self.path / FEEDBACK, work / FEEDBACK)
                if self.path.exists():
                    shutil.rmtree(self.path)
                work.rename(self.path)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise

    def _files(self, work: Path, coverage: Mapping[tuple[str, str], Coverage], run: Mapping[str, Any]) -> None:
        found = tables(self._verdicts, self._incidents, self._evidence, coverage, self._ledger)
        if not self.keep_scores:
            del found["scores"]
        for name, table in found.items():
            pq.write_table(table, work / f"{name}.parquet", compression="lz4")
        lines = [json.dumps(incident_dict(i)) for i in sorted(self._incidents, key=lambda i: (i.noticed, i.id))]
        (work / "incidents.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        (work / "run.json").write_text(json.dumps(run, indent=1, sort_keys=True) + "\n", "utf-8")


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """A results directory, read back."""

    verdicts: pa.Table
    incidents: pa.Table
    coverage: pa.Table
    scores: pa.Table | None
    ledger: pa.Table
    run: dict[str, Any]


def read_results(path: str | Path) -> Results:
    """Read a results directory.

    Raises
    ------
    InputError
        It is none: names the file.
    """
    run = described(path)
    scores = (Path(path) / "scores.parquet").exists()
    read = {name: part(path, name) for name in ("verdicts", "incidents", "ledger", "coverage")}
    return Results(**read, scores=part(path, "scores") if scores else None, run=run)


def described(path: str | Path) -> dict[str, Any]:
    """Return how the run of a results directory was made: its ``run.json``.

    Raises
    ------
    InputError
        There is none, or it is something else: names the key.
    """
    file = Path(path) / "run.json"
    try:
        run = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: not a results directory: run.json is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: not JSON: {shorten(error)}") from error
    if not isinstance(run, dict):
        raise InputError.at(file, "content", "an object", type(run).__name__)
    for key in ("counts", "settings"):
        if not isinstance(run.get(key) or {}, dict):
            raise InputError.at(file, key, "an object", type(run[key]).__name__)
    for name, count in (run.get("counts") or {}).items():
        if type(count) is not int:
            raise InputError.at(file, f"counts.{name}", "a whole number", type(count).__name__)
    return run


def part(path: str | Path, name: str) -> pa.Table:
    """Read one table of a results directory; scores that were not kept are empty.

    Raises
    ------
    InputError
        It is missing or damaged: names the file.
    """
    file = Path(path) / f"{name}.parquet"
    return SCORES.empty_table() if name == "scores" and not file.exists() else read_table(file)


def _verdict(v: Verdict) -> dict[str, Any]:
    return {
        "time": v.time, "subject": v.subject, "state": v.state, "previous": v.previous, "strength": v.strength, "why": v.why,
        "mechanism": v.mechanism or None, "left": None if math.isnan(v.left) else v.left, "exhausted_at": v.exhausted_at,
    }  # fmt: skip


def _incident(i: Incident) -> dict[str, Any]:
    return {
        "id": i.id, "subject": i.subject, "place": i.place, "state": i.state, "severity": i.severity, "mode": i.mode or None, "began": i.began,
        "noticed": i.noticed, "escalated": i.escalated, "ended": i.ended, "history": [{"time": t, "state": s, "severity": v} for t, s, v in i.history],
        "probability": i.probability, "rivals": [{"subject": s, "probability": p} for s, p in i.rivals], "summary": i.summary,
        "evidence": json.dumps(pieces(i)),
    }  # fmt: skip


def _entry(e: Entry) -> dict[str, Any]:
    ends = {name: getattr(e, name) or None for name in ("exhausted_low", "exhausted_at", "exhausted_high")}
    amounts = {name: None if math.isnan(x) else x for name in ("budget", "spent", "left", "rate") if (x := getattr(e, name)) is not None}
    return {"time": e.time, "subject": e.subject, "mechanism": e.mechanism, "unit": e.unit, **amounts, **ends}


def _cover(table: str, metric: str, c: Coverage) -> dict[str, Any]:
    share = c.reported / c.expected if c.expected else 0.0
    return {"table": table, "metric": metric, "expected": c.subjects, "reporting": c.reporting, "share": share, "first": c.first, "last": c.last}
