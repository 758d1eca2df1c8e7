"""dcgmi: dmon tables with all their oddities, health reports as tables and JSON, what is neither, and mutations of both."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given

from grayscope import plugins
from grayscope.catalogue import Catalogue
from grayscope.errors import GrayscopeError, InputError
from tests.mutations import MANY, mutated
from tests.traced import Traced, imported

DMON = """#Entity   GPUTL    POWER      TMPTR   TOTEC        SMACT   PVIOL     ABCDE
ID                 W          C       mJ
GPU 0     97       612.250    61      2.07e+11     0.912   0         3
GPU 1     98       580.000    N/A     100000       0.950   N/A       3
GPU-I 0   98       580.000    60      100000       0.950   0         3
GPU 0     96       610.000    62      2.070006e+11 0.910   500000000 3
GPU 1     97       581.500    70      700000       0.940   N/A       3

#Entity   GPUTL    POWER
ID                 W
GPU 0     1        70.000
"""
REPORT = """+---------------------------+------------------------------------------------------------+
| Health Monitor Report                                                                  |
+===========================+============================================================+
| Overall Health            | Failure                                                    |
| GPU                       |                                                            |
| -> 0                      | Warning                                                    |
|    -> Errors              |                                                            |
|       -> PCIe system      | Warning                                                    |
|                           | Detected more than 8 PCIe replays per minute for GPU 0:    |
|                           | 13. Reconnect PCIe card.                                   |
| -> 3                      | Failure                                                    |
|    -> Errors              |                                                            |
|       -> Memory system    | Failure                                                    |
|                           | A pending retired page has been detected in GPU 3.         |
+---------------------------+------------------------------------------------------------+
"""
HEALTHY = """+---------------------------+------------------------------------------------------------+
| Health Monitor Report                                                                  |
+===========================+============================================================+
| Overall Health            | Healthy                                                    |
+---------------------------+------------------------------------------------------------+
"""
DIAG = """Successfully ran diagnostic for group.
+---------------------------+------------------------------------------------+
| Diagnostic                | Result                                         |
+===========================+================================================+
|-----  Deployment  --------+------------------------------------------------|
| software                  | Warn                                           |
|                           | GPU0: Pass                                     |
|                           | GPU1: Warn                                     |
| Warning: GPU1             | Persistence mode for GPU 1 is disabled. Enabl  |
|                           | e persistence mode as root.                    |
+-----  Hardware  ----------+------------------------------------------------+
| GPU Memory                | Pass - GPU: 1                                  |
|                           | Fail - GPUs: 0, 2                              |
| Warning                   | GPU 0 Error using CUDA API cuCtxCreate.        |
| PCIe                      | Skip - All                                     |
+---------------------------+------------------------------------------------+
"""
JSON = {
    "header": ["Health Monitor Report"],
    "body": {
        "Overall Health": {"value": "Warning"},
        "GPU": {"children": {"2": {"value": "Warning", "children": {"Errors": {"children": {"Thermal system": {
            "value": "Warning", "overflow": ["Detected 4000 us of thermal violations."]}}}}}}},
    },
}  # fmt: skip
ROW = "#Entity   POWER\nID        W\nGPU 0     70.000\n"
SECOND = 1_000_000


def read(path: Path, text: str, **given: Any) -> tuple[Traced, dict[str, int]]:
    (path / "n5.log").write_text(text)
    return imported(plugins.collector("dcgmi", [path / "n5.log"], **given), path / "t")


def test_dmon_rows_become_looks_in_our_units(tmp_path: Path) -> None:
    trace, counts = read(tmp_path, DMON, start=100 * SECOND, step=10 * SECOND)
    assert (counts["looks"], counts["rejected: mig"]) == (3, 1)
    assert trace.cells("gpu_power_watts", "n5/gpu0") == [(100 * SECOND, 612.25), (110 * SECOND, 610.0), (120 * SECOND, 70.0)]
    assert trace.values("gpu_active_ratio", "n5/gpu1") == pytest.approx([0.98, 0.97])
    assert np.isnan(trace.values('gpu_temperature_celsius{sensor="gpu"}', "n5/gpu1")[0])
    assert trace.values("gpu_energy_joules_total", "n5/gpu1")[1] == 600.0
    assert trace.values('gpu_clock_limit_seconds_total{reason="power"}', "n5/gpu0")[1] == 0.5
    assert trace.values("gpu_sm_active_ratio", "n5/gpu0")[:2] == pytest.approx([0.912, 0.91])


def test_without_a_start_the_last_look_is_when_the_file_was_last_changed(tmp_path: Path) -> None:
    (tmp_path / "n5.log").write_text(DMON)
    os.utime(tmp_path / "n5.log", (1000, 1000))
    trace, _ = imported(plugins.collector("dcgmi", [tmp_path / "n5.log"]), tmp_path / "t")
    assert [t for t, _ in trace.cells("gpu_power_watts", "n5/gpu0")] == [998 * SECOND, 999 * SECOND, 1000 * SECOND]


def test_headings_that_nobody_knows_are_named() -> None:
    source = plugins.collector("dcgmi", ["x"])
    list(text_reader(source.rejected, source.unknown).read(DMON.encode()))
    assert source.unknown == {"ABCDE": 1}


def test_every_heading_is_a_field_that_the_catalogue_knows() -> None:
    names: Any = __import__("grayscope.collectors._dcgmnames", fromlist=["HEADINGS"])
    assert [n for n in names.HEADINGS.values() if n not in Catalogue.load().aliases] == []


def test_health_reports_become_events_on_change(tmp_path: Path) -> None:
    trace, counts = read(tmp_path, "".join(ROW + report for report in (HEALTHY, REPORT, REPORT, HEALTHY)), start=0, step=60 * SECOND)
    assert (counts["reports"], counts["looks"]) == (4, 4)
    told = [(e.time // SECOND, e.subject, e.code) for e in trace.trace.events()]
    assert told == [(60, "n5/gpu0", "warning"), (60, "n5/gpu3", "unhealthy"), (180, "n5/gpu0", "healthy"), (180, "n5/gpu3", "healthy")]
    texts = {e.subject: e.text for e in trace.trace.events() if e.time == 60 * SECOND}
    assert texts["n5/gpu0"] == "DCGM: PCIe system: Warning Detected more than 8 PCIe replays per minute for GPU 0: 13. Reconnect PCIe card."


def test_a_report_as_json(tmp_path: Path) -> None:
    (tmp_path / "n5.json").write_text(json.dumps(JSON))
    (tmp_path / "n5.txt").write_text(ROW)
    trace, _ = imported(plugins.collector("dcgmi", [tmp_path / "n5.txt", tmp_path / "n5.json"], start=0), tmp_path / "t")
    (event,) = trace.trace.events()
    assert event.time == SECOND
    assert (event.subject, event.source, event.code) == ("n5/gpu2", "health", "warning")
    assert event.text == "DCGM: Thermal system: Warning Detected 4000 us of thermal violations."


def test_reports_and_rows_in_one_file(tmp_path: Path) -> None:
    trace, counts = read(tmp_path, DMON + REPORT, start=0)
    assert (counts["looks"], counts["reports"], counts["events"]) == (3, 1, 2)
    assert {e.time for e in trace.trace.events()} == {2 * SECOND}


@pytest.mark.parametrize(
    "text", ["", "Error: unable to establish a connection to the specified host: localhost\n", '{"body": 3}', "{", "{" * 5000, "| a | b |\n"]
)
def test_what_is_neither_is_one_clear_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "n5.log"))
    assert len(str(caught.value)) < 400


def test_rows_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    _, counts = read(tmp_path, DMON + "GPU 0     1\nGPU 1   x   y\nhello\n", start=0)
    assert (counts["rejected: columns"], counts["rejected: not_a_number"], counts["rejected: line"]) == (1, 2, 1)


def test_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "n5.log").write_text(DMON)
    command = plugins.load("pipelines", "import")
    done = CliRunner().invoke(command, ["dcgmi", str(tmp_path / "n5.log"), "--start", "2026-01-05T00:00:00Z", "--step", "1s", "--out", str(tmp_path / "t")])
    assert done.exit_code == 0, done.output
    assert "looks" in done.output
    assert CliRunner().invoke(command, ["dcgmi", "--help"]).output.count("dcgmi dmon") == 1


def text_reader(rejected: dict[str, int], unknown: dict[str, int]) -> Any:
    module: Any = __import__("grayscope.collectors._dcgmtext", fromlist=["Text"])
    return module.Text(rejected, unknown)


def test_signs_that_no_terminal_shows_do_not_lengthen_what_is_said() -> None:
    (told,) = text_reader({}, {}).read(REPORT.replace("Warning", "Warning " + "\x01" * 300).encode())
    assert max(len(text) for _, text in told.entities.values()) < 450


@MANY
@given(mutated(DMON.encode(), REPORT.encode(), DIAG.encode(), json.dumps(JSON).encode()))
def test_no_mutation_crashes_the_parser(data: bytes) -> None:
    try:
        for told in text_reader({}, {}).read(data):
            if hasattr(told, "values"):
                assert np.isfinite(np.array(list(told.values.values()), float)).all() or b"e" in data
            else:
                assert all(len(text) < 500 for _, text in told.entities.values())
    except GrayscopeError as error:
        said = str(error)
    else:
        said = ""
    assert len(said) < 500
