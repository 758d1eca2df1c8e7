"""Ranks: the records of one look as rows of the tables rank and comm."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.collectives import SYNCHRONISING, Matching, Operation, bucket, lateness
from grayscope.roster import RosterRow

from ._ncclinspector import Record, Writer
from ._ncclpeople import People, Person
from ._ranktable import RankTable
from ._said import Said

#: Names of roster keys that a group may not take.
TAKEN = frozenset({"job", "node", "role", "gpu", "comm", "rank", "subject", "table", "since", "until", "crosses", "arrived", "rail", "leaf", "rack", "sku"})
#: Columns of one table; a longer pause of a rank than this, in microseconds, is none between two collectives.
COLUMNS, PAUSE = 512, 600e6


class Ranks:
    """Collects what a look says of each rank; `batches` gives it and starts the next.

    Time inside is shown per group, operation and size; waiting and transfer per group, from collectives of which all members
    were heard. Lateness is that in the smallest such communicator of a rank: in a larger one all its members are late together
    when one of them is. Time between is one number per rank, over all its communicators: what a rank does between two
    operations of one group may be waiting in another.
    """

    def __init__(self, catalogue: Catalogue, rejected: dict[str, int]) -> None:
        self.rejected, self.table = rejected, RankTable(catalogue, rejected)
        self.matching = Matching()
        self.members: dict[str, dict[int, Person]] = {}
        self.labels: dict[str, str] = {}
        self._sums: dict[str, dict[tuple[str, str], list[float]]] = {"rank": {}, "comm": {}}
        self._spans: dict[str, list[tuple[float, float]]] = {}
        self._stopped: dict[str, float] = {}
        self.said = Said()
        self._columns: set[str] = set()

    def join(self, person: Person, writer: Writer) -> str:
        """Make a rank a member of a communicator; return the label of its group."""
        label = self.labels.get(writer.comm)
        if label is None:
            if len(self.labels) > 1 << 16:
                self.labels.clear()
                self.members.clear()
            label = self.labels[writer.comm] = group(writer.name, writer.size, writer.nodes)
        self.members.setdefault(writer.comm, {})[writer.member] = person
        person.comms[label] = f"comm:{writer.comm}"
        if writer.size > 1:
            person.smallest = min(person.smallest, (writer.size, f"comm:{writer.comm}"))
        return label

    def take(self, person: Person, record: Record) -> None:
        """Add one operation."""
        op = record.operation
        label = self.join(person, record.writer)
        if math.isfinite(op.start):
            self._spans.setdefault(person.subject, []).append((op.start, op.stop))
        if not record.timed or op.size < 2:
            self._reject("cpu_time" if not record.timed else "alone")
        elif record.p2p:
            self.add("rank", person.subject, f'p2p_duration_seconds{{group="{label}",op="{op.kind}"}}', op.seconds)
        elif op.kind in SYNCHRONISING:
            self._inside(person, label, op)
        else:
            self._reject("not_synchronising")

    def _inside(self, person: Person, label: str, op: Operation) -> None:
        self.add("rank", person.subject, f'collective_duration_seconds{{group="{label}",op="{op.kind}",size_bucket="{bucket(op.bytes)}"}}', op.seconds)
        self.matching.add(op)

    def add(self, table: str, subject: str, metric: str, value: float, n: int = 1) -> None:
        """Add to a mean: `value` is a sum over `n` operations."""
        if metric not in self._columns:
            if len(self._columns) >= COLUMNS:
                self._reject("too_many_columns")
                return
            self._columns.add(metric)
        total = self._sums[table].setdefault((subject, metric), [0.0, 0])
        total[0] += value
        total[1] += n

    def batches(self, now: int, totals: dict[tuple[str, str], float]) -> list[Batch]:
        """Return what the look said: means over its operations, and counters from `totals` (subject, metric)."""
        self._lateness()
        for subject, spans in self._spans.items():
            new = subject not in self._stopped
            gap = self._between(subject, sorted(spans))
            if len(spans) > new:
                self.add("rank", subject, "compute_seconds", gap * 1e-6, len(spans) - new)
        self._spans = {}
        found: list[Batch] = []
        for table, sums in self._sums.items():
            cells = {cell: total / n for cell, (total, n) in sums.items()} | (totals if table == "rank" else {})
            if cells:
                found += self.table.batch(table, now, cells)
        self._sums = {"rank": {}, "comm": {}}
        return found

    def _lateness(self) -> None:
        for comm, inside in self.matching.complete():
            found, label, members, n = lateness(inside), self.labels.get(comm, ""), self.members.get(comm, {}), len(inside)
            self.add("comm", f"comm:{comm}", "collective_transfer_seconds", found.transfer * n, n)
            for member, person in members.items():
                if member < len(found.wait):
                    self.add("rank", person.subject, f'collective_wait_seconds{{group="{label}"}}', float(found.wait[member]) * n, n)
                    person.inner = min(person.inner, (len(found.wait), comm))
                    if person.inner[1] == comm:
                        self.add("rank", person.subject, "collective_late_seconds", float(found.late[member]) * n, n)
                        self.add("rank", person.subject, "collective_late_ratio", float(found.ratio[member]) * n, n)

    def _between(self, subject: str, spans: list[tuple[float, float]]) -> float:
        last, gap = self._stopped.get(subject, spans[0][0]), 0.0
        for start, stop in spans:
            gap += start - last if 0 < start - last < PAUSE else 0.0
            last = max(last, stop)
        self._stopped[subject] = last
        return gap

    def rows(self, people: People, now: int, ended: Iterable[Person]) -> list[RosterRow]:
        """Return roster rows that are new, changed or ended."""
        gone = {p.subject for p in ended}
        for comm, members in list(self.members.items()):
            left = {m: p for m, p in members.items() if p.subject not in gone}
            if len(left) < len(members):
                self.members[comm] = left
            if not left:
                del self.members[comm], self.labels[comm]
                gone.add(f"comm:{comm}")
        there = [RosterRow(p.subject, "rank", keys=p.keys(), crosses=(p.gpu,) if p.gpu else ()) for p in people.known.values()]
        there += [self.comm_row(comm, members) for comm, members in self.members.items()]
        for name in gone:
            self._stopped.pop(name, None)
        return self.said.ended(sorted(gone), now) + self.said.news(there, now)

    def comm_row(self, comm: str, members: dict[int, Person]) -> RosterRow:
        """Return the roster row of a communicator."""
        first = members[min(members)]
        crosses = tuple(members[m].gpu or members[m].subject for m in sorted(members))
        return RosterRow(f"comm:{comm}", "comm", keys={"job": first.job, "role": self.labels[comm]}, crosses=crosses)

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


def group(name: str, size: int, nodes: int = 0) -> str:
    """Return the label of a communicator's kind: its name without a number, else its size, and over how many nodes.

    Examples
    --------
    >>> group("DP Group 3", 4), group("", 8), group("", 8, 1), group("node", 2)
    ('dp_group', 'size8', 'size8_nodes1', 'node_group')
    """
    label = re.sub(r"[^a-z0-9]+", "_", name[:200].lower()).strip("_")
    label = re.sub(r"_?[0-9]+$", "", label)[:40]
    return f"{label}_group" if label in TAKEN else label or f"size{size}" + (f"_nodes{nodes}" if nodes else "")
