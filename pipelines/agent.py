"""Agent: look at this node with every source that it supports, and publish what they see."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._pace import stopping

if TYPE_CHECKING:
    from grayscope.message import Broker

    from ._agentconfig import AgentSettings
    from ._agentloop import Agent
    from ._publisher import Publisher


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; its sections agent, broker and collectors.")
@click.option("--node", help="Name of this node; the host's by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of traces to write, one per hour, instead of the configured broker.")
@click.option("--period", help="Time from look to look, such as 10s.")
@click.option("--listen", help="host:port of /metrics, /healthz and /readyz; '' for none.")
@click.option("--disable", "disabled", multiple=True, help="Source that stays off; may be repeated.")
@click.option("--once", is_flag=True, help="Look once with every source, say what came, stop.")
@click.option("--json", "as_json", is_flag=True, help="With --once: machine-readable output.")
def command(
    config: Path | None, node: str | None, out: Path | None, period: str | None, listen: str | None, disabled: tuple[str, ...], once: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run until told to stop; SIGHUP reads the settings again.

    Without a broker, what is seen is shown on /metrics only: `grayscope watch --url http://NODE:28480` judges it from elsewhere.

    \b
    Examples:
      grayscope agent --once
      grayscope agent --config /etc/grayscope.toml
      grayscope agent --out /var/lib/grayscope/traces --period 1s --disable redfish
    """
    from ._agentconfig import load_agent
    from ._agentloop import Agent

    flags = {"node": node, "period": period, "listen": listen, "disabled": disabled or None}

    def load() -> AgentSettings:
        return load_agent(config, flags=flags)

    settings = load()
    publisher = publishing(settings, out, config)
    # With --once the table says it all.
    agent = Agent(settings, publisher, tell=lambda text: None if once else click.echo(f"grayscope agent: {text}", err=True))
    agent.configure(settings)
    if once:
        _once(agent, as_json)
        return
    with stopping() as stop, _Reload() as reload:
        run(agent, load, stop, reload)


def run(agent: Agent, load: Callable[[], AgentSettings], stop: threading.Event, reload: threading.Event) -> None:
    """Turn until `stop`; read the settings again when `reload` is set."""
    from contextlib import ExitStack

    from grayscope.errors import UsageError

    from ._serving import Serving
    from ._sources import word, would_root_help

    with ExitStack() as stack:
        if agent.settings.listen:
            agent.tell(f"listening on {stack.enter_context(Serving(agent.settings.listen, agent.page)).url}")
        stack.callback(agent.stop)
        agent.start()
        for name, why in agent.off.items():
            agent.tell(f"{name} is off: {why}")
        settled = False
        while not stop.is_set():
            agent.turn()
            if not settled and all(x.state != "starting" for x in agent.lookers.values()):
                settled = True
                for line in would_root_help({name: word(x.said, x.collector) for name, x in agent.lookers.items()}):
                    agent.tell(f"root would add: {line}")
            if reload.is_set():
                reload.clear()
                try:
                    agent.configure(load())
                    agent.start()
                    agent.tell("settings read again; address, broker and spool stay as they were")
                except UsageError as error:
                    agent.tell(f"settings not taken, the old ones hold: {error}")


def publishing(settings: AgentSettings, out: Path | None, config: Path | None) -> Publisher | None:
    """Return what carries messages away, None where nothing is configured."""
    from grayscope import plugins
    from grayscope.errors import UsageError
    from grayscope.settings import load_settings
    from grayscope.spool import Spool

    from ._publisher import Publisher

    options: Mapping[str, Any] = {"name": "rolling", "path": str(out)} if out is not None else settings.broker
    if not options:
        return None
    rest = {key: value for key, value in options.items() if key != "name"}
    if rest.keys() < options.keys() and options["name"] == "rolling":
        rest = {"cluster": load_settings(config).cluster, "period": settings.period, **rest}
    if options.get("name") == "kafka":
        from ._kafkaoptions import kafka_options

        rest = kafka_options(config, rest, cell=settings.cell)

    def connect() -> Broker:
        try:
            broker: Broker = plugins.broker(str(options.get("name", "")), **rest)
        except TypeError as error:
            raise UsageError(f"broker: {error}") from error
        return broker

    folder = settings.spool or str(Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "grayscope" / "spool")
    publisher = Publisher(connect, Spool(folder, limit=settings.spool_bytes))
    plugins.load("brokers", str(options.get("name", "")))  # a wrong name is said now, not at the first message
    return publisher


class _Reload:
    """Turn SIGHUP into an event."""

    def __enter__(self) -> threading.Event:
        self.event = threading.Event()
        self.before = signal.signal(signal.SIGHUP, lambda *_: self.event.set())
        return self.event

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGHUP, self.before)


def _once(agent: Agent, as_json: bool) -> None:
    from ._oneglance import glance, lines
    from ._sources import would_root_help

    seen = glance(agent)
    if agent.publisher is not None:
        agent.publisher.close()
    said = {**agent.off, **{s.name: s.said for s in seen if s.said}}
    more = would_root_help(said)
    if as_json:
        click.echo(json.dumps({"node": agent.settings.node, "sources": [s.as_dict() for s in seen], "off": agent.off, "root_would_add": more}))
        return
    for line in lines(seen, agent.off):
        click.echo(line)
    for line in more:
        click.echo(f"root would add: {line}")
