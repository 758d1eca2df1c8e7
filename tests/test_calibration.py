"""The calibration benchmark's own logic: exact intervals, words for them, noise that repeats itself, and a page that adds up."""

from __future__ import annotations

import importlib
from collections import Counter
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("benchmarks")


def load(name: str) -> Any:
    return importlib.import_module(f"calibration_{name}")


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (5, 1.6235, 11.6683), (100, 81.3640, 121.6268)])
def test_interval_is_garwoods(count: int, low: float, high: float) -> None:
    assert load("counts").interval(count) == pytest.approx((low, high), abs=2e-4)


def test_interval_holds_the_mean_about_as_often_as_it_says() -> None:
    counts = load("counts")
    ends = {n: counts.interval(n) for n in range(40)}
    drawn = np.random.default_rng(1).poisson(7.3, 4000).tolist()
    share = np.mean([ends[n][0] <= 7.3 <= ends[n][1] for n in drawn])
    assert 0.95 <= share < 0.985  # exact intervals are never narrower than they say


@pytest.mark.parametrize(
    ("count", "weeks", "configured", "word"),
    [(0, 369.0, 10.0, "kept"), (0, 368.0, 10.0, "not shown"), (5, 1000.0, 10.0, "not shown"), (50, 1000.0, 10.0, "broken"), (900, 1000.0, 1000.0, "kept")],
)
def test_the_word_follows_from_the_interval(count: int, weeks: float, configured: float, word: str) -> None:
    assert load("counts").verdict(count, weeks, configured) == word


def test_the_exposure_needed_is_where_the_word_turns() -> None:
    counts = load("counts")
    weeks = counts.needed(3, 10.0)
    assert (counts.verdict(3, weeks * 1.001, 10.0), counts.verdict(3, weeks * 0.999, 10.0)) == ("kept", "not shown")


def source(name: str, seed: int = 1, subjects: int = 200) -> Any:
    noise = load("noise")
    return noise.Source(next(n for n in noise.NOISES if n.name == name), subjects, 60, seed)


@pytest.mark.parametrize("name", ["calm", "small", "worst", "gpu worst"])
def test_the_same_seed_gives_the_same_rows_and_another_others(name: str) -> None:
    first, again, other = (np.concatenate([b.values for b in source(name, seed).batches(130)]) for seed in (1, 1, 2))
    assert first.shape == (130, 3 if name.startswith("gpu") else 2, 200)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other, equal_nan=True)


def test_noise_is_what_it_says() -> None:
    slow = np.log(np.concatenate([b.values for b in source("slow").batches(1500)])[:, 1])
    slow -= slow.mean(axis=0)
    assert slow.std() == pytest.approx(0.02, rel=0.15)
    assert (slow[1:] * slow[:-1]).mean() / (slow * slow).mean() == pytest.approx(0.9, abs=0.02)
    lost = np.isnan(np.concatenate([b.values for b in source("missing").batches(400)])[:, 1]).mean()
    assert 0.1 < lost < 0.15
    assert set(np.bincount(source("small").group)[:-1].tolist()) == {4, 5, 6, 7}


def test_a_fault_begins_at_its_onset_and_others_wait_for_it() -> None:
    factor = np.ones(200)
    factor[5] = 1.5
    healthy, ill = (np.concatenate([b.values for b in source("calm").batches(120, f, 70)]) for f in (None, factor))
    np.testing.assert_array_equal(healthy[:70], ill[:70])
    np.testing.assert_allclose(ill[70:, 1, 5] / healthy[70:, 1, 5], 1.5, rtol=1e-5)
    same_job = source("calm").job == 0
    same_job[5] = False
    assert (ill[70:, 0][:, same_job] >= healthy[70:, 0][:, same_job]).all()


def test_a_slow_rank_is_found_and_healthy_ones_are_no_page() -> None:
    runs = load("runs")
    (quiet,) = runs.do(runs.Task("noise", "calm", (10.0,), 1, 128, 60, 2.0))
    (found,) = runs.do(runs.Task("fault", "calm", (10.0,), 1, 128, 10, 0.5, "3 sigma"))
    assert (quiet.pages, quiet.weeks) == (0, pytest.approx(128 * 2 / 168))
    # two metrics at six horizons of `slower` and four of `became`; `stepped` and `lasting` watch one of them over two spans each.
    # 120 ticks end no longer horizon.
    assert (quiet.engines, quiet.tests) == (1, 128 * (2 * (6 + 4) + 2 + 2))
    assert (found.faults, len(found.delays)) == (1, 1)
    assert 0 < found.delays[0] < 180


def test_the_page_adds_up() -> None:
    runs, page = load("runs"), load("page")
    kinds = [("scenario", "null", 0, 500.0), ("noise", "calm", 2, 100.0), ("noise", "worst", 40, 100.0)]
    counts = [runs.Count(k, s, 10.0, 60, "", weeks, pages, 1, Counter({"page: became of x": pages}), engines=1, tests=1500) for k, s, pages, weeks in kinds]
    counts.append(runs.Count("fault", "slow", 10.0, 10, "3 %", 1.0, delays=[10, 200], faults=4))
    sums = {c.source: c for c in page.summed(counts)}
    assert (sums[page.ALL].pages, sums[page.ALL].weeks) == (42, 200.0)
    tables = [p for p in page.pieces(counts, "x", "It ran.", [1]) if hasattr(p, "rows")]
    assert [row[-1] for row in tables[0].rows] == ["kept", "broken", "not shown: needs 722 GPU-weeks", "broken"]
    assert [row[1] for row in tables[0].rows] == ["1,500", "2 x 1,500 = 3,000", "1,500", "1,500"]
    assert ("worst", "10", "became of x (40)") in tables[1].rows
    assert tables[-1].rows[-1] == ("slow", "10", "4", "2", "200", "-", "33.3 min", "-", "25%", "25%", "50%", "50%", "50%")
    assert page.plot(counts).count("<polyline") > 5
