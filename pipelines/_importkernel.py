"""Importkernel: `grayscope import kernel`: kernel logs in files as a trace."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from grayscope.errors import UsageError, shorten

Option = Callable[[Any], Any]
HELP = """Read Xid, SXid, AER, EDAC, link, NVMe and other hardware lines from kernel logs: dmesg, kmsg, pstore, syslog, journal JSON (plain or .gz).

\b
Examples:
  journalctl -k -o json > n017.json; grayscope import kernel n017.json --out n017
  grayscope import kernel dmesg.txt --zone UTC --node n017 --part 0000:3b:00.0=gpu3 --out n017
"""
OPTIONS = (
    click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
    click.option("--node", default="node", show_default=True, help="Node of lines that name none."),
    click.option("--zone", help="Zone of local times that name none: UTC, +01:00 or Europe/Berlin."),
    click.option("--boot", help="When the machine started, for lines with seconds since then; default: the last line is as old as its file."),
    click.option("--part", multiple=True, help="Name of the part at a PCI address, such as 0000:3b:00.0=gpu3; may be repeated."),
)


def made(out: Option, cluster: Option, as_json: Option, moment: Callable[[str, float], int], run: Callable[[Any, Path, str, str, bool], None]) -> click.Command:
    """Return the command; what all imports share is handed in, for siblings do not import each other."""

    def kernel(files: tuple[Path, ...], boot: str | None, zone: str | None, part: Sequence[str], node: str, **shared: Any) -> None:
        began = None if boot is None else moment(boot, time.time())
        run(source(files, node, zone, began, part), shared["out"], shared["cluster"], f"imported from {len(files)} kernel logs", shared["as_json"])

    kernel.__doc__ = HELP
    for option in reversed((*OPTIONS[:1], out, *OPTIONS[1:], cluster, as_json)):
        kernel = option(kernel)
    return click.command(name="kernel")(kernel)


def source(files: Sequence[Path], node: str, zone: str | None, boot: int | None, part: Sequence[str]) -> Any:
    """Return the collector for what the command line says."""
    from grayscope import plugins

    pairs = [p.partition("=") for p in part]
    if wrong := [p for p, (where, _, name) in zip(part, pairs, strict=True) if not where or not name]:
        raise UsageError(f"import kernel: --part: expected ADDRESS=NAME, found {shorten(wrong[0])!r}")
    parts = {where: name for where, _, name in pairs}
    return plugins.collector("kernellog", files, node=node, zone=None if zone is None else named_zone(zone), boot=boot, parts=parts)


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
