"""Livekafka: one worker of the detectors that share a Kafka: turn after turn until it is told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from grayscope.errors import GrayscopeError, UsageError

from ._liveinside import leave, numbers, tell

if TYPE_CHECKING:
    from grayscope.brokers._kafkalane import Lane
    from grayscope.brokers._kafkasettings import KafkaSettings
    from grayscope.brokers._kafkaworker import Worker
    from grayscope.engine import Engine
    from grayscope.settings import Settings

    from ._liveconfig import LiveSettings
    from ._livepages import Health

#: Seconds until Kafka is asked again after an error; so often the lag is asked for.
PAUSE, LAG = 5.0, 10.0
#: Periods of silence after which a cell is told that time has passed.
QUIET = 3


def worker_of(options: dict[str, Any], settings: Settings, live: LiveSettings, sinks: Sequence[Any], say: Callable[[str], None]) -> Worker:
    """Return a worker whose engines follow the settings."""
    from grayscope import assembly
    from grayscope.brokers._kafkafleet import must_be_there
    from grayscope.brokers._kafkalane import Lane
    from grayscope.brokers._kafkaworker import Worker
    from grayscope.summaries import Summaries

    periods = {table: round(seconds * 1e6) for table, seconds in live.periods.items()}
    told = {"": settings.period, **live.periods}

    def make(cell: str) -> Engine:
        engine = assembly.engine(settings, periods=periods)
        if live.summary:
            engine.summaries = Summaries(cell, engine.catalogue, round(live.summary * 1e6), frozenset(settings.disabled_metrics))
        return engine

    def lane(kafka: KafkaSettings, number: int, group: str) -> Lane:
        if live.summary:
            must_be_there(kafka)
        return Lane(kafka, number, make, group=group, periods=told, checkpoint=live.checkpoint, tell=say,
                    seen=lambda cell, output, engine: tell(sinks, cell, output, engine))  # fmt: skip

    return Worker(options, live.worker, lane, tell=say, gone=lambda cell: leave(sinks, cell))


def run(
    worker: Worker, sinks: Sequence[Any], health: Health, stop: threading.Event, *, quiet: float, once: bool = False,
    say: Callable[[str], None] = lambda _: None, monotonic: Callable[[], float] = time.monotonic,
) -> None:  # fmt: skip
    """Turn until `stop`, or (`once`) until nothing waits any more.

    Raises
    ------
    UsageError
        What no waiting mends: topics that are missing, settings that are wrong.
    """
    said, unheard, asked, lag = "", "", -LAG, dict[tuple[str, int], int]()
    try:
        while not stop.is_set():
            try:
                began = monotonic()
                alerts = worker.turn(quiet)
            except UsageError:
                raise
            except GrayscopeError as error:
                if said != (said := str(error)):
                    say(said)
                health.turn(health.numbers, ready=False, said=said)
                if once:
                    raise
                stop.wait(PAUSE)
                continue
            _send(sinks, alerts)
            worker.keep()
            said = ""
            if once or monotonic() - asked >= LAG:
                asked, (lag, wrong) = monotonic(), _lag(worker, lag, once=once)
                if wrong and wrong != unheard:
                    say(wrong)
                unheard = wrong
            health.turn(_numbers(worker, sum(lag.values()), monotonic() - began), ready=bool(worker.lanes), said="no partition has been given to this worker")
            if once and worker.lanes and lag and not any(lag.values()):
                break
    finally:
        last: list[Any] = []
        worker.close(last)
        _send(sinks, last)


def _lag(worker: Worker, before: dict[tuple[str, int], int], *, once: bool) -> tuple[dict[tuple[str, int], int], str]:
    """Return how much waits, or what it was and why nobody answers: that must hold up neither alerts nor checkpoints."""
    try:
        return worker.lag(), ""
    except GrayscopeError as error:
        if once:  # whether anything is left would stay unknown
            raise
        return before, f"how much waits is not known: {error}"


def _send(sinks: Sequence[Any], alerts: Sequence[Any]) -> None:
    if alerts:
        for sink in sinks:
            sink.send(alerts)


def _numbers(worker: Worker, lag: int, seconds: float) -> dict[str, float]:
    lanes = worker.lanes.values()
    return {
        **numbers({f"{lane.number}/{cell}": engine for lane in lanes for cell, engine in lane.cells.engines.items()}),
        "grayscope_lag_messages": float(lag), "grayscope_tick_duration_seconds": seconds, "grayscope_lanes": float(len(lanes)),
        "grayscope_sequence": float(sum(lane.sequence for lane in lanes)), "grayscope_rejected_messages_total": float(sum(lane.rejected for lane in lanes)),
        "grayscope_checkpoints_total": float(sum(lane.checkpoints for lane in lanes)), "grayscope_reopened_total": float(worker.reopened),
        "grayscope_lost_stretches_total": float(sum(lane.lost for lane in lanes)), "grayscope_refused_rows_total": float(worker.roster.refused),
    }  # fmt: skip
