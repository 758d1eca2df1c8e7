"""Sinks: the receivers of alerts that are configured, for everything that runs live."""

from __future__ import annotations

import inspect
import os
import tomllib
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grayscope import __version__, plugins
from grayscope.errors import UsageError, shorten
from grayscope.sinks._access import credentials

from ._agentconfig import within_a_day

if TYPE_CHECKING:
    from grayscope.alert import Sink
    from grayscope.settings import Settings

#: Options that are durations, and those that are for tests and for us.
DURATIONS, OURS = ("timeout", "resend", "age"), frozenset({"self", "sleep", "clock", "pauses", "stream", "as_json", "cluster", "version"})
#: Sinks that send nothing away, and with them those that notify nobody.
QUIET = frozenset({"listing", "prometheus"})
#: Sinks that write for another system to a file; a dry run shows what they would write.
WRITERS = frozenset({"slurm", "kubernetes", "nvsentinel", "npd"})
MUTE = QUIET | WRITERS | {"grafana"}


def sinks_from(config: Settings, *, as_json: bool = False, webhooks: Sequence[str] = (), path: Path | None = None) -> list[Sink]:
    """Return the listing, the page of metrics, and the receivers that are configured, unless nothing is to be sent.

    Parameters
    ----------
    config : Settings
    as_json : bool
        For the listing.
    webhooks : sequence of str
        Further URLs.
    path : path, optional
        Settings file with sections ``[sinks.NAME]``: ``use`` names the sink (NAME by default), all else are its options.

    Raises
    ------
    UsageError
        An unknown sink or option, or receivers where `paths` says that rules carry the faults.
    """
    asked = {name: _options(name, options) for name, options in _sections(path).items()}
    urls = (*config.webhook_urls, *webhooks)
    if config.paths == "rules" and (pushed := [*(n for n, (use, _) in asked.items() if use not in MUTE), *(["webhook"] if urls else [])]):
        raise UsageError(f'paths = "rules": rules carry the faults, so nothing is pushed: remove {", ".join(pushed)}, or set paths = "push"')
    options = next((options for use, options in asked.values() if use == "prometheus"), {})
    page = plugins.sink("prometheus", cluster=config.cluster, version=__version__, **options)
    named: dict[str, Sink] = {}
    if not config.dry_run:
        named |= {f"webhook{n or ''}": plugins.sink("webhook", url) for n, url in enumerate(urls)}
        named |= {name: plugins.sink(use, **options) for name, (use, options) in asked.items() if use not in QUIET}
    else:
        named |= {name: plugins.sink(use, **{**options, "path": "-"}) for name, (use, options) in asked.items() if use in WRITERS}
    page.others = named
    return [plugins.sink("listing", as_json=as_json), page, *named.values()]


def shown(config: Settings, path: Path | None) -> dict[str, Any]:
    """Return what may be printed of the receivers: hosts and names, for addresses and options hold secrets.

    Raises
    ------
    UsageError
        As `sinks_from`, apart from what only making a sink would find.
    """
    asked = {name: _options(name, options)[0] for name, options in _sections(path).items()}
    urls = (urllib.parse.urlsplit(credentials(url, "webhook_urls")[0]) for url in config.webhook_urls)
    hosts = tuple(f"{u.scheme}://{u.netloc}/…" for u in urls)
    return {"webhook_urls": hosts, **({"sinks": asked} if asked else {})}


def _sections(path: Path | None) -> Mapping[str, Any]:
    path = path or (Path(os.environ["GRAYSCOPE_CONFIG"]) if os.environ.get("GRAYSCOPE_CONFIG") else None)
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8")).get("sinks", {})
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    if not isinstance(found, dict):
        raise UsageError("sinks: expected sections such as [sinks.alertmanager]")
    return found


def _options(name: str, given: Any) -> tuple[str, dict[str, Any]]:
    """Return a section's sink and its options; values are not repeated in errors, for some are secrets."""
    where = f"sinks.{shorten(name)}"
    if not isinstance(given, dict):
        raise UsageError(f"{where}: expected a section, found a {type(given).__name__}")
    options = dict(given)
    use = options.pop("use", name)
    known_sinks = plugins.names("sinks")
    if use not in known_sinks:
        raise UsageError(f"{where}: no sink is called {shorten(use)!r}: {plugins.nearest(str(use), known_sinks)}")
    taken = inspect.signature(plugins.load("sinks", use)).parameters
    known = [key for key in taken if key not in OURS]
    for key in options:
        if key not in known:
            raise UsageError(f"{where}: unknown option {shorten(key)!r}: {plugins.nearest(key, known)}")
    for key in [k for k in known if taken[k].default is inspect.Parameter.empty and k not in options]:
        raise UsageError(f"{where}: {key} is missing")
    return use, {key: within_a_day(f"{where}.{key}", value) if key in DURATIONS else value for key, value in options.items()}
