from __future__ import annotations

from pathlib import Path

import pytest

from grayscope.errors import InputError, UsageError
from grayscope.fleet.draw import draw
from grayscope.fleet.scenario import load, names, parse
from grayscope.fleet.topology import Topology


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


@pytest.mark.parametrize("factor", ['"a"', "-3", "nan", "1e300", "true"])
def test_a_speed_that_is_no_sensible_number_names_the_mode(factor: str) -> None:
    with pytest.raises(InputError, match=r"speed: hang: expected a number from 0 to 1,000,000"):
        parse(f'faults = ["hang"]\n[speed]\nhang = {factor}\n', "s", "s.toml")


def test_true_is_no_number_and_text_is_utf8(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nodes: expected int, found bool"):
        parse("nodes = true\n", "s", "s.toml")
    file = tmp_path / "s.toml"
    file.write_bytes(b'note = "\xff"\n')
    with pytest.raises(InputError, match="UTF-8"):
        load(file)


def test_more_onsets_than_anybody_can_look_at_are_refused() -> None:
    scenario = load("links").but(hours=1.0, acceleration=1e9)
    with pytest.raises(InputError, match="at most 200,000 onsets"):
        draw(scenario, Topology(scenario.nodes, scenario.gpus, 1))
