"""Openmetrics: text files as traces that the engine's broker reads back."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.brokers.parquet import Parquet
from grayscope.errors import InputError, UsageError
from grayscope.trace import Trace
from grayscope.tracecheck import validate
from grayscope.tracewriter import TraceWriter

START = 1_700_000_000_000_000
SECOND = 1_000_000


def imported(out: Path, *files: Path, **settings: Any) -> tuple[dict[str, int], Any]:
    source = plugins.collector("openmetrics", files, **settings)
    with TraceWriter(out) as writer:
        counts = source.write(writer)
    return counts, source


def line(name: str, gpu: int, value: object, time: object = "", job: str = "a") -> str:
    return f'{name}{{gpu="{gpu}",UUID="U{gpu}",modelName="H100",hostname="n017",hpc_job="{job}"}} {value} {time}'.rstrip() + "\n"


def cells(trace: Path) -> dict[tuple[int, str, str], float]:
    """Return {(seconds since START, subject, metric): value} as the engine gets it."""
    found = {}
    for message in Parquet(trace).receive():
        if isinstance(message, Batch):
            for t, m, s in zip(*np.nonzero(np.isfinite(message.values)), strict=True):
                found[int(message.times[t] - START) // SECOND, message.subjects[s], message.metrics[m]] = float(message.values[t, m, s])
    return found


def test_a_dump_family_by_family_becomes_rows(tmp_path: Path) -> None:
    times = range(1_700_000_000, 1_700_000_050, 10)
    text = "# TYPE x counter\n" + "".join(line("DCGM_FI_DEV_SM_CLOCK", g, 1980 - g, f"{t}.000") for g in (1, 0) for t in times)
    text += "".join(line("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", g, 10**15 + t * 500, t) for g in (0, 1) for t in times) + "# EOF\n"
    (tmp_path / "dump.om").write_text(text)
    counts, _ = imported(tmp_path / "t", tmp_path / "dump.om")
    assert counts == {"files": 1, "samples": 20, "rows": 10, "roster": 2}
    assert validate(tmp_path / "t") == []
    trace = Trace.open(tmp_path / "t")
    assert (trace.counters, trace.periods) == ({"gpu": "cumulative"}, {"gpu": 10 * SECOND})
    assert {(r.subject, r.keys["sku"], r.keys["serial"]) for r in trace.roster.rows} == {("n017/gpu0", "H100", "U0"), ("n017/gpu1", "H100", "U1")}
    found = cells(tmp_path / "t")
    assert found[0, "n017/gpu1", 'gpu_clock_hertz{domain="sm"}'] == np.float32(1.979e9)
    assert {found[t, "n017/gpu0", "gpu_energy_joules_total"] for t in (10, 20, 30, 40)} == {5.0}, "increments of 5,000 mJ on totals of 1e15"


def test_columns_keep_the_names_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.prom").write_text(line("DCGM_FI_DEV_SM_CLOCK", 0, 1980) + 'gpu_temperature_celsius{subject="n017/gpu0",sensor="gpu",job="x"} 50\n')
    imported(tmp_path / "t", tmp_path / "a.prom")
    import pyarrow.parquet as pq

    assert pq.read_schema(tmp_path / "t" / "gpu.parquet").names == ["time", "subject", "DCGM_FI_DEV_SM_CLOCK", 'gpu_temperature_celsius{sensor="gpu"}']


def test_looks_without_times_are_stamped_by_start_and_step(tmp_path: Path) -> None:
    files = []
    for i in range(3):
        files.append(tmp_path / f"look{i}.prom.gz")
        files[i].write_bytes(gzip.compress((line("DCGM_FI_DEV_GPU_TEMP", 0, 50 + i) + line("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", 0, i * i)).encode()))
    imported(tmp_path / "t", *files, start=START, step=30 * SECOND)
    assert cells(tmp_path / "t") == {
        **{(30 * i, "n017/gpu0", 'gpu_temperature_celsius{sensor="gpu"}'): 50.0 + i for i in range(3)},
        **{(30 * i, "n017/gpu0/pcie", "pcie_replays_total"): 2.0 * i - 1 for i in (1, 2)},
    }
    assert Trace.open(tmp_path / "t").periods == {"gpu": 30 * SECOND, "pcie": 30 * SECOND}


def test_one_look_has_the_files_time(tmp_path: Path) -> None:
    file = tmp_path / "look.prom"
    file.write_text("fan_speed_rpm 900\n")
    os.utime(file, (1_700_000_007, 1_700_000_007))
    imported(tmp_path / "t", file, node="n9")
    assert cells(tmp_path / "t") == {(7, "n9", "fan_speed_rpm"): 900.0}


def test_a_job_that_changes_on_the_way_is_in_the_roster(tmp_path: Path) -> None:
    text = "".join(line("DCGM_FI_DEV_GPU_TEMP", 0, 50, 1_700_000_000 + 10 * i, "a" if i < 3 else "b") for i in range(6))
    (tmp_path / "x").write_text(text)
    imported(tmp_path / "t", tmp_path / "x")
    roster = Trace.open(tmp_path / "t").roster
    assert [roster.at(START + s * SECOND).key("n017/gpu0", "job") for s in (0, 29, 30, 50)] == ["a", "a", "b", "b"]


def test_two_names_for_one_metric_give_one_column_per_subject(tmp_path: Path) -> None:
    text = line("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0, 0.5) + line("DCGM_FI_DEV_GPU_UTIL", 0, 80) + line("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1, 0.25)
    (tmp_path / "x").write_text(text)
    counts, _ = imported(tmp_path / "t", tmp_path / "x", start=START)
    assert counts["rejected: second_name"] == 1
    values = {subject: value for (_, subject, _), value in cells(tmp_path / "t").items()}
    assert values == {"n017/gpu0": pytest.approx(0.8), "n017/gpu1": pytest.approx(0.25)}
    assert validate(tmp_path / "t") == []


def test_bad_lines_are_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    text = f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",hostname="{"x" * 10_000_000}"}} 1\n' + line("DCGM_FI_DEV_GPU_TEMP", 0, 60) * 2
    text += line("DCGM_FI_DEV_GPU_TEMP", 1, "NaN") + "{ what is this\nstranger 1\nDCGM_FI_DEV_GPU_TEMP{gpu="
    (tmp_path / "x").write_text(text)
    counts, source = imported(tmp_path / "t", tmp_path / "x")
    assert (counts["samples"], counts["rows"]) == (1, 1)
    reasons = {"long_line": 1, "duplicate": 1, "not_a_number": 1, "malformed": 1, "unknown": 1, "truncated": 1}
    assert {k.removeprefix("rejected: "): n for k, n in counts.items() if k.startswith("rejected")} == reasons
    assert source.unknown == {"stranger": 1}


def test_broken_files_are_named_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(os.urandom(9999))[:500])
    (tmp_path / "no.gz").write_text("not packed\n")
    (tmp_path / "ok").write_text(line("DCGM_FI_DEV_GPU_TEMP", 0, 60))
    for name in ("cut.gz", "no.gz", "missing", "."):
        with pytest.raises(InputError, match=f"{name}: cannot be read"):
            imported(tmp_path / "t", tmp_path / "ok", tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.gz", "no.gz", "ok"]


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text("".join(line("DCGM_FI_DEV_GPU_TEMP", 0, 60, 1_700_000_000 + i) for i in range(100)))
    module = sys.modules[plugins.load("collectors", "openmetrics").__module__]
    monkeypatch.setattr(module, "MOST", 50)
    with pytest.raises(InputError, match="at most 50"):
        imported(tmp_path / "t", tmp_path / "x")
    assert not (tmp_path / "t").exists()


def test_what_makes_no_sense_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="at least one file"):
        plugins.collector("openmetrics", [])
    with pytest.raises(UsageError, match="a step as well"):
        plugins.collector("openmetrics", ["a", "b"], start=START)
