"""Live: judge telemetry as it comes: from Kafka as one of many workers, or from this machine's own sources in one process."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._pace import stopping

if TYPE_CHECKING:
    from grayscope.settings import Settings

    from ._liveconfig import LiveSettings


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; its sections kafka, live, agent and collectors.")
@click.option("--servers", help="host:port of Kafka's brokers, comma-separated; else as configured. Without any: this machine alone.")
@click.option("--worker", help="Name of this worker, the same after a restart; the host's by default.")
@click.option("--trace", type=click.Path(path_type=Path), help="Without Kafka: take a recorded trace instead of this machine's sources.")
@click.option("--speed", default="max", show_default=True, help="With --trace: times faster than recorded.")
@click.option("--out", type=click.Path(path_type=Path), help="Without Kafka: write a results directory at the end.")
@click.option("--listen", help="host:port of /metrics, /healthz and /readyz; '' for none.")
@click.option("--webhook", "webhooks", multiple=True, help="Post alerts to this URL; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Alerts as JSON lines.")
@click.option("--once", is_flag=True, help="With Kafka: stop when all that is there has been judged.")
def command(
    config: Path | None, servers: str | None, worker: str | None, trace: Path | None, speed: str, out: Path | None, listen: str | None,
    webhooks: tuple[str, ...], as_json: bool, once: bool,
) -> None:  # fmt: skip
    """Judge telemetry as it comes and print alerts; stop with Ctrl-C.

    \b
    Examples:
      grayscope live
      grayscope live --servers k1:9092,k2:9092 --worker detector-0
      grayscope live --trace mytrace --out results
    """
    from grayscope.errors import UsageError
    from grayscope.settings import load_settings

    from ._kafkaoptions import kafka_options
    from ._liveconfig import load_live
    from ._livepages import Health
    from ._serving import Serving
    from ._sinks import sinks_from

    settings = load_settings(config)
    live = load_live(config, {"listen": listen, "worker": worker})
    options = {} if trace is not None else kafka_options(config, {"bootstrap_servers": servers})
    if "bootstrap_servers" in options and out is not None:
        raise UsageError("--out: what is said goes to Kafka; grayscope record and replay make a results directory of it")
    sinks = sinks_from(settings, as_json=as_json, webhooks=webhooks, path=config)
    health = Health(sinks)
    with stopping() as stop, ExitStack() as stack:
        for sink in sinks:
            stack.callback(sink.close)
        if live.listen:
            say(f"listening on {stack.enter_context(Serving(live.listen, health.page)).url}")
        if "bootstrap_servers" in options:
            from ._livekafka import QUIET, run, worker_of

            run(worker_of(options, settings, live, sinks, say), sinks, health, stop, quiet=QUIET * settings.period, once=once, say=say)
        else:
            _inside(config, settings, live, sinks, health, stop, trace, speed, out)


def say(text: str) -> None:
    """Tell the operator."""
    click.echo(f"grayscope live: {text}", err=True)


def _inside(
    config: Path | None, settings: Settings, live: LiveSettings, sinks: list[Any], health: Any, stop: Any, trace: Path | None, speed: str, out: Path | None,
) -> None:  # fmt: skip
    """Judge in this process alone."""
    from grayscope import assembly, plugins
    from grayscope.catalogue import Catalogue
    from grayscope.replaying import about
    from grayscope.trace import Trace

    from ._agentconfig import load_agent
    from ._liveinside import Inside, agent_inside
    from ._tokafka import play, speed_of

    began = time.perf_counter()
    agent, factor = load_agent(config), speed_of(speed)
    source = Trace.open(trace) if trace is not None else None
    periods = {table: round(seconds * 1e6) for table, seconds in live.periods.items()}
    usual = source.periods if source is not None else dict.fromkeys(Catalogue.load().tables, round(agent.period * 1e6))
    engine = assembly.engine(settings, catalogue=source.catalogue if source is not None else None, periods={**usual, **periods})
    show = bool(live.listen) and (source is None or factor < float("inf"))  # nobody looks at a trace that flies by
    inside = Inside(engine, sinks, health, agent.cell or "cluster", keep=out is not None, show=show)
    if source is not None:
        play(plugins.broker("parquet", trace).receive(), inside, factor, stop)
    else:
        agent_inside(agent, inside, stop, say)
    inside.end()
    say(f"{engine.counts['rows']:,} rows, {engine.counts['ticks']:,} ticks")
    if out is not None and inside.said is not None:
        told = about(source, settings, engine.counts, time.perf_counter() - began)
        inside.said.write(out, engine, told)
