"""List: what is installed: collectors, detectors, brokers, sinks and pipelines."""

from __future__ import annotations

import json

import click

from grayscope import plugins


@click.command(name="list")
@click.argument("wing", required=False, type=click.Choice(plugins.WINGS))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(wing: str | None, as_json: bool) -> None:
    """Show each plugin with its first line.

    \b
    Examples:
      grayscope list
      grayscope list detectors --json
    """
    found = {w: {n: plugins.summary(w, n) for n in plugins.names(w)} for w in ([wing] if wing else plugins.WINGS)}
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for name, members in found.items():
        click.echo(click.style(name, bold=True))
        for plugin, line in members.items():
            mark = "(rival) " if name == "detectors" and plugins.is_rival(plugin) else ""
            click.echo(f"  {plugin:<15}{mark}{line}")
