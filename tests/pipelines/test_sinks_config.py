"""Sections [sinks.NAME]: what is made of them, and what is said of wrong ones without telling secrets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from grayscope.errors import UsageError
from grayscope.settings import Settings, load_settings

sinks: Any = __import__("grayscope.pipelines._sinks", fromlist=["sinks_from"])
AM = '[sinks.alertmanager]\nurls = ["http://127.0.0.1:1/", "http://127.0.0.1:2/"]\nresend = "30s"\n'


def made(tmp_path: Path, text: str, settings: Settings | None = None, **more: Any) -> list[Any]:
    (tmp_path / "c.toml").write_text(text)
    found: list[Any] = sinks.sinks_from(settings or Settings(), path=tmp_path / "c.toml", **more)
    for sink in found:
        sink.close()
    return found


def names(found: list[Any]) -> list[str]:
    return [type(s).__name__ for s in found]


def test_nothing_is_sent_unless_asked_for(tmp_path: Path) -> None:
    assert names(made(tmp_path, "")) == ["Listing", "Prometheus"]


def test_sections_make_sinks_and_the_page_counts_them(tmp_path: Path) -> None:
    text = AM + '[sinks.chat]\nuse = "webhook"\nurl = "http://127.0.0.1:1/"\n[sinks.prometheus]\nmost = 7\n'
    found = made(tmp_path, text, Settings(cluster="c7"), webhooks=("http://127.0.0.1:3/",))
    assert names(found) == ["Listing", "Prometheus", "Webhook", "Alertmanager", "Webhook"]
    assert (found[1].cluster, found[1].most, list(found[1].others)) == ("c7", 7, ["webhook", "alertmanager", "chat"])
    assert (found[3].resend, len(found[3].instances)) == (30.0, 2)
    assert b'grayscope_alerts_sent_total{cluster="c7",sink="chat"} 0' in found[1].page()[0]


def test_the_settings_know_the_section_and_the_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYSCOPE_ALERTMANAGER_TOKEN", "s3cret")
    (tmp_path / "c.toml").write_text(AM)
    settings = load_settings(tmp_path / "c.toml")
    (am,) = made(tmp_path, AM, settings)[2:]
    assert am.instances[0].post.access.headers() == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(settings) + repr(am.instances[0].post.access)


def test_the_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text(AM)
    monkeypatch.setenv("GRAYSCOPE_CONFIG", str(tmp_path / "c.toml"))
    found = sinks.sinks_from(Settings())
    found[-1].close()
    assert names(found) == ["Listing", "Prometheus", "Alertmanager"]


def test_dry_run_sends_nothing(tmp_path: Path) -> None:
    assert names(made(tmp_path, AM, Settings(dry_run=True), webhooks=("http://127.0.0.1:3/",))) == ["Listing", "Prometheus"]


@pytest.mark.parametrize(("text", "says"), [
    ("sinks = 5", "sinks: expected sections"),
    ("[sinks]\nwebhook = 5", "sinks.webhook: expected a section"),
    ("[sinks.alertmanger]\nurls = []", "no sink is called 'alertmanger'.*alertmanager"),
    ("[sinks.alertmanager]\nurl = 's3cret'", "unknown option 'url'.*urls"),
    ("[sinks.alertmanager]\ntoken = 's3cret'", "sinks.alertmanager: urls is missing"),
    ("[sinks.alertmanager]\nurls = ['http://ann:s3cret@a b']", "alertmanager: expected an http or https URL"),
    ("[sinks.alertmanager]\nurls = ['http://a']\nresend = 'soon'", "sinks.alertmanager.resend: expected a duration"),
    ("[sinks.alertmanager]\nurls = ['http://a']\nclock = 1", "unknown option 'clock'"),
    ("[sinks.webhook]\nurl = 'http://a'\ntoken = 5", "token: expected text, found a int"),
    ("[sinks.x]\nuse = ['s3cret']", "no sink is called"),
    ("x = ", "not TOML"),
])  # fmt: skip
def test_wrong_sections_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        made(tmp_path, text)
    assert "s3cret" not in str(error.value) or "use" in text


@pytest.mark.parametrize(("text", "urls"), [(AM, ()), ("", ("http://a",))])
def test_rules_and_pushes_exclude_each_other(tmp_path: Path, text: str, urls: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match='paths = "rules"'):
        made(tmp_path, text, Settings(paths="rules"), webhooks=urls)
    assert names(made(tmp_path, "", Settings(paths="rules"))) == ["Listing", "Prometheus"]


def test_a_file_that_is_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        sinks.sinks_from(Settings(), path=tmp_path / "none.toml")
    assert "grayscope.pipelines._sinks" in sys.modules
