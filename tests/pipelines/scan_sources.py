"""Sources that are none, for the scan's tests: GPUs with spares gone, a machine without a spare supply, and one that hangs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = '''"""Parts: a source that is none, for tests."""
from __future__ import annotations
import time
from collections.abc import Callable
import numpy as np
from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.roster import RosterRow

GPU = ("gpu_rows_remapped{cause=\\"uncorrected\\"}", "gpu_row_remap_banks{availability=\\"max\\"}", "gpu_row_remap_banks{availability=\\"none\\"}",
       "nvlink_links_active", "gpu_row_remap_pending", "gpu_fabric_healthy")

class Parts:
    """A source that is none; `bad` plants troubles."""

    def __init__(self, node: str = "", clock: Callable[[], float] = time.time, bad: bool = False) -> None:
        self.node, self.clock, self.bad, self.rejected = node, clock, bad, {}

    def collect(self):
        now = int(self.clock() * 1e6)
        gpus = tuple(f"{self.node}/gpu{i}" for i in range(4))
        values = np.tile(np.array([[0.0], [640.0], [0.0], [18.0], [0.0], [1.0]], np.float32), (1, 4))[None]
        if self.bad:
            values[0, :, 1] = [12, 630, 10, 16, 1, 1]
            values[0, 5, 2] = 0
        node = np.array([[[0.0 if self.bad else 1.0]]], np.float32)
        events = [Event(now, gpus[3], "xid", "79", "off the bus | gone"), Event(now - 9 * 3600 * 10**6, gpus[0], "xid", "79", "yesterday")] if self.bad else []
        rows = tuple(RosterRow(g, "gpu", keys={"sku": "NVIDIA H100 80GB HBM3"}) for g in gpus)
        return [rows, Batch("gpu", np.array([now]), gpus, GPU, values), Batch("node", np.array([now]), (self.node,), ("psu_redundancy_intact",), node), *events]
'''


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A wing of collectors that holds this source alone, and a settings file that plants the troubles."""
    from grayscope import collectors

    folder = tmp_path / "wing"
    folder.mkdir()
    (folder / "parts.py").write_text(SOURCE)
    monkeypatch.setattr(collectors, "__path__", [str(folder)])
    file = tmp_path / "bad.toml"
    file.write_text(f'[agent]\nroot = "{tmp_path}"\n[collectors.parts]\nbad = true\n')
    yield file
    sys.modules.pop("grayscope.collectors.parts", None)
