"""Trace: look at a trace directory, or check it before it is used."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group()
def command() -> None:
    """Look at a trace directory, or check it.

    \b
    Examples:
      grayscope trace info mytrace
      grayscope trace validate mytrace --json
    """


@command.command(name="info")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def info(trace: Path, as_json: bool) -> None:
    """Show tables, subjects, metrics and times of TRACE."""
    from grayscope import tracecheck as reading

    found = reading.info(trace)
    if as_json:
        click.echo(json.dumps(found, indent=1, default=str))
        return
    for key, value in found.items():
        click.echo(f"{key}: {value if not isinstance(value, dict) else ''}")
        if isinstance(value, dict):
            for name, detail in value.items():
                click.echo(f"  {name}: {detail}")


@command.command(name="validate")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def validate(trace: Path, as_json: bool) -> int:
    """List every problem of TRACE; exit 1 if there is one."""
    from grayscope import tracecheck as reading

    problems = reading.validate(trace)
    if as_json:
        click.echo(json.dumps(problems, indent=1))
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(problems)} problems" if problems else "a valid trace")
    return int(bool(problems))
