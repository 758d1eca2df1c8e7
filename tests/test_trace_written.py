"""Writers of traces: whole or nothing, also on a full disk."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from grayscope.errors import GrayscopeError, InputError, UsageError
from grayscope.tracewriter import TraceWriter
from tests.tracefolder import write


def test_writers_leave_nothing_behind(tmp_path: Path) -> None:
    with suppress(RuntimeError), TraceWriter(tmp_path / "t") as out:
        out.rows("gpu", np.array([0]), ["n0"], {"x": np.array([1.0])})
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "t")
    with pytest.raises(UsageError, match="exists already"):
        TraceWriter(tmp_path / "t")
    with pytest.raises(InputError, match="table: expected a name of letters"), TraceWriter(tmp_path / "u") as out:
        out.rows("../gpu", np.array([0]), ["n0"], {"x": np.array([1.0])})


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake full disk: the call that writes a file fails as the operating system would let it."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(GrayscopeError, match=r"t: cannot be written: No space left on device"), TraceWriter(tmp_path / "t") as out:
        out.rows("gpu", np.array([0]), ["n0"], {"x": np.array([1.0])})
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk(tmp_path: Path) -> None:
    """Where Linux offers a device that is always full, write to it."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    from grayscope.tracewriter import writing

    with pytest.raises(GrayscopeError, match="cannot be written: No space left on device"), writing(full):
        full.write_bytes(b"x" * 100_000)
