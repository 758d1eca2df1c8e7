from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest

from grayscope.drawing import Axis, chart
from grayscope.score import Score, score
from grayscope.scoreboard import ALL, HOME, SCHEMA, Run, losses, names, pooled, tidy

MINUTE = 60_000_000


def run(detector: str, found: int, rows: int = 4, false: int = 0, scenario: str = "s", seed: int = 1, mode: str = "m") -> Run:
    truth = [{"subject": f"n{i}", "mode": mode, "state": "gray", "began": 0, "ended": None} for i in range(rows)]

    def page(subject: str) -> dict[str, Any]:
        return {"id": subject, "subject": subject, "severity": "page", "mode": "said", "history": [(MINUTE, "gray", "page")]}

    said = [page(f"n{i}") for i in range(found)] + [page(f"x{i}") for i in range(false)]
    return Run(detector, scenario, "simulated", seed, score(truth, said, 2.0), 2.0, 1.5, 4.5)


def test_the_table_has_a_row_per_detector_scenario_seed_and_mode() -> None:
    table = tidy([run("b", 2, false=1, seed=2), run(HOME, 4), run("b", 1)])
    assert table.schema == SCHEMA
    rows = table.to_pylist()
    assert [(r["detector"], r["seed"], r["mode"]) for r in rows] == [
        ("b", 1, ALL), ("b", 1, "m"), (HOME, 1, ALL), (HOME, 1, "m"), ("b", 2, ALL), ("b", 2, "m"), ("b", 2, "said")
    ]  # fmt: skip
    last = rows[4]
    assert (last["precision"], last["recall"], last["recall_after_60s"], last["false_pages_per_1000_gpu_weeks"]) == (2 / 3, 0.5, 0.5, 500.0)
    assert [r["cpu_seconds"] for r in rows] == [1.5, None, 1.5, None, 1.5, None, None]
    assert rows[0]["cpu_seconds_alone"] == 4.5


def test_runs_taken_together_count_rows_and_incidents_not_runs() -> None:
    both = pooled([run("b", 4, rows=4), run("b", 0, rows=12, false=12, seed=2)])
    assert (both.recall, both.precision, both.false_rate("page")) == (0.25, 0.25, 3000.0)
    assert pooled([run("b", 4), run("b", 1, mode="other")], "other").recall == 0.25
    assert pooled([]).recall is None
    kept = [replace(r, score=Score(replace(r.score.overall, ledger=(k, 10)), {})) for k, r in enumerate([run("b", 1), run("b", 2)])]
    assert (pooled(kept).ledger, tidy(kept).column("ledger_intervals_share").to_pylist()) == ((1, 20), [0.0, 0.1])


def test_the_home_side_comes_first() -> None:
    assert names([run("a", 1), run(HOME, 1), run("z", 1)]) == [HOME, "a", "z"]


def test_losses_name_the_best_rival_and_only_where_it_is_ahead() -> None:
    runs = [run(HOME, 2), run("a", 3), run("b", 4), run(HOME, 4, scenario="t", mode="o"), run("a", 1, scenario="t", mode="o")]
    assert [(x.where, x.figure, x.rival, x.theirs) for x in losses(runs)] == [
        ("everything", "F1", "b", 1.0), ("everything", "recall", "b", 1.0), ("s", "F1", "b", 1.0), ("m", "recall", "b", 1.0)
    ]  # fmt: skip
    assert losses([run("a", 3)]) == []


def test_where_nothing_is_wrong_fewer_false_pages_win() -> None:
    seen = [run("a", 4, scenario="t"), run(HOME, 4, scenario="t")]
    quiet, loud = run("a", 0, rows=0, false=1), run(HOME, 0, rows=0, false=3)
    found = {(x.where, x.figure): (x.ours, x.theirs) for x in losses([*seen, quiet, loud])}
    assert found[("s", "false pages per 1,000 GPU-weeks")] == (1500.0, 500.0)
    assert found[("everything", "false pages per 1,000 GPU-weeks")] == (750.0, 250.0)
    assert losses([*seen, run(HOME, 0, rows=0), quiet]) == []


def test_who_finds_nothing_wins_nothing_by_silence() -> None:
    assert losses([run(HOME, 4, false=5), run("mute", 0)]) == []


# -- drawing --------------------------------------------------------------------------------------------------------


def test_a_chart_is_xml_with_a_line_per_series() -> None:
    axis = Axis("x & y", [(1, "1"), (10, "ten"), (100, "100")], log=True)
    svg = chart("a < b", axis, axis, {"one": [(1, 1), (10, 10), (100, 100)], "dot": [(0, 1e9)], "none": []}, thick="one")
    root = ElementTree.fromstring(svg)
    lines = [e.attrib["points"].split() for e in root.iter("{http://www.w3.org/2000/svg}polyline") if e.attrib["stroke-width"] == "3.5"]
    assert [len(points) for points in lines] == [3, 2]  # the series and its sign in the legend
    xs, ys = zip(*((float(x), float(y)) for x, y in (p.split(",") for p in lines[0])), strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])  # equal ratios
    assert ys[0] > ys[1] > ys[2]  # up is more
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "x & y" in texts
    assert "none" not in texts


def test_names_beside_dots_do_not_cover_each_other() -> None:
    axis = Axis("x", [(0, "0"), (1, "1")])
    svg = chart("t", axis, axis, {"one": [(0.5, 0.5)], "two": [(0.5, 0.5)], "far": [(1, 1)], "line": [(0, 0), (1, 1)]})
    texts = [e for e in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text") if e.attrib["font-size"] == "11"]
    at = {e.text: (float(e.attrib["x"]), float(e.attrib["y"]), e.attrib["text-anchor"]) for e in texts}
    assert set(at) == {"one", "two", "far"}
    assert abs(at["one"][1] - at["two"][1]) >= 12
    assert at["far"][2] == "end"  # no room on the right


def test_what_lies_outside_is_drawn_on_the_edge() -> None:
    axis = Axis("", [(1, ""), (1000, "")], log=True)
    assert [axis.place(v) for v in (0.0, 1.0, 1000.0, 1e12)] == [0.0, 0.0, 1.0, 1.0]
