"""Kafkaoptions: how Kafka is reached: section ``kafka`` of the settings file, then ``GRAYSCOPE_KAFKA_*``, then flags."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from grayscope.errors import UsageError, shorten

PREFIX = "GRAYSCOPE_KAFKA_"


def kafka_options(config: Path | None, flags: Mapping[str, Any], *, cell: str = "", environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return checked options of the ``kafka`` broker; the later place wins, however it spells a name.

    What is known but does nothing in the client that will be used is named once, on the standard error.

    Parameters
    ----------
    config : path or None
        Settings file; else the one that the environment names.
    flags : mapping
        None or ``""`` is not given.
    cell : str
        Of the agent; a ``cell`` in any of the places wins.
    """
    from grayscope.brokers._kafkasettings import kafka_settings, merged

    environ = os.environ if environ is None else environ
    given = {key.removeprefix(PREFIX).lower(): value for key, value in environ.items() if key.startswith(PREFIX)}
    config = config or (Path(environ["GRAYSCOPE_CONFIG"]) if environ.get("GRAYSCOPE_CONFIG") else None)
    options = merged({"cell": cell} if cell else {}, _section(config), given, {k: v for k, v in flags.items() if v not in (None, "")})
    settings = kafka_settings(options)  # what is wrong is said now, not at the first message
    if settings.idle:
        click.echo(f"grayscope: kafka: {', '.join(settings.idle)}: no effect with {settings.client}", err=True)
    return options


def _section(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8")).get("kafka", {})
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path}: kafka: expected a section, found {shorten(found)}")
    return found
