"""Recordjudged: writes what the workers took, in the order in which they took it: a trace per cell that replays to the same verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from grayscope.brokers import _kafkaclients as clients
from grayscope.brokers._kafkaorder import TOPICS
from grayscope.brokers._kafkarestore import apply_order, orders_from
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.brokers.parquet import Parquet
from grayscope.catalogue import Catalogue
from grayscope.cells import Cells
from grayscope.engine import Output
from grayscope.errors import InputError, UsageError
from grayscope.frames import decode
from grayscope.tracewriter import TraceWriter

if TYPE_CHECKING:
    from grayscope.engine import Engine
    from grayscope.message import Message
    from grayscope.roster import RosterRow


class _Recording:
    """Stands where the engine of a cell would: writes each message instead."""

    def __init__(self, path: Path, cluster: str, periods: Mapping[str, float]) -> None:
        usual = periods.get("", 10.0)
        tables = {table: {"period_s": periods.get(table, usual), "counters": "increments"} for table in {*Catalogue.load().tables, *periods} - {""}}
        self.broker = Parquet(path, writer=TraceWriter(path, cluster=cluster, note="recorded as judged", tables=tables))

    def step(self, message: Message) -> Output:
        self.broker.send(message)
        return Output()


def record_judged(options: Mapping[str, Any], out: Path, cluster: str) -> tuple[int, int]:
    """Write one trace per cell into a folder, of all that the recorded order and the topics still hold.

    Returns
    -------
    (int, int)
        Traces, and stretches of records that the topics no longer hold.
    """
    settings = kafka_settings(options)
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"--out: {out} is not empty: name a new folder")
    traces: list[_Recording] = []
    lost = 0
    with clients.reader(settings) as first, clients.reader(settings) as second:
        sources = {kind: (reader, settings.topic(TOPICS[kind])) for kind, reader in (("t", first), ("e", second))}
        for number in first.partitions(settings.topic("order")):
            orders = [told for _, told in orders_from(first, settings.topic("order"), number, 0)]
            if orders:
                writing = _Writing(out, cluster, orders[-1].get("periods", {}), settings.cell)
                lost += apply_order(orders, number, sources, writing.rows, writing.record)
                traces += writing.traces
    for trace in traces:
        trace.broker.close()
    return len(traces), lost


class _Writing:
    """The cells of one partition on their way to traces."""

    def __init__(self, out: Path, cluster: str, periods: Mapping[str, float], usual: str) -> None:
        self.out, self.cluster, self.periods, self.usual = out, cluster, periods, usual
        self.traces: list[_Recording] = []
        self.cells = Cells(self._begin)

    def _begin(self, cell: str) -> Engine:
        self.traces.append(_Recording(self.out / _folder(cell), self.cluster, self.periods))
        return cast("Engine", self.traces[-1])  # as far as it is asked to step

    def rows(self, rows: tuple[RosterRow, ...]) -> None:
        for _ in self.cells.introduce(rows):
            pass

    def record(self, record: Any) -> None:
        """Give one record to its cell; what cannot be read was set aside by whoever judged it."""
        try:
            message = decode(record.value or b"")
            if not isinstance(message, tuple):
                self.cells.step(record.key.decode() if record.key else self.usual, message)
        except (InputError, UnicodeDecodeError):
            return


def _folder(cell: str) -> str:
    """Return a name for a cell's folder: it comes from outside.

    Examples
    --------
    >>> _folder("pod 1"), _folder("../x"), _folder("")
    ('pod%201', '%2E.%2Fx', '%')
    """
    name = quote(cell, safe="")
    return "%2E" + name[1:] if name.startswith(".") else name[:200] or "%"
