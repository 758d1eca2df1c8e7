"""Whereabouts: the index finds what asking every open incident would find, also after a pause."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from grayscope.cascade import Member, belongs, member_of, related
from grayscope.desk import Desk
from grayscope.roster import RosterRow, View
from grayscope.verdict import Verdict
from grayscope.whereabouts import Whereabouts, roots

NODES = [f"n{i}" for i in range(4)]
NAMES = [
    *NODES, *(f"{n}/gpu{i}" for n in NODES for i in range(3)), *(f"{n}/gpu0/pcie" for n in NODES), *(f"{n}/nic{i}" for n in NODES for i in range(2)),
    "n0>n1", "n2>n3", "n0/nic0>n2/nic1", "leaf01", "leaf01/p3", "job:1", "job:1/r0", "job:1/r1", "site", "comm:1-rail0", "comm:1-rail1",
]  # fmt: skip
VIEW = View(0, {f"comm:1-rail{i}": RosterRow(f"comm:1-rail{i}", "comm", crosses=(*(f"{n}/nic{i}" for n in NODES), "leaf01")) for i in range(2)})
MODES = ["", "thermal_throttle", "fan_degraded", "slow_rank", "slow_component", "pcie_width", "hbm_row_spares"]


class Plain(Desk):
    """The desk that asks every incident."""

    def _find(self, v: Verdict, member: Member | None) -> str | None:
        for key, members in self.members.items():
            if v.subject in members:
                return key
        if member is None:
            return None
        return next((k for k, members in self.members.items() if belongs(member, members)), None)


def verdicts(seed: int) -> Iterator[Verdict]:
    rng = random.Random(seed)
    for time in range(400):
        state = rng.choice(["normal", "normal", "masked", "gray", "failed", "unknown"])
        yield Verdict(time, rng.choice(NAMES), state, "", float(rng.randrange(5, 9)), "why", time, mode=rng.choice(MODES))


@pytest.mark.parametrize("seed", range(6))
def test_the_desk_files_as_one_that_asks_everybody(seed: int) -> None:
    plain, desk = Plain("c"), Desk("c")
    joined = 0
    for i, verdict in enumerate(verdicts(seed)):
        if i % 97 == 0:
            state, desk = desk.snapshot(), Desk("c")
            desk.restore(state)
        assert list(desk.step([verdict], VIEW)) == list(plain.step([verdict], VIEW))
        assert list(desk.members.items()) == list(plain.members.items())
        joined = max(joined, *map(len, desk.members.values()), 0)
    assert joined > 2


def test_whoever_is_related_shares_a_root() -> None:
    members = [member_of((name, "masked", "ticket", mode, "condition", 8.0, 0, "", [])) for name in NAMES for mode in MODES]
    pairs = [(a, b) for a in members for b in members if related(a, b)]
    assert len(pairs) > 100
    assert all(roots(a.subject) & roots(b.subject) for a, b in pairs)


def test_who_crosses_something_else_now_is_found_by_that() -> None:
    index = Whereabouts()
    index.put("comm:1", "x", ["n1/nic0"])
    index.put("comm:1", "x", ["n2/nic0"])
    assert (index.holder("comm:1"), index.near("n1"), index.near("n2")) == ("x", [], ["x"])


def test_nothing_is_left_of_what_has_ended() -> None:
    index = Whereabouts()
    for key in ("x", "y"):
        index.put(f"n1/{key}", key)
        index.put(f"n1/{key}>n2/{key}", key)
    index.drop("n1/x")
    assert (index.holder("n1/x"), index.near("n2")) == (None, ["x", "y"])
    index.end("x", ["n1/x>n2/x"])
    index.end("y", ["n1/y", "n1/y>n2/y"])
    assert vars(index) == vars(Whereabouts()) | {"_opened": 2}
