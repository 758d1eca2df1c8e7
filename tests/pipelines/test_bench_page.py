from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grayscope.score import Score, score
from grayscope.scoreboard import HOME, Run

MINUTE = 60_000_000


def installed(name: str) -> Any:
    return importlib.import_module(f"grayscope.pipelines.{name}")


def run(detector: str, subject: str, minute: int, mode: str = "slow_rank", state: str = "gray", ledger: tuple[int, int] = (0, 0)) -> Run:
    """Two faults n1/gpu0 and n2 of one mode; one page."""
    truth = [{"subject": s, "mode": mode, "state": "gray", "began": 0, "ended": None} for s in ("n1/gpu0", "n2")]
    said = {"id": "a", "subject": subject, "severity": "page", "mode": mode, "history": [(minute * MINUTE, state, "page")]}
    scored = score(truth, [said], 2.0)
    return Run(detector, "s", "simulated", 1, Score(replace(scored.overall, ledger=ledger), scored.modes), 2.0, 1.5, 4.5)


def page(*runs: Run, seeds: str = "") -> str:
    made = installed("_benchpage")
    bench = made.Bench(runs, [("s", "2 nodes, 1 h", "1", "some <faults>")], {}, "grayscope bench", "It ran.", ("A note.",), seeds)
    return str(installed("_benchforms").markdown(list(made.pieces(bench)), "page"))


def test_it_tells_of_grayscope_by_mode_what_was_found_how_exactly_and_how_soon() -> None:
    text = page(run(HOME, "n1", 10, state="masked"), run("static", "n1/gpu0", 5))
    assert "### grayscope by mode" in text
    for name in ("slow_rank", "s"):
        assert f"| {name} | 1 of 2 | 1 of 2 | 0 | 1 | 0 | 0 | - | 10 min | 10 min | 0 | 0 |" in text
    assert "grayscope by mode" not in page(run("static", "n1", 5))


def test_it_tells_both_times_of_a_shared_pass() -> None:
    head, _, row = next(p for p in page(run("static", "n1", 5)).split("\n\n") if p.startswith("| detector")).splitlines()
    cells = dict(zip((c.strip() for c in head.split("|")), (c.strip() for c in row.split("|")), strict=True))
    assert (cells["CPU s"], cells["CPU s alone"]) == ("2", "4")


def test_it_counts_the_intervals_of_the_ledger_over_all_runs() -> None:
    text = page(run(HOME, "n1", 5, ledger=(3, 4)), run(HOME, "n2", 5, ledger=(1, 1)), run("static", "n1", 5, ledger=(0, 90)))
    assert "Of 5 intervals in the ledger for when a redundancy is used up, 4 (80%) hold the true moment; 80 % should." in text
    assert "in the ledger" not in page(run(HOME, "n1", 5))


def test_it_says_which_seeds_were_tuned_on() -> None:
    assert "2 nodes, 1 h | 1 | some <faults> |\n\nSeed 7 is new.\n" in page(run(HOME, "n1", 5), seeds="Seed 7 is new.")


def test_a_page_is_html_without_anything_unescaped() -> None:
    made = installed("_benchpage")
    bench = made.Bench((run(HOME, "n1", 5),), [("s", "2 nodes", "1", "some <faults>")], {"x <b>": "a & b"}, "grayscope bench", "It ran.")
    text = installed("_benchforms").document(list(made.pieces(bench)))
    assert "some &lt;faults&gt;" in text
    assert "x &lt;b&gt;" in text
    assert text.count("<svg") == 2


def test_weak_faults_have_a_plot_of_their_own() -> None:
    weak = replace(run(HOME, "n1", 5), scenario="weak")
    assert "(page-weak.svg)" in page(weak, run(HOME, "n1", 5))
    assert "(page-weak.svg)" not in page(run(HOME, "n1", 5))


# -- seeds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([1, 2, 3, 4, 5], "Seeds 1 to 5 were kept from tuning"),
        ([150], "Seed 150 was among those that grayscope is tuned on"),
        ([6, 100, 200], "Seeds 6, 100, 200 were neither"),
    ],
)
def test_seeds_are_tuned_on_or_kept_or_neither(seeds: list[int], said: str) -> None:
    (sentence,) = installed("_benchseeds").of_page(seeds)
    assert sentence.startswith(said)


def test_a_mixture_of_seeds_is_told_apart() -> None:
    assert [s.split()[1] for s in installed("_benchseeds").of_page([1, 101, 300])] == ["1", "101", "300"]


@pytest.mark.parametrize("text", ["", ",", "0", "-3", "3-1", "1,x", "1-2-3", "²", "101", "1-100000000000", "1-2000"])
def test_wrong_seeds_are_refused(text: str) -> None:
    with pytest.raises(Exception, match="--seeds: "):
        installed("_benchseeds").parse(text)


# -- how long it takes ----------------------------------------------------------------------------------------------


def test_the_full_bench_is_guessed_to_stay_well_under_three_hours_of_two_cores(tmp_path: Path) -> None:
    unit, guess = installed("_benchunits").Unit, installed("_benchprogress").guess
    plan = installed("_benchplan").plan(None, "all", None, None, None, False, None, None)
    rivals = tuple((d, "k") for d in plan.detectors if d != HOME)
    assert (len(rivals), len({s.name for s in plan.sources})) == (9, 9)
    assert {s.seed for s in plan.sources if s.name != "scale"} == {1, 2, 3, 4, 5}
    traces = [unit(source, tmp_path, tmp_path, "k") for source in plan.sources]
    units = [replace(trace, results=results) for trace in traces for results in ((), ((HOME, "k"),), rivals)]
    assert 60 < sum(map(guess, units)) / 2 < 2 * 3600


def test_what_is_in_the_cache_takes_no_time(tmp_path: Path) -> None:
    units, guess = installed("_benchunits"), installed("_benchprogress").guess
    unit = units.Unit(units.Source("null", 1), tmp_path, tmp_path, "t", ((HOME, "k"),))
    assert guess(unit) > 1
    unit.path("k").mkdir(parents=True)
    assert guess(unit) < 0.1
