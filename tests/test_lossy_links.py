"""What a link that loses packets is called, through the whole engine: by its switch port, by its host alone, and where a crowd loses them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from grayscope import assembly
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.tick import Tick
from tests.detectors.books import Array

N, SICK, AT, TICKS = 32, 11, 90, 240
PORTS, NICS = [f"leaf{i // 8}/p{i % 8}" for i in range(N)], [f"n{i // 8}/nic{i % 8}" for i in range(N)]
BYTES, SENT = "port_transferred_bytes_total", 'nic_port_transferred_bytes_total{direction="transmit"}'
SYMBOLS, RETRIES, MARKS = "nic_port_symbol_errors_total", 'nic_port_retransmits_total{cause="seq_nak"}', 'nic_port_congestion_total{event="cnp_handled"}'


def told(table: str, names: list[str], values: Mapping[str, Array]) -> list[Incident]:
    """Feed one table [T, N] to an engine; return the incidents as they were last told."""
    view = Roster([RosterRow(s, table, keys={"sku": "A", "job": "job:1", "rail": f"rail:{s[-1]}", "leaf": s.partition("/")[0]}) for s in names]).at(0)
    engine, last, metrics = assembly.engine(Settings(), periods={table: 10_000_000}), dict[str, Incident](), tuple(sorted(values))
    for t in range(TICKS):
        rows = np.stack([values[m][t] for m in metrics]).astype(np.float32)
        tick = Tick(table, (t + 1) * 10_000_000, 10_000_000, view, tuple(names), metrics, rows, np.zeros(N, bool))
        last |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}
    return list(last.values())


def counts(seed: int, mean: float | Array = 0.002) -> Array:
    return np.random.default_rng(seed).poisson(mean, (TICKS, N)).astype(float)


def load(seed: int = 5) -> Array:
    """Return bytes that go up and down by ten every twenty minutes, for all alike."""
    level = np.where((np.arange(TICKS) // 120) % 2 == 0, 1e11, 1e10)
    return level[:, None] * np.exp(np.random.default_rng(seed).normal(0, 0.01, (TICKS, N)))


def one(values: Array, more: Array) -> Array:
    """Let the sick one count `more`."""
    out = values.copy()
    out[AT:, SICK] += more[AT:, SICK]
    return out


def shown(found: list[Incident]) -> list[tuple[str, str, str, str]]:
    return [(i.subject, i.state, i.severity, i.mode) for i in found]


@pytest.mark.parametrize("rate", [0.5, 20.0])
def test_a_switch_port_that_retries_whatever_its_load_is_a_corrupting_link(rate: float) -> None:
    found = told("port", PORTS, {"port_llr_retries_total": one(counts(1), counts(2, rate)), BYTES: load()})
    assert shown(found) == [(PORTS[SICK], "masked", "ticket", "link_corruption")]
    assert "port_llr_retries_total" in (found[0].summary or "")
    assert "its 31 peers" in (found[0].summary or "")


def test_switch_ports_that_all_retry_a_little_are_nobodys_fault() -> None:
    assert shown(told("port", PORTS, {"port_llr_retries_total": counts(1, 0.05), BYTES: load()})) == []


@pytest.mark.parametrize(("errors", "mode"), [('nic_port_receive_errors_total{class="crc"}', "nic_errors"), (SYMBOLS, "fec_margin")])
def test_a_host_sees_errors_of_its_port(errors: str, mode: str) -> None:
    """Errors and retransmits on one NIC, as loopback tests find them at intake, are one ticket; symbol errors say where they come from."""
    found = told("nic", NICS, {errors: one(counts(1), counts(2, 1.5)), RETRIES: one(counts(3), counts(4, 3.0)), SENT: load()})
    assert shown(found) == [(NICS[SICK], "masked", "ticket", mode)]


def test_retransmits_alone_are_errors_of_the_port() -> None:
    assert shown(told("nic", NICS, {RETRIES: one(counts(3), counts(4, 3.0)), SENT: load()})) == [(NICS[SICK], "masked", "ticket", "nic_errors")]


def test_a_crowd_that_loses_packets_accuses_no_port() -> None:
    """Marks and retransmits that all of a job have while they move much are congestion."""
    busy = np.where(np.arange(TICKS)[:, None] >= AT, 1.0, 0.0) * np.where(load() > 5e10, 1.0, 0.0)
    found = told("nic", NICS, {RETRIES: counts(3, 0.002 + 2 * busy), MARKS: counts(4, 5 + 500 * busy), SENT: load()})
    assert [i for i in found if i.severity != "notice"] == []
