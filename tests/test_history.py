"""History: who was to blame before is likelier where the data cannot tell, never alone, and a restart does not forget it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from grayscope import assembly
from grayscope.cascade import Member
from grayscope.checkpoint import pack, unpack
from grayscope.commblame import moved
from grayscope.desk import Desk
from grayscope.engine import Engine
from grayscope.evidence import Evidence, Finding
from grayscope.explaining import explain
from grayscope.history import HOUR, WEIGHS, History
from grayscope.incident import Incident
from grayscope.pathblame import PathBlame
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.suspects import suspects
from grayscope.tick import Tick
from tests.desked import one, say

GPUS = [RosterRow(f"n{n}/gpu{g}", "gpu", keys={"serial": f"S{n}.{g}", "job": "job:1" if n < 4 else ""}) for n in range(8) for g in range(4)]
PORTS = [RosterRow(f"n{n}/nic0", "nic", keys={"serial": f"P{n}"}) for n in range(16)]
BAD = "n2/gpu1"


def tick(hour: float, rows: list[RosterRow] = GPUS, table: str = "gpu") -> Tick:
    view = Roster(rows).at(0)
    names = view.tables.get(table, ())
    return Tick(table, int(hour * HOUR) + 1, HOUR, view, names, ("x",), np.zeros((1, len(names)), np.float32), np.zeros(len(names), bool), ())


def ended(subject: str = BAD, severity: str = "page", **more: object) -> Incident:
    return replace(Incident("ab", subject, subject, "gray", severity, "slow_rank", 0, 1, ended=9), **more)  # type: ignore[arg-type]


def watched(hours: int = 48, history: History | None = None, rows: list[RosterRow] = GPUS) -> History:
    history = history or History()
    for hour in range(hours):
        history.look(tick(hour, rows))
    return history


def offended(times: int = 3, rows: list[RosterRow] = GPUS, subject: str = BAD) -> History:
    history = watched(rows=rows)
    for _ in range(times):
        history.add(ended(subject))
    return history


def test_a_repeat_offender_weighs_and_others_do_not() -> None:
    history = offended()
    assert 5.0 < history.weight(BAD) <= WEIGHS
    assert history.weight("n2/gpu1/nvlink3") == history.weight(BAD)
    assert history.weight("n2/gpu0") == history.weight("nobody") == 1.0
    assert history.told(BAD).startswith("n2/gpu1 has been suspected 3 times in 28 days, 0.0")
    assert offended(1).told(BAD).startswith("n2/gpu1 has been suspected once in 28 days")
    assert 1.0 < offended(1).weight(BAD) < 2.0  # once is next to nothing


def test_where_all_are_suspected_nobody_stands_out() -> None:
    history = watched()
    for row in GPUS:
        for _ in range(3):
            history.add(ended(row.subject))
    assert history.weight(BAD) < 1.1


def test_who_was_there_for_longer_is_expected_to_be_suspected_more_often() -> None:
    history = watched(200, rows=[r for r in GPUS if r.subject != "n5/gpu0"])
    for hour in range(200, 210):
        history.look(tick(hour))
    for name in ("n5/gpu0", "n6/gpu0", "n5/gpu0", "n6/gpu0"):
        history.add(ended(name))
    assert history.weight("n5/gpu0") > 1.3 * history.weight("n6/gpu0") > 1.3


def test_it_fades() -> None:
    history = offended()
    before = history.weight(BAD)
    for hour in range(49, 49 + 24 * 84, 24):
        history.look(tick(hour))
    assert history.weight(BAD) < 0.5 * before
    assert history.told(BAD) == ""


def test_notices_work_and_what_was_counted_do_not_count() -> None:
    history = watched()
    back = ((1, "gray", "page"), (5, "normal", "notice"), (8, "gray", "page"))
    for one_more in (ended(severity="notice"), ended(mode="maintenance"), ended(history=back), ended("site"), ended("job:1")):
        history.add(one_more)
    assert (history.weight(BAD), history.kinds["gpu"].episodes.sum()) == (1.0, 0.0)
    history.add(ended(history=((1, "gray", "notice"), *back[1:])))  # a page for the first time
    assert history.kinds["gpu"].episodes.sum() == 1.0


def test_the_doubtful_count_by_their_chances_so_the_order_of_names_decides_nothing() -> None:
    history = watched()
    for _ in range(4):
        history.add(ended(BAD, probability=0.5, rivals=(("n3/gpu0", 0.5),)))
    assert history.weight(BAD) == history.weight("n3/gpu0") > 1.0


def test_a_serial_that_is_told_for_the_first_time_is_no_other_part_and_who_is_gone_is_forgotten() -> None:
    history = offended()
    before, told = history.weight(BAD), [replace(r, keys={**r.keys, "serial": "S1"}) for r in GPUS]
    history.serials = dict.fromkeys(history.serials, "") | {"n99/gpu0": ""}
    history.look(tick(50, told))
    assert history.weight(BAD) > 0.9 * before > 1.0
    assert history.serials == {BAD: "S1"}


def test_memory_ends_with_the_part() -> None:
    history = offended()
    new = [replace(r, keys={**r.keys, "serial": "new"}) if r.subject == BAD else r for r in GPUS]
    history.look(tick(50, new))
    assert (history.weight(BAD), history.serials) == (1.0, {})


def test_a_restart_remembers_it_and_the_line_accuses_the_offender() -> None:
    rows = [*PORTS, RosterRow("comm:1", "comm", crosses=("n1/nic0", "n2/nic0", "n3/nic0"))]
    engine, other, new = (assembly.engine(Settings(), periods={"nic": HOUR}) for _ in range(3))
    watched(history=engine.history, rows=rows)
    for time in (1, 100, 200):
        one(engine.desk, say(time, "n2/nic0", "gray"))
        one(engine.desk, say(time + 9, "n2/nic0", "normal"))
    other.restore(unpack(pack(engine.snapshot())))
    errors = [Finding(tick(49).time, f"n{n}/nic0", "redundancy", "ledger", 50.0, "nic_errors", metric="x") for n in (1, 2)]
    slow = [Finding(tick(49).time, "comm:1", "service", "slower", 50.0, metric="x")]

    def accused(line: Engine) -> tuple[str, float]:
        line.history.look(tick(49, rows, "nic"))
        assert line.blame is not None
        line.blame.step(Evidence(errors), tick(49, rows, "nic"))
        (f,) = list(line.blame.step(Evidence(slow), tick(49, rows, "comm")))
        return f.subject, sum(chance for _, chance in json.loads(f.rivals))

    assert accused(new) == ("n1/nic0", 0.5)
    assert accused(engine) == accused(other)
    assert accused(other)[0] == "n2/nic0"
    assert accused(other)[1] < 0.2
    assert other.history.told("n2/nic0").startswith("n2/nic0 has been suspected 3 times in 28 days, 0.0")


def test_paths_that_cannot_tell_two_ports_apart_accuse_the_one_with_a_past() -> None:
    ways = [RosterRow(f"{a}>{b}", "path", crosses=(f"n{a}/nic0", f"leaf{a}", f"leaf{b}", f"n{b}/nic0")) for a in range(8) for b in range(8) if a != b]
    rows = [*PORTS, *(RosterRow(f"leaf{n}", "leaf") for n in range(8)), *ways]
    at = tick(49, rows, "path")
    excess = np.array([[4.0 if "3" in s.split(">") else 0.01 * (i % 3) for i, s in enumerate(at.subjects)]], np.float32)
    found = [Finding(at.time, s, "service", "slower", 20.0, "slow_path", metric="x") for s in at.subjects if "3" in s.split(">")]

    def said(history: History) -> list[tuple[str, list[list[object]]]]:
        out = PathBlame(9.0, history).step(list(found), at, 1, frozenset({"service"}), excess, {}, False)
        return [(f.subject, json.loads(f.rivals)) for f in out[:1]]

    assert said(History()) == [("leaf3", [["n3/nic0", 0.5]])]
    ((first, rivals),) = said(offended(rows=rows, subject="n3/nic0"))
    assert first == "n3/nic0"
    assert rivals[0][0] == "leaf3"
    assert float(str(rivals[0][1])) < 0.2


def test_of_members_of_a_ring_that_tell_as_much_the_one_with_a_past_is_the_likelier() -> None:
    ring = RosterRow("comm:1", "comm", crosses=("n1/nic0", "n2/nic0", "n3/nic0"))
    at = tick(49, [*PORTS, ring], "comm")
    slow, told = Finding(at.time, "comm:1", "service", "slower", 20.0, metric="x"), {"n1/nic0": at.time - 5, "n2/nic0": at.time - 9}
    history = offended(rows=PORTS, subject="n2/nic0")
    assert (moved(slow, at, told, {}).subject, json.loads(moved(slow, at, told, {}).rivals)) == ("n1/nic0", [["n2/nic0", 0.5]])
    found = moved(slow, at, told, {}, history)
    assert (found.subject, json.loads(found.rivals)[0][0]) == ("n2/nic0", "n1/nic0")
    assert json.loads(found.rivals)[0][1] < 0.2
    spends = moved(slow, at, told, {"n1/nic0": at.time - 5}, history)  # what is measured goes before what was
    assert (spends.subject, json.loads(spends.rivals)) == ("n1/nic0", [["n2/nic0", 0.5]])
    assert moved(slow, at, {}, {}, history) == slow  # a past alone accuses nobody


def test_of_the_others_in_a_cascade_the_one_with_a_past_comes_first_but_not_before_the_root() -> None:
    hot = [Member(f"n2/gpu{g}", "gray", "page", "thermal_throttle", "condition", 20.0, 0, "") for g in range(3)]
    members, history = {m.subject: m for m in hot}, offended(subject="n2/gpu2")
    assert suspects(members, hot[0]) == (0.5, (("n2/gpu1", 0.25), ("n2/gpu2", 0.25)))
    chance, rivals = suspects(members, hot[0], history=history)
    assert [s for s, _ in rivals] == ["n2/gpu2", "n2/gpu1"]
    assert chance == rivals[0][1] == 0.4
    assert suspects(members, hot[2], history=history)[0] > 0.85


def test_the_desk_learns_and_tells() -> None:
    desk = Desk("c", watched())
    for time in (1, 100, 200):
        one(desk, say(time * 3600, BAD, "gray"))
        one(desk, say(time * 3600 + 9, BAD, "normal"))
    told = one(desk, say(300 * 3600, BAD, "gray"))
    assert (told.severity, told.probability) == ("page", 1.0)
    assert "before: n2/gpu1 has been suspected 3 times in 28 days" in explain(told)
