"""Livekafka, without a broker: what fires goes out and checkpoints go on where nobody says how much waits; that is told once."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from grayscope.errors import GrayscopeError

module: Any = __import__("grayscope.pipelines._livekafka", fromlist=["run"])


def test_a_lag_that_nobody_tells_holds_up_neither_alerts_nor_checkpoints() -> None:
    stop, sent, told, kept, closed = threading.Event(), list[Any](), list[str](), list[int](), list[int]()

    def turn(_: float) -> list[str]:
        if len(kept) == 3:
            stop.set()
        return [f"alert {len(kept)}"]

    def lag() -> dict[tuple[str, int], int]:
        raise GrayscopeError("no answer")

    rows = SimpleNamespace(refused=0)
    worker = SimpleNamespace(turn=turn, lag=lag, keep=lambda: kept.append(1), close=lambda _: closed.append(1), lanes={}, reopened=0, roster=rows)
    health = SimpleNamespace(turn=lambda *_, **__: None, numbers={})
    clock = iter(range(0, 10**6, 100))
    module.run(worker, [SimpleNamespace(send=sent.extend)], health, stop, quiet=1.0, say=told.append, monotonic=lambda: float(next(clock)))
    assert sent == ["alert 0", "alert 1", "alert 2", "alert 3"]
    assert (len(kept), closed) == (4, [1])
    assert told == ["how much waits is not known: no answer"]


def test_once_needs_to_know_how_much_waits() -> None:
    worker = SimpleNamespace(turn=lambda _: [], lag=lambda: (_ for _ in ()).throw(GrayscopeError("no answer")), keep=lambda: None, close=lambda _: None)
    with pytest.raises(GrayscopeError, match="no answer"):
        module.run(worker, [], SimpleNamespace(turn=lambda *_, **__: None, numbers={}), threading.Event(), quiet=1.0, once=True)
