"""Impact: who is late is a page only where somebody waits for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grayscope.catalogue import Catalogue
from grayscope.evidence import Evidence, Finding
from grayscope.impact import Impact
from grayscope.quadrants import state_of
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick

S = 1_000_000
NAMES = tuple(f"job:1/r{k}" for k in range(8))


def ticks(last: float, ticks: int = 40, period: int = 10 * S) -> list[Tick]:
    """Return ticks of a job whose ranks take 2.0 s, but for r3, which takes `last`, and r5, which always takes 2.2."""
    rows = [RosterRow(n, "rank", keys={"job": "job:1", "role": "", "gpu": f"n{k // 4}/gpu{k % 4}"}) for k, n in enumerate(NAMES)]
    view = Roster(rows).at(0)
    values = np.full((1, 8), 2.0, np.float32)
    values[0, 3], values[0, 5] = last, 2.2
    return [Tick("rank", t * period, period, view, NAMES, ("compute_seconds",), values.copy(), np.zeros(8, bool)) for t in range(1, ticks)]


def felt(last: float, finding: Finding, impact: Impact | None = None) -> Finding:
    stand, impact = Stand(Catalogue.load()), impact or Impact()
    for tick in ticks(last):
        found = list(impact.step(Evidence([finding]), tick, stand.step(tick)))
    return found[-1]


def late(subject: str, value: float, expected: float, side: str = "service") -> Finding:
    return Finding(0, subject, side, "became", 9.0, metric="compute_seconds", value=value, expected=expected)


def test_the_last_one_costs_what_is_beyond_the_next() -> None:
    found = felt(2.5, late("n0/gpu3", 2.5, 2.0))
    assert found.felt == pytest.approx((2.5 - 2.2) / 2.5, abs=1e-3)
    assert state_of(found) == "gray"


def test_nobody_waits_for_who_is_slow_but_not_last() -> None:
    found = felt(2.15, late("n0/gpu3", 2.15, 2.0))
    assert found.felt == 0.0
    assert state_of(found) == "masked"


@pytest.mark.parametrize(("slow", "state"), [(1.03, "masked"), (1.025, "masked"), (1.019, "normal")])
def test_who_is_three_per_cent_slow_is_told_though_nobody_waits_and_it_is_measured_as_less(slow: float, state: str) -> None:
    assert state_of(late("n0/gpu3", 2.0 * slow, 2.0)._replace(felt=0.0)) == state


def test_who_was_last_before_costs_only_what_it_gained() -> None:
    assert felt(2.0, late("n1/gpu1", 2.2, 2.178)).felt == pytest.approx(0.01, abs=1e-3)


def test_a_whole_node_is_taken_away_as_one() -> None:
    assert felt(2.5, late("n0", 2.5, 2.0)).felt == pytest.approx((2.5 - 2.2) / 2.5, abs=1e-3)


def test_other_sides_and_strangers_stay_as_they_are() -> None:
    assert np.isnan(felt(2.5, late("n0/gpu3", 2.5, 2.0, "condition")).felt)
    stranger = felt(2.5, late("n9/gpu0", 2.5, 2.0))
    assert np.isnan(stranger.felt)
    assert state_of(stranger) == "gray"  # what cannot be told is not played down


def test_a_pause_changes_nothing() -> None:
    one, other = Impact(), Impact()
    stand = Stand(Catalogue.load())
    for tick in ticks(2.5, 10):
        one.step(Evidence(), tick, stand.step(tick))
    other.restore(one.snapshot())
    finding = late("n0/gpu3", 2.5, 2.0)
    assert felt(2.4, finding, one).felt == felt(2.4, finding, other).felt


@pytest.mark.parametrize(("drive", "state"), [("n0/nvme1", "masked"), ("n7/nvme0", "gray")])
def test_a_slow_drive_is_felt_by_nobody_unless_ranks_say_so_or_none_are_timed(drive: str, state: str) -> None:
    stand, impact, rank = Stand(Catalogue.load()), Impact(), ticks(2.0, 3)
    for tick in rank:
        impact.step(Evidence(), tick, stand.step(tick))
    seen = replace(rank[-1], table="drive", time=rank[-1].time + 5 * S)
    slow = Finding(seen.time, drive, "service", "became", 50.0, "slow_drive", metric="drive_latency_seconds", value=3e-4, expected=1e-4)
    other = Impact()
    other.restore(impact.snapshot())
    assert [state_of(f) for i in (impact, other) for f in i.before(Evidence([slow]), seen)] == [state, state]
    assert [state_of(f) for f in impact.before(Evidence([slow]), replace(seen, time=seen.time + 600 * S))] == ["gray"]


@pytest.mark.parametrize(("missed", "state"), [(1, "masked"), (5, "masked"), (6, "gray")])
def test_ranks_that_are_timed_every_two_minutes_are_timed_in_between(missed: int, state: str) -> None:
    stand, impact, last = Stand(Catalogue.load()), Impact(), ticks(2.0, 3, 120 * S)[-1]
    impact.step(Evidence(), last, stand.step(last))
    seen = replace(last, table="drive", time=last.time + missed * 120 * S)  # drives come before ranks: the last rows are a tick old
    slow = Finding(seen.time, "n0/nvme1", "service", "slower", 50.0, "slow_drive", metric="drive_latency_seconds", value=1.3e-4, expected=1e-4)
    assert [state_of(f) for f in impact.before(Evidence([slow]), seen)] == [state]


def differing(slow: float, peers: int = 15) -> list[Tick]:
    """Return ticks of a job whose ranks differ by about 2 % for ever, and r0, which takes a share of `slow` more than the middle one."""
    names = tuple(f"job:1/r{k}" for k in range(peers + 1))
    view = Roster([RosterRow(n, "rank", keys={"job": "job:1", "role": "", "gpu": f"n{k // 4}/gpu{k % 4}"}) for k, n in enumerate(names)]).at(0)
    own = np.concatenate([[slow], np.linspace(-0.03, 0.03, peers)])
    values = (2 * np.exp(own)).astype(np.float32)[None]
    return [Tick("rank", t * 10 * S, 10 * S, view, names, ("compute_seconds",), values.copy(), np.zeros(peers + 1, bool)) for t in range(1, 200)]


@pytest.mark.parametrize(
    ("detector", "slow", "subject", "state"),
    [
        ("slower", 0.06, "n0/gpu0", "masked"),  # the slowest of healthy parts may be so: its 3 % are felt, and any other bad lot would cost them
        ("slower", 0.20, "n0/gpu0", "gray"),  # no healthy part is: what it takes beyond three usual spreads is its own
        ("became", 0.06, "n0/gpu0", "gray"),  # nor has it always been so
        ("slower", 0.06, "n0", "gray"),  # nor are all parts of a machine
    ],
)
def test_what_healthy_parts_differ_by_for_ever_is_no_page(detector: str, slow: float, subject: str, state: str) -> None:
    stand, impact, found = Stand(Catalogue.load()), Impact(), []
    finding = late(subject, 2 * np.exp(slow), 2.0)._replace(detector=detector)
    for tick in differing(slow):
        found = list(impact.step(Evidence([finding]), tick, stand.step(tick)))
    assert state_of(found[-1]) == state


@pytest.mark.parametrize(("peers", "state"), [(15, "gray"), (2047, "masked")])
def test_the_slowest_of_many_healthy_parts_is_farther_out_than_that_of_few(peers: int, state: str) -> None:
    stand, impact, found = Stand(Catalogue.load()), Impact(), []
    finding = late("n0/gpu0", 2 * np.exp(0.09), 2.0)._replace(detector="slower")
    for tick in differing(0.09, peers):
        found = list(impact.step(Evidence([finding]), tick, stand.step(tick)))
    assert state_of(found[-1]) == state


def test_who_waits_least_is_no_page_for_what_healthy_parts_differ_by_either() -> None:
    stand, impact, states = Stand(Catalogue.load()), Impact(), {}
    for slow in (0.06, 0.2):
        for tick in differing(slow):
            waits = np.float32(2.5) - tick.values
            both = replace(tick, metrics=("collective_duration_seconds", "compute_seconds"), values=np.concatenate([waits, tick.values]))
            finding = late("n0/gpu0", float(waits[0, 0]), 0.5)._replace(detector="slower", metric="collective_duration_seconds")
            found = list(impact.step(Evidence([finding]), both, stand.step(both)))
        states[slow] = state_of(found[-1])
        stand, impact = Stand(Catalogue.load()), Impact()
    assert states == {0.06: "masked", 0.2: "gray"}


def test_who_is_much_slower_is_a_page_at_once_though_only_its_peers_tell() -> None:
    stand, impact, states = Stand(Catalogue.load()), Impact(), []
    finding = late("n0/gpu0", 1.0, 2.0)._replace(detector="slower", metric="collective_duration_seconds")
    for usual, now in zip(differing(0.0)[:100], differing(0.3)[:100], strict=True):
        tick = usual if usual.time < 98 * 10 * S else now
        both = replace(tick, metrics=("collective_duration_seconds", "compute_seconds"), values=np.concatenate([np.float32(3) - tick.values, tick.values]))
        states += [state_of(f) for f in impact.step(Evidence([finding]), both, stand.step(both))]
    assert states[-4:] == ["masked", "gray", "gray", "gray"]
