"""Every account of the ledger, through the whole engine: what is spent is a masked ticket that says what is left, and a healthy fleet is silent."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pytest

from grayscope import assembly, mechanisms
from grayscope.catalogue import Catalogue
from grayscope.incident import Incident
from grayscope.rates import Rates, Raw
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.tick import Tick
from tests.detectors.books import NAMES, Array, keep

N, SICK, MINUTE = 32, 3, 60_000_000
ACCOUNTS = mechanisms.load()


def incidents(table: str, values: Mapping[str, Array], period: int = 10_000_000) -> list[Incident]:
    """Feed one table [T, N] to an engine; return the incidents as they were last told."""
    names = tuple(NAMES[table](i) for i in range(N))
    view = Roster([RosterRow(s, table, keys={"sku": "A", "job": "job:1", "rail": "rail:0", "node": s.partition("/")[0]}) for s in names]).at(0)
    engine, last, metrics = assembly.engine(Settings(), periods={table: period}), dict[str, Incident](), tuple(sorted(values))
    for t in range(len(values[metrics[0]])):
        rows = np.stack([values[m][t] for m in metrics]).astype(np.float32)
        tick = Tick(table, (t + 1) * period, period, view, names, metrics, rows, np.zeros(N, bool))
        last |= {i.id: i for i in engine.judged(tick, engine.compared(tick)).incidents}
    return list(last.values())


def masked(found: list[Incident], table: str, *words: str) -> None:
    """Check that the sick part, and nobody else, is a masked ticket whose summary has these words."""
    assert [(i.subject, i.state, i.severity) for i in found] == [(NAMES[table](SICK), "masked", "ticket")]
    for text in words:
        assert text in (found[0].summary or "")


# -- rates, of which nobody says how many are too many --------------------------------------------------------------

#: A job that restarts is beside no peers.
COUNTED = [(a, m) for a in ACCOUNTS if a.kind == "rate" and a.mechanism != "restart_spares" for m in a.counters[:1]]


@pytest.mark.parametrize(("account", "counter"), COUNTED, ids=[a.key for a, _ in COUNTED])
def test_who_spends_far_more_often_than_31_peers_is_named_and_they_are_not(account: mechanisms.Account, counter: str) -> None:
    rng = np.random.default_rng(1)
    values = (rng.random((120, N)) < 0.002).astype(float)
    values[70:, SICK] = rng.poisson(3.0, 50)
    found = incidents(account.table, {counter: values})
    masked(found, account.table, counter)
    assert re.search(r"[\d.]+ (would be usual among its 31 peers|s, 31 of them)", found[0].summary or "")


# -- what is lost at once -------------------------------------------------------------------------------------------

PEERS = "of no stock (published: third uncorrectable remap attempt in a bank starts it): its peers are the measure; its 31 peers show 0"
LOST = [
    ("gpu", 'gpu_repair_pending{kind="bank"}', 0, 1, "raised, left 0 of 1 bank flag; a bank known as bad stays in use until the GPU is reset"),
    ("gpu", 'gpu_bank_remaps{state="active"}', 0, 1, f"is 1, {PEERS}"),
    ("gpu", "gpu_bank_remaps", 0, 2, f"is 2, {PEERS}"),
    ("gpu", 'gpu_bank_remaps{state="inactive"}', 0, 1, f"is 1, {PEERS}"),
    ("gpu", 'gpu_fabric_condition{condition="limited_capacity"}', 0, 1, "raised, left 0 of 1 capacity flag; the fabric works with a part of what it has"),
    ("gpu", 'gpu_fabric_condition{condition="degraded_bandwidth"}', 0, 1, "raised, left 0 of 1 bandwidth flag"),
    ("job", "job_spare_nodes", 4, 3, "1 of 4 spare nodes lost, left 3 of 4 spare nodes; as it had before"),
]


@pytest.mark.parametrize(("table", "gauge", "healthy", "then", "words"), LOST)
def test_what_is_lost_is_told_and_a_blip_is_not(table: str, gauge: str, healthy: float, then: float, words: str) -> None:
    values = np.full((60, N), float(healthy))
    values[30:32, 9] = then
    assert incidents(table, {gauge: values}) == []
    values[30:, SICK] = then
    masked(incidents(table, {gauge: values}), table, words)


def test_what_all_cards_of_a_kind_show_since_ever_accuses_nobody() -> None:
    """A policy may halve the links of all, and a kind may come with banks replaced in the factory; what all lose in one moment is lost."""
    values = {'gpu_fabric_condition{condition="degraded_bandwidth"}': np.ones((60, N)), 'gpu_bank_remaps{state="active"}': np.full((60, N), 2.0)}
    assert incidents("gpu", values) == []
    values['gpu_bank_remaps{state="active"}'][30:, SICK] = 3
    masked(incidents("gpu", values), "gpu", "is 3, of no stock", "its 31 peers show 2")
    together = keep(("gpu", {'gpu_fabric_condition{condition="degraded_bandwidth"}': late_all(0.0, 1.0)}))
    assert len(together.accused) == N


def late_all(value: float, then: float) -> Array:
    values = np.full((60, N), value)
    values[30:] = then
    return values


# -- margins --------------------------------------------------------------------------------------------------------

CORRECTED = [(t, f'{t}{p}_bit_error_ratio{{stage="{s}"}}') for t, p in (("nvlink", ""), ("nic", "_port")) for s in ("effective", "symbol")]


@pytest.mark.parametrize(("table", "gauge"), CORRECTED)
def test_errors_after_the_correction_are_told_and_its_usual_noise_is_not(table: str, gauge: str) -> None:
    rng = np.random.default_rng(2)
    values = np.zeros((300, N))  # minutes
    values[:, 8:16] = 1e-15
    values[:, 16:24] = 10 ** rng.uniform(-17, -13.5, (300, 8))
    single = rng.random((300, N)) < 0.05  # an error that the next look counts no more
    values[single] = 10 ** rng.uniform(-14, -12.5, int(single.sum()))
    values[100, 4] = values[200:202, 5] = 1e-9  # after the link trained anew
    assert incidents(table, {gauge: values}, MINUTE) == []
    values[150:, SICK] = 1e-8
    masked(incidents(table, {gauge: values}, MINUTE), table, gauge, "left 0 of 3 decades")


def test_errors_that_the_correction_leaves_for_an_hour_are_told_until_they_are_gone() -> None:
    values = np.zeros((240, N))
    values[60:120, SICK] = 1e-9
    for gauge in ("nvlink_bit_error_ratio", 'nvlink_bit_error_ratio{stage="effective"}'):
        books = keep(("nvlink", {gauge: values * (1e8 if "{" not in gauge else 1)}), period=60.0)
        assert books.accused == {NAMES["nvlink"](SICK)}
        assert 60 <= books.findings[0].time // MINUTE <= 75
        assert max(f.time for f in books.findings) // MINUTE <= 130
        assert [e.left > 0 for e in books.entries] == [False, True]


def test_a_drive_below_its_own_threshold_is_at_its_end_and_above_it_is_not() -> None:
    spare, least = np.full((60, N), 0.95), np.full((60, N), 0.1)
    least[:, SICK:5] = 0.2
    least[:, 6] = 0.05
    least[:, 7] = 1.0  # no drive could live above that
    spare[:, 6] = 0.08
    assert incidents("drive", {"drive_spare_ratio": spare, 'drive_spare_ratio{bound="min"}': least}, MINUTE) == []
    spare[20:, SICK] = 0.15
    least[50:] = np.nan  # the page is not told any more
    found = incidents("drive", {"drive_spare_ratio": spare, 'drive_spare_ratio{bound="min"}': least}, MINUTE)
    masked(found, "drive", "drive_spare_ratio: left 0 of 0.8 share of spare blocks; by its own threshold it ends at 0.2")


def of_counters(errors: Array, bits: Array) -> dict[str, Array]:
    """Return what is told of ports, where a source has but the two counters, of which these are the increments."""
    names = ("nic_port_fec_corrected_bits_total", "nic_port_received_bits_total")
    totals = np.stack([errors.cumsum(axis=0), bits.cumsum(axis=0)], axis=1)
    batch = Rates(Catalogue.load()).batch(Raw("nic", np.arange(len(bits)), tuple(NAMES["nic"](i) for i in range(N)), names, np.ones(2), totals))
    return {m: batch.values[:, i] for i, m in enumerate(batch.metrics)}


def test_corrected_bits_that_rise_are_a_margin_that_shrinks_where_only_the_two_counters_are_told() -> None:
    rng = np.random.default_rng(5)
    errors, bits = rng.poisson(4000.0, (600, N)).astype(float), np.full((600, N), 1e12)
    assert incidents("nic", of_counters(errors, bits), MINUTE) == []
    errors[200:, SICK] *= 100
    masked(incidents("nic", of_counters(errors, bits), MINUTE), "nic", 'nic_port_bit_error_ratio{stage="raw"}: left', "decades, shrinking by")


def test_a_port_without_errors_has_lost_nothing_because_it_receives_less() -> None:
    bits = np.full((600, N), 7e12)
    bits[200:, SICK] = np.maximum(7e12 * 0.99 ** np.arange(400), 1e10)
    assert incidents("nic", of_counters(np.zeros((600, N)), bits), MINUTE) == []


# -- nothing is dead ------------------------------------------------------------------------------------------------

#: Gauges on the side of redundancy without an account, and why.
EXEMPT = {"gpu_repair_pending": "its kinds have one each"}


def test_every_gauge_of_redundancy_has_an_account() -> None:
    """No detector accuses a part of them: they are the ledger's."""
    gauges = [m for m in Catalogue.load().metrics.values() if m.side == "redundancy" and m.type != "counter" and m.worse != "none"]
    assert len(gauges) > 20
    dead = [m.name for m in gauges if not any(m.table == a.table and counts(a, m.name) for a in ACCOUNTS)]
    assert dead == sorted(EXEMPT)


def counts(account: mechanisms.Account, name: str) -> bool:
    told = {account.gauge, account.also} if account.kind in ("level", "margin") else {account.gauge}
    return name in told or (account.kind == "bank" and account.rows((name,), account.gauge) == [0])
