"""Kafkanamesake: whether another process has a worker's name now, or the worker shut itself out; needs no client.

Kafka lets the newest member of a name in and tells the one before neither by whom it was shut out nor why, and goes on showing the client.id and host
of the first. What changes is the member's number. It may be our own: a request to join whose answer was lost while a broker died. Nobody lives under
that one, so the broker gives it up when its session ends. And every commit of a worker is signed: whoever goes on where we had committed is told by it.
"""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from grayscope.brokers._kafkasettings import KafkaSettings
from grayscope.errors import GrayscopeError, UsageError, shorten

#: Sessions after which a number that is still there is somebody's who lives: a rebalance makes the first one longer.
SESSIONS = 2.5
#: Goes into every signature; no other process has the same.
NONCE = secrets.token_hex(6)


class Holder(NamedTuple):
    """What the broker knows of a name: the number of the member that has it (``""``: nobody), and the signatures of some places."""

    member: str
    signatures: tuple[str, ...]


Ask = Callable[[KafkaSettings, str, str, Collection[tuple[str, int]]], Holder]


def signature(given: Mapping[str, object]) -> str:
    """Return what a commit is signed with: host, process, and which worker."""
    return f"{NONCE} {os.getpid()} {platform.node() or '?'} {given.get('group_instance_id', '')}"


class Namesake:
    """Watches the name of a worker once it has been shut out.

    Parameters
    ----------
    settings : KafkaSettings
        Those of the consumer.
    group : str
    session : float
        Seconds after which a silent member is given up.
    ask : callable
        ``ask(settings, group, name, places)`` returns the `Holder`.
    """

    def __init__(self, settings: KafkaSettings, group: str, session: float, ask: Ask, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.settings, self.group, self.ask, self.monotonic = settings, group, ask, monotonic
        self.name, self.patience = str(settings.given.get("group_instance_id", "")), SESSIONS * session
        self._seen, self._since = "", 0.0

    @property
    def doubted(self) -> bool:
        """Say whether another member had our name when it was last asked for."""
        return bool(self._seen)

    def ours(self, member: str, places: Collection[tuple[str, int]]) -> None:
        """Return if the name is ours (we are `member`) or nobody's.

        Parameters
        ----------
        places : collection of (topic, partition)
            Where we have committed.

        Raises
        ------
        UsageError
            It is another process's; the text says whose and what to do.
        GrayscopeError
            That is not known yet, or nobody answers.
        """
        found = self.ask(self.settings, self.group, self.name, places)
        if not found.member:
            self._seen = ""
            return
        for nonce, process, host, name in (s.split(" ", 3) for s in found.signatures if s.count(" ") >= 3):
            if name == self.name and nonce != NONCE:  # after us: even where we were let in again since, as one that slept is
                raise self._taken(f"process {shorten(process)} on host {shorten(host)}")
        if found.member == member:
            self._seen = ""
            return
        if found.member != self._seen:
            self._seen, self._since = found.member, self.monotonic()
        if self.monotonic() - self._since > self.patience:
            raise self._taken(f"member {shorten(found.member)}")
        raise GrayscopeError(
            f"kafka: another member has the name of worker {shorten(self.name)}: this one waits, stops if that one lives, and else joins again"
        )

    def _taken(self, who: str) -> UsageError:
        return UsageError(
            f"kafka: worker {shorten(self.name)}: {who} began later and has this name now, so this one stops: each worker needs its own --worker NAME"
        )
