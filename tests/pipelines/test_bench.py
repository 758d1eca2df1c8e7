from __future__ import annotations

import errno
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from grayscope import plugins
from grayscope.errors import GrayscopeError
from grayscope.scoreboard import ALL, HOME, SCHEMA

SMALL = ["--nodes", "2", "--hours", "0.1", "--seeds", "1", "--jobs", "0"]
MAP = """\
[table]
name = "drive"
period_s = 60
[time]
column = "time"
[subject]
name = "{host}/{disk}"
[metrics.drive_latency_seconds]
column = "latency"
[truth]
labels = "labels.csv"
subject = "{host}/{disk}"
mode = "slow_drive"
"""


def bench(out: Path, *more: str, status: int = 0) -> Result:
    done = CliRunner().invoke(plugins.load("pipelines", "bench"), [*SMALL, "--out", str(out), *more], standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == status, done.output
    return done


def installed(name: str) -> Any:
    """A module as the command imports it: other processes must find it under that name."""
    return importlib.import_module(f"grayscope.{name}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("bench")
    return out, bench(out, "--scenarios", "null,weak", "--detectors", f"{HOME},static", "--docs", str(out / "page.md")).output


def test_it_writes_one_row_per_detector_scenario_seed_and_mode(made: tuple[Path, str]) -> None:
    table = pq.read_table(made[0] / "bench.parquet")
    assert table.schema.equals(SCHEMA)
    rows = [r for r in table.to_pylist() if r["mode"] == ALL]
    assert [(r["scenario"], r["detector"], r["seed"]) for r in rows] == [("null", HOME, 1), ("null", "static", 1), ("weak", HOME, 1), ("weak", "static", 1)]
    assert all(r["gpu_weeks"] == pytest.approx(16 * 0.1 / 168, rel=0.05) and r["cpu_seconds"] > 0 for r in rows)


def test_the_page_says_how_to_repeat_it_and_names_all(made: tuple[Path, str]) -> None:
    out, printed = made
    text = (out / "page.md").read_text("utf-8")
    assert "grayscope bench --scenarios null,weak --detectors grayscope,static --seeds 1 --nodes 2 --hours 0.1" in text
    for word in ("| null |", "| weak |", "Where grayscope loses", "What the numbers do not say", "page-recall.svg", "page-false.svg"):
        assert word in text
    assert str(out) not in text
    for name in ("recall", "false"):
        svg = (out / f"page-{name}.svg").read_text("utf-8")
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert svg in (out / "bench.html").read_text("utf-8")
    assert "static" in printed


def test_a_second_run_takes_everything_from_the_cache(made: tuple[Path, str]) -> None:
    out, _ = made
    before = {p: p.stat().st_mtime_ns for p in (out / "cache").rglob("*") if p.is_file()}
    table = pq.read_table(out / "bench.parquet")
    bench(out, "--scenarios", "null,weak", "--detectors", f"{HOME},static")
    assert {p: p.stat().st_mtime_ns for p in (out / "cache").rglob("*") if p.is_file()} == before
    assert pq.read_table(out / "bench.parquet").equals(table)


def test_nothing_unfinished_stays(made: tuple[Path, str]) -> None:
    assert [p for p in made[0].rglob("*") if "partial" in p.name or "unfinished" in p.name] == []


def test_json_holds_figures_with_intervals(made: tuple[Path, str], tmp_path: Path) -> None:
    done = bench(tmp_path, "--scenarios", "null,weak", "--detectors", HOME, "--cache", str(made[0] / "cache"), "--json")
    found = json.loads(done.stdout)
    assert found["failed"] == {}
    assert found["simulated"][HOME]["intervals_95"]["false_pages_per_1000_gpu_weeks"][1] > 0


def test_a_piece_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wing = installed("detectors")
    (tmp_path / "detectors").mkdir()
    sundered = "'''Sundered: fails.'''\nclass Sundered:\n    rival = True\n    def __init__(self, false_pages=1.0):\n        raise ValueError('no good')\n"
    (tmp_path / "detectors" / "sundered.py").write_text(sundered)
    monkeypatch.setattr(wing, "__path__", [*wing.__path__, str(tmp_path / "detectors")])
    done = bench(tmp_path / "out", "--scenarios", "null", "--detectors", "sundered,static", "--docs", str(tmp_path / "page.md"), status=1)
    assert "sundered on null seed 1: ValueError: no good" in done.stderr
    assert "| sundered on null seed 1 | ValueError: no good |" in (tmp_path / "page.md").read_text("utf-8")
    assert {r["detector"] for r in pq.read_table(tmp_path / "out" / "bench.parquet").to_pylist()} == {"static"}


def test_a_full_disk_ends_it_with_one_clear_error_and_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def full(self: Any, folder: Path) -> None:
        begun.append(self.scenario.name)
        if len(begun) == 2:
            raise GrayscopeError(f"{folder}: cannot be written: {os.strerror(errno.ENOSPC)}")
        write(self, folder)

    kind = installed("fleet.simulation").Simulation
    write = kind.write
    monkeypatch.setattr(kind, "write", full)
    arguments = [*SMALL, "--scenarios", "null,weak,links", "--detectors", "static", "--out", str(tmp_path)]
    done = CliRunner().invoke(plugins.load("pipelines", "bench"), arguments)
    assert isinstance(done.exception, GrayscopeError)
    assert "No space left on device: what is done is kept there" in str(done.exception)
    assert len(begun) == 2  # nothing else was tried
    assert len(list(tmp_path.glob("cache/results/*"))) == 1
    assert list(tmp_path.glob("cache/unfinished-*")) == []


def test_rivals_share_a_pass_and_only_those_that_are_missing_run(made: tuple[Path, str], tmp_path: Path) -> None:
    more = ["--scenarios", "null,weak", "--cache", str(made[0] / "cache")]
    kept = set((made[0] / "cache" / "results").iterdir())
    done = bench(tmp_path, *more, "--detectors", f"{HOME},static,iaso,nvrx")
    assert "3 rivals on null seed 1: done" in done.stderr
    assert len(set((made[0] / "cache" / "results").iterdir()) - kept) == 4  # two more rivals on two traces
    rows = {(r["scenario"], r["detector"]): r for r in pq.read_table(tmp_path / "bench.parquet").to_pylist() if r["mode"] == ALL}
    before = {(r["scenario"], r["detector"]): r for r in pq.read_table(made[0] / "bench.parquet").to_pylist() if r["mode"] == ALL}
    assert {k: rows[k] for k in before} == before
    assert all(rows["null", d]["cpu_seconds"] < rows["null", d]["cpu_seconds_alone"] for d in ("iaso", "nvrx"))
    assert rows["null", HOME]["cpu_seconds"] == rows["null", HOME]["cpu_seconds_alone"]


@pytest.mark.parametrize(("seeds", "said"), [("101,", "Seed 101 was among those that grayscope is tuned on"), ("2,", "Seed 2 was kept from tuning")])
def test_the_page_says_which_seeds_were_tuned_on(tmp_path: Path, seeds: str, said: str) -> None:
    bench(tmp_path, "--scenarios", "null", "--detectors", "static", "--seeds", seeds)
    assert said in (tmp_path / "bench.md").read_text("utf-8")
    assert {r["seed"] for r in pq.read_table(tmp_path / "bench.parquet").to_pylist()} == {int(seeds[:-1])}


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--scenarios", "mixd", "mixed"),
        ("--detectors", "statick", "static"),
        ("--detectors", ",", "names"),
        ("--seeds", "0", "1 to 1000"),
        ("--seeds", "101", "101, with a comma"),
        ("--seeds", "1-x", "101-103"),
    ],
)
def test_wrong_names_are_refused_before_anything_starts(tmp_path: Path, option: str, value: str, hint: str) -> None:
    done = CliRunner().invoke(plugins.load("pipelines", "bench"), [option, value, "--out", str(tmp_path / "out")])
    assert done.exit_code != 0
    assert hint in f"{done.exception}{done.output}"
    assert not (tmp_path / "out").exists()


def recorded(folder: Path) -> list[str]:
    """Ten drives of which one is slow, for an hour, with labels; and a set without labels."""
    (folder / "data").mkdir()
    (folder / "maps").mkdir()
    rows = [f"2026-01-05T{m // 60:02d}:{m % 60:02d}:00Z,h,d{d},{0.05 if d == 3 else 0.001 + 0.0001 * ((m * 7 + d) % 5)}" for m in range(90) for d in range(10)]
    (folder / "data" / "d.csv").write_text("time,host,disk,latency\n" + "\n".join(rows) + "\n")
    (folder / "data" / "labels.csv").write_text("host,disk\nh,d3\n")
    (folder / "maps" / "drives.toml").write_text(MAP)
    (folder / "maps" / "plain.toml").write_text(MAP[: MAP.index("[truth]")])
    (folder / "maps" / "sets.toml").write_text('[files]\ndrives = "d.csv"\nplain = "d.csv"\n')
    return ["--real", str(folder), "--maps", str(folder / "maps")]


def test_recorded_sets_with_labels_join_in(tmp_path: Path) -> None:
    done = bench(tmp_path / "out", "--scenarios", "null", "--detectors", "static", *recorded(tmp_path))
    rows = [r for r in pq.read_table(tmp_path / "out" / "bench.parquet").to_pylist() if r["mode"] == ALL]
    assert [(r["kind"], r["scenario"], r["rows"]) for r in rows] == [("real", "drives", 1), ("simulated", "null", 0)]
    page = (tmp_path / "out" / "bench.md").read_text("utf-8")
    assert "### drives" in page
    assert str(tmp_path) not in page
    assert "drives" in done.stdout


def test_a_set_whose_file_is_missing_is_named_and_left_out_and_without_any_there_is_an_error(tmp_path: Path) -> None:
    options = recorded(tmp_path)
    (tmp_path / "data" / "d.csv").unlink()
    done = CliRunner().invoke(plugins.load("pipelines", "bench"), [*SMALL, "--out", str(tmp_path / "out"), *options])
    assert "drives: d.csv is not in" in done.output
    assert "expected at least one labelled set" in str(done.exception)


def test_another_seed_scenario_size_or_map_is_another_trace(tmp_path: Path) -> None:
    Source = installed("pipelines._benchunits").Source  # noqa: N806
    recorded(tmp_path)
    real = Source("drives", file=tmp_path / "data" / "d.csv", mapping=tmp_path / "maps" / "drives.toml")
    other = Source("drives", file=tmp_path / "data" / "d.csv", mapping=tmp_path / "maps" / "plain.toml")
    sources = [Source("null", 1, 2), Source("null", 2, 2), Source("null", 1, 3), Source("null", 1, 2, 0.5), Source("weak", 1, 2), real, other]
    keys = [s.key() for s in sources]
    assert len(set(keys)) == len(keys)
    assert Source("null", 1, 2).key() == keys[0]
    (tmp_path / "data" / "labels.csv").write_text("host,disk\nh,d4\n")
    assert real.key() != keys[5]


def test_a_trace_depends_on_what_its_makers_import_and_not_on_who_judges_it() -> None:
    keys = installed("pipelines._benchkeys")
    for maker in (
        keys.CORE / "fleet" / "simulation.py",
        Path(inspect.getfile(plugins.load("collectors", "table"))),
    ):
        names = {p.stem for p in keys.imported([maker])}
        assert {"tracewriter", "roster", "errors"} <= names
        assert not {"judge", "engine", "desk", "score"} & names
    assert len({keys.simulator(), keys.importer(), keys.replayer()}) == 3


# -- processes ------------------------------------------------------------------------------------------------------


def test_a_task_may_add_others_while_they_are_done() -> None:
    waiting, values = deque(["3", "x"]), []
    for outcome in installed("pipelines._benchpool").outcomes(waiting, int, jobs=0):
        values.append(outcome.value)
        if outcome.value == 3:
            waiting.append("4")
    assert values == [3, None, 4]


@pytest.mark.slow
def test_a_process_that_dies_fails_its_task_alone() -> None:
    found = {o.task: o for o in installed("pipelines._benchpool").outcomes(deque([3, 0, 7, 0]), os._exit, jobs=2)}
    assert {k: o.error for k, o in found.items()} == {k: f"its process ended with status {k}" for k in (3, 0, 7)}
    values = sorted(o.value for o in installed("pipelines._benchpool").outcomes(deque([1, 2, 3, 4]), abs, jobs=2))
    assert values == [1, 2, 3, 4]


@pytest.mark.slow
def test_processes_give_what_one_process_gives(made: tuple[Path, str], tmp_path: Path) -> None:
    bench(tmp_path, "--scenarios", "null,weak", "--detectors", f"{HOME},static", "--jobs", "2")
    one, two = (pq.read_table(p / "bench.parquet").drop_columns(["cpu_seconds", "cpu_seconds_alone"]) for p in (made[0], tmp_path))
    assert one.equals(two)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_control_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grayscope", "bench", "--scenarios", "null", "--nodes", "32", "--hours", "3", "--seeds", "4", "--out", str(tmp_path)]
    process = subprocess.Popen([*command, "--jobs", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("cache/unfinished-*/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1] == "grayscope: stopped"
    assert "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] in ([], ["cache"])
    assert list(tmp_path.glob("cache/unfinished-*")) == []
    assert all((p / "trace.json").exists() for p in tmp_path.glob("cache/traces/*"))
