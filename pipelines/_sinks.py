"""Sinks: the receivers of alerts that are configured, for everything that runs live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grayscope.alert import Sink
    from grayscope.settings import Settings


def sinks_from(config: Settings, *, as_json: bool = False, webhooks: Sequence[str] = ()) -> list[Sink]:
    """Return the listing, and all receivers unless nothing is to be sent."""
    from grayscope import plugins

    urls: Sequence[Any] = () if config.dry_run else (*config.webhook_urls, *webhooks)
    return [plugins.sink("listing", as_json=as_json), *(plugins.sink("webhook", url) for url in urls)]
