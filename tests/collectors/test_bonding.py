"""Bonding: a member may be up and carry nothing; any text is read."""

from __future__ import annotations

from hypothesis import given

import grayscope.collectors._bonding as bonding  # type: ignore[import-not-found]
from tests.mutations import MANY, mutated_text

MEMBER = """
Slave Interface: {name}
MII Status: {status}
Speed: 25000 Mbps
Duplex: full
Link Failure Count: {failures}
Permanent HW addr: 3c:ec:ef:00:00:01
Slave queue ID: 0
Aggregator ID: {aggregator}
Actor Churn State: {churn}
Partner Churn State: none
Actor Churned Count: 0
Partner Churned Count: 0
details actor lacp pdu:
    system priority: 65535
    port state: 61
details partner lacp pdu:
    system priority: 127
    port state: 63
"""
LACP = """Ethernet Channel Bonding Driver: v5.15.0

Bonding Mode: IEEE 802.3ad Dynamic link aggregation
Transmit Hash Policy: layer3+4 (1)
MII Status: up
MII Polling Interval (ms): 100

802.3ad info
LACP active: on
Active Aggregator Info:
\tAggregator ID: 1
\tNumber of ports: {ports}
\tPartner Mac Address: 00:1c:73:00:00:01
"""
GOOD = LACP.format(ports=2) + "".join(MEMBER.format(name=n, status="up", failures=0, aggregator=1, churn="none") for n in ("eth0", "eth1"))
CHURNED = (
    LACP.format(ports=1) + MEMBER.format(name="eth0", status="up", failures=0, aggregator=1, churn="none")
    + MEMBER.format(name="eth1", status="up", failures=2, aggregator=2, churn="churned")
)  # fmt: skip
BACKUP = """Ethernet Channel Bonding Driver: v5.15.0

Bonding Mode: fault-tolerance (active-backup)
Primary Slave: None
Currently Active Slave: eth0
MII Status: up

Slave Interface: eth0
MII Status: up
Link Failure Count: 1

Slave Interface: eth1
MII Status: down
Link Failure Count: 4
"""


def test_a_churned_member_is_up_and_not_aggregated() -> None:
    good, churned = (bonding.parse(t, lambda _: None) for t in (GOOD, CHURNED))
    assert (len(good.members), good.active, good.aggregated) == (2, 2, 2)
    assert (len(churned.members), churned.active, churned.aggregated) == (2, 2, 1)
    assert [m.failures for m in churned.members] == [0, 2]


def test_outside_of_lacp_there_is_no_aggregate() -> None:
    found = bonding.parse(BACKUP, lambda _: None)
    assert (found.mode, found.active, found.aggregated) == ("fault-tolerance (active-backup)", 1, None)


def test_what_is_wrong_is_counted() -> None:
    bad: list[str] = []
    found = bonding.parse("Slave Interface: eth0\nLink Failure Count: many\nSlave Interface: ../../etc\nMII Status: up", bad.append)
    assert bad == ["not_a_number", "bad_line"]
    assert [m.name for m in found.members] == ["eth0"]


@MANY
@given(mutated_text(GOOD, CHURNED, BACKUP))
def test_any_text_is_read(text: str) -> None:
    found = bonding.parse(text, lambda _: None)
    assert len(found.members) <= bonding.MEMBERS
    assert 0 <= found.active <= len(found.members)
    assert found.aggregated is None or found.aggregated <= found.active
