from __future__ import annotations

import math
from typing import Any

import pytest

from grayscope.bootstrap import Interval, intervals
from grayscope.score import Part, score

MINUTE = 60_000_000


def part(found: int, missed: int, false: int, weeks: float = 10.0, **more: Any) -> Part:
    """Rows n0, n1, ... of which the first are found after as many minutes as their number; false pages on x0, x1, ..."""
    truth = [{"subject": f"n{i}", "mode": "m", "state": "gray", "began": 0, "ended": None, **more} for i in range(found + missed)]
    said = [page(f"n{i}", i) for i in range(found)] + [page(f"x{i}", 1) for i in range(false)]
    return score(truth, said, weeks).overall


def page(subject: str, minute: int) -> dict[str, Any]:
    return {"id": subject, "subject": subject, "severity": "page", "mode": "m", "history": [(minute * MINUTE, "gray", "page")]}


def both(found: dict[str, Interval | None], key: str) -> Interval:
    ends = found[key]
    assert ends is not None
    return ends


def test_the_same_part_gives_the_same_numbers_and_another_seed_others() -> None:
    one, again, other = (intervals(part(20, 10, 7), seed=s) for s in (3, 3, 4))
    assert one == again
    assert one != other


def test_intervals_hold_their_figures() -> None:
    some = part(20, 10, 7)
    figures, found = some.to_dict(), intervals(some)
    for key, ends in found.items():
        assert ends is not None, key
        assert ends[0] <= figures[key] <= ends[1], key
    assert both(found, "recall")[0] < 20 / 30 < both(found, "recall")[1]


def test_a_share_has_the_spread_of_a_binomial_count() -> None:
    low, high = both(intervals(part(300, 100, 0), draws=4000), "recall")
    sigma = math.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - 1.96 * sigma, abs=0.004)
    assert high == pytest.approx(0.75 + 1.96 * sigma, abs=0.004)


def test_more_rows_make_it_surer_and_a_lower_level_narrower() -> None:
    def width(p: Part, **more: Any) -> float:
        low, high = both(intervals(p, **more), "f1")
        return high - low

    assert width(part(200, 100, 70)) < width(part(20, 10, 7)) / 2
    assert width(part(20, 10, 7), level=0.5) < width(part(20, 10, 7)) / 2


def test_all_found_and_nothing_false_is_not_certainty() -> None:
    found = intervals(part(4, 0, 0))
    bound = 0.025**0.25
    for key in ("recall", "precision", "exact_share", "f1"):
        assert both(found, key) == pytest.approx((bound, 1.0))
    assert both(found, "false_pages_per_1000_gpu_weeks") == pytest.approx((0.0, -math.log(0.025) * 100))


def test_nothing_found_is_not_certainty_either() -> None:
    found = intervals(part(0, 4, 3))
    assert both(found, "recall") == pytest.approx((0.0, 1 - 0.025**0.25))
    assert found["delay_median_s"] is None
    assert found["exact_share"] is None


def test_delays_lie_between_the_delays() -> None:
    low, high = both(intervals(part(21, 0, 0)), "delay_median_s")
    assert 0.0 <= low < 600.0 < high <= 1200.0


def test_rates_spread_as_counts_do() -> None:
    low, high = both(intervals(part(1, 0, 100, weeks=1000.0), draws=4000), "false_pages_per_1000_gpu_weeks")
    assert low == pytest.approx(100 - 19.6, abs=2)
    assert high == pytest.approx(100 + 19.6, abs=2)


def test_nothing_at_all_has_no_interval() -> None:
    assert set(intervals(score([], [], 0.0).overall).values()) == {None}


def test_base_rates_appear_where_rows_tell_them() -> None:
    assert "precision_at_base_rates" not in intervals(part(5, 5, 5))
    low, high = both(intervals(part(5, 5, 5, **{"x-acceleration": 10.0})), "precision_at_base_rates")
    assert 0.0 < low < 0.5 / 5.5 < high < 0.5
