from __future__ import annotations

from pathlib import Path

import pytest

from grayscope.errors import InputError, UsageError
from grayscope.fleet.scenario import load, names, parse


def test_all_scenarios_of_the_benchmark_are_there_and_say_what_they_are() -> None:
    assert set(names()) == {"null", "mixed", "weak", "links", "memory", "thermal", "correlated", "controls", "scale"}
    assert all(load(name).note for name in names())
    assert load("scale").nodes == 2048
    assert load("null").faults == load("null").controls == load("controls").faults == ()


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('nodes = 4\nhours = 1\nfaults = ["hang"]\n[mess]\nlate = 0.1\n[speed]\nhang = 2\n')
    found = load(path)
    assert (found.name, found.nodes, found.hours, found.faults, found.mess.late, dict(found.speed)) == ("mine", 4, 1.0, ("hang",), 0.1, {"hang": 2})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("node = 4", "nodes"),
        ('nodes = "4"', "int"),
        ("nodes = 0", "1 to 9999"),
        ('faults = ["slow_rnk"]', "slow_rank"),
        ('faults = ["maintenance"]', "faults"),
        ('controls = ["hang"]', "controls"),
        ("[speed]\nhangs = 1.0", "hang"),
        ("[mess]\nskew = 1.0", "skew_s"),
        ("[mess]\nlate = 2.0", "late"),
        ("period_s = 7\nlink_period_s = 60", "multiple"),
        ("nodes = = 3", "TOML"),
    ],
)
def test_a_wrong_scenario_is_named_with_what_is_nearest(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse(text, "x", "x.toml")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="mixed"):
        load("mixd")


def test_changes_are_checked_as_well() -> None:
    assert load("null").but(nodes=3, seed=None).nodes == 3
    with pytest.raises(InputError, match="hours"):
        load("null").but(hours=0.0)
