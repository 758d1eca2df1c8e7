"""Results on disk: what is said is what is read, whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from grayscope.engine import Coverage
from grayscope.errors import GrayscopeError, InputError, UsageError
from grayscope.evidence import Evidence, Finding
from grayscope.incident import Incident
from grayscope.results import ResultsWriter, described, read_results
from grayscope.verdict import Verdict

SECOND = 1_000_000
INCIDENT = Incident(
    "ab12", "n1/gpu0", "n1", "gray", "page", "slow_rank", 5 * SECOND, 9 * SECOND, None, 20 * SECOND,
    ((9 * SECOND, "gray", "page"),), 0.5, (("n1/gpu1", 0.5),), "n1/gpu0 is gray", ({"time": 9 * SECOND, "why": "slow"},),
)  # fmt: skip


def write(path: Path, scores: bool = True) -> None:
    writer = ResultsWriter(path, scores=scores)
    writer.verdicts([Verdict(9 * SECOND, "n1/gpu0", "gray", "normal", 8.0, "slow", 5 * SECOND)])
    writer.incidents([INCIDENT])
    writer.evidence(Evidence([Finding(8 * SECOND, "n1/gpu0", "service", "slower", 7.5)]))
    writer.close({("rank", "compute_seconds"): Coverage(10, 9, 5, 5, SECOND, 2 * SECOND)}, {"version": "x", "counts": {"rows": 3}})


def test_what_was_said_is_read_back(tmp_path: Path) -> None:
    write(tmp_path / "r")
    results = read_results(tmp_path / "r")
    assert results.verdicts.select(["subject", "state", "left"]).to_pylist() == [{"subject": "n1/gpu0", "state": "gray", "left": None}]
    row = results.incidents.to_pylist()[0]
    assert (row["subject"], row["rivals"], row["escalated"]) == ("n1/gpu0", [{"subject": "n1/gpu1", "probability": 0.5}], None)
    assert json.loads(row["evidence"])[0]["time"] == "1970-01-01T00:00:09Z"
    assert results.scores is not None
    assert results.scores.to_pylist()[0]["strength"] == 7.5
    assert results.coverage.to_pylist()[0]["share"] == 0.9
    assert results.run["counts"] == {"rows": 3}
    line = json.loads((tmp_path / "r" / "incidents.jsonl").read_text())
    assert (line["id"], line["ended"], line["history"][0]["severity"]) == ("ab12", "1970-01-01T00:00:20Z", "page")
    assert (tmp_path / "r" / "ledger.parquet").exists()


def test_older_results_are_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    write(tmp_path / "r")
    write(tmp_path / "r", scores=False)
    assert read_results(tmp_path / "r").scores is None
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="holds no results"):
        ResultsWriter(tmp_path / "mine")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "r"]


def test_what_is_no_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json is missing"):
        read_results(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_results(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"verdicts\.parquet: not a readable"):
        read_results(tmp_path)


@pytest.mark.parametrize(("told", "says"), [
    ('{"counts": [1]}', "counts: expected an object, found list"), ('{"counts": {"rows": "7"}}', "counts.rows: expected a whole number, found str"),
    ('{"counts": {"rows": true}}', "counts.rows: expected a whole number"), ('{"settings": "x"}', "settings: expected an object, found str"),
])  # fmt: skip
def test_a_description_of_other_kinds_is_refused(tmp_path: Path, told: str, says: str) -> None:
    (tmp_path / "run.json").write_text(told)
    with pytest.raises(InputError, match=re.escape(f"run.json: {says}")):
        described(tmp_path)


def test_a_full_disk_leaves_the_older_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake full disk: writing a table fails as the operating system would let it."""
    write(tmp_path / "r")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(GrayscopeError, match="r: cannot be written: No space left on device"):
        write(tmp_path / "r")
    assert [p.name for p in tmp_path.iterdir()] == ["r"]
    assert read_results(tmp_path / "r").run["counts"] == {"rows": 3}
