"""Failures: who fails in job after job is a lemon, told once; hard work, storms, the job's own fault and what is long past are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import process_time

import numpy as np
import pytest

from grayscope import assembly
from grayscope.batch import Batch
from grayscope.checkpoint import pack, unpack
from grayscope.event import Event
from grayscope.evidence import Evidence, Finding
from grayscope.failing import Failing
from grayscope.history import HOUR, History
from grayscope.incident import Incident
from grayscope.recurring import Episode, Recurring
from grayscope.roster import Roster, RosterRow, View
from grayscope.settings import Settings
from grayscope.tick import Tick

MINUTE, DAY, MACHINES = HOUR // 60, 24, 32
#: At which hour who fails of what.
Falls = Mapping[int, Sequence[tuple[str, str]]]
BAD = "n03/gpu1"
OFTEN: Falls = {hour: [(BAD, "gpu_lost")] for hour in (30, 100, 150, 200)}


def works(hour: int, name: str) -> str:
    """Return the job of a machine: 16 machines each, a new job every day."""
    return f"job:{hour // DAY}-{int(name[1:3]) // 16}"


def roster(hour: int, job: Callable[[int, str], str], serial: Callable[[int, str], str]) -> View:
    rows = []
    for n in range(MACHINES):
        name = f"n{n:02}"
        keys = {"job": job(hour, name), "node": name, "rack": f"rack{n // 8}"}
        rows += [RosterRow(s, s[4:7] or "node", keys=keys | {"serial": serial(hour, s)}) for s in (name, f"{name}/gpu0", f"{name}/gpu1")]
    return Roster(rows, hour).at(0)


class Life:
    """A fleet hour by hour, and what its history says of it."""

    def __init__(self, job: Callable[[int, str], str] = works, serial: Callable[[int, str], str] = lambda _, s: f"S-{s}") -> None:
        self.history, self.job, self.serial, self.hour = History(), job, serial, 0
        self.said: list[Finding] = []
        self.work: Callable[[str, int], bool] = lambda _, __: False
        self._view, self._known = roster(0, job, serial), ""

    def until(self, hours: int, falls: Falls | None = None, side: str = "health") -> Life:
        for hour in range(self.hour, hours):
            self.hour = hour + 1
            known = repr([(self.job(hour, f"n{n:02}"), self.serial(hour, f"n{n:02}/gpu1")) for n in range(MACHINES)])
            if known != self._known:
                self._view, self._known = roster(hour, self.job, self.serial), known
            new = [Finding(0, s, side, "events", 50.0, mode, metric="x", value=float(hour)) for s, mode in (falls or {}).get(hour, ())]
            for quarter in range(4):
                self.tick(hour * HOUR + quarter * 15 * MINUTE + 1, new if quarter == 2 else ())
        return self

    def tick(self, time: int, found: Sequence[Finding]) -> None:
        names = self._view.tables["node"]
        tick = Tick("node", time, 15 * MINUTE, self._view, names, ("x",), np.zeros((1, len(names)), np.float32), np.zeros(len(names), bool), ())
        self.history.look(tick)
        evidence = Evidence([f._replace(time=time, since=f.since or time) for f in found])
        self.said += [f for f in self.history.step(evidence, tick, self.work) if f.detector == "lemons"]

    @property
    def lemons(self) -> dict[str, Finding]:
        """Return who is one now."""
        return {f.subject: f for f in self.history.failures.found if f.strength >= 6.9}


def test_who_fails_in_four_jobs_is_a_lemon_and_who_fails_in_two_is_told_of_only() -> None:
    life = Life().until(140, OFTEN)
    assert life.lemons == {}
    assert life.history.told(BAD) == f"{BAD} failed in 2 jobs in 28 days"
    found = life.until(210, OFTEN).lemons
    assert list(found) == [BAD]  # and not its machine
    assert (found[BAD].mode, found[BAD].side, found[BAD].value) == ("lemon_node", "redundancy", 4.0)
    assert found[BAD].why == (
        f"failed in 4 of its 9 jobs in 28 days, {found[BAD].expected:.1g} expected by its hours, its 63 peers in 0 % of theirs: "
        "gpu_lost in job 1-0 on 01-02 06:30; gpu_lost in job 4-0 on 01-05 04:30; gpu_lost in job 6-0 on 01-07 06:30; gpu_lost in job 8-0 on 01-09 08:30"
    )
    assert {f.subject for f in life.said} == {BAD}
    assert len(life.said) > 1  # it is told again as long as it holds


def test_parts_of_a_machine_by_turns_are_the_machines_matter() -> None:
    falls = {hour: [(f"n03/gpu{k % 2}", "gpu_unresponsive")] for k, hour in enumerate((30, 60, 100, 150, 200))}
    (found,) = Life().until(210, falls).lemons.values()
    assert found.subject == "n03"
    assert "gpu_unresponsive of n03/gpu1 in job 2-0 on 01-03 12:30" in found.why


def test_one_job_counts_once_however_often_it_is_told() -> None:
    assert Life().until(60, {hour: [(BAD, "gpu_lost"), ("n03", "host_memory_errors")] for hour in range(25, 47)}).lemons == {}
    assert Life(job=lambda _, name: "job:1").until(210, OFTEN).lemons == {}  # it never ended: nobody knows whether it was another one


def test_what_is_only_told_again_has_not_happened_again() -> None:
    life = Life()
    for hour in range(1, 10 * DAY, 20):
        life.until(hour)
        life.tick(life.hour * HOUR, [Finding(0, BAD, "health", "events", 50.0, "gpu_lost", metric="x", value=1.0)._replace(since=1)])
    assert life.history.failures.recurring.times(BAD) == 1


def test_large_jobs_fail_for_anyone_and_who_works_more_fails_more() -> None:
    """One machine works all the time, the others two hours a day; in its hours all fail alike."""

    def seldom(hour: int, name: str) -> str:
        return works(hour, name) if name == "n03" or hour % DAY < 2 else ""

    rng = np.random.default_rng(2)
    falls = {h: [(f"n{n:02}", "gpu_lost") for n in np.flatnonzero(rng.random(MACHINES) < 0.01).tolist() if seldom(h, f"n{n:02}")] for h in range(27 * DAY)}
    hard = Life(job=seldom).until(27 * DAY, falls)
    assert hard.history.failures.recurring.times("n03") >= 4
    assert hard.lemons == {}
    same = [h for h, some in falls.items() if any(name == "n03" for name, _ in some)]
    assert list(Life().until(27 * DAY, {h: [("n03", "gpu_lost")] for h in same}).lemons) == ["n03"]


def test_a_storm_is_nobodys_fault() -> None:
    rack = [(f"n{n:02}", "gpu_lost") for n in range(8)]
    assert Life().until(210, dict.fromkeys(OFTEN, rack)).history.failures.recurring.known == {}
    site = [(f"n{n:02}", "gpu_lost") for n in (3, 14, 27)]  # of three racks and two jobs
    assert Life().until(210, dict.fromkeys(OFTEN, site)).history.failures.recurring.known == {}


def test_a_storm_of_thousands_is_settled_in_no_time() -> None:
    """Twenty thousand GPUs within two minutes."""
    failing = Failing(6.9)
    rows = [RosterRow(f"n{n}/gpu{g}", "gpu", keys={"job": f"job:{n // 100}"}) for n in range(2500) for g in range(8)]
    view = Roster(rows).at(0)
    failing.seat(1, view)
    lost = [Finding(HOUR + i * 6000, r.subject, "health", "events", 50.0, "gpu_lost", metric="x") for i, r in enumerate(rows)]
    names = np.zeros((1, 0), np.float32), np.zeros(0, bool)
    failing.hear(lost, Tick("gpu", HOUR, MINUTE, view, (), ("x",), *names, ()))
    assert len(failing.waiting) == 20_000
    before = process_time()
    assert list(failing.settle(2 * HOUR, lambda *_: False)) == []
    assert process_time() - before < 5.0


def test_two_machines_that_fail_together_share_the_blame() -> None:
    life = Life().until(210, {hour: [("n03", "gpu_lost"), (f"n{hour % 3 + 10}", "gpu_lost")] for hour in OFTEN})
    assert [e.share for e in life.history.failures.recurring.known["n03"]] == [0.5] * 4
    assert life.lemons == {}


def test_what_follows_the_job_is_no_parts_fault() -> None:
    falls = {hour: [(f"n{k}/gpu1", "hang")] for k, hour in enumerate((30, 60, 100, 150, 200, 230), 10)}
    life = Life().until(250, falls, side="service")
    assert len(life.history.failures.recurring.known) == 12  # a part and its machine each
    assert life.lemons == {}


def test_a_hang_of_a_job_of_one_machine_is_not_the_machines() -> None:
    alone = {hour: [("n03", "hang")] for hour in OFTEN}
    assert Life(job=lambda h, name: f"job:{h // DAY}-{name}").until(210, alone, side="service").lemons == {}
    assert list(Life().until(210, alone, side="service").lemons) == ["n03"]


def test_what_works_for_no_job_or_is_worked_on_fails_in_none() -> None:
    life = Life(job=lambda hour, name: "" if hour in (99, 100) else works(hour, name))
    life.work = lambda part, time: part == BAD and time // HOUR == 150
    life.until(210, OFTEN)
    assert [e.time // HOUR for e in life.history.failures.recurring.known[BAD]] == [30, 200]


@pytest.mark.parametrize(("minutes", "counts"), [(4, 1), (6, 0)])
def test_what_fails_within_five_minutes_of_its_jobs_end_failed_in_it(minutes: int, counts: int) -> None:
    life = Life(job=lambda hour, name: works(hour, name) if hour < 50 else "").until(50)
    life._view = roster(50, lambda _, __: "", life.serial)
    life.tick(50 * HOUR + 1, ())
    lost = Finding(0, f"{BAD}/nvlink3", "health", "events", 50.0, "nvlink_degrade")
    life.tick(50 * HOUR + minutes * MINUTE, [lost])
    life.hour = 51
    assert life.until(60).history.failures.recurring.times(BAD) == counts


def test_memory_ends_with_the_part_and_its_machine_is_not_blamed_for_it() -> None:
    new = Life(serial=lambda hour, s: f"{s}-{hour >= 205 and s == BAD}").until(204, OFTEN)
    assert list(new.lemons) == [BAD]
    assert new.until(210).lemons == {}
    assert new.history.failures.recurring.known == {}


def test_it_is_over_after_28_days_without_a_failure() -> None:
    life = Life().until(210, OFTEN)
    assert list(life.until(30 + 27 * DAY).lemons) == [BAD]
    assert life.until(100 + 28 * DAY + 2).lemons == {}
    assert life.until(200 + 28 * DAY + 2).history.failures.recurring.known == {}
    assert len(life.history.failures.recurring.weeks) <= 5


def test_where_only_the_ranks_tell_their_job_it_is_their_gpus_and_machines_too() -> None:
    rows = [RosterRow(s, s[2:5] or "node") for s in ("n3", "n3/gpu1", "n3/nic0")]
    rank = RosterRow("job:7/r0", "rank", keys={"job": "job:7", "gpu": "n3/gpu1", "node": "n3"})
    failing = Failing(6.9)
    assert failing.seat(1, Roster([*rows, rank]).at(0)) == ["n3", "n3/gpu1"]
    assert [failing.seats[s].at(5)[0] for s in ("n3", "n3/gpu1", "n3/nic0")] == ["job:7", "job:7", ""]


def test_a_job_that_grows_is_as_large_as_it_is_and_a_moment_without_one_hides_nothing() -> None:
    def view(job: str, machines: int) -> View:
        return Roster([RosterRow(f"n{n}", "node", keys={"job": job}) for n in range(machines)], machines).at(0)

    failing = Failing(6.9)
    for minute, job, machines in ((1, "job:1", 1), (2, "job:1", 4), (10, "", 4), (12, "job:2", 4)):
        failing.seat(minute * MINUTE, view(job, machines))
    assert [failing.seats["n0"].at(minute * MINUTE) for minute in (5, 11, 13)] == [("job:1", 1), ("job:1", 1), ("job:2", 1)]


def test_chance_alone_makes_fewer_lemons_than_false_pages_are_accepted() -> None:
    """Ten thousand healthy parts that fail every other 28 days, by chance: of 1,000 accusations in 1,000 weeks each one is accepted."""
    rng, accused = np.random.default_rng(4), 0
    names, month = [f"n{i:03}" for i in range(512)], 28 * DAY * HOUR
    for _ in range(20):
        recurring = Recurring()
        recurring.work(month - 1, "node/", names, np.zeros(512, np.intp), 28.0 * DAY)
        for i, count in enumerate(rng.poisson(0.5, 512).tolist()):
            recurring.known[names[i]] = [Episode(month - k - 1, f"job:{k}", "gpu_lost", names[i], 1.0, 0) for k in range(count)]
        accused += len(recurring.lemons(month, dict.fromkeys(names, "node/"), 6.91))
    assert accused <= 20 * 512 * 4 * 1e-3


def test_a_restart_forgets_nothing() -> None:
    """Between a failure's first word and its settling: what is known, what waits, and who is a lemon already."""
    for stop in (199, 201, 220):
        whole, first, second = Life(), Life(), Life()
        for life in (whole, first):
            life.until(stop, OFTEN)
            life.tick(stop * HOUR - 1, [Finding(0, "n05", "health", "events", 50.0, "gpu_lost")])
        second.history.restore(unpack(pack(first.history.snapshot())))
        second._view, second._known, second.hour, second.said = first._view, first._known, first.hour, first.said
        for life in (whole, second):
            life.until(230, OFTEN)
        assert repr(second.said) == repr(whole.said) != "[]"
        assert second.history.snapshot().keys() == whole.history.snapshot().keys()
        assert all((a == second.history.snapshot()[key]).all() for key, a in whole.history.snapshot().items())


def test_the_whole_line_tells_each_failure_when_it_happens_and_the_lemon_in_the_last_one() -> None:
    """Lost in four of ten jobs of a day each; one incident each, the last of which is called a lemon when the GPU is back."""
    engine, found = assembly.engine(Settings(), periods={"gpu": 10 * MINUTE}), dict[str, Incident]()
    alike = tuple(f"n{n:02}/gpu{g}" for n in range(8) for g in range(2))
    rows = [
        RosterRow(s, table, day * DAY * HOUR + 1, (day + 1) * DAY * HOUR + 1, {"job": f"job:{day}", "node": s[:3]})
        for day in range(10) for s, table in [*((s, "gpu") for s in alike), *((f"n{n:02}", "node") for n in range(8))]
    ]  # fmt: skip
    engine.step(tuple(rows))
    rng = np.random.default_rng(0)
    for t in range(1, 10 * DAY * 6):
        time = t * 10 * MINUTE
        if t % (DAY * 6) == 60 and t // (DAY * 6) in (1, 4, 6, 8):
            engine.step(Event(time - MINUTE, BAD, "xid", "79", "fallen off the bus"))
        values = rng.normal(60, 1, (1, len(alike), 1)).astype(np.float32)
        for i in engine.step(Batch("gpu", np.array([time]), alike, ("gpu_temperature_celsius",), np.swapaxes(values, 1, 2))).incidents:
            found[i.id] = i
    assert [(i.subject, i.severity) for i in found.values()] == [(BAD, "ticket")] * 4
    assert [i.mode for i in found.values()] == ["gpu_lost"] * 3 + ["lemon_node"]
    assert [i.ended is None for i in found.values()] == [False] * 3 + [True]
    last = list(found.values())[-1]
    assert last.summary.startswith(f"{BAD} is masked: failed in 4 of its ")
    assert f"{BAD} failed in 3 jobs in 28 days" in str(last.evidence[0]["before"])


def test_a_lemon_that_is_kept_out_of_jobs_stays_one() -> None:
    life = Life(lambda hour, name: "" if name == BAD[:3] and hour >= 240 else works(min(hour, 264), name)).until(240, OFTEN)
    assert set(life.lemons) == {BAD}
    assert set(life.until(24 * 20).lemons) == {BAD}  # no change of the roster either, for nine days
