"""Score: who knows all, says nothing, or accuses everybody."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scored import MINUTE, fault, overall, paged, said


def truth_of_many() -> list[dict[str, Any]]:
    rows = [fault(f"n{i}/gpu{i % 8}", ("masked", "gray", "failed")[i % 3], began=(10 + 7 * i) * MINUTE, ended=(60 + 7 * i) * MINUTE) for i in range(24)]
    return [*rows, fault("n50", "benign"), {**fault("n3/nic0/port", "masked"), "mode": "fec_margin", "also": ["leaf:1/port:9"], "ended": None}]


def test_an_oracle_scores_one() -> None:
    truth = truth_of_many()
    told = [
        said((r["began"], r["state"], "page" if r["state"] == "gray" else "ticket"), subject=r["subject"], ended=r["ended"], name=str(k))
        for k, r in enumerate(truth)
        if r["state"] != "benign"
    ]
    figures = overall(truth, told).to_dict()
    assert [figures[k] for k in ("precision", "recall", "f1", "exact_share", "state_right_share")] == [1.0] * 5
    assert [figures[k] for k in ("delay_median_s", "delay_p90_s", "false", "repeats", "false_pages_per_1000_gpu_weeks")] == [0.0, 0.0, 0, 0, 0.0]
    assert figures["recall_after_s"]["60"] == 1.0


def test_an_empty_result_scores_nothing() -> None:
    figures = overall(truth_of_many(), []).to_dict()
    assert (figures["recall"], figures["precision"], figures["f1"], figures["false"]) == (0.0, None, 0.0, 0)


def test_who_accuses_everybody_finds_all_and_pays_for_it() -> None:
    truth = truth_of_many()
    names = [f"n{i}/gpu{g}" for i in range(60) for g in range(8)] + [f"n{i}/nic0/port" for i in range(60)]
    always = [(30 * k * MINUTE, "gray", "page") for k in range(12)]
    part = overall(truth, [said(*always, subject=name, name=name) for name in names])
    assert part.recall == 1.0
    assert part.precision == pytest.approx(25 / len(names), abs=0.01)
    assert part.f1 is not None
    assert part.f1 < 0.1
    assert part.false_rate("page") == pytest.approx(100 * (len(names) - part.matched - len(part.repeats)))


def test_who_accuses_the_whole_site_finds_nothing() -> None:
    part = overall(truth_of_many(), [paged(0, subject="site")])
    assert (part.recall, part.precision) == (0.0, 0.0)
