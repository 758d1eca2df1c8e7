"""Check: a settings file, before anything runs with it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from grayscope import plugins
from grayscope.settings import load_settings

from . import _sinks
from ._agentconfig import load_agent, shown


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(config: Path, as_json: bool) -> None:
    """Read CONFIG with the environment on top and print what would hold; exit 2 and list every problem otherwise.

    \b
    Example:
      grayscope check /etc/grayscope.toml
    """
    settings = load_settings(config)
    agent = load_agent(config)
    for name in settings.detectors:
        plugins.load("detectors", name)
    values = dataclasses.asdict(settings) | _sinks.shown(settings, config) | ({"agent": shown(agent)} if agent.broker or agent.sources else {})
    if as_json:
        click.echo(json.dumps(values, indent=1))
        return
    flat = values | {f"agent.{key}": value for key, value in values.pop("agent", {}).items()}
    for key, value in flat.items():
        click.echo(f"{key:<32}{value}")
