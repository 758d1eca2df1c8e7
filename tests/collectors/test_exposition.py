"""Exposition: text to samples, series to subjects, samples to rows; also what is hostile."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import grayscope.collectors._exposition as exposition  # type: ignore[import-not-found]
import grayscope.collectors._naming as naming  # type: ignore[import-not-found]
import grayscope.collectors._rosters as rosters  # type: ignore[import-not-found]
import grayscope.collectors._series as series  # type: ignore[import-not-found]

NOW = 1_700_000_000_000_000
GPU = 'gpu="3",UUID="GPU-7d1f",device="nvidia3",modelName="H100",hostname="n017",DCGM_FI_DRIVER_VERSION="570.86.15",pod="train-0"'
TEMP = 'gpu_temperature_celsius{sensor="gpu"}'


class Reader:
    """Reads texts one after the other and keeps the meaning of series, as collectors do."""

    def __init__(self, node: str = "") -> None:
        self.naming = naming.Naming(node=node)
        self.series = series.Series(self.naming)
        self.changes = rosters.Changes(self.series)
        self.text = exposition.Exposition(self.series)

    def look(self, text: str | bytes) -> Any:
        self.text.begin()
        return self.text.read(text.encode() if isinstance(text, str) else text, NOW)

    def cells(self, text: str | bytes) -> dict[tuple[str, str, str], float]:
        """Return {(table, subject, metric): value in our unit}."""
        found = {}
        for long in self.series.settle(self.look(text)):
            raw = self.series.raw(long)
            for m, metric in enumerate(raw.metrics):
                for s, subject in enumerate(raw.subjects):
                    if np.isfinite(raw.values[-1, m, s]):
                        found[raw.table, subject, metric] = float(raw.values[-1, m, s] * raw.factors[m])
        return found

    @property
    def rejected(self) -> dict[str, int]:
        return dict(self.naming.rejected)


def one(text: str, node: str = "") -> tuple[tuple[str, str, str], float]:
    (found,) = Reader(node).cells(text).items()
    return found


@pytest.mark.parametrize(
    ("line", "where", "value"),
    [
        (f"DCGM_FI_DEV_SM_CLOCK{{{GPU}}} 1980", 'gpu n017/gpu3 gpu_clock_hertz{domain="sm"}', 1.98e9),
        (f"DCGM_FI_DEV_PCIE_REPLAY_COUNTER{{{GPU}}} 12", "pcie n017/gpu3/pcie pcie_replays_total", 12),
        (
            'DCGM_FI_DEV_NVLINK_REPLAY_ERROR_PER_LINK_TOTAL{nvlink="5",gpu="3",gpu_uuid="G",model_name="H",Hostname="n1"} 2',
            "nvlink n1/gpu3/nvlink5 nvlink_replays_total", 2,
        ),
        ('node_infiniband_link_downed_total{device="mlx5_0",port="1",instance="n2:9100"} 4', "nic n2/mlx5_0 nic_port_link_downs_total", 4),
        ('node_infiniband_link_downed_total{device="a",port="2",instance="[fd00::1]:9100"} 4', "nic fd00::1/a/p2 nic_port_link_downs_total", 4),
        ('node_edac_correctable_errors_total{controller="1",nodename="n3"} 7', "node n3/mc1 host_memory_corrected_errors_total", 7),
        (
            'node_pcidevice_current_link_width{segment="0000",bus="3B",device="00",function="0",node="n4"} 16',
            "pcie n4/0000:3b:00.0 pcie_link_width_lanes", 16,
        ),
        ('fan_speed_rpm{subject="n5"} 9000', "node n5 fan_speed_rpm", 9000),
        ('gpu_temperature_celsius{subject="n5/gpu0",sensor="gpu",job="scrape",instance="x:1"} 50', f"gpu n5/gpu0 {TEMP}", 50),
    ],
)  # fmt: skip
def test_names_a_series(line: str, where: str, value: float) -> None:
    found, number = one(line + "\n")
    assert " ".join(found) == where
    assert number == pytest.approx(value)


def test_node_of_the_exporter_is_used_only_where_labels_say_nothing() -> None:
    assert one('node_bonding_active{master="bond0"} 2\n', node="n9")[0] == ("node", "n9/bond0", "bond_members_active")
    reader = Reader()
    assert reader.cells('node_bonding_active{master="bond0"} 2\nDCGM_FI_DEV_GPU_TEMP{hostname="n1"} 3\n') == {}
    assert reader.rejected == {"no_subject": 2}


@pytest.mark.parametrize(
    ("stamp", "time"),
    [("", NOW), (" 1700000001.5", 1_700_000_001_500_000), (" 1700000001500", 1_700_000_001_500_000), (" 1700000001500000000", 1_700_000_001_500_000)],
)
def test_time_is_told_by_magnitude(stamp: str, time: int) -> None:
    assert Reader().look(f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61{stamp}\n").times.tolist() == [time]


def test_reads_what_is_unusual_but_allowed() -> None:
    text = """# HELP DCGM_FI_DEV_GPU_TEMP anything "{
# TYPE DCGM_FI_DEV_GPU_TEMP gauge
  DCGM_FI_DEV_GPU_TEMP { gpu = "0" , hostname="a\\\\b\\"c" , }   60
DCGM_FI_DEV_GPU_TEMP{gpu="1",hostname="n1",x="} { # "}\t61\t1700000000000
DCGM_FI_DEV_GPU_TEMP{gpu="2",hostname="n1"} 62 # {trace_id="x"} 0.67 1700000000.1
DCGM_FI_DEV_GPU_TEMP{gpu="3",hostname="n1"} +6.3e1 \r

# EOF
"""
    reader = Reader()
    for _ in range(2):  # the second time from what is remembered
        assert reader.cells(text) == {("gpu", f"{n}/gpu{i}", TEMP): 60.0 + i for n, i in (('a\\b"c', 0), ("n1", 1), ("n1", 2), ("n1", 3))}
    assert reader.rejected == {}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "9223372036854775794", "9.3e18", "1e300", "140737488355330", "2147483634"])
def test_blanks_are_no_numbers(value: str) -> None:
    reader = Reader()
    assert reader.cells(f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} {value}\n") == {}
    assert sum(reader.rejected.values()) == 1


def test_a_32_bit_blank_is_a_number_elsewhere() -> None:
    assert one('node_infiniband_port_packets_received_total{device="a",node="n"} 2147483634\n')[1] == 2147483634


@pytest.mark.parametrize(
    "line",
    ["}", "{", "x{", 'DCGM_FI_DEV_GPU_TEMP{gpu="0" 1', 'DCGM_FI_DEV_GPU_TEMP{gpu="0",gpu="1"} 1', f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} x",
     f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}}", f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 1 2 3", f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 1 soon", '"quoted name" 1', "\x00\x01"],
)  # fmt: skip
def test_malformed_lines_are_counted_and_the_rest_goes_on(line: str) -> None:
    reader = Reader()
    assert len(reader.cells(f"{line}\nDCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61\n")) == 1
    assert reader.rejected == {"malformed": 1}


def test_a_time_that_cannot_be_is_counted() -> None:
    reader = Reader()
    assert reader.cells(f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61 -5\nDCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61 1e30\n") == {}
    assert reader.rejected == {"bad_time": 2}


def test_a_huge_label_value_is_harmless() -> None:
    reader = Reader()
    text = f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",hostname="{"x" * 10_000_000}"}} 1\nDCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61\n'
    assert reader.cells(text) == {("gpu", "n017/gpu3", TEMP): 61.0}
    assert reader.rejected == {"long_line": 1}
    assert len(reader.cells(f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",hostname="{"x" * 5000}"}} 1\nDCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61\n')) == 1
    assert reader.rejected["long_label"] == 1
    assert len(reader.cells(f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",hostname="{"x" * 300}"}} 1\nDCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61\n')) == 1
    assert reader.rejected["long_name"] == 1


@pytest.mark.parametrize("size", [7, 100, 1 << 16, 1 << 30])
def test_blocks_may_cut_lines_anywhere(size: int) -> None:
    reader = Reader()
    line = 'DCGM_FI_DEV_GPU_TEMP{gpu="%d",hostname="ü"} %d\n'
    data = ("".join(line % (i, i) for i in range(20)) + "y" * 200_000 + "\n" + line % (99, 99)).encode()
    found = [reader.text.feed(data[i : i + size], NOW).values for i in range(0, len(data), size)]
    reader.text.end()
    assert np.concatenate(found).tolist() == [*range(20), 99]
    assert reader.rejected == {"long_line": 1}
    assert set(reader.series.subjects) == {f"ü/gpu{i}" for i in (*range(20), 99)}


def test_a_cut_last_line_is_not_used() -> None:
    reader = Reader()
    assert reader.cells(f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61\nDCGM_FI_DEV_POWER_USAGE{{{GPU}}} 12") == {("gpu", "n017/gpu3", TEMP): 61.0}
    assert reader.rejected == {"truncated": 1}


def test_names_from_outside_cannot_reach_another_subject() -> None:
    reader = Reader()
    cells = reader.cells('DCGM_FI_DEV_GPU_TEMP{gpu="0/../9",hostname="a/b\\nc\u202e\x1b"} 1\nfan_speed_rpm{subject="n\x07/fan\\n1"} 2\n')
    assert {where[1] for where in cells} == {"a_b_c__/gpu0_.._9", "n_/fan_1"}
    assert all(where[1].isprintable() for where in cells)
    assert reader.rejected["sanitized"] >= 4


def test_two_names_for_one_metric_are_not_mixed() -> None:
    reader = Reader()
    gauge, ratio = f"DCGM_FI_DEV_GPU_UTIL{{{GPU}}} 80\n", f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{GPU}}} 0.5\n"
    where = ("gpu", "n017/gpu3", "gpu_active_ratio")
    assert reader.cells(ratio + gauge) == {where: pytest.approx(0.8)}
    assert reader.cells(ratio) == {}, "a change of source would look like a change of the thing"
    assert reader.rejected == {"second_name": 2}
    late = Reader()
    assert late.cells(ratio) == {where: 0.5}
    assert late.cells(ratio + gauge) == {where: 0.5}, "the first look decides"


def test_subjects_may_use_different_names_with_different_factors() -> None:
    text = 'DCGM_FI_DEV_GPU_UTIL{gpu="0",node="a"} 80\nDCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",node="b"} 0.5\n'
    assert Reader().cells(text) == {("gpu", f"{n}/gpu0", "gpu_active_ratio"): pytest.approx(v) for n, v in (("a", 0.8), ("b", 0.5))}


def test_repeated_series_count_once() -> None:
    reader = Reader()
    line = "DCGM_FI_DEV_GPU_TEMP{%s} %d\n"
    assert reader.cells(line % (GPU, 61) + line % (GPU, 62) + line % (GPU.replace("train-0", "train-1"), 63)) == {("gpu", "n017/gpu3", TEMP): 61.0}
    assert reader.rejected == {"duplicate": 2}


def test_strangers_are_counted_and_bounded() -> None:
    reader = Reader()
    text = "".join(f"metric_{i} 1\n" for i in range(1500)) + 'metric_0{a="b"} 1\ngrayscope_verdict{subject="n1",state="gray"} 1\n'
    for _ in range(3):
        assert reader.cells(text) == {}
    assert len(reader.naming.unknown) == 1000
    assert reader.naming.unknown["metric_0"] == 2
    assert reader.rejected == {"unknown": 1501, "own_output": 1}


def test_mig_instances_are_set_aside() -> None:
    reader = Reader()
    assert reader.cells(f'DCGM_FI_DEV_GPU_TEMP{{{GPU},GPU_I_ID="1",GPU_I_PROFILE="1g.10gb"}} 61\n') == {}
    assert reader.rejected == {"mig": 1}


def test_columns_and_text_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "MOST_COLUMNS", 4)
    monkeypatch.setattr(exposition, "MOST_TEXT", 2000)
    reader = Reader()
    assert len(reader.cells("".join(f'nic_port_congestion_total{{subject="n/a",event="e{i}"}} 1\n' for i in range(9)))) == 4
    assert reader.rejected == {"too_many": 5}
    monkeypatch.setattr(series, "MOST_COLUMNS", 5)
    for i in range(0, 1000, 5):
        text = "".join(f'fan_speed_rpm{{subject="n",pod="{i + j}"}} 1\n' for j in range(5))
        assert len(reader.cells(text)) == 1, "what churns is forgotten, what comes is met"
    assert len(reader.series.cell) < 100


def test_roster_tells_who_is_new_and_what_changed() -> None:
    reader = Reader()
    text = f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61\nDCGM_FI_DEV_PCIE_REPLAY_COUNTER{{{GPU}}} 0\n"
    rows = reader.changes.rows(reader.look(text))
    keys = {"node": "n017", "slot": "3", "sku": "H100", "serial": "GPU-7d1f", "driver": "570.86.15", "job": "train-0"}
    assert [(r.subject, r.table, r.since, dict(r.keys)) for r in rows] == [("n017/gpu3", "gpu", None, keys), ("n017/gpu3/pcie", "pcie", None, keys)]
    assert reader.changes.rows(reader.look(text)) == []
    other = text.replace("train-0", "train-1")
    assert [(r.since, r.keys["job"]) for r in reader.changes.rows(reader.look(other))] == [(NOW, "train-1")] * 2
    assert [r.keys.get("job") for r in reader.changes.rows(reader.look(text.replace(',pod="train-0"', "")))] == [None, None]
    assert [r.keys["job"] for r in reader.changes.rows(reader.look(text))] == ["train-0"] * 2


def test_roster_notices_a_change_just_when_all_was_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "MOST_TEXT", 400)
    reader = Reader()
    text = f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61\n"
    jobs = [[r.keys["job"] for r in reader.changes.rows(reader.look(text.replace("train-0", job)))] for job in "aabba"]
    assert jobs == [["a"], [], ["b"], [], ["a"]]


def test_roster_in_one_text_with_times() -> None:
    reader = Reader()
    lines = [f"DCGM_FI_DEV_GPU_TEMP{{{GPU.replace('train-0', job)}}} 61 {1_700_000_000_000 + i * 1000}\n" for i, job in enumerate(["a", "a", "b", "b", "a"])]
    rows = reader.changes.rows(reader.look("".join(lines[::-1])))
    assert [(r.since and r.since - NOW, r.keys["job"]) for r in rows] == [(None, "a"), (2_000_000, "b"), (4_000_000, "a")]


def test_two_exporters_in_one_text_tell_about_one_subject_together() -> None:
    reader = Reader()
    rows = reader.changes.rows(reader.look(f'DCGM_FI_DEV_GPU_TEMP{{{GPU}}} 61\nDCGM_FI_DEV_POWER_USAGE{{gpu="3",node="n017",rack="r7"}} 61\n'))
    assert [(r.subject, r.keys["rack"], r.keys["sku"]) for r in rows] == [("n017/gpu3", "r7", "H100")]


def test_many_different_stamps_in_one_look_stay_bounded() -> None:
    reader = Reader()
    text = "".join(f'DCGM_FI_DEV_GPU_TEMP{{gpu="{i}",node="n"}} 1 {1_700_000_000_000 + i * 1003}\n' for i in range(500))
    (long,) = reader.series.settle(reader.look(text))
    raw = reader.series.raw(long)
    assert len(raw.times) == series.MOST_STAMPS
    assert (np.diff(raw.times) > 0).all()
    assert int(np.isfinite(raw.values).sum()) + reader.rejected["stale"] == 500


def test_wide_rows_in_slices_hold_every_sample_once() -> None:
    reader = Reader()
    line = '%s{gpu="%d",node="n"} %d %d\n'
    names = ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")
    text = "".join(line % (name, g, g * 100 + t, 1_700_000_000_000 + t * 1000) for name in names for g in range(4) for t in range(50))
    (long,) = reader.series.settle(reader.look(text))
    parts = list(reader.series.wide(long, 60))
    assert len(parts) > 3
    assert sum(len(times) for times, _, _ in parts) == 200
    assert all(a[0][-1] < b[0][0] for a, b in pairwise(parts)), "a row is never split over two parts"
    times, subjects, columns = parts[0]
    assert columns["DCGM_FI_DEV_GPU_TEMP"].dtype == np.float32
    assert columns["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"].dtype == np.float64, "totals need all their digits"
    row = int(np.flatnonzero((subjects == "n/gpu2") & (times == NOW + 1_000_000))[0])
    assert columns["DCGM_FI_DEV_GPU_TEMP"][row] == 201
