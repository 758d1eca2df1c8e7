"""Settings: file, environment, flags; every problem at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grayscope.errors import UsageError
from grayscope.settings import FIELDS, Settings, load_settings, seconds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grayscope.toml"
    path.write_text('cluster = "file"\nlateness = "1m"\nperiod = 5\ndetectors = ["slower"]\n')
    return path


def test_defaults_are_a_complete_configuration() -> None:
    assert load_settings(environ={}) == Settings()


def test_the_later_one_wins(file: Path) -> None:
    found = load_settings(file, {"GRAYSCOPE_CLUSTER": "environment", "GRAYSCOPE_LATENESS": "2m", "HOME": "/"}, {"cluster": "flag", "period": None})
    assert (found.cluster, found.lateness, found.period, found.detectors) == ("flag", 120.0, 5.0, ("slower",))
    assert load_settings(file, {"GRAYSCOPE_CLUSTER": "environment"}).cluster == "environment"
    assert load_settings(file, {}).cluster == "file"


def test_the_environment_names_the_file(file: Path) -> None:
    assert load_settings(environ={"GRAYSCOPE_CONFIG": str(file)}).cluster == "file"
    assert load_settings(environ={"GRAYSCOPE_CONFIG": ""}).cluster == "cluster"


def test_what_others_read_is_not_a_setting() -> None:
    assert load_settings(environ={"GRAYSCOPE_SHARED": "x", "GRAYSCOPE_INSTALL_SERVERS": "1", "GRAYSCOPE_KAFKA_CLIENT_ID": "x"}) == Settings()
    assert load_settings(environ={"GRAYSCOPE_TEST_CRASH": "long"}) == Settings()


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('clutser = "x"\nlateness = "soon"\ndry_run = 7\ndetectors = [1]\nwebhook_urls = 5\n')
    with pytest.raises(UsageError) as error:
        load_settings(path, {"GRAYSCOPE_PERIOD": "-1"}, {"false_pages_per_1000_gpu_weeks": "nan", "cluster": 3})
    lines = str(error.value).splitlines()
    assert len(lines) == 8
    assert f"{path}: unknown setting 'clutser': did you mean 'cluster'?" in lines
    assert lines.count("environment: period: expected a duration such as 30s or 1h30m, found '-1'") == 1
    words = ["lateness: expected a duration", "dry_run: expected bool", "detectors: expected tuple", "webhook_urls: expected tuple",
             "false_pages_per_1000_gpu_weeks: expected a positive number", "flag: cluster: expected str"]  # fmt: skip
    assert all(any(word in line for line in lines) for word in words), lines


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("detectors", "slower, became", ("slower", "became")),
        ("detectors", "", ()),
        ("dry_run", "yes", True),
        ("dry_run", "0", False),
        ("dry_run", True, True),
        ("lateness", "250ms", 0.25),
        ("lateness", 0, 0.0),
        ("period", "1m30s", 90.0),
        ("false_pages_per_1000_gpu_weeks", "2.5", 2.5),
    ],
)
def test_values(key: str, raw: Any, value: Any) -> None:
    assert getattr(load_settings(environ={}, flags={key: raw}), key) == value
    if isinstance(raw, str):
        assert getattr(load_settings(environ={"GRAYSCOPE_" + key.upper(): raw}), key) == value


@pytest.mark.parametrize(
    ("key", "raw"),
    [("period", 0), ("period", "0s"), ("period", True), ("period", "1e99"), ("lateness", "1..2"), ("lateness", [1]), ("dry_run", "maybe"), ("lateness", "5 m")],
)
def test_wrong_values_are_named(key: str, raw: Any) -> None:
    with pytest.raises(UsageError, match=key):
        load_settings(environ={}, flags={key: raw})


@pytest.mark.parametrize("text", ["", "s", "..s", "1.2.3", "3x", "1h-2m", "ms"])
def test_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="expected a duration"):
        seconds(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read"):
        load_settings(tmp_path / "none.toml", {})
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings(tmp_path, {})
    for text in (b"a = = 1", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(text)
        with pytest.raises(UsageError, match=r"bad.toml: not TOML"):
            load_settings(tmp_path / "bad.toml", {})


def test_every_setting_is_documented() -> None:
    assert all(f"{name} :" in (Settings.__doc__ or "") for name in FIELDS)
