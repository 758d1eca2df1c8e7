"""What dcgmi diag found: formats of DCGM 3 and 4, and its word beside that of a health report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.trace import Trace
from grayscope.tracewriter import TraceWriter

diag: Any = __import__("grayscope.collectors._dcgmdiag", fromlist=["diagnosed"])


def document(*results: tuple[str, dict[str, object]], title: str = "DCGM Diagnostic") -> dict[str, Any]:
    return {title: {"test_categories": [{"category": "x", "tests": [{"name": name, "results": [result]} for name, result in results]}]}}


def gpu(number: int, status: str, *warnings: str) -> dict[str, object]:
    return {"entity_group": "GPU", "entity_group_id": 1, "entity_id": number, "status": status, "warnings": [{"warning": w, "error_id": 3} for w in warnings]}


def test_the_worst_result_of_a_gpu_counts_and_says_why() -> None:
    found = diag.diagnosed(document(("pcie", gpu(0, "Pass")), ("memory", gpu(0, "Fail", "DBE found")), ("power", gpu(0, "Warn")), ("pcie", gpu(1, "Pass"))))
    assert found == {("GPU", 0): ("failure", "memory: DBE found power: warning"), ("GPU", 1): ("healthy", "")}


def test_results_of_dcgm_3_name_one_gpu_or_several() -> None:
    results: tuple[tuple[str, dict[str, object]], ...] = (
        ("Deployment", {"gpu_ids": "0,1", "status": "PASS"}),
        ("Diagnostic", {"gpu_id": "1", "status": "FAIL", "warnings": "GPU 1 is slow"}),
    )
    assert diag.diagnosed(document(*results, title="DCGM GPU Diagnostic")) == {
        ("GPU", 0): ("healthy", ""),
        ("GPU", 1): ("failure", "Diagnostic: GPU 1 is slow"),
    }


def test_what_was_skipped_or_is_no_gpu_says_nothing() -> None:
    assert diag.diagnosed(document(("nvlink", gpu(0, "Skip")), ("software", {"entity_group": "CPU", "entity_id": 0, "status": "Fail"}))) == {}


def test_a_run_that_failed_as_a_whole_is_an_error() -> None:
    with pytest.raises(InputError, match="no GPU is free"):
        diag.diagnosed({"DCGM Diagnostic": {"runtime_error": "no GPU is free"}})


def imported(tmp_path: Path, *documents: dict[str, Any]) -> list[Event]:
    (tmp_path / "n5.row").write_text("#Entity   POWER\nGPU 0     70.000\n")  # reports alone make no trace
    paths = [tmp_path / "n5.row"]
    for i, said in enumerate(documents):
        (tmp_path / f"n5.{i}").write_text(json.dumps(said))
        paths.append(tmp_path / f"n5.{i}")
    with TraceWriter(tmp_path / "out") as writer:
        plugins.collector("dcgmi", paths, start=0, step=60_000_000).write(writer)
    return list(Trace.open(tmp_path / "out").events())


def test_a_health_report_does_not_clear_what_a_diagnosis_found(tmp_path: Path) -> None:
    fine = {"header": ["Health Monitor Report"], "body": {"Overall Health": {"value": "Healthy"}}}
    told = imported(
        tmp_path, document(("memory", gpu(3, "Fail", "DBE found"))), fine, document(("memory", gpu(2, "Pass"))), document(("memory", gpu(3, "Pass")))
    )
    assert [(e.time, e.subject, e.source, e.code) for e in told] == [
        (60_000_000, "n5/gpu3", "health", "unhealthy"),
        (240_000_000, "n5/gpu3", "health", "healthy"),
    ]
    assert told[0].text == "DCGM: memory: DBE found"


ANYTHING = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=5), st.sampled_from(["Pass", "FAIL", "GPU", "0,1"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["test_categories", "tests", "results", "status", "gpu_ids", "entity_id", "warnings", "name"]), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(ANYTHING)
def test_whatever_stands_there_is_read_or_passed_over(inside: Any) -> None:
    found = diag.diagnosed({"DCGM Diagnostic": inside})
    assert all(kind == "GPU" and state in diag.WORST for (kind, _), (state, _) in found.items())


def table(*rows: tuple[str, str]) -> str:
    """Return what dcgmi prints for people: sentences broken after 45 characters."""
    frame = f"+{'-' * 27}+{'-' * 48}+"
    lines = ["Successfully ran diagnostic for group.", frame, f"| {'Diagnostic':<25} | {'Result':<46} |", f"+{'=' * 27}+{'=' * 48}+"]
    for name, text in rows:
        if name.startswith("--"):
            lines.append(f"|{name:-<27}+{'-' * 48}|")
        lines += [f"| {name if not i else '':<25} | {text[i : i + 45]:<46} |" for i in range(0, len(text), 45)]
    return "\n".join([*lines, frame, ""])


def read(text: str) -> dict[tuple[str, int], tuple[str, str]]:
    rejected: dict[str, int] = {}
    told = list(__import__("grayscope.collectors._dcgmtext", fromlist=["Text"]).Text(rejected, {}).read(text.encode()))
    assert [r.check for r in told] == ["diag"]
    assert rejected == {}
    return dict(told[0].entities)


def test_the_table_of_dcgm_3_names_gpus_or_says_all() -> None:
    found = read(table(
        ("-----  Metadata  ", ""), ("GPU Device IDs Detected", "1eb8,1eb8"), ("-----  Deployment  ", ""), ("Denylist", "Pass"),
        ("Page Retirement/Row Remap", "Fail"), ("Error", "GPU 2 has a row remapping failure. Drain the GPU first."),
        ("GPU Memory", "Pass - GPU: 1"), ("", "Fail - GPUs: 0, 2"), ("Warning", "GPU 0 Error using CUDA API cuCtxCreate Check DCGM and system logs."),
        ("Info", "GPU 1 Allocated 15 GB"), ("PCIe", "Fail - All"), ("Warning", "GPU 0 replays"), ("SM Stress", "Skip - All"),
    ))  # fmt: skip
    assert found == {
        ("GPU", 0): ("failure", "GPU Memory: GPU 0 Error using CUDA API cuCtxCreate Check DCGM and system logs. PCIe: GPU 0 replays"),
        ("GPU", 1): ("healthy", ""),
        ("GPU", 2): ("failure", "Page Retirement/Row Remap: GPU 2 has a row remapping failure. Drain the GPU first. GPU Memory: failure"),
    }  # fmt: skip


def test_the_table_of_dcgm_4_tells_of_every_gpu() -> None:
    found = read(table(("software", "Warn"), ("", "GPU0: Pass"), ("", "GPU1: Warn"), ("Warning: GPU1", "Persistence mode is off."),
                       ("memory", "Skip"), ("", "GPU0: Skip"), ("", "GPU1: Skip")))  # fmt: skip
    assert found == {("GPU", 0): ("healthy", ""), ("GPU", 1): ("warning", "software: Persistence mode is off.")}


def test_whom_no_word_names_is_not_accused() -> None:
    assert read(table(("Denylist", "Fail"), ("Error", "The driver is too old."), ("PCIe", "Fail - All"))) == {}


def test_a_table_in_a_file_is_told_as_json_is(tmp_path: Path) -> None:
    (tmp_path / "n5.row").write_text("#Entity   POWER\nGPU 0     70.000\n")
    (tmp_path / "n5.txt").write_text(table(("memory", "Fail"), ("", "GPU0: Fail"), ("Warning: GPU0", "DBE found")))
    collector = plugins.collector("dcgmi", [tmp_path / "n5.row", tmp_path / "n5.txt"], start=0, step=1_000_000)
    with TraceWriter(tmp_path / "t") as writer:
        collector.write(writer)
    events = list(Trace.open(tmp_path / "t").events())
    assert [(e.subject, e.code, e.text) for e in events] == [("n5/gpu0", "unhealthy", "DCGM: memory: DBE found")]
