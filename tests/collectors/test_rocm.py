"""rocm-smi: its JSON in our units, live and from files, captured outputs of real cards, what is none, and mutations."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.catalogue import Catalogue
from grayscope.errors import GrayscopeError, InputError, Unsupported
from tests.mutations import MANY, mutated
from tests.traced import imported

SECOND = 1_000_000


def card(**told: str) -> dict[str, str]:
    return {
        "Unique ID": "0x79ccd55167a2124a", "Temperature (Sensor edge) (C)": "53.0", "Temperature (Sensor junction) (C)": "61.0",
        "Temperature (Sensor memory) (C)": "N/A", "mclk clock speed:": "(1200Mhz)", "sclk clock speed:": "(1700Mhz)", "sclk clock level:": "1",
        "pcie clock level": "1 (16.0GT/s x8)", "Max Graphics Package Power (W)": "290.0", "Average Graphics Package Power (W)": "236.0",
        "GPU use (%)": "97", "PCIe Replay Count": "4", "Serial Number": "N/A", "VRAM Total Used Memory (B)": "6750208",
        "Card series": "Arcturus GL-XL [Instinct MI100]", **told,
    }  # fmt: skip


def output(**cards: dict[str, str]) -> bytes:
    return b"WARNING: a card is asleep\n" + json.dumps({**cards, "system": {"Driver version": "6.3.6"}}).encode() + b"\n"


class Tool:
    """Stands for rocm-smi: prints what it is told, or fails."""

    def __init__(self, *outputs: bytes | Exception) -> None:
        self.outputs = list(outputs)
        self.asked: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str], timeout: float) -> bytes:
        self.asked.append(command)
        told = self.outputs.pop(0)
        if isinstance(told, Exception):
            raise told
        return told


def live(*outputs: bytes | Exception) -> Any:
    return plugins.collector("rocm", node="n3", run=Tool(*outputs), clock=lambda: 5.0)


def value(messages: list[Any], metric: str, subject: str) -> float:
    batch = next(m for m in messages if isinstance(m, Batch) and metric in m.metrics)
    return float(batch.values[0, batch.metrics.index(metric), batch.subjects.index(subject)])


def test_a_look_in_our_units() -> None:
    source = live(output(card0=card(), card1=card(**{"Unique ID": "0x2", "GPU use (%)": "3"})))
    messages = source.collect()
    rows = {r.subject: r for r in messages[0]}
    assert rows["n3/gpu1"].keys == {"node": "n3", "slot": "1", "serial": "0x2", "driver": "6.3.6", "sku": "Arcturus GL-XL [Instinct MI100]"}
    expected = {
        'gpu_temperature_celsius{sensor="gpu"}': 61, 'gpu_temperature_celsius{sensor="edge"}': 53, 'gpu_clock_hertz{domain="sm"}': 1.7e9,
        'gpu_clock_hertz{domain="memory"}': 1.2e9, "gpu_power_watts": 236, "gpu_power_limit_watts": 290, "gpu_memory_used_bytes": 6750208,
        "gpu_present": 1, "gpu_active_ratio": 0.97,
    }  # fmt: skip
    for metric, wanted in expected.items():
        assert value(messages, metric, "n3/gpu0") == pytest.approx(wanted), metric
    assert value(messages, "pcie_link_width_lanes", "n3/gpu0/pcie") == 8
    assert value(messages, "pcie_link_generation", "n3/gpu0/pcie") == 4
    assert source.rejected == {}
    assert source.run.asked[0][1] == "--showtemp"


def test_replays_are_increments_and_a_repeat_costs_no_memory() -> None:
    source = live(output(card0=card()), output(card0=card(**{"PCIe Replay Count": "9"})), output(card0=card(**{"PCIe Replay Count": "9"})))
    source.collect()
    known = len(source.live.series.cell)
    assert value(source.collect(), "pcie_replays_total", "n3/gpu0/pcie") == 5
    assert value(source.collect(), "pcie_replays_total", "n3/gpu0/pcie") == 0
    assert len(source.live.series.cell) == known


@pytest.mark.parametrize(
    "failure", [subprocess.TimeoutExpired("rocm-smi", 20), subprocess.CalledProcessError(2, "rocm-smi"), OSError("no"), b"ERROR: no GPU", b"{}"]
)
def test_a_tool_that_fails_is_counted(failure: bytes | Exception) -> None:
    source = live(failure, output(card0=card()))
    assert source.collect() == []
    assert source.rejected == {"unreadable": 1}
    assert source.last_error
    assert source.collect()


def test_a_machine_without_the_tool_says_so() -> None:
    with pytest.raises(Unsupported, match="no-such-tool is not installed"):
        plugins.collector("rocm", program="no-such-tool")


def test_the_tool_is_started_without_a_shell(tmp_path: Path) -> None:
    tool = tmp_path / "rocm-smi"
    tool.write_text("#!/bin/sh\nprintf '%s' '" + output(card0=card()).decode().partition("\n")[2].strip() + "'\n")
    tool.chmod(0o755)
    messages = plugins.collector("rocm", node="n3; rm -rf x", program=str(tool)).collect()
    assert value(messages, "gpu_power_watts", "n3; rm -rf x/gpu0") == 236


def test_files_become_a_trace(tmp_path: Path) -> None:
    for i, replays in enumerate(("4", "7")):
        (tmp_path / f"look{i}.json").write_bytes(output(card0=card(**{"PCIe Replay Count": replays})))
    source = plugins.collector("rocm", sorted(tmp_path.glob("*.json")), node="n3", start=0, step=60 * SECOND)
    trace, counts = imported(source, tmp_path / "t")
    assert counts["files"] == 2
    assert trace.cells("pcie_replays_total", "n3/gpu0/pcie")[1] == (60 * SECOND, 3.0)
    assert trace.values('gpu_clock_hertz{domain="sm"}', "n3/gpu0") == [1.7e9, 1.7e9]


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a": 1}', b"[" * 100_000, b'{"card0": ' * 3000])
def test_what_is_no_output_is_one_clear_error(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "n3.json").write_bytes(text)
    with pytest.raises(InputError) as caught:
        imported(plugins.collector("rocm", [tmp_path / "n3.json"]), tmp_path / "t")
    assert str(caught.value).startswith(str(tmp_path / "n3.json"))
    assert len(str(caught.value)) < 400


def test_captured_outputs_of_real_cards(shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "data" / "fixtures" / "telegraf" / "amd_rocm_smi" / "testdata").glob("*.json"))
    if not files:
        pytest.skip("no captured rocm-smi files")
    trace, counts = imported(plugins.collector("rocm", files), tmp_path / "t")
    assert len({s for b in trace.batches if b.table == "gpu" for s in b.subjects}) == 16
    assert not [k for k in counts if k.startswith("rejected")]
    mine = [v for v in trace.values("gpu_power_watts", "mi100_rocm602/gpu0") if np.isfinite(v)]
    assert mine == [36.0]
    assert [v for v in trace.values("pcie_link_width_lanes", "mi100_rocm571/gpu0/pcie") if np.isfinite(v)] == [16]


@MANY
@given(mutated(output(card0=card()), output(card0=card(), card1=card())))
def test_no_mutation_crashes_the_parser(data: bytes) -> None:
    module: Any = __import__("grayscope.collectors._rocmjson", fromlist=["parse"])
    samples, said = [], ""
    try:
        samples = list(module.Reader(Catalogue.load(), {}).samples(module.parse(data), "n"))
    except GrayscopeError as error:
        said = str(error)
    assert len(said) < 500
    assert all(np.isfinite(s.value) for s in samples)
