"""Importkernel: `grayscope import kernel`: kernel logs in files as a trace."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from grayscope.errors import UsageError, shorten

from .import_ import CLUSTER, JSON, OUT, _run, command, moment


@command.command(name="kernel")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUT
@click.option("--node", default="node", show_default=True, help="Node of lines that name none.")
@click.option("--zone", help="Zone of local times that name none: UTC, +01:00 or Europe/Berlin.")
@click.option("--boot", help="When the machine started, for lines with seconds since then; default: the last line is as old as its file.")
@click.option("--part", multiple=True, help="Name of the part at a PCI address, such as 0000:3b:00.0=gpu3; may be repeated.")
@CLUSTER
@JSON
def kernel(files: tuple[Path, ...], out: Path, node: str, zone: str | None, boot: str | None, part: Sequence[str], cluster: str, as_json: bool) -> None:
    """Read Xid, SXid, AER, EDAC, link, NVMe and other hardware lines from kernel logs: dmesg, kmsg, pstore, syslog, journal JSON (plain or .gz).

    \b
    Examples:
      journalctl -k -o json > n017.json; grayscope import kernel n017.json --out n017
      grayscope import kernel dmesg.txt --zone UTC --node n017 --part 0000:3b:00.0=gpu3 --out n017
    """
    from grayscope import plugins

    pairs = [p.partition("=") for p in part]
    if wrong := [p for p, (where, _, name) in zip(part, pairs, strict=True) if not where or not name]:
        raise UsageError(f"import kernel: --part: expected ADDRESS=NAME, found {shorten(wrong[0])!r}")
    source = plugins.collector(
        "kernellog", files, node=node, zone=None if zone is None else named_zone(zone), boot=None if boot is None else moment(boot, time.time()),
        parts={where: name for where, _, name in pairs},
    )  # fmt: skip
    _run(source, out, cluster, f"imported from {len(files)} kernel logs", as_json)


def named_zone(text: str) -> tzinfo:
    """Return a zone by its name or its distance from UTC.

    Examples
    --------
    >>> named_zone("UTC"), named_zone("-05:30")
    (datetime.timezone.utc, datetime.timezone(datetime.timedelta(days=-1, seconds=66600)))
    """
    found = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text, re.ASCII)
    if text.upper() in ("UTC", "Z"):
        return UTC
    if found is not None and int(found[2]) < 24 and int(found[3]) < 60:
        distance = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-distance if found[1] == "-" else distance)
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError) as error:  # ZoneInfo's way to say that it knows no such zone, or that it is no name
        raise UsageError(f"expected a zone such as UTC, +01:00 or Europe/Berlin, found {shorten(text)!r}") from error
