"""Import: make a trace from a Prometheus server, exposition files, any table, dumps of a job that hung, or the output of a tool."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from grayscope.errors import GrayscopeError, UsageError, shorten

from . import _importkernel
from ._moments import moment, span

OUT = click.option("--out", required=True, type=click.Path(path_type=Path), help="Trace directory to make; must not exist.")
CLUSTER = click.option("--cluster", default="cluster", show_default=True, help="Name kept in the trace.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")


@click.group()
def command() -> None:
    """Make a trace from what others have recorded.

    \b
    Examples:
      grayscope import prometheus --url http://prometheus:9090 --start -6h --out lastnight
      grayscope import openmetrics scrape.prom.gz --out look
      grayscope import kernel dmesg.txt --zone UTC --out log
      grayscope import table drives.csv --map drives.toml --out drives
      grayscope import flightrecorder dumps/ --out hang
      grayscope import nvsentinel events.jsonl --out health
    """


@command.command(name="openmetrics")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUT
@click.option("--start", "--time", "start", help="Time of the first file whose samples carry none: RFC 3339, epoch, or relative such as -6h.")
@click.option("--step", help="Time from file to file, such as 10s.")
@click.option("--node", default="", help="Node of series that name none.")
@CLUSTER
@JSON
def openmetrics(files: tuple[Path, ...], out: Path, start: str | None, step: str | None, node: str, cluster: str, as_json: bool) -> None:
    """Read FILES of Prometheus or OpenMetrics text (plain or .gz), in the given order.

    Samples keep their times. A file without times is one look, stamped by --start and --step, else with the time of its last change.

    \b
    Examples:
      grayscope import openmetrics dump.om --out mytrace
      grayscope import openmetrics look-*.prom --start 2026-03-01T12:00:00Z --step 10s --out mytrace
    """
    from grayscope import plugins

    given = {"start": None if start is None else moment(start, time.time()), "step": None if step is None else span(step), "node": node}
    source = plugins.collector("openmetrics", files, **given)
    _run(source, out, cluster, f"imported from {len(files)} exposition files", as_json)


@command.command(name="prometheus")
@click.option("--url", required=True, help="Base address of the server.")
@click.option("--start", required=True, help="RFC 3339, epoch, or relative to now such as -6h.")
@click.option("--end", default="now", show_default=True, help="The same.")
@click.option("--step", help="Time between samples; default: the scrape interval, found out.")
@click.option("--match", multiple=True, help='Further matcher such as cluster="a"; may be repeated.')
@OUT
@CLUSTER
@JSON
def prometheus(url: str, start: str, end: str, step: str | None, match: Sequence[str], out: Path, cluster: str, as_json: bool) -> None:
    """Read a range of every series that the catalogue knows over the HTTP API.

    A bearer token is taken from the environment variable GRAYSCOPE_PROMETHEUS_TOKEN.

    \b
    Examples:
      grayscope import prometheus --url http://prometheus:9090 --start -6h --out lastnight
      grayscope import prometheus --url http://prometheus:9090 --start -2d --end -1d --step 30s --match 'cluster="a"' --out day
    """
    from grayscope import plugins

    now = time.time()
    source = plugins.collector("prometheus", url, moment(start, now), moment(end, now), 0 if step is None else span(step), match)
    _run(source, out, cluster, "imported from a Prometheus server", as_json)


@command.command(name="table")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "mapping", required=True, type=click.Path(path_type=Path), help="TOML file that says what the columns mean.")
@click.option("--labels", type=click.Path(path_type=Path), help="File of labels instead of the map's.")
@click.option("--cluster", help="Name kept in the trace instead of the map's.")
@OUT
@JSON
def table(file: Path, mapping: Path, labels: Path | None, cluster: str | None, out: Path, as_json: bool) -> None:
    """Read any CSV or Parquet FILE; a map says what its columns mean.

    \b
    Example:
      grayscope import table drives.csv --map drives.toml --out drives
    """
    from grayscope import plugins
    from grayscope.showing import progress
    from grayscope.tracewriter import TraceWriter

    if "table" not in plugins.names("collectors"):
        raise UsageError("import table: the collector 'table' is not installed")
    source = plugins.collector("table", file, mapping, labels=None if labels is None else str(labels), cluster=cluster)
    with progress("importing"), TraceWriter(out, cluster=source.cluster, note=source.note, tables=source.tables, metrics=source.metrics) as writer:
        counts = source.write(writer)
    _show(counts, out, as_json)


@command.command(name="flightrecorder")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--job", help="Name of the job; the folder's by default.")
@OUT
@CLUSTER
@JSON
def flightrecorder(folder: Path, job: str | None, out: Path, cluster: str, as_json: bool) -> None:
    """Read the PyTorch Flight Recorder dumps in FOLDER, one per rank, and name the ranks that the others wait for.

    \b
    Example:
      grayscope import flightrecorder dumps/ --out hang
    """
    from grayscope import plugins
    from grayscope.tracewriter import TraceWriter

    source = plugins.collector("flightrecorder", folder, job=job)
    with TraceWriter(out, cluster=cluster, note=f"imported from the Flight Recorder dumps of job {source.job}") as writer:
        counts = source.write(writer)
    found = [{"ranks": s.ranks, "operation": s.name, **s.operation._asdict(), "description": s.group, "waiting": s.waiting, "entered": s.entered,
              "dumped": s.dumped} for s in source.suspects]  # fmt: skip
    if as_json:
        click.echo(json.dumps({**counts, "found": found}))
        return
    click.echo(f"{'suspect':<16}{'did not enter':<28}{'number':>10}  {'group':<34}{'waiting':>8}")
    for s in source.suspects:
        ranks = ", ".join(map(str, s.ranks[:4])) + (", ..." if len(s.ranks) > 4 else "")
        group = shorten(f"{s.operation.group} ({s.group})", 33)
        click.echo(f"{'r ' + ranks:<16}{shorten(s.name, 27):<28}{s.operation.sequence:>10}  {group:<34}{len(s.waiting):>8}{'  (entered)' if s.entered else ''}")
    _show(counts, out, as_json)


#: Importers that read files in their order, and what they are made for: a look without a time of its own is stamped by --start and --step.
FILES = {
    "nvidiasmi": "the XML of nvidia-smi -q -x, one look or a loop",
    "dcgmi": "the tables of dcgmi dmon and the reports of dcgmi health --check",
    "rocm": "the JSON of rocm-smi, a look a file",
    "gpud": "answers of gpud's API: states, events, metrics, info, machine-info",
    "ipmi": "sensor listings of ipmitool or ipmi-sensors",
    "nvsentinel": "health events of NVSentinel",
    "inspector": "NCCL Inspector's JSON files of a job, or its folder",
    "kineto": "PyTorch profiler (Chrome) traces of a job, one per rank",
    "nccltests": "logs of nccl-tests, or folders of them",
    "nvrx": "logs with straggler reports of nvidia-resiliency-ext",
    "superbench": "SuperBench results or monitor samples (JSON lines)",
}


def _files(name: str, what: str) -> None:
    """Add the command of an importer that takes files."""

    @command.command(name=name, help=f"Read FILES: {what}.", short_help=f"Read {what}.")
    @click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
    @OUT
    @click.option("--start", "--time", "start", help="Time of the first look that tells none: RFC 3339, epoch, or relative such as -6h.")
    @click.option("--step", help="Time from look to look, such as 10s.")
    @click.option("--node", default="", help="Name of the node; by default each file's name up to its first dot.")
    @CLUSTER
    @JSON
    def run(files: tuple[Path, ...], out: Path, start: str | None, step: str | None, node: str, cluster: str, as_json: bool) -> None:
        from grayscope import plugins

        given = {"start": None if start is None else moment(start, time.time()), "step": None if step is None else span(step), "node": node}
        _run(plugins.collector(name, files, **given), out, cluster, f"imported by {name} from {len(files)} files", as_json)


for _name, _what in FILES.items():
    _files(_name, _what)


def _run(source: object, out: Path, cluster: str, note: str, as_json: bool) -> None:
    from grayscope.showing import progress
    from grayscope.tracewriter import TraceWriter

    with progress("importing") as tell, TraceWriter(out, cluster=cluster, note=note) as writer:
        counts = source.write(writer, tell)  # type: ignore[attr-defined]
        if not counts["rows"] and not counts.get("events"):  # logs of what only failed have no numbers
            names = ", ".join(shorten(n, 60) for n in list(source.unknown)[:5])  # type: ignore[attr-defined]
            raise GrayscopeError(f"nothing to import: no sample of a known metric{f' (unknown: {names})' if names else ''}")
    _show(counts, out, as_json)


def _show(counts: Mapping[str, int], out: Path, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(counts))
        return
    for what, n in counts.items():
        click.echo(f"{what:<24}{n:>14,}")
    click.echo(f"written to {out}: grayscope replay {out}", err=True)


command.add_command(_importkernel.made(OUT, CLUSTER, JSON, moment, _run))
