"""Watch: look at exporters or a Prometheus server live and say what is gray."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._livepages import NOTHING_WAITS, Health
from ._pace import Pace, stopping
from ._rounds import watch
from ._saying import configured
from ._serving import Serving
from ._sinks import sinks_from

if TYPE_CHECKING:
    from grayscope.message import Broker


@click.command()
@click.option("--url", "urls", multiple=True, required=True, help="Exporter (or, with --prometheus, server) to look at; may be repeated.")
@click.option("--prometheus", "is_server", is_flag=True, help="The URLs are Prometheus servers, not exporters.")
@click.option("--interval", default="10s", show_default=True, help="Time from look to look.")
@click.option("--timeout", default="5s", show_default=True, help="Time that one look may take.")
@click.option("--record", type=click.Path(path_type=Path), help="Also write everything to a new trace, for replay.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; planned work is read from its [collectors.maintenance] path.")
@click.option("--webhook", "webhooks", multiple=True, help="Post alerts to this URL; may be repeated.")
@click.option("--listen", help="host:port of /metrics, /healthz and /readyz.")
@click.option("--json", "as_json", is_flag=True, help="Alerts as JSON lines.")
@click.option("--once", "rounds", type=click.IntRange(min=1), metavar="N", help="Stop after N looks instead of at Ctrl-C.")
def command(
    urls: Sequence[str], is_server: bool, interval: str, timeout: str, record: Path | None, config: Path | None, webhooks: Sequence[str],
    listen: str | None, as_json: bool, rounds: int | None,
) -> None:  # fmt: skip
    """Look at every URL once per interval and print alerts as they come; stop with Ctrl-C.

    \b
    Examples:
      grayscope watch --url http://n017:9400/metrics
      grayscope watch --url http://n017:9400 --url http://n018:9400 --record mytrace
      grayscope watch --prometheus --url http://prometheus:9090 --interval 30s --json
      grayscope watch --url http://n017:9400 --listen 127.0.0.1:28481
    """
    from grayscope import assembly, plugins
    from grayscope.catalogue import Catalogue
    from grayscope.errors import shorten
    from grayscope.settings import load_settings

    settings = load_settings(config)
    every, limit = _duration("--interval", interval), _duration("--timeout", timeout)
    name = "prometheus" if is_server else "exporter"
    collectors = [plugins.collector(name, url, timeout=limit) for url in urls]
    planned = configured(config)
    collectors += [plugins.collector("maintenance", planned)] if planned is not None else []
    # Every table ticks with the looks, whatever it is called.
    engine = assembly.engine(settings, periods=dict.fromkeys(Catalogue.load().tables, round(every * 1e6)))
    sinks = sinks_from(settings, as_json=as_json, webhooks=webhooks, path=config)
    recorder = recording(record, settings.cluster, every) if record is not None else None
    click.echo(f"watching {', '.join(shorten(u) for u in urls)} every {every:g} s; Ctrl-C stops", err=True)
    health = Health(sinks, still=max(120.0, 3 * every))
    with stopping() as stop, ExitStack() as stack:
        if listen:
            click.echo(f"listening on {stack.enter_context(Serving(listen, health.page)).url}", err=True)
        seen = watch(
            collectors, engine, sinks, recorder, rounds, Pace(every, stop), tell=lambda text: click.echo(f"grayscope: {text}", err=True),
            turned=lambda seconds: health.turn({**NOTHING_WAITS, "grayscope_tick_duration_seconds": seconds}, ready=True),
        )  # fmt: skip
    click.echo(f"stopped: {seen}", err=True)


def _duration(option: str, text: str) -> float:
    from grayscope.errors import UsageError, shorten
    from grayscope.settings import seconds

    try:
        found = seconds(text)
    except (UsageError, ValueError):
        found = 0.0
    if not 0.01 <= found <= 86400:
        raise UsageError(f"{option}: expected a duration from 10ms to 1d, found {shorten(text)!r}")
    return found


def recording(path: Path, cluster: str, every: float) -> Broker:
    """Return a broker that writes a trace with increments, the order of arrival, and looks every so many seconds."""
    from grayscope import plugins
    from grayscope.catalogue import Catalogue
    from grayscope.tracewriter import TraceWriter

    tables = {table: {"period_s": every, "counters": "increments"} for table in Catalogue.load().tables}
    broker: Broker = plugins.broker("parquet", path, writer=TraceWriter(path, cluster=cluster, note="recorded by watch", tables=tables))
    return broker
