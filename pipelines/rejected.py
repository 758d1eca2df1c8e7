"""Rejected: what could not be read from Kafka: list it, look at it, send it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from grayscope.brokers._kafkasettings import KafkaSettings


@click.group()
@click.option("--servers", help="host:port of brokers, comma-separated; else as configured.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; its section kafka.")
@click.pass_context
def command(context: click.Context, servers: str | None, config: Path | None) -> None:
    """Look at messages that were set aside, and send them again once they can be read.

    \b
    Examples:
      grayscope rejected list
      grayscope rejected show 17 --out message.bin
      grayscope rejected retry 17 18
    """
    context.obj = (servers, config)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
@click.pass_obj
def list_(place: Any, as_json: bool) -> None:
    """List what is set aside: number, time, source, size, reason."""
    import json

    from grayscope.brokers._kafkarejected import rejected
    from grayscope.errors import shorten
    from grayscope.wording import utc

    for m in rejected(_settings(place)):
        source = f"{m.topic}/{m.partition}@{m.offset}"
        if as_json:
            click.echo(json.dumps({"number": m.number, "time": m.time * 1000, "source": source, "bytes": len(m.value), "reason": m.reason}))
        else:
            click.echo(f"{m.number:6d}  {utc(m.time * 1000)}  {shorten(source)}  {len(m.value)} bytes  {shorten(m.reason, 300)}")


@command.command()
@click.argument("number", type=click.IntRange(0))
@click.option("--out", type=click.Path(path_type=Path), help="Also write its bytes to a new file.")
@click.pass_obj
def show(place: Any, number: int, out: Path | None) -> None:
    """Show one message: where it came from, why it was set aside, and how it begins."""
    from grayscope.errors import UsageError, shorten

    (message,) = _chosen(_settings(place), (number,))
    for name in ("topic", "partition", "offset", "reason"):
        click.echo(f"{name:10} {shorten(getattr(message, name), 1000)}")
    click.echo(f"{'bytes':10} {len(message.value)}")
    for at in range(0, min(len(message.value), 256), 16):
        part = message.value[at : at + 16]
        click.echo(f"{at:08x}  {part.hex(' '):47}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in part)}")
    if out is not None:
        try:
            with out.open("xb") as file:
                file.write(message.value)
        except OSError as error:
            raise UsageError(f"{out}: cannot be written: {error.strerror}") from error


@command.command()
@click.argument("numbers", type=click.IntRange(0), nargs=-1, required=True)
@click.pass_obj
def retry(place: Any, numbers: tuple[int, ...]) -> int:
    """Send messages again to where they came from, if they can be read now; exit 1 if one cannot."""
    from grayscope.brokers._kafkarejected import retry as again
    from grayscope.errors import shorten

    settings, failed = _settings(place), 0
    for message, why in again(settings, _chosen(settings, numbers)):
        failed += bool(why)
        click.echo(f"{message.number}: {shorten(why, 300) if why else f'sent to {message.topic}'}")
    return int(failed > 0)


def _settings(place: tuple[str | None, Path | None]) -> KafkaSettings:
    from grayscope.brokers._kafkasettings import kafka_settings

    from ._kafkaoptions import kafka_options

    servers, config = place
    return kafka_settings(kafka_options(config, {"bootstrap_servers": servers}))


def _chosen(settings: KafkaSettings, numbers: tuple[int, ...]) -> list[Any]:
    from grayscope.brokers._kafkarejected import rejected
    from grayscope.errors import UsageError

    found = [m for m in rejected(settings) if m.number in numbers]
    missing = {*numbers} - {m.number for m in found}
    if missing:
        raise UsageError(f"rejected: expected numbers that `grayscope rejected list` shows, found {', '.join(map(str, sorted(missing)))}")
    return found
