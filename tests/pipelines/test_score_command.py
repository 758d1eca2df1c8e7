from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.engine import Coverage
from grayscope.errors import InputError
from grayscope.incident import Incident
from grayscope.results import ResultsWriter
from grayscope.tracewriter import TraceWriter

DAY = 86_400_000_000


def made(tmp_path: Path, truth: bool = True) -> list[str]:
    """Rows on days 0, 1 and 5; the fault is there from the start, the page comes on day 1, a false one on day 5."""
    days = np.array([0, 1, 5], np.int64) * DAY + DAY // 2
    with TraceWriter(tmp_path / "trace") as out:
        out.rows("gpu", days, ["n1/gpu0"] * 3, {"gpu_power_watts": np.ones(3)})
        if truth:
            out.truth([{"subject": "n1/gpu0", "mode": "slow_rank", "state": "gray", "began": 0, "ended": None}])
    writer = ResultsWriter(tmp_path / "results")
    pages = [("a", "n1/gpu0", DAY + 5), ("b", "n2", 5 * DAY + 5)]
    writer.incidents([Incident(i, s, s, "gray", "page", "slow_rank", t, t, history=((t, "gray", "page"),)) for i, s, t in pages])
    writer.close({("gpu", "gpu_power_watts"): Coverage(6, 3, 2, 1, 1, 7 * DAY)}, {})
    return [str(tmp_path / "trace"), str(tmp_path / "results")]


def test_days_count_only_what_was_said_by_then_and_only_days_with_data(tmp_path: Path) -> None:
    done = CliRunner().invoke(plugins.load("pipelines", "score"), [*made(tmp_path), "--days", "1,2,3,9", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert {d: (v["recall"], v["precision"]) for d, v in found["days"].items()} == {"1": (0.0, None), "2": (1.0, 1.0), "3": (1.0, 0.5)}
    assert found["days_with_data"] == 3
    assert found["subject_weeks"] == pytest.approx(2.0)
    assert found["overall"]["false_pages_per_1000_gpu_weeks"] == pytest.approx(500.0)


def test_the_table_names_every_mode(tmp_path: Path) -> None:
    done = CliRunner().invoke(plugins.load("pipelines", "score"), made(tmp_path))
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line.split() for line in done.output.splitlines() if line.strip()}
    assert lines["all"][1:5] == ["1", "1", "0.5", "1"]
    assert "slow_rank" in lines


def test_a_trace_without_truth_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    done = CliRunner().invoke(plugins.load("pipelines", "score"), made(tmp_path, truth=False))
    assert isinstance(done.exception, InputError)
    assert "truth.parquet" in str(done.exception)


@pytest.mark.parametrize("days", ["x", "0,1"])
def test_wrong_days_are_refused(tmp_path: Path, days: str) -> None:
    done = CliRunner().invoke(plugins.load("pipelines", "score"), [*made(tmp_path), "--days", days])
    assert done.exit_code == 2
