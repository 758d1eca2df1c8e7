"""Replay: what would the detector have said about a recorded trace?"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write a results directory.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file.")
@click.option("--detectors", help="Comma-separated names instead of all that are on by default.")
@click.option("--false-pages", type=float, help="Accepted false pages per 1,000 GPU-weeks.")
@click.option("--scores", is_flag=True, help="Keep the evidence stream in the results.")
@click.option("--json", "as_json", is_flag=True, help="Incidents as JSON lines.")
@click.option("--explain", is_flag=True, help="Each incident in detail: signals, peers, what is left, what would refute it.")
@click.option("--exit-code", is_flag=True, help="Exit 1 if there is a page or a ticket.")
@click.option("--to-kafka", is_flag=True, help="Judge nothing: play the trace into Kafka, for whoever listens there.")
@click.option("--speed", default="1x", show_default=True, help="With --to-kafka: how many times faster than recorded, or max.")
@click.option("--servers", help="With --to-kafka: host:port of brokers, comma-separated; else as configured.")
def command(
    trace: Path, out: Path | None, config: Path | None, detectors: str | None, false_pages: float | None, scores: bool, as_json: bool, explain: bool,
    exit_code: bool, to_kafka: bool, speed: str, servers: str | None,
) -> int:  # fmt: skip
    """Run TRACE (a directory in the trace format) through the engine and list the incidents.

    \b
    Examples:
      grayscope replay mytrace
      grayscope replay mytrace --out results --scores
      grayscope replay mytrace --detectors slower --false-pages 10 --json
      grayscope replay mytrace --explain
      grayscope replay mytrace --to-kafka --speed 60x
    """
    if to_kafka:
        _to_kafka(trace, config, speed, servers)
        return 0
    from grayscope.explaining import explained
    from grayscope.replaying import replay
    from grayscope.saidrows import incident_dict
    from grayscope.settings import load_settings
    from grayscope.showing import incident_lines, progress

    settings = load_settings(config, flags={"detectors": detectors, "false_pages_per_1000_gpu_weeks": false_pages})
    with progress("replaying") as tell:
        run = replay(trace, settings=settings, out=out, scores=scores, progress=tell)
    details = {i.id: text for i, text in explained(run.found, run.entries)} if explain else {}
    if as_json:
        for incident in run.found:
            click.echo(json.dumps(incident_dict(incident) | ({"detail": details[incident.id]} if explain else {})))
    else:
        for line in incident_lines(run.found, details):
            click.echo(line)
        click.echo(f"{run.counts['rows']:,} rows, {run.counts['ticks']:,} ticks, {len(run.found)} incidents", err=True)
    return int(exit_code and any(i.severity in ("page", "ticket") for i in run.found))


def _to_kafka(trace: Path, config: Path | None, speed: str, servers: str | None) -> None:
    from grayscope import plugins

    from ._kafkaoptions import kafka_options
    from ._pace import stopping
    from ._tokafka import play, speed_of

    factor = speed_of(speed)
    source = plugins.broker("parquet", trace)
    kafka = plugins.broker("kafka", **kafka_options(config, {"bootstrap_servers": servers}))
    try:
        with stopping() as stop:
            count = play(source.receive(), kafka, factor, stop)
    finally:
        kafka.close()
    click.echo(f"{count:,} messages sent", err=True)
