"""Places: nodes and jobs of subjects, and when they are worked out anew."""

from __future__ import annotations

import numpy as np

from grayscope.places import Places
from grayscope.roster import RosterRow, View
from grayscope.tick import Tick


def tick(view: View, subjects: tuple[str, ...]) -> Tick:
    return Tick("rank", 1, 1, view, subjects, (), np.empty((0, len(subjects)), np.float32), np.zeros(len(subjects), bool))


def test_a_rank_is_where_its_gpu_is_and_only_work_has_a_job() -> None:
    rows = {"job:2/r0": RosterRow("job:2/r0", "rank", keys={"gpu": "n7/gpu1", "job": "job:2"}), "n1/gpu0": RosterRow("n1/gpu0", "gpu", keys={"job": "2"})}
    view, subjects = View(1, rows), ("comm:ab", "job:2/r0", "n1/gpu0", "/odd")
    places, at = Places(), tick(view, subjects)
    found = places.of(at)
    assert [found.nodes[i] for i in found.node] == ["comm:ab", "n7", "n1", ""]
    assert [found.jobs[i] if i >= 0 else None for i in found.job] == [None, "2", None, None]
    assert places.of(at) is found
    assert places.of(tick(View(2, {}), subjects)) is not found


def test_a_job_is_its_own_though_its_row_has_no_key() -> None:
    """What it is compared with, if it is slow to report, are its own ranks: not another job."""
    found = Places().of(tick(View(1, {"job:7": RosterRow("job:7", "job")}), ("job:7", "job:8")))
    assert [found.jobs[i] for i in found.job] == ["7", "8"]


def test_a_machine_is_what_the_roster_calls_so_though_its_name_has_a_slash() -> None:
    """Hosts that are called by their racks: what begins alike is no machine."""
    hosts = ("rack-3/host1", "rack-3/host2")
    rows = {f"{h}/gpu{g}": RosterRow(f"{h}/gpu{g}", "gpu", keys={"node": h}) for h in hosts for g in range(2)}
    found = Places().of(tick(View(1, rows), tuple(rows)))
    assert [found.nodes[i] for i in found.node] == [hosts[0], hosts[0], hosts[1], hosts[1]]
