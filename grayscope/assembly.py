"""Assembly: an engine made from settings, for every pipeline and notebook alike."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from grayscope import plugins
from grayscope.align import AlignSettings
from grayscope.catalogue import Catalogue
from grayscope.engine import Engine, EngineSettings
from grayscope.settings import Settings


def engine(settings: Settings, *, catalogue: Catalogue | None = None, periods: Mapping[str, int] | None = None, eager: bool = True) -> Engine:
    """Return an engine with the detectors that the settings name (all but rivals by default)."""
    names = list(settings.detectors) or plugins.default_detectors()
    accepted = settings.false_pages_per_1000_gpu_weeks
    told = EngineSettings(
        false_pages=accepted,
        periods=dict(periods or {}),
        disabled=frozenset(settings.disabled_metrics),
        horizon=round(settings.urgency_horizon * 1e6),
        longest=round(settings.maintenance_longest * 1e6),
        after=round(settings.maintenance_after * 1e6),
        align=AlignSettings(lateness=round(settings.lateness * 1e6), period=round(settings.period * 1e6), eager=eager),
    )
    offered = {"false_pages": accepted, "horizon": settings.urgency_horizon / 86400}
    return Engine([plugins.detector(name, **_wanted(name, offered)) for name in names], catalogue, told, settings.cluster)


def _wanted(name: str, offered: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a detector takes."""
    taken = inspect.signature(plugins.load("detectors", name)).parameters
    return {key: value for key, value in offered.items() if key in taken}
