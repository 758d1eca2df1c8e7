"""Small sources that are no real ones, for the agent's tests: written as plugin files into a folder of the collectors wing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = {
    "steady": """
    def __init__(self, node: str = "", clock: Callable[[], float] = time.time, gain: float = 1.0) -> None:
        self.node, self.clock, self.gain, self.rejected, self.n = node, clock, gain, {"denied": 2}, 0

    def collect(self):
        now, self.n = int(self.clock() * 1e6), self.n + 1
        values = np.array([[[300.0 * self.gain], [float(self.n)]]], np.float32)
        rows = [(RosterRow(f"{self.node}/gpu0", "gpu", keys={"sku": "H100", "slot": "0"}),)] if self.n == 1 else []
        return [*rows, Batch("gpu", np.array([now]), (f"{self.node}/gpu0",), ("gpu_power_watts", "gpu_energy_joules_total"), values)]
""",
    "hanging": """
    gate = threading.Event()
    entered = threading.Event()

    def __init__(self, node: str = "") -> None:
        self.node, self.rejected = node, {}

    def collect(self):
        self.entered.set()
        self.gate.wait(20)
        return []
""",
    "refusing": """
    def __init__(self, root: str | Path = "/") -> None:
        self.rejected = {}
        raise Unsupported("no such device; root would be needed to load the driver")

    def collect(self):
        return []
""",
    "failing": """
    def __init__(self) -> None:
        self.rejected = {}

    def collect(self):
        raise ZeroDivisionError("in somebody's driver")
""",
    "wanting": """
    def __init__(self, url: str) -> None:
        self.url, self.rejected = url, {}

    def collect(self):
        return []
""",
    "filing": """
    def __init__(self, path: Path) -> None:
        pass

    def write(self, writer, progress=None):
        return {}
""",
}
HEAD = '''"""{title}: a source that is none, for tests."""
from __future__ import annotations
import threading, time
from collections.abc import Callable
from pathlib import Path
import numpy as np
from grayscope.batch import Batch
from grayscope.errors import Unsupported
from grayscope.roster import RosterRow

class {title}:
    """A source that is none. Privileges: root for the second counter. Cost: nothing."""
'''


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A wing of collectors that holds these sources and nothing else."""
    from grayscope import collectors

    folder = tmp_path / "wing"
    folder.mkdir()
    for name, body in SOURCES.items():
        (folder / f"{name}.py").write_text(HEAD.format(title=name.capitalize()) + body)
    monkeypatch.setattr(collectors, "__path__", [str(folder)])
    yield folder
    for name in SOURCES:
        module = sys.modules.pop(f"grayscope.collectors.{name}", None)
        if module is not None and hasattr(getattr(module, name.capitalize()), "gate"):
            module.Hanging.gate.set()
