"""Benchpool: do tasks in worker processes, one at a time each; a task that fails or kills its worker is told, the rest goes on."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from grayscope.errors import shorten

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a task: its value, or why there is none."""

    task: T
    value: Any = None
    error: str | None = None
    seconds: float = 0.0


@dataclass
class _Worker(Generic[T]):
    process: SpawnProcess
    line: Connection
    task: T | None = None
    began: float = field(default=0.0)


def outcomes(waiting: deque[T], work: Callable[[T], Any], jobs: int, begun: Callable[[T], object] = id) -> Iterator[Outcome[T]]:
    """Yield outcomes as they come; the caller may append to `waiting` between them.

    Parameters
    ----------
    waiting : deque
        Done from the left.
    work : callable
        Of a module, not a closure: other processes import it.
    jobs : int
        Processes; 0 does all in this one.
    begun : callable
        Told of each task as it starts.

    Examples
    --------
    >>> [(o.value, o.error) for o in outcomes(deque(["1", "x"]), int, jobs=0)]
    [(1, None), (None, "ValueError: invalid literal for int() with base 10: 'x'")]
    """
    workers: list[_Worker[T]] = []
    try:
        while waiting or any(w.task is not None for w in workers):
            if not jobs:
                task = waiting.popleft()
                begun(task)
                yield _here(task, work)
                continue
            while waiting and (worker := _idle(workers, work, jobs)) is not None:
                worker.task, worker.began = waiting.popleft(), time.monotonic()
                worker.line.send(worker.task)
                begun(worker.task)
            for line in wait([w.line for w in workers if w.task is not None]):
                worker = next(w for w in workers if w.line is line)
                outcome = _heard(worker)
                if not worker.process.is_alive():
                    workers.remove(worker)
                yield outcome
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.process.join()


def _idle(workers: list[_Worker[T]], work: Callable[[T], Any], jobs: int) -> _Worker[T] | None:
    """Return a worker that has nothing to do, a new one if need be; None while all `jobs` are at work."""
    for worker in workers:
        if worker.task is None:
            return worker
    if len(workers) >= jobs:
        return None
    workers.append(_start(work))
    return workers[-1]


def _heard(worker: _Worker[T]) -> Outcome[T]:
    """Take a worker's answer, or the news that it is gone."""
    task, seconds = worker.task, time.monotonic() - worker.began
    assert task is not None
    worker.task = None
    try:
        value, error = worker.line.recv()
    except (EOFError, OSError):
        worker.process.join()
        return Outcome(task, None, f"its process ended with status {worker.process.exitcode}", seconds)
    return Outcome(task, value, error, seconds)


def _here(task: T, work: Callable[[T], Any]) -> Outcome[T]:
    began = time.monotonic()
    value, error = attempt(work, task)
    return Outcome(task, value, error, time.monotonic() - began)


def attempt(work: Callable[[T], Any], task: T) -> tuple[Any, str | None]:
    """Return the value of a task, or its error in one line."""
    try:
        return work(task), None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this task's and is told
        return None, f"{type(error).__name__}: {shorten(error, 300)}"


def serve(line: Connection, work: Callable[[T], Any]) -> None:
    """Do tasks from the other end of `line` until it closes; what a worker process runs."""
    with suppress(EOFError, OSError):
        while True:
            line.send(attempt(work, line.recv()))


@contextmanager
def _deaf() -> Iterator[None]:
    """Let processes that start meanwhile ignore Ctrl-C: their parent ends them."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: there is no Ctrl-C to hear
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(work: Callable[[T], Any]) -> _Worker[T]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, work), daemon=True)
    with _deaf():
        process.start()
    theirs.close()
    return _Worker(process, ours)
