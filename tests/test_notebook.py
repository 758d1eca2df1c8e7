"""The example notebook: a valid one without outputs or magics, whose cells run and hold what the text around them claims."""

from __future__ import annotations

import ast
import base64
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "postmortem.ipynb"
nbformat = pytest.importorskip("nbformat", reason="pip install nbformat")


def cells(kind: str) -> list[str]:
    return [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == kind]


def test_it_is_a_valid_notebook_without_outputs() -> None:
    found = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(found)
    assert all(not cell.outputs and cell.execution_count is None for cell in found.cells if cell.cell_type == "code")
    assert len(NOTEBOOK.read_bytes()) < 20_000


def test_every_cell_is_plain_python_and_the_story_is_asserted() -> None:
    trees = [ast.parse(source) for source in cells("code")]  # a magic is a syntax error
    asserted = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert len(asserted) > 8
    assert not any("/tmp" in source or "/home" in source for source in cells("code"))
    assert len(cells("markdown")) > 8


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the kernel's own packages
def test_its_cells_run_from_the_page_to_the_root_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="pip install nbclient ipykernel")
    pytest.importorskip("ipykernel", reason="pip install nbclient ipykernel")
    from traitlets.config import Config

    monkeypatch.delenv("GRAYSCOPE_CONFIG", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    with TemporaryDirectory(dir="/tmp", prefix="gs") as short:  # sockets have short names
        for name in ("RUNTIME", "DATA", "CONFIG"):
            monkeypatch.setenv(f"JUPYTER_{name}_DIR", f"{short}/{name[0]}")
        monkeypatch.setenv("IPYTHONDIR", f"{short}/i")
        found = nbformat.read(NOTEBOOK, as_version=4)
        inside = Config({"KernelManager": {"transport": "ipc", "ip": f"{short}/k"}})
        nbclient.NotebookClient(found, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}, config=inside).execute()
    shown = {cell.id: [out.get("data", {}) for out in cell.outputs] for cell in found.cells if cell.cell_type == "code"}
    assert all("text/html" in shown[cell][0] for cell in ("replay", "case", "compare"))
    assert shown["plot"][0]["image/svg+xml"].startswith("<svg")
    assert base64.b64encode(shown["plot"][0]["image/svg+xml"].encode()[:300])[:100].decode() in shown["plot"][0]["text/html"]
    assert "fan_speed_rpm" in shown["order"][0]["text/plain"]
    assert not list(tmp_path.iterdir())  # it tidies up
