"""Blocks of hundreds of paths cost what their paths cost, not the square of that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from grayscope import blocks
from grayscope.evidence import Finding
from grayscope.pathblame import PathBlame
from grayscope.roster import Roster, RosterRow
from grayscope.tick import Tick


def test_a_block_is_put_into_words_once_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [f"n{i:02d}" for i in range(24)]
    rows = [RosterRow(f"{a}>{b}", "path", keys={"source": a, "target": b}, crosses=(a, b)) for a in ends for b in ends if a != b]
    view = Roster(rows).at(0)
    names = view.tables["path"]
    tick = Tick("path", 1, 1, view, names, ("path_rtt_seconds",), np.ones((1, len(names)), np.float32), np.zeros(len(names), bool))
    bad = [s for s in names if s[:3] < "n08" and s[4:] >= "n16"]
    excess = np.array([[8.0 if s in bad else 0.0 for s in names]], np.float32)
    asked = list[int]()
    told = blocks.told

    def counted(pairs: Sequence[tuple[str, str]]) -> str:
        asked.append(len(pairs))
        return told(pairs)

    monkeypatch.setattr(blocks, "told", counted)
    findings = [Finding(1, s, "service", "became", 20.0, "slow_path", "", "path_rtt_seconds", 2.0, 1.0) for s in bad]
    found = PathBlame(13.0).step(findings, tick, 1, frozenset({"service"}), excess, {}, False)
    assert len({f.subject for f in found}) == 1
    assert len(found) == len(bad) == 64
    assert asked == [64]
