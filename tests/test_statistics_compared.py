"""Statistics side by side: thresholds are those of the books, kernels do what they say, and on a small draw the promise breaks where memory is long."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

TICKS = (160, 160, 300)


pytestmark = pytest.mark.usefixtures("benchmarks")


def load(name: str) -> Any:
    return importlib.import_module(f"statistics_{name}")


@pytest.fixture(scope="module")
def told(benchmarks: None) -> Any:
    runs, table = load("runs"), load("rows")
    seen = [runs.do(runs.Task(noise, 600, 100_000 / 600, 101, TICKS)) for noise in ("calm", "slow")]
    return seen, {(r.noise, r.statistic, r.way): r for r in table.rows(seen)}


@pytest.mark.parametrize(("length", "h"), [(1e6, 12.0), (1e8, 16.6), (3e10, 22.3)])
def test_siegmunds_thresholds_are_the_known_ones(length: float, h: float) -> None:
    assert load("rivals").siegmund(length) == pytest.approx(h, abs=0.06)


def test_so_many_exceedances_come_by_chance_no_oftener_than_promised() -> None:
    rivals = load("rivals")
    m = rivals.binomial(1e4)
    came = np.random.default_rng(1).binomial(64, 0.15866, 1_000_000)
    assert (came >= m).mean() < 1.2e-4
    assert (came >= m - 1).mean() > 1e-4


def test_a_rivals_kernel_adds_up() -> None:
    rivals = load("rivals")
    r = rivals.Rivals(np.zeros(16, np.int64))
    z = np.arange(16) / 4.0 - 2.0
    for _ in range(3):
        out = r.step(z)
    last = 15 / 4 - 2.0
    assert out[0, 15] == pytest.approx(3 * (last - 0.5))
    e = np.exp(rivals.NORMAL * last - rivals.NORMAL**2 / 2)
    assert out[2, 15] == pytest.approx(np.log(np.mean(e + e**2 + e**3)))
    won = 1 + rivals.RANK * (1 - 2 / 16)
    assert out[3, 14] == out[3, 15] == pytest.approx(np.log(np.mean(won + won**2 + won**3)))
    lost = 1 - rivals.RANK * 2 / 16
    assert out[3, 13] == pytest.approx(np.log(np.mean(lost + lost**2 + lost**3)))
    assert out[4].tolist() == [3.0 * (x > 1) for x in z]
    z[15] = np.nan
    before = out[:, 15].copy()
    np.testing.assert_array_equal(r.step(z)[:, 15], before)  # what did not come changes nothing


def test_bets_on_ranks_are_fair_whatever_the_law() -> None:
    rivals = load("rivals")
    rng, ends = np.random.default_rng(3), []
    for _ in range(200):
        r = rivals.Rivals(np.repeat(np.arange(4), 8))
        ends.append(np.exp(r.step(rng.standard_t(2, 32))[3]).mean())
    assert np.mean(ends) == pytest.approx(1.0, abs=1e-9)  # one of each eight wins, and the bank pays seven to one


def test_what_lasts_is_learned_before_watching() -> None:
    r, rng, z = load("rivals").Rivals(np.zeros(500, np.int64)), np.random.default_rng(2), np.zeros(500)
    for _ in range(200):
        z = 0.8 * z + 0.6 * rng.standard_normal(500)
        r.learn(z)
    assert r.rho == pytest.approx(0.8, abs=0.02)


def test_cusum_breaks_its_promise_where_noise_lasts_and_grayscope_keeps_it(told: Any) -> None:
    _, rows = told
    assert rows["slow", "CUSUM", "theory"].word == "broken"
    assert rows["slow", "CUSUM", "theory"].false > 10 * rows["slow", "CUSUM", "theory"].promised
    for noise in ("calm", "slow"):
        assert rows[noise, "grayscope: became", "theory"].word == "kept"
        assert rows[noise, "grayscope: became", "theory"].share("3 sigma") > 0.9


def test_by_hindsight_all_say_as_much_that_is_false(told: Any) -> None:
    seen, rows = told
    for (_, name, way), row in rows.items():
        if way == "hindsight":
            assert row.false <= round(row.promised)
            if not name.startswith("grayscope"):  # whose evidence far below its level is not reported
                assert row.false >= 0.5 * row.promised
    assert seen[0].promised() == pytest.approx(0.1 * (160 * 600 + 300 * 570) / 3360 * 100_000 / 600 / 100)
    assert rows["calm", "CUSUM", "hindsight"].share("3 sigma") == 1.0


def test_the_page_says_who_broke_the_promise(told: Any) -> None:
    seen, _ = told
    forms, page = importlib.import_module("grayscope.pipelines._benchforms"), load("page")
    text = forms.markdown(list(page.pieces(seen, "x", "It ran.", [101])), "statistics")
    assert "CUSUM, threshold by theory: the promise is broken in" in text
    assert "600 tests: 167 per 1,000 subject-weeks, one in 20,160 looks of a test" in text
    assert text.count("| slow | 600 |") == 2 + 3 * 2
