"""A Grafana to test against: the contract server, or a real one where GRAYSCOPE_TEST_GRAFANA_URL and GRAYSCOPE_TEST_GRAFANA_TOKEN name it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from grayscope.dashboards import NAMES, load_rules, uid
from grayscope.errors import GrayscopeError
from grayscope.grafana import Server
from tests.grafana.contract import Contract


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"GRAYSCOPE_GRAFANA_{name}", raising=False)


@pytest.fixture
def contract() -> Iterator[Contract]:
    """The contract server; a request that breaks the contract fails the test."""
    server = Contract()
    yield server
    server.stop()
    assert server.breaches == []


@dataclass(frozen=True)
class Place:
    """Where a Grafana is, and a client of it that is not the code under test."""

    url: str
    token: str
    api: Server


@pytest.fixture
def grafana(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A Grafana without anything of ours in it."""
    url = os.environ.get("GRAYSCOPE_TEST_GRAFANA_URL", "")
    if url:
        token = os.environ.get("GRAYSCOPE_TEST_GRAFANA_TOKEN", "")
        if not token:
            pytest.fail("GRAYSCOPE_TEST_GRAFANA_TOKEN: expected the token of a service account with the role Admin, found nothing")
    else:
        contract = request.getfixturevalue("contract")
        url, token = contract.url, contract.token
    place = Place(url, token, Server(url, token=token))
    if os.environ.get("GRAYSCOPE_TEST_GRAFANA_URL"):
        emptied(place.api)
    yield place
    place.api.close()


def emptied(api: Server) -> None:
    """Remove from a real server what earlier tests left, and see to a data source."""
    for name in NAMES:
        with suppress(GrayscopeError):
            api.ask("DELETE", f"/dashboards/uid/{uid(name)}")
    for rule in load_rules("rules"):
        with suppress(GrayscopeError):
            api.ask("DELETE", f"/v1/provisioning/alert-rules/{rule['uid']}", kind=object)
    for note in api.ask("GET", "/annotations", params={"tags": "grayscope", "limit": 1000}, kind=list):
        api.ask("DELETE", f"/annotations/{note['id']}")
    if not any(s["type"] == "prometheus" for s in api.ask("GET", "/datasources", kind=list)):
        api.ask("POST", "/datasources", {"name": "Prometheus", "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:9090", "isDefault": True})
