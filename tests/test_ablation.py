"""The ablation's own logic: every part can be taken away and comes back, what is done is kept, and the page adds up."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from grayscope import plugins
from grayscope.errors import InputError, UsageError

pytestmark = pytest.mark.usefixtures("benchmarks")


def load(name: str = "") -> Any:
    return importlib.import_module(f"ablation_{name}" if name else "ablation")


def part(name: str) -> Any:
    return next(p for p in load("parts").parts() if p.name == name)


def test_each_default_detector_is_a_part_and_no_name_comes_twice() -> None:
    names = [p.name for p in load("parts").parts()]
    assert len(names) == len(set(names))
    assert names[0] == load("parts").WHOLE
    assert {n.removeprefix("detector ") for n in names if n.startswith("detector ")} == set(plugins.default_detectors())
    assert part("detector slower").detectors == tuple(d for d in plugins.default_detectors() if d != "slower")


def test_what_is_patched_is_there_while_it_is_off_and_back_afterwards() -> None:
    for one in load("parts").parts():
        before = {target: resolved(target) for target in one.patches}
        with load("parts").off(one):
            assert all(resolved(target) is instead for target, instead in one.patches.items()), one.name
        assert {target: resolved(target) for target in one.patches} == before, one.name


def test_without_the_better_half_no_usual_spread_is_known() -> None:
    import inspect

    from grayscope import kernels

    assert list(inspect.signature(kernels.compare.py_func).parameters)[load("parts").SCALE] == "scale"


def test_a_patch_of_what_is_no_longer_there_is_told() -> None:
    gone = load("parts").Part("gone", "", patches={"grayscope.horizons.NO_SUCH_THING": 1})
    with pytest.raises(AttributeError, match="NO_SUCH_THING"), load("parts").off(gone):
        pass


def resolved(target: str) -> Any:
    """Return what a dotted name stands for, as it stands in its class or module."""
    where, _, name = target.rpartition(".")
    owner = importlib.import_module("pkgutil").resolve_name(where)
    return vars(owner)[name]


def test_an_unknown_part_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="crowds"):
        load().chosen("crowd")
    assert [p.name for p in load().chosen("costs,crowds")] == [load("parts").WHOLE, "costs", "crowds"]


def test_traces_tried_again_are_named_with_their_size() -> None:
    source = load("runs").Source
    assert load().again("controls:16x12,mixed:32x0.5", (6, 7)) == [
        source(n, s, k, h) for n, k, h in (("controls", 16, 12.0), ("mixed", 32, 0.5)) for s in (6, 7)
    ]
    for wrong, told in (("controls:16", r"--again: .* found 'controls:16'"), ("control:4x1", "controls"), ("mixed:-4x1", "nodes")):
        with pytest.raises((UsageError, InputError), match=told):
            load().again(wrong, (6,))


def test_a_look_alike_is_explained_by_a_notice_about_it_and_not_by_an_accusation() -> None:
    from grayscope.matching import Row

    rows = [Row("n014", "silent", "benign", 100, 200), Row("job:1", "phase_change", "benign", 100, 200)]
    said = {"id": "a", "mode": "silent", "rivals": (), "ended": None}

    def one(subject: str, severity: str) -> Any:
        return type("Said", (), said | {"subject": subject, "severity": severity, "history": ((150, "unknown", severity),)})

    assert load("runs").explained(rows, [one("n014", "notice")]) == 1
    assert load("runs").explained(rows, [one("n014", "page"), one("n015", "notice")]) == 0


def test_tests_that_need_a_part_are_run_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = load("tests")
    monkeypatch.setattr(tests, "SUITE", ("tests/test_upstream.py", "tests/no_such_file.py"))
    assert tests.needing("detector hang") == []
    assert len(tests.needing("upstream")) > 1
    with pytest.raises(RuntimeError, match=r"exit status 4.*no part 'no such part'"):
        tests.needing("no such part")


def figures(**some: Any) -> Any:
    return load("runs").Figures(**({"rows": 10, "found": 8, "matched": 8, "false": 2, "exact": 6, "right": 7} | some))


def test_figures_add_up_and_shares_of_nothing_are_no_error() -> None:
    both = figures(delays=(5, 7)) + figures(found=0, matched=0, false=0, delays=(60,))
    assert (both.rows, both.found, both.false) == (20, 8, 2)
    assert (both.delay, both.said == both, load("runs").Figures(seconds=3.0).said) == (7, True, load("runs").Figures())
    assert (both.precision, both.recall, round(both.f1, 4)) == (0.8, 0.4, 0.5333)
    nothing = load("runs").Figures()
    assert (nothing.precision, nothing.recall, nothing.f1) == (1.0, 1.0, 1.0)


def test_the_page_ranks_parts_and_names_those_that_earn_nothing() -> None:
    runs, page = load("runs"), load("page")
    some = [part(n) for n in (load("parts").WHOLE, "costs", "crowds", "impact")]
    source = runs.Source("mixed", 6, 16, 4.0)
    larger = runs.Source("controls", 6, 16, 12.0)
    again = {(larger, p.name): f for p, f in zip(some, (figures(), figures(pages=1), figures()), strict=False)}
    found = {(source, p.name): f for p, f in zip(some, (figures(), figures(), figures(found=4, matched=4), figures(false=0)), strict=True)}
    assert [p.name for p in page.ordered(found, some)] == [load("parts").WHOLE, "crowds", "costs", "impact"]
    text = load().markdown(list(page.pieces(found, some, "python x", again, {"crowds": [f"tests/test_{x}.py::test_x" for x in "abcd"]})), "ablation")
    assert "| crowds | 4 of 10 | 2 | 0 | 0.667 | 0.4 | 0.5 |" in text
    assert "| costs | · |" in text
    assert "every trace says the same: costs." in text
    assert "explained: impact." in text
    assert "What earned nothing or did harm, on `controls` seed 6, 16 nodes, 12 h." in text
    assert "every trace says the same: crowds." in text
    assert "explained: none." in text
    assert "| crowds | `test_a.py::test_x`, `test_b.py::test_x`, `test_c.py::test_x` and 1 more |" in text
    assert "Seed 6 was neither among those tuned on" in text


def test_what_earns_nothing_is_tried_again_and_asked_of_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load(), "needing", lambda part: [f"tests/test_{part}.py::test_x"])
    words = ["--seeds", "101,", "--scenarios", "memory", "--nodes", "2", "--hours", "0.05", "--jobs", "0", "--parts", "crowds", "--tests"]
    load().main([*words, "--again", "null:1x0.05,null:2x0.05", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "page.md")])
    text = (tmp_path / "page.md").read_text()
    assert "| without | null seed 101, 1 nodes | null seed 101, 2 nodes |" in text
    assert "| crowds | `test_crowds.py::test_x` |" in text


def test_a_tiny_run_is_resumed_and_a_torn_line_is_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--seeds", "101,", "--scenarios", "memory", "--nodes", "2", "--hours", "0.05", "--jobs", "0", "--parts", "crowds", "--quick", "--again", ""]
    words += ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "page.md")]
    load().main(words)
    first = (tmp_path / "page.md").read_text()
    assert "| everything on | 0 of " in first
    kept = tmp_path / "cache" / "ablation.jsonl"
    lines = kept.read_text().splitlines()
    assert len(lines) == 2
    kept.write_text(f"{lines[0]}\n{lines[1][:30]}")
    with mock.patch("ablation.do", wraps=load("runs").do) as done:
        load().main(words)
    assert done.call_count == 1
    assert (tmp_path / "page.md").read_text() == first
    assert "1 of 2 replays are kept" in capsys.readouterr().err


def test_every_case_names_a_part_and_data_that_are_there() -> None:
    earns, scenes = load("earns"), {**load("scenes").SCENES, **load("scenes_more").MORE, **load("scenes_paths").PATHS}
    for name, kind, data, _ in earns.CASES:
        assert part(name).name == name
        assert kind in load("data").KINDS
        assert kind != "scene" or data in scenes
    assert {data for _, kind, data, _ in earns.CASES if kind == "scene"} == set(scenes)


def test_a_part_that_earns_says_so_on_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    load("earns").main(["--parts", "gathering", "--seeds", "101,", "--jobs", "0"])
    page = capsys.readouterr().out
    assert "1 of 1 right, 0 others accused" in page
    assert "0 of 1 right, 8 others accused" in page
    assert page.count("| earns |") == 1


def test_without_recordings_what_needs_them_is_left_out_and_unknown_parts_are_told() -> None:
    assert {t.kind for t in load("earns").tasks((), (101,), "")}.isdisjoint({"dumps", "recorded", "mesh"})
    with pytest.raises(UsageError, match="crowds"):
        load("earns").tasks(["crowd"], (101,), "")
