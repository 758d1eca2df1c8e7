"""Kafkaintroductions: the rows of the roster as a worker hears of them: all of them first, then what is new since it asked last."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from grayscope.brokers._kafkaclients import Consumer
from grayscope.errors import GrayscopeError, InputError
from grayscope.frames import decode
from grayscope.roster import RosterRow


class Introductions:
    """Delivery: each row at least once, the latest of its key; a record that cannot be read is told of and counted, the rest goes on.

    Parameters
    ----------
    made : callable
        Makes a consumer of the roster's topic that begins at its beginning.
    tell : callable
        Told what is wrong with a record.
    """

    def __init__(self, made: Callable[[], Consumer], tell: Callable[[str], None]) -> None:
        self.made, self.tell, self.refused = made, tell, 0
        self._rows: dict[tuple[str, str, int | None], RosterRow] = {}
        self._news: list[RosterRow] = []
        self._client: Consumer | None = None

    def ask(self) -> None:
        """Add the rows that are new since we asked last, up to the roster's end as it is now, to what is not taken yet."""
        try:
            self._client = self._client or self.made()
            self._news += self._asked(self._client)
        except GrayscopeError:  # the next client begins anew: the old one may know none of the brokers that are left
            self.close()
            raise

    def take(self) -> list[RosterRow]:
        """Return what the open lanes have not been told."""
        news, self._news = self._news, []
        return news

    def known(self) -> Iterable[RosterRow]:
        """Return all rows, for a lane that has just been opened."""
        return self._rows.values()

    def close(self) -> None:
        """Let go of the client; what is known stays."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _asked(self, client: Consumer) -> list[RosterRow]:
        rows: list[RosterRow] = []
        while any(client.lag().values()):
            for record in client.poll():
                try:
                    found = decode(record.value, f"{record.topic}/{record.partition}@{record.offset}") if record.value is not None else ()
                    if not isinstance(found, tuple):
                        raise InputError.at(record.topic, "kind", "roster", "something else")
                    rows += found
                except InputError as error:
                    self.refused += 1
                    self.tell(str(error))
        last = {(row.subject, row.table, row.since): row for row in rows}
        news = [row for key, row in last.items() if self._rows.get(key) != row]
        self._rows |= last
        return news
