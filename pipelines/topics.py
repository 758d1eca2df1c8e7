"""Topics: make Kafka's topics as grayscope needs them; show what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.group()
def command() -> None:
    """Make and compare Kafka's topics.

    \b
    Examples:
      grayscope topics apply --dry-run
      grayscope topics apply --servers k1:9092 --partitions 24 --fleet
    """


@command.command()
@click.option("--servers", help="host:port of brokers, comma-separated; else as configured.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; its section kafka.")
@click.option("--partitions", type=click.IntRange(1, 10_000), default=12, show_default=True, help="Of topics by cell: as many workers can share the work.")
@click.option("--replication", type=click.IntRange(1, 100), help="Copies; three, or as many as there are brokers, by default.")
@click.option("--grow", is_flag=True, help="Also add partitions to topics that have fewer: cells then move.")
@click.option("--fleet", is_flag=True, help="Also the topics of grayscope fleet, which compares cells.")
@click.option("--dry-run", is_flag=True, help="Only show what differs.")
@click.option("--exit-code", is_flag=True, help="With --dry-run: exit 1 if something differs.")
def apply(servers: str | None, config: Path | None, partitions: int, replication: int | None, grow: bool, fleet: bool, dry_run: bool, exit_code: bool) -> int:
    """Make what is missing (+), mend what differs (~), name what has to stay (!); twice is the same as once."""
    from grayscope.brokers._kafkafleet import of_fleet
    from grayscope.brokers._kafkasettings import kafka_settings
    from grayscope.brokers._kafkatopics import Topics

    from ._kafkaoptions import kafka_options

    settings = kafka_settings(kafka_options(config, {"bootstrap_servers": servers}))
    changes: list[Any] = []
    for where, parts in ((settings, partitions), *([(of_fleet(settings), 1)] if fleet else [])):
        with Topics(where, partitions=parts, replication=replication) as topics:
            found = topics.changes(grow=grow)
            for change in found:
                click.echo(str(change))
            if not dry_run:
                topics.apply(found)
            changes += found
    doable = sum(change.applicable for change in changes)
    click.echo(f"{doable} {'to be done' if dry_run else 'done'}" if changes else "nothing differs", err=True)
    return int(dry_run and exit_code and bool(changes))
