"""Kafkalane: one partition number of telemetry and events, its cells, and what they say, exactly once inside Kafka.

One transaction holds what was said, in which order the records were taken that led to it, and the next offsets. Its producer is named
after the group and the number, so that whoever takes the lane over shuts out whoever had it. Every so often the state of all cells
goes out the same way; a restart takes it, plays again what came since in the recorded order, and is silent meanwhile.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from grayscope.alert import Alert
from grayscope.brokers import _kafkaclients as clients
from grayscope.brokers._kafkacheckpoint import Writing, chunk_key, slot_of
from grayscope.brokers._kafkaclients import Reader, Transactions
from grayscope.brokers._kafkafleet import of_fleet, records
from grayscope.brokers._kafkaorder import TOPICS, Order
from grayscope.brokers._kafkarestore import apply_order, manifest_bytes, manifests, orders_from, state_of
from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.cells import Cells, Said
from grayscope.checkpoint import pieces, unpack
from grayscope.engine import Engine, Output
from grayscope.errors import GrayscopeError, InputError, shorten
from grayscope.event import Event
from grayscope.frames import decode, encode
from grayscope.roster import RosterRow
from grayscope.saidrows import incident_frame, verdict_frame
from grayscope.trim import trim

#: Seconds after which what was taken is committed even if nothing was said; so many stretches are committed at once.
COMMIT, STRETCHES = 1.0, 2000
#: Bytes of one piece of the state; pieces that go out in one turn at least; alerts of the replay that are sent again.
CHUNK, AT_ONCE, AGAIN = 800_000, 4, 1000


class Lane:
    """One lane of a worker; `open` before anything else.

    Parameters
    ----------
    settings : KafkaSettings
    number : int
        Of the partitions.
    make : callable
        Makes the engine of a cell.
    group : str
        Consumer group, part of the producer's name.
    periods : dict of str to float
        Seconds from row to row by table (``""`` any other), told to whoever records.
    checkpoint : float
        Seconds between two checkpoints.
    seen : callable
        Told (cell, output, engine) after every step of an engine, also of those that are played again.
    """

    def __init__(
        self, settings: KafkaSettings, number: int, make: Callable[[str], Engine], *, group: str, periods: dict[str, float], checkpoint: float = 60.0,
        seen: Callable[[str, Output, Engine], None] = lambda *_: None, tell: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.settings, self.number, self.group, self.periods = settings, number, group, periods
        self.checkpoint, self.seen, self.tell, self.monotonic = checkpoint, seen, tell, monotonic
        self.cells = Cells(make)
        self.sequence = 0
        #: Next offset of each topic.
        self.places: dict[str, int] = {}
        self.rejected = self.lost = self.replayed = self.checkpoints = 0
        self.heard: dict[str, float] = {}
        self.again: deque[Alert] = deque(maxlen=AGAIN)
        self._order, self._said = Order(), list[Said]()
        self._refused: list[tuple[Any, str]] = []
        self._beats: list[tuple[str, Event]] = []
        self._order_next = 0  # offset after our last order message
        self._chunks: list[bytes] = []  # keys of the checkpoint that holds
        self._slot = 0  # of its pieces: the next one takes the other, so that what a crash leaves behind is written over
        self._writing: Writing | None = None
        self._at_once = AT_ONCE
        self._producer: Transactions | None = None
        self._committed = self._checked = self.monotonic()

    # -- opening --------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Shut out whoever had this lane, and become what was last committed."""
        self._producer = clients.transactions(self.settings, f"{self.group}.{self.number}")
        with clients.reader(self.settings) as first, clients.reader(self.settings) as second:
            found = self._newest(first)
            orders = list(orders_from(first, self.settings.topic("order"), self.number, self._order_next))
            if found or orders:
                self._replay(first, second, orders)
            for kind, name in TOPICS.items():
                # Nothing was ever taken: from the beginning.
                self.places.setdefault(kind, first.bounds(self.settings.topic(name), self.number)[0])
        self.again.extend(a for engine in self.cells.engines.values() for a in engine.announce.firing.values())
        self.heard = dict.fromkeys(self.cells.engines, self.monotonic())
        self._committed = self._checked = self.monotonic()

    def _newest(self, reader: Reader) -> bool:
        topic = self.settings.topic("state")
        for told in manifests(reader, topic, self.number, lambda text: self.tell(f"lane {self.number}: {text}")):
            try:
                self.cells.restore(unpack(state_of(reader, topic, self.number, told)))
            except (InputError, KeyError, ValueError, IndexError, TypeError, AssertionError) as error:
                # Another version's, or the pieces have gone: an older one, or everything that is still kept, takes longer.
                self.tell(f"lane {self.number}: checkpoint {told['sequence']} cannot be used: {shorten(error)}")
                self.cells = Cells(self.cells.make)
                continue
            self.sequence, self._order_next, self.places = told["sequence"], told["order"], dict(told["places"])
            self._slot = slot_of(told)
            self._chunks = [chunk_key(self.number, self._slot, i) for i in range(told["chunks"])]
            return True
        return False

    def _replay(self, first: Reader, second: Reader, orders: list[tuple[int, dict[str, Any]]]) -> None:
        """Play again what was taken since; all that it says has been said already."""

        def rows(found: tuple[RosterRow, ...]) -> None:
            self._known(self.cells.introduce(found))

        def record(found: Any) -> None:
            self.replayed += 1
            self._known([said] if (said := self._taken(found)) is not None else [])

        names = {kind: self.settings.topic(name) for kind, name in TOPICS.items()}
        self.lost += apply_order([told for _, told in orders], self.number, {"t": (first, names["t"]), "e": (second, names["e"])}, rows, record)
        for offset, told in orders:
            self.sequence, self._order_next = told["sequence"], offset + 1
            self.places |= {item[0]: item[2] for item in told["items"] if item[0] in TOPICS}
        self._refused.clear()  # they were set aside then

    def _known(self, said: Iterable[Said]) -> None:
        for cell, output in said:
            self.again.extend(output.alerts)
            self.seen(cell, output, self.cells.engines[cell])

    # -- taking ---------------------------------------------------------------------------------------------------------

    def introduce(self, rows: Iterable[RosterRow]) -> None:
        """Take rows of the roster, as far as they are new."""
        news = self.cells.news(rows)
        if news:
            self._order.met(news)
            self._keep(self.cells.introduce(news))

    def take(self, kind: str, record: Any) -> None:
        """Take the next record of telemetry (``t``) or events (``e``)."""
        if record.offset < self.places[kind]:
            return
        self._order.took(kind, record.offset)
        self.places[kind] = record.offset + 1
        said = self._taken(record)
        if said is not None:
            self.heard[said[0]] = self.monotonic()
            self._keep([said])

    def _taken(self, record: Any) -> Said | None:
        """Return what one record brought about, None where it could not be read; the same each time."""
        if record.value is None:
            return None
        where = f"{record.topic}/{record.partition}@{record.offset}"
        try:
            cell = record.key.decode() if record.key else self.settings.cell
            message = decode(record.value, where)
            if isinstance(message, tuple):
                raise InputError.at(where, "kind", "numbers or an event", "roster")
            return cell, self.cells.step(cell, message)
        except (InputError, UnicodeDecodeError) as error:
            self._refused.append((record, shorten(error, 1000)))
            return None

    def _keep(self, said: Iterable[Said]) -> None:
        for cell, output in said:
            self.seen(cell, output, self.cells.engines[cell])
            if output.verdicts or output.incidents or output.alerts or output.summaries:
                self._said.append((cell, output))

    def beat(self, after: float) -> None:
        """Tell cells that have been quiet for `after` seconds that time has passed."""
        now = self.monotonic()
        for cell, engine in self.cells.engines.items():
            quiet = now - self.heard.setdefault(cell, now)
            if quiet >= after and engine.align.now is not None:
                # Counted from the cell's own time, which may be another one than this machine's.
                self._beats.append((cell, Event(engine.align.now + round(quiet * 1e6), "site", "clock", "quiet")))
                self.heard[cell] = now

    # -- committing -----------------------------------------------------------------------------------------------------

    def due(self) -> bool:
        """Say whether it is time to commit: something was said, or enough was taken."""
        late = self.monotonic() - self._committed >= COMMIT or len(self._order) >= STRETCHES
        return self.waiting() and bool(self._said or self._refused or self._beats or late)

    def waiting(self) -> bool:
        """Say whether anything is there to commit."""
        return bool(self._order) or bool(self._beats)

    def commit(self, member: Any) -> list[Alert]:
        """Commit all that waits, in one transaction; return the alerts that may go out now.

        Raises
        ------
        GrayscopeError
            It did not come about, or that is in doubt: the lane must be opened anew.
        """
        out, said = self._out(), self._said
        out.begin()
        for cell, output in said:
            for verdict in output.verdicts:
                out.send(self.settings.topic("verdicts"), verdict.subject.encode("utf-8", "surrogatepass"), verdict_frame(verdict, cell))
            for incident in output.incidents:
                out.send(self.settings.topic("incidents"), incident.id.encode(), incident_frame(incident, cell))
        self._send_summaries(out)
        self._send_rejected(out)
        for cell, event in self._beats:
            out.send(self.settings.topic("events"), cell.encode(), encode(event), partition=self.number)
        futures = [out.send(self.settings.topic("order"), str(self.number).encode(), frame, partition=self.number) for frame in self._order_frames()]
        out.places({(self.settings.topic(TOPICS[kind]), self.number): place for kind, place in self.places.items()}, member)
        out.commit()
        self.sequence += 1
        self._order_next = int(futures[-1].get(timeout=0).offset) + 1
        self.rejected += len(self._refused)
        self._order, self._said, self._refused, self._beats, self._committed = Order(), [], [], [], self.monotonic()
        return [alert for _, output in said for alert in output.alerts]

    def _send_summaries(self, out: Transactions) -> None:
        """Tell the fleet's workers what this lane's cells showed; in the same transaction, so each is told once."""
        for message in (m for _, output in self._said for m in output.summaries):
            for topic, key, frame in records(of_fleet(self.settings), message):
                out.send(topic, key, frame, partition=0)

    def _order_frames(self) -> Iterator[bytes]:
        return self._order.frames(self.sequence + 1, self.periods)

    def _send_rejected(self, out: Transactions) -> None:
        for record, reason in self._refused:
            told = {"reason": reason, "topic": record.topic, "partition": record.partition, "offset": record.offset}
            headers = [("key", record.key or b""), *((name, str(value).encode()) for name, value in told.items())]
            out.send(self.settings.topic("rejected"), record.topic.encode(), record.value, headers)

    def keep(self, *, now: bool = False) -> bool:
        """Write a checkpoint if it is time and nothing waits for a commit; say whether one has become whole.

        A large one goes out in several turns, so that what is said meanwhile does not wait for it; with `now` all of it at once.
        None of it goes out between the messages of one tick: the rest of them is on its way.
        """
        if self.waiting() or ((self._writing is None or now) and not self._begin(now)):
            return False
        assert self._writing is not None
        out, topic, writing = self._out(), self.settings.topic("state"), self._writing
        out.begin()
        writing.send(lambda key, piece: out.send(topic, key, piece, partition=self.number), None if now else self._at_once)
        out.flush()
        if writing.whole:
            for key in set(self._chunks) - set(writing.keys):
                out.send(topic, key, None, partition=self.number)
            out.send(topic, str(self.number).encode(), manifest_bytes(writing.manifest()), partition=self.number)
        out.commit()
        if not writing.whole:
            return False
        self._chunks, self._slot, self._writing = writing.keys, writing.slot, None
        self.checkpoints += 1
        trim()
        return True

    def _begin(self, now: bool) -> bool:
        """Take the state as it is, if it is time to."""
        if not self.cells.engines or not (now or self.monotonic() - self._checked >= self.checkpoint):
            return False
        told = {"sequence": self.sequence, "order": self._order_next, "places": dict(self.places)}
        trim()  # the state needs more room than is free in pieces
        state = self.cells.snapshot()
        # Commits come at least once a second: it is out when half the time to the next one is over.
        self._at_once = max(AT_ONCE, math.ceil(2 * COMMIT * sum(array.nbytes for array in state.values()) / (CHUNK * self.checkpoint)))
        self._writing = Writing(self.number, 1 - self._slot if self._slot in (0, 1) else 0, told, pieces(state, CHUNK))
        self._checked = self.monotonic()
        return True

    def _out(self) -> Transactions:
        if self._producer is None:
            raise GrayscopeError(f"lane {self.number}: is not open")
        return self._producer

    def close(self) -> None:
        """Let go; what was not committed will be taken again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()
