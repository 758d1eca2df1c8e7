"""Record: write what goes through Kafka to traces, one per hour, for replay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._pace import stopping

if TYPE_CHECKING:
    from grayscope.brokers.kafka import Kafka
    from grayscope.brokers.rolling import Rolling

#: Seconds until Kafka is asked again after an error.
PAUSE = 5.0


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of traces.")
@click.option("--servers", help="host:port of brokers, comma-separated; else as configured.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; its section kafka.")
@click.option("--group", help="Consumer group; <prefix>.record by default.")
@click.option("--every", default="1h", show_default=True, help="Time that one trace holds.")
@click.option("--keep", type=click.IntRange(min=1), default=48, show_default=True, help="Traces that stay.")
@click.option("--once", is_flag=True, help="Stop when all that is there has been recorded.")
@click.option("--judged", is_flag=True, help="Once, one trace per cell, in the order in which live workers took it: replays to the same verdicts.")
def command(out: Path, servers: str | None, config: Path | None, group: str | None, every: str, keep: int, once: bool, judged: bool) -> None:
    """Record telemetry, events and roster until told to stop.

    What is in a trace that has taken its place is committed, so that a crash loses nothing; it may record some messages twice.

    \b
    Examples:
      grayscope record --out /var/lib/grayscope/traces --every 1h --keep 48
      grayscope record --out traces --once && grayscope replay traces/20*
      grayscope record --out judged --judged && grayscope replay judged/cluster
    """
    from grayscope import plugins
    from grayscope.settings import load_settings, seconds

    from ._kafkaoptions import kafka_options

    options = kafka_options(config, {"bootstrap_servers": servers, "group_id": group})
    if judged:
        from ._recordjudged import record_judged

        count, lost = record_judged(options, out, load_settings(config).cluster)
        click.echo(f"{count} traces{f', {lost} stretches are no longer kept' if lost else ''}", err=True)
        return
    options.setdefault("group_id", f"{options.get('topic_prefix', 'grayscope')}.record")
    kafka = plugins.broker("kafka", **options)
    rolling = plugins.broker("rolling", out, every=seconds(every), keep=keep, period=None, cluster=load_settings(config).cluster)
    with stopping() as stop:
        count = record(kafka, rolling, stop, once=once, tell=lambda text: click.echo(f"grayscope record: {text}", err=True))
    click.echo(f"{count:,} messages in {rolling.closed} traces, {sum(kafka.rejected.values())} set aside", err=True)


def record(kafka: Kafka, rolling: Rolling, stop: threading.Event, *, once: bool = False, tell: Callable[[str], None] = lambda _: None) -> int:
    """Turn until `stop`, or until nothing is left; return how many messages were recorded."""
    from grayscope.errors import GrayscopeError, UsageError

    count = closed = 0
    said, safe = "", dict(kafka.places)
    try:
        while not stop.is_set():
            try:
                if rolling.closed > closed:
                    closed = rolling.closed
                    kafka.commit(safe)  # what came with the last poll lies in a trace that is still open
                safe = dict(kafka.places)
                messages = kafka.poll()
            except UsageError:
                raise
            except GrayscopeError as error:
                if said != (said := str(error)):
                    tell(said)
                if once:
                    raise
                stop.wait(PAUSE)
                continue
            for message in messages:
                rolling.send(message)
            count += len(messages)
            left = kafka.lag() if once and not messages else {}
            if left and not any(left.values()):
                break
        rolling.close()
        kafka.commit()
    finally:
        kafka.close()
    return count
