"""Became and slower: two answers, small lasting changes, and what peers that come and go do not bring about."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Run = Callable[..., list[list[object]]]
TICKS, WIDTH, ONSET = 1000, 64, 600


def compute(seed: int, offsets: float = 0.04, noise: float = 0.01, width: int = WIDTH) -> Floats:
    """Return compute times [T, S] of ranks that differ for ever and drift a little."""
    rng = np.random.default_rng(seed)
    drift = np.zeros((TICKS, width))
    for t in range(1, TICKS):
        drift[t] = 0.95 * drift[t - 1] + rng.normal(0, noise * 0.1, width)
    times: Floats = np.exp(np.log(2.0) + rng.normal(0, offsets, width) + drift + rng.normal(0, noise, (TICKS, width)))
    return times


def ranks(subject: str) -> dict[str, str]:
    return {"job": "job:1", "role": "stage0", "node": subject.partition("/")[0]}


def test_three_percent_is_found_by_what_became_though_peers_differ_more(run: Run, accused: Callable[..., set[str]]) -> None:
    values = compute(1)
    values[ONSET:, 21] *= 1.03
    said = run("became", "rank", {"compute_seconds": values}, keys=ranks)
    assert accused(said) == {"n2/gpu5"}
    strong = next(t for t, found in enumerate(said) if any(f.strength >= 6.9 for f in found))  # type: ignore[attr-defined]
    assert ONSET < strong < ONSET + 130
    first = next(f for f in said[strong] if f.strength >= 6.9)  # type: ignore[attr-defined]
    assert 0.015 < first.value / first.expected - 1 < 0.045  # type: ignore[attr-defined]  # its mean still rises, and its past has begun to follow
    assert accused(run("slower", "rank", {"compute_seconds": values}, keys=ranks)) == set()


def test_born_slow_is_slower_and_did_not_become_so(run: Run, accused: Callable[..., set[str]]) -> None:
    values = compute(2)
    values[:, 40] = 2.0 * np.exp(np.random.default_rng(3).normal(0, 0.01, TICKS)) * 1.4
    assert accused(run("slower", "rank", {"compute_seconds": values}, keys=ranks)) == {"n5/gpu0"}
    assert accused(run("became", "rank", {"compute_seconds": values}, keys=ranks)) == set()


def test_peers_that_leave_move_the_median_and_nobody_is_accused(run: Run, accused: Callable[..., set[str]]) -> None:
    values = compute(4, offsets=0.10)
    order = np.argsort(values[:ONSET].mean(axis=0))
    values[ONSET:, order[-28:]] = np.nan  # the slowest ones go: the median of the rest falls by several percent
    assert accused(run("became", "rank", {"compute_seconds": values}, keys=ranks)) == set()


def test_a_divided_group_is_one_finding_about_the_group(run: Run) -> None:
    values, names = compute(5, width=320), [f"n{i // 8:02d}/gpu{i % 8}" for i in range(320)]
    values[ONSET:, :24] *= 1.2  # three nodes of eight of the first job
    said = run("became", "rank", {"compute_seconds": values}, subjects=names, keys=lambda s: {**ranks(s), "job": f"job:{1 + int(s[1:3]) // 8}"})
    found = [f for findings in said[ONSET + 40 :] for f in findings]
    assert {(f.subject, f.mode) for f in found} == {("job:1", "group_shift")}  # type: ignore[attr-defined]


def test_one_node_of_eight_is_no_crowd(run: Run, accused: Callable[..., set[str]]) -> None:
    values = compute(6)
    values[ONSET:, :8] *= 1.2
    assert accused(run("became", "rank", {"compute_seconds": values}, keys=ranks)) == {f"n0/gpu{k}" for k in range(8)}


def test_one_part_does_not_hide_behind_another_machine(run: Run, accused: Callable[..., set[str]]) -> None:
    values = compute(6)
    values[ONSET:, [0, 1, 2, 3, 12]] *= 1.2  # five of the sixteen of a job, four of them on one machine
    by_two = lambda s: {**ranks(s), "job": f"job:{int(s[1]) // 2}"}  # noqa: E731
    assert accused(run("became", "rank", {"compute_seconds": values}, keys=by_two)) == {*(f"n0/gpu{k}" for k in range(4)), "n1/gpu4"}


def test_an_error_rate_that_is_not_doubled_is_nobodys_matter(run: Run, accused: Callable[..., set[str]]) -> None:
    rng = np.random.default_rng(7)
    bits = rng.poisson(4e4, (TICKS, WIDTH)).astype(float)
    half, double = bits.copy(), bits.copy()
    half[ONSET:, 9] *= 1.5
    double[ONSET:, 9] *= 3.0
    names = [f"n{i // 8}/gpu{i % 8}/pcie" for i in range(WIDTH)]
    assert accused(run("became", "pcie", {"pcie_replays_total": half}, subjects=names)) == set()
    assert accused(run("became", "pcie", {"pcie_replays_total": double}, subjects=names)) == {"n1/gpu1/pcie"}


def test_what_is_over_is_no_news(run: Run) -> None:
    values = compute(6)
    values[ONSET : ONSET + 40, 21] *= 1.2
    said = run("became", "rank", {"compute_seconds": values}, keys=ranks)
    loud = [t for t, found in enumerate(said) if any(f.subject == "n2/gpu5" and f.strength >= 6.9 for f in found)]  # type: ignore[attr-defined]
    assert loud
    assert ONSET < min(loud) < ONSET + 40
    assert max(loud) < ONSET + 40 + 128


def test_what_lasted_is_no_news_once_the_last_minutes_are_as_before(run: Run) -> None:
    values = compute(6)
    values[ONSET - 200 : ONSET, 21] *= 1.05
    said = run("became", "rank", {"compute_seconds": values}, keys=ranks)
    loud = [t for t, found in enumerate(said) if any(f.subject == "n2/gpu5" and f.strength >= 6.9 for f in found)]  # type: ignore[attr-defined]
    assert ONSET - 200 < min(loud) < ONSET - 100
    assert ONSET - 10 < max(loud) < ONSET + 20  # the mean over 256 ticks would tell of it for another hundred


def test_a_large_step_of_minutes_is_found_where_single_values_jump(run: Run) -> None:
    values = compute(6)
    values[ONSET : ONSET + 20, 21] *= 1.2
    said = run("stepped", "rank", {"compute_seconds": values}, keys=ranks)
    loud = [t for t, found in enumerate(said) if any(f.subject == "n2/gpu5" and f.strength >= 6.9 for f in found)]  # type: ignore[attr-defined]
    assert ONSET < min(loud) < ONSET + 20


def over_a_night(noise: float) -> Callable[[int], Floats]:
    """Return what makes compute times, one rank slower in the minutes before and after a silence of so many ticks."""

    def made(silence: int) -> Floats:
        values = compute(6)
        values[ONSET - 24 : ONSET + 24, 21] *= 1.0 + noise
        return np.concatenate([values[:ONSET], np.full((silence, WIDTH), np.nan), values[ONSET:]])

    return made


def test_no_mean_bridges_a_silence_longer_than_itself(run: Run) -> None:
    made = over_a_night(0.04)

    def strongest(silence: int) -> float:
        said = run("became", "rank", {"compute_seconds": made(silence)}, keys=ranks)
        return max((f.strength for found in said for f in found if f.subject == "n2/gpu5"), default=0.0)  # type: ignore[attr-defined]

    together, apart = strongest(0), strongest(1000)
    assert together > 6.9
    assert apart < together - 2
    assert abs(strongest(30) - together) < 2  # a short silence is bridged


def test_what_goes_on_after_a_silence_is_found_after_it(run: Run, accused: Callable[..., set[str]]) -> None:
    values = compute(6)
    values[ONSET:, 21] *= 1.05
    silent = np.concatenate([values[: ONSET + 8], np.full((1000, WIDTH), np.nan), values[ONSET + 8 :]])
    assert accused(run("became", "rank", {"compute_seconds": silent}, keys=ranks)) == {"n2/gpu5"}
