"""The client's side of Grafana, and the test server's: form, who asks, documented codes, failures on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grayscope.errors import GrayscopeError, InputError, Retry, UsageError
from grayscope.grafana import Server
from grayscope.sinks._posting import RefusedError
from tests.grafana.conftest import Place
from tests.grafana.contract import DOC, TOKEN, Contract

NOTE = {"text": "t", "time": 1, "tags": ["grayscope"]}


@pytest.fixture
def server(contract: Contract) -> Any:
    made = Server(contract.url, token=TOKEN, timeout=1.0)
    yield made
    made.close()


def test_a_whole_exchange(grafana: Place) -> None:
    made = grafana.api.ask("POST", "/annotations", NOTE)["id"]
    grafana.api.ask("PATCH", f"/annotations/{made}", {"text": "u"})
    found = grafana.api.ask("GET", "/annotations", params={"tags": ["grayscope"], "limit": 10}, kind=list)
    assert [(n["id"], n["text"]) for n in found] == [(made, "u")]
    grafana.api.ask("DELETE", f"/annotations/{made}")


@pytest.mark.parametrize(
    ("verb", "path", "body", "code"),
    [
        ("POST", "/annotations", {"time": 1}, 400),
        ("POST", "/annotations", {**NOTE, "time": "1"}, 400),
        ("POST", "/annotations", {**NOTE, "dashbordUID": "x"}, 400),
        ("DELETE", "/annotations", None, 405),
        ("GET", "/misspelt", None, 404),
    ],
)
def test_the_contract_server_refuses_what_the_contract_does_not_know(contract: Contract, verb: str, path: str, body: Any, code: int) -> None:
    server = Server(contract.url, token=TOKEN)
    with pytest.raises(RefusedError) as error:
        server.ask(verb, path, body)
    server.close()
    assert error.value.code == code
    assert len(contract.breaches) == 1
    contract.breaches.clear()


def test_nulls_are_no_breach(server: Server, contract: Contract) -> None:
    assert server.ask("POST", "/annotations", {**NOTE, "dashboardUID": None, "panelId": None})["id"]
    assert "additionalProperties" in DOC["components"]["schemas"]["PostAnnotationsCmd"]


def test_a_wrong_token_is_refused_and_never_shown(contract: Contract, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-of-file\n")
    for server in (Server(contract.url, token="s3cret-word"), Server(contract.url, token_file=str(tmp_path / "token")), Server(contract.url)):
        with pytest.raises(RefusedError, match="401") as error:
            server.ask("GET", "/folders/grayscope")
        server.close()
        assert "Service accounts" in str(error.value)
        assert "s3cret" not in str(error.value) + repr(server.access)


def test_a_token_comes_from_the_environment(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYSCOPE_GRAFANA_TOKEN", TOKEN)
    server = Server(contract.url)
    assert server.ask("GET", "/datasources", kind=list)
    server.close()


@pytest.mark.parametrize("token", ["a b", "s3cret\nX: y", "s3crét"])
def test_a_token_of_a_wrong_form_is_not_repeated(token: str) -> None:
    with pytest.raises(UsageError) as error:
        Server("http://127.0.0.1:1", token=token)
    assert "s3cr" not in str(error.value)


@pytest.mark.parametrize("code", [401, 403, 404, 409, 412])
def test_refusals_are_final(server: Server, contract: Contract, code: int) -> None:
    contract.fail("GET", "/api/health", code)
    with pytest.raises(RefusedError, match=f"{code}: on purpose") as error:
        server.ask("GET", "/health")
    assert error.value.code == code
    assert server.ask("GET", "/health")["database"] == "ok"


@pytest.mark.parametrize("what", [429, 500, 503, "silent", "half", "dropped", "page", "elsewhere"])
def test_what_may_pass_is_told_as_such_in_one_line(server: Server, contract: Contract, what: int | str) -> None:
    contract.fail("GET", "/api/health", what, 20, Retry_After="7")
    with pytest.raises(Retry) as error:
        server.ask("GET", "/health")
    assert error.value.retry_after == (7.0 if isinstance(what, int) else 0.0)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_an_odd_answer_is_named(server: Server, contract: Contract) -> None:
    contract.fail("GET", "/api/health", "odd")
    with pytest.raises(InputError, match="GET /health: expected dict, found 7"):
        server.ask("GET", "/health")


def test_nobody_there() -> None:
    server = Server("http://127.0.0.1:1", timeout=1.0)
    with pytest.raises(GrayscopeError, match=r"127\.0\.0\.1:1"):
        server.ask("GET", "/health")
    server.close()
