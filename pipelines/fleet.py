"""Fleet: compare cells with each other: groups of parts with their like in other cells, by the summaries that live workers tell."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._pace import stopping

if TYPE_CHECKING:
    from grayscope.settings import Settings

    from ._liveconfig import LiveSettings

#: Beside a live worker's.
LISTEN = "127.0.0.1:28482"
#: Windows that a cell may be behind the others. Long: while all report nobody waits, and a worker that was away has to catch up.
BEHIND = 15


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; its sections kafka and live.")
@click.option("--servers", help="host:port of Kafka's brokers, comma-separated; else as configured.")
@click.option("--worker", help="Name of this worker, the same after a restart; the host's by default.")
@click.option("--listen", default=LISTEN, show_default=True, help="host:port of /metrics, /healthz and /readyz; '' for none.")
@click.option("--webhook", "webhooks", multiple=True, help="Post alerts to this URL; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Alerts as JSON lines.")
@click.option("--once", is_flag=True, help="Stop when all that is there has been judged.")
def command(config: Path | None, servers: str | None, worker: str | None, listen: str, webhooks: tuple[str, ...], as_json: bool, once: bool) -> None:
    """Compare cells with each other and print alerts; stop with Ctrl-C.

    The workers of grayscope live tell what the peer groups of their cells showed, where the setting `summary` of section `live` says how
    often. One worker here is enough; a second one stands by.

    \b
    Examples:
      grayscope topics apply --fleet
      grayscope fleet --servers k1:9092,k2:9092
      grayscope fleet --config grayscope.toml --webhook http://receiver:8080/hook
    """
    from grayscope.errors import UsageError
    from grayscope.settings import load_settings

    from ._kafkaoptions import kafka_options
    from ._liveconfig import load_live
    from ._livekafka import QUIET, run, worker_of
    from ._livepages import Health
    from ._serving import Serving
    from ._sinks import sinks_from

    settings, live = groups(load_settings(config), load_live(config, {"listen": listen, "worker": worker}))
    options = kafka_options(config, {"bootstrap_servers": servers})
    if not options.get("bootstrap_servers"):
        raise UsageError("fleet: cells meet in Kafka: name its brokers with --servers, or in section kafka")
    sinks = sinks_from(settings, as_json=as_json, webhooks=webhooks, path=config)
    health = Health(sinks)
    with stopping() as stop, ExitStack() as stack:
        for sink in sinks:
            stack.callback(sink.close)
        if live.listen:
            say(f"listening on {stack.enter_context(Serving(live.listen, health.page)).url}")
        made = worker_of(below(options), settings, live, sinks, say)
        run(made, sinks, health, stop, quiet=QUIET * settings.period, once=once, say=say)


def say(text: str) -> None:
    """Tell the operator."""
    click.echo(f"grayscope fleet: {text}", err=True)


def groups(settings: Settings, live: LiveSettings) -> tuple[Settings, LiveSettings]:
    """Return the settings of an engine whose subjects are groups: a window is its period, and what it says is not told on.

    Raises
    ------
    UsageError
        The workers are not told to sum up anything.
    """
    from grayscope.errors import UsageError
    from grayscope.summaries import span_of

    if not live.summary:
        raise UsageError('fleet: no worker tells what its cells show: set summary = "60s" in section live, the same for all of them')

    def window(period: float) -> float:
        return span_of(round(live.summary * 1e6), round(period * 1e6)) / 1e6

    usual = window(settings.period)
    told = replace(settings, period=usual, lateness=max(settings.lateness, BEHIND * usual))
    return told, replace(live, summary=0.0, periods={table: window(seconds) for table, seconds in live.periods.items()})


def below(options: dict[str, Any]) -> dict[str, Any]:
    """Return the broker's options for the topics and the group of the fleet.

    Examples
    --------
    >>> below({"bootstrap_servers": "k1:9092", "group_id": "mine"})
    {'bootstrap_servers': 'k1:9092', 'group_id': 'mine.fleet', 'topic_prefix': 'grayscope.fleet', 'cell': 'fleet'}
    """
    from grayscope.brokers._kafkafleet import of_fleet
    from grayscope.brokers._kafkasettings import kafka_settings

    found = of_fleet(kafka_settings(options))
    group = {"group_id": f"{options['group_id']}.fleet"} if options.get("group_id") else {}
    return {**options, **group, "topic_prefix": found.topic_prefix, "cell": found.cell}
