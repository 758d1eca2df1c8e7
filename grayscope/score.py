"""Score: what a run said beside what was really wrong: found, how soon, how exactly, and what was false."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from grayscope.matching import COUNTED, FOREVER, Find, Row, Said, micros, row_of, rows_of, said_of, settle, weighed
from grayscope.oracle import oracle

#: Seconds that an incident may have to go on before it is believed, for the curve of false alarms against recall.
PATIENCE = (0, 60, 300, 900, 1800, 3600, 3 * 3600)
#: Times since onset, seconds, at which recall is reported.
SINCE_ONSET = (60, 300, 600, 1800, 3600, 6 * 3600, 86_400, 3 * 86_400, 7 * 86_400)


@dataclass(frozen=True)
class Part:
    """The figures of all modes or of one; a share of nothing is None.

    Parameters
    ----------
    finds : sequence of Find
        One per row of truth.
    matched : int
        Incidents that found something first.
    false, repeats : sequence of Said
    gpu_weeks : float
    ledger : (int, int)
        How many of the ledger's intervals contain the true moment of exhaustion, and of how many.
    faults : (int, int)
        How many faults were found in at least one of their rows, and of how many: one whose effect comes and goes has several rows.
    best : (int, int, int)
        Rows found exactly, rows found, and repeats, of one who names every fault at once, exactly and in one incident: more than that the
        rules do not allow.
    """

    finds: Sequence[Find]
    matched: int
    false: Sequence[Said]
    repeats: Sequence[Said]
    gpu_weeks: float
    ledger: tuple[int, int] = (0, 0)
    faults: tuple[int, int] = (0, 0)
    best: tuple[int, int, int] = (0, 0, 0)

    @cached_property
    def found(self) -> list[Find]:
        """Return the rows that were found."""
        return [f for f in self.finds if f.incident is not None]

    @property
    def precision(self) -> float | None:
        """Return matched incidents over matched and false ones."""
        return _share(self.matched, self.matched + len(self.false))

    @property
    def recall(self) -> float | None:
        """Return the share of rows found."""
        return _share(len(self.found), len(self.finds))

    @property
    def f1(self) -> float | None:
        """Return the harmonic mean of precision and recall."""
        p, r = self.precision, self.recall
        if r is None:
            return None
        return 0.0 if not p or not r else 2 * p * r / (p + r)

    @property
    def precision_at_base_rates(self) -> float | None:
        """Return the precision if faults and negative controls came as seldom as in real fleets; None where no row says how often they came."""
        if all(f.row.acceleration is None for f in self.finds):
            return None
        matched = sum(self.matched_weights)
        return _share(matched, matched + sum(i.weight for i in self.false))

    @cached_property
    def matched_weights(self) -> list[float]:
        """Return the weight of every matched incident: that of the likeliest of the rows it found."""
        weights: dict[int, float] = {}
        for find in self.found:
            weights[id(find.incident)] = max(weights.get(id(find.incident), 0.0), find.row.weight)
        return list(weights.values())

    def recall_after(self, seconds: float) -> float | None:
        """Return the share of rows found within so many seconds of their onset."""
        return _share(sum(f.delay <= seconds * 1e6 for f in self.found), len(self.finds))

    def false_rate(self, severity: str) -> float | None:
        """Return false pages (or tickets) per 1,000 GPU-weeks."""
        return _share(1000 * sum(i.severity == severity for i in self.false), self.gpu_weeks)

    def patient(self, seconds: float) -> tuple[float, float] | None:
        """Return recall, and false pages and tickets per 1,000 GPU-weeks, of what went on for so long: who waits before they believe it has these.

        A row whose first incident did not last counts as missed, though a later one may have: no more than what the waiting costs at worst.
        """
        false = _share(1000 * sum(_lasted(i, seconds) for i in self.false), self.gpu_weeks)
        recall = _share(sum(f.incident is not None and _lasted(f.incident, seconds) for f in self.finds), len(self.finds))
        return None if recall is None or false is None else (recall, false)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as JSON would have them; times in seconds."""
        delays = [f.delay / 1e6 for f in self.found]
        base = self.precision_at_base_rates
        return {
            "rows": len(self.finds), "found": len(self.found), "faults": self.faults[1], "faults_found": self.faults[0],
            "precision": self.precision, "recall": self.recall, "f1": self.f1,
            **({} if base is None else {"precision_at_base_rates": base}), "exact_share": _share(sum(f.exact for f in self.found), len(self.found)),
            "named_share": _share(sum(f.named for f in self.found), len(self.found)),
            "exact_share_at_best": _share(*self.best[:2]), "repeats_at_best": self.best[2],
            "state_right_share": _share(sum(f.right for f in self.found), len(self.found)),
            "delay_median_s": float(np.median(delays)) if delays else None, "delay_p90_s": float(np.quantile(delays, 0.9)) if delays else None,
            "matched": self.matched, "false": len(self.false), "repeats": len(self.repeats),
            "false_pages_per_1000_gpu_weeks": self.false_rate("page"), "false_tickets_per_1000_gpu_weeks": self.false_rate("ticket"),
            "ledger_intervals": self.ledger[1], "ledger_intervals_share": _share(*self.ledger),
            "recall_after_s": {str(s): self.recall_after(s) for s in SINCE_ONSET},
        }  # fmt: skip


@dataclass(frozen=True)
class Score:
    """The figures of a run.

    Parameters
    ----------
    overall : Part
    modes : mapping of str to Part
        By the truth's mode; a false incident counts under the mode it gave itself (``""`` if none).
    """

    overall: Part
    modes: Mapping[str, Part]

    @property
    def intervals(self) -> float | None:
        """Return the share of the ledger's intervals that contain the true moment of exhaustion."""
        return _share(*self.overall.ledger)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as JSON would have them."""
        return {"overall": self.overall.to_dict(), "modes": {m: p.to_dict() for m, p in self.modes.items()}, "ledger_intervals_share": self.intervals}


def score(
    truth: pa.Table | Iterable[Mapping[str, Any]], incidents: pa.Table | Iterable[Mapping[str, Any]], gpu_weeks: float, *,
    since: int | None = None, until: int | None = None, ledger: pa.Table | None = None,
) -> Score:  # fmt: skip
    """Score incidents against truth by the rules of the trace format.

    Parameters
    ----------
    truth, incidents : table or rows
        As in ``truth.parquet`` and ``incidents.parquet``; times as microseconds, datetimes or RFC 3339.
    gpu_weeks : float
        Exposure: GPUs (or other subjects) times weeks.
    since, until : int, optional
        Microseconds: leave out rows over and incidents noticed before `since`; leave out what was said after `until`, and rows that
        had not begun by then.
    ledger : table, optional
        As in ``ledger.parquet``.

    Examples
    --------
    >>> truth = [{"subject": "n1/gpu0", "mode": "slow_rank", "state": "gray", "began": 0, "ended": None}]
    >>> said = {"id": "a", "subject": "n1", "severity": "page", "history": [(60_000_000, "gray", "page")]}
    >>> part = score(truth, [said], 1.0).overall
    >>> part.precision, part.recall, part.found[0].delay, part.found[0].exact
    (1.0, 1.0, 60000000, False)
    """
    first, last = -FOREVER if since is None else since, FOREVER if until is None else until
    told = [r for r in map(row_of, rows_of(truth)) if r.ended >= first and r.began <= last]
    rows = [r for r in told if r.state != "benign"]
    said = [s for s in (said_of(i, last) for i in rows_of(incidents)) if s.severity in COUNTED and s.history and s.history[0][0] >= first]
    said.sort(key=lambda s: (s.history[0][0], s.id))
    finds, repeats, wrong = settle(rows, said)
    false = weighed(wrong, [r for r in told if r.state == "benign"])
    names = {r.mode for r in rows} | {i.mode for i in false}
    inside = _intervals(rows, ledger)
    ideal, doubled, _ = settle(rows, oracle(rows))

    def part(mode: str | None) -> Part:
        own = [f for f in finds if mode in (None, f.row.mode)]
        held = [is_in for m, is_in in inside if mode in (None, m)]
        matched = len({id(f.incident) for f in own if f.incident is not None})
        repeated = [i for i, row in repeats if mode in (None, row.mode)]
        best = [f for f in ideal if mode in (None, f.row.mode)]
        bound = (sum(f.exact for f in best), len(best), sum(mode in (None, row.mode) for _, row in doubled))
        return Part(own, matched, [i for i in false if mode in (None, i.mode)], repeated, gpu_weeks, (sum(held), len(held)), _faults(own), bound)

    return Score(part(None), {m: part(m) for m in sorted(names)})


def _faults(finds: Sequence[Find]) -> tuple[int, int]:
    """Return how many faults were found and how many there are: rows of one subject and mode that follow each other without a gap are one."""
    found: list[bool] = []
    last: tuple[str, str] | None = None
    until = -FOREVER
    for find in sorted(finds, key=lambda f: (f.row.subject, f.row.mode, f.row.began)):
        key = (find.row.subject, find.row.mode)
        if key != last or find.row.began > until:
            found, last, until = [*found, False], key, -FOREVER
        found[-1] = found[-1] or find.incident is not None
        until = max(until, find.row.ended)
    return sum(found), len(found)


def _intervals(rows: Sequence[Row], ledger: pa.Table | None) -> list[tuple[str, bool]]:
    """Return, for every interval said while a row held, the row's mode and whether it contains the true exhaustion (never: no upper end).

    What several faults spend together is used up when the first of them has done so: an interval is asked once, about that one. So
    a row without an end (a bad lot, a single lost row) is asked about only where no other row of that redundancy has one.
    """
    spent: dict[tuple[str, str], list[Row]] = {}
    for row in (r for r in rows if r.mechanism is not None):
        for name in (row.subject, *row.also):
            spent.setdefault((name, row.mechanism or ""), []).append(row)
    inside = []
    for entry in rows_of(ledger) if ledger is not None else ():
        time, low, high = (micros(entry.get(k)) for k in ("time", "exhausted_low", "exhausted_high"))
        if time is None or (low, high) == (None, None):
            continue
        first, last = -FOREVER if low is None else low, FOREVER if high is None else high
        here = spent.get((entry["subject"], entry["mechanism"]), ())
        truth = [(FOREVER if r.exhausted_at is None else r.exhausted_at, r.mode) for r in here if r.began <= time <= r.ended]
        if truth:
            at, mode = min(truth)
            inside.append((mode, first <= at <= last))
    return inside


def _lasted(said: Said, seconds: float) -> bool:
    return said.ended - said.history[0][0] >= seconds * 1e6


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
