"""Dashboards: what Grafana shows, as committed JSON, so that putting them in place needs no generator.

The JSON files beside this one are written by ``python -m grayscope.dashboards`` (extra ``grafana``) from the modules named like them; a test holds them equal.
"""

from __future__ import annotations

import json
import warnings
from importlib import import_module, resources
from typing import Any

from grayscope.errors import MissingPackage

#: In the order in which a person goes through them.
NAMES = ("fleet", "incident", "redundancy", "node", "itself")


def uid(name: str) -> str:
    """Return the identity of a dashboard in Grafana.

    Examples
    --------
    >>> uid("fleet")
    'grayscope-fleet'
    """
    return f"grayscope-{name}"


def load(name: str) -> dict[str, Any]:
    """Return a dashboard as Grafana's classic JSON.

    Examples
    --------
    >>> load("fleet")["title"]
    'grayscope / Fleet'
    """
    text = resources.files(__name__).joinpath(f"{name}.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def generate(name: str) -> str:
    """Return the JSON text that its module makes now.

    Raises
    ------
    MissingPackage
        The generator is not installed.
    """
    encoder = _encoder()
    with warnings.catch_warnings():  # the classic form is meant: older servers read no other
        warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
        board = import_module(f"{__name__}.{name}").board().build()
    made: dict[str, Any] = json.loads(encoder().encode(board))
    for variable in made["templating"]["list"]:  # the generator gives every variable what only intervals have
        for key in ("auto", "auto_min", "auto_count"):
            variable.pop(key, None)
    for panel in made["panels"]:  # and every table a footer, which newer servers do not know
        if panel["type"] == "table":
            panel["options"].pop("footer", None)
    return json.dumps(made, sort_keys=True, indent=1) + "\n"


def load_rules(paths: str = "push") -> list[dict[str, Any]]:
    """Return the alert rules as Grafana's HTTP interface takes them: of grayscope's own health, with ``rules`` of the faults too.

    Examples
    --------
    >>> load_rules()[0]["title"], len(load_rules("rules")) > len(load_rules())
    ('GrayscopeDead', True)
    """
    found = load("rules")
    return [*found["health"], *(found["faults"] if paths == "rules" else [])]


def generate_rules() -> str:
    """Return the JSON text of the alert rules; raises `MissingPackage` without the generator."""
    encoder = _encoder()
    return json.dumps(json.loads(encoder().encode(import_module(f"{__name__}._rules").all_rules())), sort_keys=True, indent=1) + "\n"


def _encoder() -> Any:
    try:
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
    except ModuleNotFoundError as error:
        raise MissingPackage("dashboards are generated with grafana-foundation-sdk: pip install 'grayscope[grafana]'") from error
    return JSONEncoder
