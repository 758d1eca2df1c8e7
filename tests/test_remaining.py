"""Remaining: what is left, or (where nobody publishes how much there is) what was spent, how fast, and beside whom; never another redundancy's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grayscope import assembly
from grayscope.announce import Announce
from grayscope.desk import Desk
from grayscope.evidence import Finding
from grayscope.explaining import called, explain, explained, headline
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.remaining import nearest, spends
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.shown import signal
from grayscope.tick import Tick
from grayscope.verdict import Verdict

S, PERIOD = 1_000_000, 10_000_000
LINK = "n00/gpu3/nvlink0"
REPLAYS = Entry(9 * S, LINK, "nvlink_replay", spent=56.0, unit="events", rate=336.0)
SPENT = "56 events spent at 336 an hour, and nobody publishes a budget: its peers are the measure"


def rose(metric: str, mode: str, mechanism: str = "", subject: str = LINK, detector: str = "spending", side: str = "redundancy") -> Incident:
    found = Finding(9 * S, subject, side, detector, 9.0, mode, mechanism, metric, 12.0, 0.11, 31, 5 * S, why="rose")
    said = Verdict(9 * S, subject, "masked", "normal", 9.0, "rose", 5 * S, mode, mechanism, metric, side, shown=(signal(found, 5 * S),))
    return next(iter(Desk("c").step([said])))


def left(text: str) -> str:
    return next((line.removeprefix("left: ") for line in text.splitlines() if line.startswith("left: ")), "")


# -- budgets that nobody publishes -----------------------------------------------------------------------------------


def test_what_has_no_budget_is_told_by_what_was_spent_how_fast_and_by_its_peers() -> None:
    incident = rose("nvlink_replays_total", "nvlink_errors", "nvlink_replay")
    ((_, told),) = explained([incident], [REPLAYS])
    assert left(told) == f"nvlink_replay: {SPENT}; 12 ticks with some, 0.11 would be usual among its 31 peers"
    assert f"; left: nvlink_replay: {SPENT}; first: " in headline(incident, REPLAYS)
    assert "; left: nobody publishes a budget, its peers are the measure; first: " in headline(incident)
    discards = headline(rose("nic_port_discards_total", "nic_errors", "congestion_control"))
    assert "; left: there is no budget of it, its peers are the measure; first: " in discards
    assert left(explain(incident, REPLAYS._replace(spent=3225.0, rate=21_510.0))).startswith("nvlink_replay: 3225 events spent at 21,500 an hour, ")
    stopped = left(explain(incident, REPLAYS._replace(rate=0.0)))
    assert stopped.startswith("nvlink_replay: 56 events spent, none of late, and nobody publishes a budget")


def test_a_published_rate_is_no_stock_and_its_peers_are_told_in_the_ledgers_words() -> None:
    incident = rose("pcie_replays_total", "pcie_errors", "pcie_replay", detector="ledger")
    signals = ({**incident.evidence[0]["signals"][0], "why": "9 an hour: above the published 2; its 95 peers show 0.1"},)  # type: ignore[index]
    told = explain(
        replace(incident, evidence=({**incident.evidence[0], "signals": signals},)), Entry(9, LINK, "pcie_replay", spent=9.0, unit="events", rate=9.0)
    )
    assert (
        left(told)
        == "pcie_replay: 9 events spent at 9 an hour, of no stock (published: bit error ratio 1e-12): its peers are the measure; its 95 peers show 0.1"
    )


def test_its_own_past_is_no_peer() -> None:
    incident = rose("nvlink_replays_total", "nvlink_errors")
    signals = ({**incident.evidence[0]["signals"][0], "why": "rose in 12 ticks, 0.1 would be usual by its own past; it has 31 peers"},)  # type: ignore[index]
    assert left(explain(replace(incident, evidence=({**incident.evidence[0], "signals": signals},)), REPLAYS)) == f"nvlink_replay: {SPENT}"


def test_a_known_end_comes_before_what_has_none_and_of_that_only_what_the_incident_is_about() -> None:
    rows = Entry(1, LINK, "nvlink_links", 18, 1, 17, "links")
    assert nearest([REPLAYS, rows], "nvlink_replay") == rows
    assert nearest([REPLAYS, REPLAYS._replace(time=10 * S, spent=60.0)], "nvlink_replay") == REPLAYS._replace(time=10 * S, spent=60.0)
    assert nearest([REPLAYS], "nvlink_recovery") is None
    assert nearest([REPLAYS._replace(spent=0.0)], "nvlink_replay") is None


def test_the_alert_says_so_and_a_restart_knows_it() -> None:
    announce, incident = Announce("c"), rose("nvlink_replays_total", "nvlink_errors", "nvlink_replay")
    (alert,) = announce.step([incident], [REPLAYS])
    assert (alert.annotations["mechanism"], alert.annotations["left"], alert.labels["urgency"]) == ("nvlink_replay", SPENT, "long")
    assert SPENT in alert.annotations["summary"]
    assert SPENT in alert.annotations["description"]
    again = Announce("c")
    again.restore([incident], announce.snapshot())
    assert repr(again.ledger) == repr(announce.ledger)


def test_replays_of_one_link_through_the_line() -> None:
    names = tuple(f"n{i // 8:02d}/gpu{i % 8}/nvlink0" for i in range(32))
    view, draw, rows, found = (
        Roster([RosterRow(s, "nvlink", keys={"sku": "A"}) for s in names]).at(0),
        np.random.default_rng(1),
        list[Entry](),
        dict[str, Incident](),
    )
    engine = assembly.engine(Settings(), periods={"nvlink": PERIOD})
    for t in range(1, 150):
        replays = (draw.random(32) < 0.002) + (draw.poisson(3, 32) * (np.arange(32) == 3) if t > 60 else 0.0)
        tick = Tick("nvlink", t * PERIOD, PERIOD, view, names, ("nvlink_replays_total",), replays[None].astype(np.float32), np.zeros(32, bool))
        output = engine.judged(tick, engine.compared(tick))
        rows += output.ledger
        found |= {i.id: i for i in output.incidents}
    (incident,) = found.values()
    ((_, told),) = explained([incident], rows)
    assert left(told).startswith(f"nvlink_replay: {rows[-1].spent:g} events spent at ")
    assert ", and nobody publishes a budget: its peers are the measure; " in left(told)
    assert left(told).endswith("would be usual among its 31 peers")


# -- whose redundancy it is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "mode", "mechanism"),
    [
        ("nvlink_recoveries_total", "nvlink_errors", "nvlink_recovery"),
        ("nvlink_symbol_errors_total", "nvlink_errors", "nvlink_fec"),
        ('nic_port_discards_total{direction="transmit"}', "nic_errors", "congestion_control"),
        ('gpu_ecc_corrected_errors_total{location="sram",retention="volatile"}', "ecc_burst", "sram_ecc"),
        ("bond_member_failures_total", "link_flap", "bond_member"),
        ("port_llr_retries_total", "link_corruption", "link_llr"),
        ("nvlink_replays_total", "nvlink_errors", "nvlink_replay"),
    ],
)
def test_what_is_spent_is_what_the_signal_says_and_not_what_its_name_is_mostly_hidden_by(metric: str, mode: str, mechanism: str) -> None:
    incident = rose(metric, mode, mechanism)
    assert spends(incident) == spends(rose(metric, mode)) == mechanism  # by the verdict, and by what the metric means
    assert left(explain(incident)).startswith(f"{mechanism}: not counted here; ")


@pytest.mark.parametrize(
    ("metric", "mechanism"),
    [
        ('nvlink_plr_blocks_total{kind="retried"}', "nvlink_plr"),
        ("gpu_c2c_replays_total", "c2c_replay"),
        ('gpu_repair_pending{kind="tpc"}', "sm_retirement"),
        ("gpu_bank_remaps", "hbm_channel_repair"),
        ("gpu_pages_retired_total", "page_retirement"),
        ("gpu_power_smoothing_lifetime_ratio", "power_smoothing"),
        ("leaf_uplinks_active", "adaptive_routing"),
        ("job_restarts_total", "restart_spares"),
    ],
)
def test_what_has_no_name_is_called_by_the_redundancy_that_it_spends(metric: str, mechanism: str) -> None:
    incident = rose(metric, "", mechanism)
    assert called(incident) == mechanism
    assert f"; {mechanism} since " in headline(incident)
    assert f"{LINK} is masked ({mechanism}), a ticket; " in explain(incident)
    assert "no name for it" not in headline(incident) + explain(incident)


def test_an_events_redundancy_is_known_and_what_spends_none_has_no_name() -> None:
    assert called(rose("xid:121", "", "c2c_replay", "n1/gpu0", "events")) == "c2c_replay"
    assert called(rose("compute_seconds", "", side="service")) == "no name for it"


def test_a_symptom_or_another_name_says_nothing_of_what_is_spent() -> None:
    assert spends(rose("gpu_clock_event_active", "power_cap", "clock_throttle", side="condition")) == "psu"
    assert spends(rose("pcie_replays_total", "gpu_lost", "pcie_replay")) == "pcie_replay"
