"""A damaged trace: broken files and wrong types are one clear error."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grayscope.errors import InputError
from grayscope.replaying import replay
from grayscope.tracecheck import validate
from tests.tracefolder import batches, replace_table, write


def test_a_table_without_rows_is_no_error(tmp_path: Path) -> None:
    path = write(tmp_path / "t", ticks=1)
    pq.write_table(pq.read_table(path / "gpu.parquet").slice(0, 0), path / "gpu.parquet")
    run = replay(path)
    assert run.found == []
    assert "gpu: no rows" in validate(path)


@pytest.mark.parametrize("keep", [0, 10, 1000, -4])
def test_a_truncated_file(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "t")
    data = (path / "gpu.parquet").read_bytes()
    (path / "gpu.parquet").write_bytes(data[:keep])
    with pytest.raises(InputError, match=r"gpu\.parquet: not a readable Parquet file"):
        batches(path)


def test_damage_inside_a_file_is_named_or_harmless(tmp_path: Path) -> None:
    path = write(tmp_path / "t", ticks=300)
    data = bytearray((path / "gpu.parquet").read_bytes())
    data[200:800] = bytes(600)
    (path / "gpu.parquet").write_bytes(data)
    with pytest.raises(InputError, match=r"gpu\.parquet: row group 0 is damaged"):
        batches(path)


def test_wrong_types(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    replace_table(path, gpu_power_watts=pa.array(["x"] * 120))
    with pytest.raises(InputError, match=r"column gpu_power_watts: expected numbers, found string"):
        batches(path)
    path = write(tmp_path / "b")
    replace_table(path, time=pa.array(range(120)))
    with pytest.raises(InputError, match=r"column time: expected timestamp, found int64"):
        batches(path)
    path = write(tmp_path / "c")
    replace_table(path, subject=pa.array(range(120)))
    with pytest.raises(InputError, match=r"column subject: expected string, found int64"):
        batches(path)
    path = write(tmp_path / "d")
    pq.write_table(pq.read_table(path / "gpu.parquet").drop_columns(["time"]), path / "gpu.parquet")
    with pytest.raises(InputError, match=r"column time: expected to be there"):
        batches(path)
