"""Ledger: a rail that carries nothing while its port is up, told by its siblings and by the job's other nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from grayscope import assembly, plugins
from grayscope.catalogue import Catalogue
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.stand import Stand
from grayscope.tick import Tick
from tests.detectors.books import Array
from tests.detectors.conftest import Said, run

SENT, RECEIVED, UP = 'nic_port_transferred_bytes_total{direction="transmit"}', 'nic_port_transferred_bytes_total{direction="receive"}', "nic_port_up"
NODES, RAILS, TICKS, AT = 4, 8, 200, 100
NAMES = [f"n{i // RAILS}/nic{i % RAILS}" for i in range(NODES * RAILS)]
SICK = RAILS + 3


def keys(subject: str) -> dict[str, str]:
    return {"sku": "ConnectX-7", "job": "job:1", "rail": f"rail:{subject[-1]}", "node": subject[:2]}


def traffic(spread: float = 0.01, nodes: int = NODES) -> Array:
    """Return bytes [T, S] of even rails of a job whose steps and phases all of them share."""
    rng = np.random.default_rng(7)
    steps = np.exp(rng.normal(0, 0.3, (TICKS, 1)))
    return 1e10 * steps * np.exp(rng.normal(0, spread, (TICKS, nodes * RAILS)))


def moved(values: Array, port: int = SICK, at: int = AT, until: int = TICKS, taken: float = 1.0, most: int = RAILS) -> Array:
    """Let a port's siblings carry what it carried, or the part `taken` of it."""
    out, first = values.copy(), port // RAILS * RAILS
    siblings = [s for s in range(first, first + most) if s != port]
    out[at:until, siblings] += taken * values[at:until, port, None] / len(siblings)
    out[at:until, port] = 0
    return out


def said(values: Array, of: Callable[[str], dict[str, str]] = keys, names: list[str] = NAMES) -> set[str]:
    told: Said = run("ledger", "nic", {SENT: values, RECEIVED: values}, subjects=names, keys=of)
    return {f.subject for findings in told for f in findings}


def test_a_rail_whose_siblings_carry_its_bytes_is_lost_though_its_port_is_up() -> None:
    values = moved(traffic(), until=160)
    told = run("ledger", "nic", {SENT: values, RECEIVED: values, UP: np.ones_like(values)}, subjects=NAMES, keys=keys)
    first = next(f for findings in told for f in findings)
    assert (first.subject, first.side, first.mode, first.mechanism, first.left) == ("n1/nic3", "redundancy", "rail_failover", "rail_failover", 6)
    assert (first.since, first.time) == ((AT + 1) * 10_000_000, (AT + 6) * 10_000_000)
    assert (first.value, round(first.expected, 2)) == (0, 0.12)
    assert first.why.startswith("nic3 carries 0 % of the node's bytes since 1970-01-01T00:16:50Z instead of 12.5 %, its 7 siblings 14 % more")
    assert {f.subject for findings in told for f in findings} == {"n1/nic3"}
    assert not any(told[175:])  # it carries its share again


def of_job(slower: float) -> dict[str, Incident]:
    """Feed the ports and the communicators of their job, slower from AT on, to an engine; return the incidents as they were last told."""
    comms, ports = tuple(f"comm:1-rail{k}" for k in range(RAILS)), tuple(NAMES)
    along = [RosterRow(c, "comm", keys={"job": "job:1", "rail": f"rail:{c[-1]}"}, crosses=tuple(f"n{n}/nic{c[-1]}" for n in range(NODES))) for c in comms]
    view, last = Roster([*along, *(RosterRow(s, "nic", keys=keys(s)) for s in ports)]).at(0), dict[str, Incident]()
    engine, values = assembly.engine(Settings(), periods={"nic": 10_000_000, "comm": 10_000_000}), moved(traffic())
    takes = np.where(np.arange(TICKS) < AT, 0.2, 0.2 * slower)[:, None] * np.exp(np.random.default_rng(1).normal(0, 0.01, (TICKS, RAILS)))
    for t in range(TICKS):
        sent = np.stack([values[t], values[t], np.ones(len(NAMES))])
        for table, of, metrics, rows in (("comm", comms, ("collective_transfer_seconds",), takes[t : t + 1]), ("nic", ports, (RECEIVED, SENT, UP), sent)):
            tick = Tick(table, (t + 1) * 10_000_000, 10_000_000, view, of, metrics, rows.astype(np.float32), np.zeros(len(of), bool))
            last |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}
    return last


@pytest.mark.parametrize(("slower", "state", "severity"), [(1.0, "masked", "ticket"), (1.14, "gray", "page")])
def test_it_is_masked_while_the_job_is_no_slower_and_else_a_page(slower: float, state: str, severity: str) -> None:
    (incident,) = [i for i in of_job(slower).values() if i.severity != "notice"]
    assert (incident.subject, incident.state, incident.severity, incident.mode) == ("n1/nic3", state, severity, "rail_failover")


@pytest.mark.parametrize("spread", [0.05, 0.15])
def test_uneven_traffic_takes_no_more_than_a_few_ticks(spread: float) -> None:
    assert said(traffic(spread)) == set()
    assert said(moved(traffic(spread))) == {"n1/nic3"}


def test_a_second_rail_of_the_node_is_lost_too() -> None:
    assert said(moved(moved(traffic(), at=100), port=SICK + 2, at=140)) == {"n1/nic3", "n1/nic5"}


QUIET: dict[str, Callable[[Array], Array]] = {
    "rails that the job never used": lambda v: np.where(np.arange(v.shape[1]) % RAILS < 6, v, 0),
    "a rail that this node never used": lambda v: moved(v, at=0),
    "a node that falls idle": lambda v: _none(v, range(8, 16)),
    "a node of which one port only goes on": lambda v: _none(v, range(9, 16)),
    "a job that ends": lambda v: _none(v, range(len(NAMES))),
    "a job that ends but for chatter": lambda v: np.where(np.arange(TICKS)[:, None] < AT, v, 2e7 * (np.arange(len(NAMES)) % RAILS < 1)),
    "a job that moves to seven rails": lambda v: moved(moved(moved(moved(v, 3), 11), 19), 27),
    "a job that moves to seven rails, node by node": lambda v: moved(moved(moved(moved(v, 3, at=90), 11, at=93), 19, at=96), 27, at=99),
    "a node that uses half of its rails": lambda v: _none(v, range(8, 12)),
    "work that only ends on one rail": lambda v: moved(v, taken=0),
    "a rail that rests now and then": lambda v: np.where(((np.arange(TICKS) // 6) % 3 == 0)[:, None] & (np.arange(len(NAMES)) == SICK), 0, v),
    "a moment": lambda v: moved(v, until=AT + 4),
    "nothing at all": lambda v: v * 0,
}  # fmt: skip


def _none(values: Array, who: range) -> Array:
    out = values.copy()
    out[AT:, list(who)] = 0
    return out


@pytest.mark.parametrize("case", QUIET)
def test_what_is_no_failover(case: str) -> None:
    assert said(QUIET[case](traffic())) == set()


def test_what_was_lost_in_a_job_ends_with_it_and_nothing_is_lost_in_the_next() -> None:
    ticks, values, detector, jobs = [], moved(traffic()), plugins.detector("ledger"), ["job:1"] * 150 + ["job:2"] * 50
    stand, views = Stand(Catalogue.load()), {j: Roster([RosterRow(s, "nic", keys={**keys(s), "job": j}) for s in NAMES]).at(0) for j in set(jobs)}
    for t, job in enumerate(jobs):
        tick = Tick(
            "nic", (t + 1) * 10_000_000, 10_000_000, views[job], tuple(NAMES), (SENT,), values[t : t + 1].astype(np.float32), np.zeros(len(NAMES), bool)
        )
        ticks.append(detector.step(tick, stand.step(tick)))
    assert any(list(e) for e in ticks[100:150])
    assert not any(list(e) for e in ticks[150:])
    assert [(e.subject, e.unit, e.budget, e.spent, e.left) for t in ticks for e in t.ledger] == [
        ("n1", "rails in use", 7, 1, 6),
        ("n1", "rails in use", 7, 0, 7),
    ]


def test_a_port_that_is_down_is_told_by_its_state_alone() -> None:
    up = np.ones((TICKS, len(NAMES)))
    up[AT:, SICK] = 0
    told = run("ledger", "nic", {SENT: moved(traffic()), UP: up}, subjects=NAMES, keys=keys)
    assert {f.metric for findings in told for f in findings} == {UP}


def test_ports_that_store_or_manage_are_no_siblings() -> None:
    """Two of a node's eight ports write checkpoints: bursts, then nothing for long."""
    values = traffic()
    values[:, [s for s in range(len(NAMES)) if s % RAILS > 5]] *= np.where(np.arange(TICKS) % 60 < 3, 30.0, 1e-4)[:, None]
    values[:, SICK] = np.where(np.arange(TICKS) < AT, 1e6, 0.0)  # and one only manages
    assert said(values) == set()
    assert said(moved(values, port=SICK - 1, most=6)) == {"n1/nic2"}


def test_bonds_of_two_and_jobs_of_one_node_tell_nothing() -> None:
    pairs = [f"n{i // 2}/nic{i % 2}" for i in range(16)]
    values = traffic()[:, :16]
    values[AT:, 2] += values[AT:, 3]
    values[AT:, 3] = 0
    assert said(values, names=pairs) == set()
    assert said(moved(traffic()[:, :8], port=3), names=NAMES[:8]) == set()


def test_of_two_nodes_the_other_one_must_go_on() -> None:
    """What two nodes say to each other over one rail ends on both: by the job's choice, or because one of both ports is lost, and nobody knows which."""
    values = traffic()[:, :16]
    assert said(moved(values), names=NAMES[:16]) == {"n1/nic3"}
    assert said(moved(moved(values), port=3), names=NAMES[:16]) == set()


def test_where_no_roster_tells_rails_the_ports_of_other_nodes_stand_for_them() -> None:
    assert said(moved(traffic()), of=lambda s: {**keys(s), "rail": ""}) == {"n1/nic3"}


def test_what_it_keeps_survives_a_pause() -> None:
    values = moved(traffic(0.05))
    whole, half = (plugins.detector("ledger") for _ in range(2))
    first = run("ledger", "nic", {SENT: values[:104]}, subjects=NAMES, keys=keys, detector=whole)
    half.restore({k: v.copy() for k, v in whole.snapshot().items()})
    ours, theirs = (run("ledger", "nic", {SENT: values[104:]}, subjects=NAMES, keys=keys, detector=d, start=1040.0) for d in (half, whole))
    assert repr(ours) == repr(theirs)
    assert not any(first)
    assert {f.subject for findings in ours for f in findings} == {"n1/nic3"}
