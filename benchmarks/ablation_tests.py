"""Which tests need a part: those that lead telemetry through the whole line to what is said, run with the part off.

A part that changes nothing on the simulated traces may still be what finds something in a log, in a dump or in recorded telemetry.
As a module it is also the plugin of pytest that takes the part away, in the process that runs the tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from unittest import mock

import ablation_parts
import pytest
from ablation_parts import off

ROOT = Path(__file__).parents[1]
PART = "GRAYSCOPE_TEST_WITHOUT"
HELD = pytest.StashKey[ExitStack]()
#: Telemetry, logs, dumps or a small fleet go in, and verdicts or incidents are looked at.
SUITE = (
    *(f"tests/collectors/test_{n}.py" for n in ("exporter", "flightrecorder", "gpud", "hostline", "kernellog", "ncclfound", "nccltests", "superbench")),
    "tests/test_real_replays.py", "tests/contract/test_engine_contract.py", "tests/fleet/test_selftest.py", "tests/pipelines/test_importkernel.py",
    *(f"tests/test_{n}.py" for n in ("blame", "commblame", "desk_again", "divided", "failures", "fewpast", "history", "hostbusy", "loads", "matrix")),
    *(f"tests/test_{n}.py" for n in ("engine_refined", "ledgerstock", "machinewide", "ownreason", "pathaway")),
    *(f"tests/test_{n}.py" for n in ("moved_together", "pathblame", "together", "upstream", "waiting", "waiting_nested")),
    *(f"tests/detectors/test_{n}.py" for n in ("events", "few_peers", "hang", "lemons", "mesh", "seldom", "silent")),
    *(f"tests/detectors/test_{n}.py" for n in ("became", "spending_together", "stepped")),
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Take the part away that the environment names."""
    name = os.environ.get(PART)
    if name:
        part = next((p for p in ablation_parts.parts() if p.name == name), None)
        if part is None:
            raise pytest.UsageError(f"{PART}: no part {name!r}")
        stack = config.stash[HELD] = ExitStack()  # what nobody holds is taken back
        stack.enter_context(off(part))
        if part.detector:
            stack.enter_context(mock.patch("grayscope.plugins.default_detectors", return_value=list(part.detectors)))


def needing(part: str) -> list[str]:
    """Return the tests that fail without a part and not with everything on, in the order of their files.

    Raises
    ------
    RuntimeError
        The tests did not run.
    """
    return [test for test in _failing(part) if test not in _failing("")]


@cache
def _failing(part: str) -> list[str]:
    suite = [path for path in SUITE if (ROOT / path).exists()]
    words = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE", "-p", "ablation_tests", "-p", "no:cacheprovider", *suite]
    search = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, PART: part, "PYTHONPATH": search}, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(words[1:])}: exit status {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return failed(done.stdout)


def failed(text: str) -> list[str]:
    """Return the tests that a summary of pytest names as failed, each once whatever its parameters.

    Examples
    --------
    >>> failed("FAILED tests/a.py::test_x[1] - boom\\nFAILED tests/a.py::test_x[2]\\nERROR tests/b.py::test_y\\n2 failed")
    ['tests/a.py::test_x', 'tests/b.py::test_y']
    """
    return list(dict.fromkeys(re.findall(r"^(?:FAILED|ERROR) (\S+?(?:::\w+)+)", text, re.MULTILINE)))
