"""Redfish: a fake controller in the published form, old and new; a lost spare is seen even where the firmware says OK."""

from __future__ import annotations

import base64
import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.batch import Batch
from grayscope.errors import UsageError
from grayscope.event import Event
from grayscope.message import Message

from .fake_bmc import BOX, ROOT, FakeBmc, check, modern, older

chassis: Any = __import__("grayscope.collectors._chassis", fromlist=["survey"])


@pytest.fixture
def bmc() -> Iterator[FakeBmc]:
    fake = FakeBmc(modern())
    yield fake
    fake.close()


def numbers(messages: list[Message]) -> dict[tuple[str, str], float]:
    return {(s, m): float(b.values[0, i, j]) for b in messages if isinstance(b, Batch) for i, m in enumerate(b.metrics) for j, s in enumerate(b.subjects)
            if b.values[0, i, j] == b.values[0, i, j]}  # fmt: skip


def events(messages: list[Message]) -> list[tuple[str, str]]:
    return [(e.subject, e.code) for e in messages if isinstance(e, Event)]


@pytest.mark.parametrize("resources", [modern(), older()])
def test_the_fake_is_held_to_the_published_schema(resources: dict[str, Any]) -> None:
    for document in resources.values():
        check(document)
        with pytest.raises(AssertionError, match="Name"):
            check({k: v for k, v in document.items() if k != "Name"})


def test_a_healthy_machine(bmc: FakeBmc) -> None:
    source = plugins.collector("redfish", bmc.url, node="n1", clock=lambda: 60.0)
    rows, batch = source.collect()
    found = numbers([batch])
    assert found["n1", "psu_redundancy_intact"] == found["n1", "fan_redundancy_intact"] == 1
    assert found["n1", "node_power_watts"] == 5400.5
    assert found["n1", "inlet_temperature_celsius"] == 23.5
    assert [found[f"n1/fan{i}", "fan_speed_rpm"] for i in (1, 2, 3)] == [8001, 8002, 8003]
    assert {r.subject: r.keys.get("sku") for r in rows}["n1/fan2"] == "G9:fan2"
    assert batch.times.tolist() == [60_000_000]
    assert [type(m) for m in source.collect()] == [Batch]  # nothing new to say about who is there
    assert (source.rejected, bmc.others) == ({}, [])


def test_an_older_service_says_the_same() -> None:
    fake = FakeBmc(older())
    found = numbers(plugins.collector("redfish", fake.url, node="n1").collect())
    fake.close()
    assert found["n1", "psu_redundancy_intact"] == found["n1", "fan_redundancy_intact"] == 1
    assert (found["n1", "node_power_watts"], found["n1/psu_ps1", "psu_power_watts"]) == (2100, 1001)
    assert (found["n1", "inlet_temperature_celsius"], found["n1/fan0", "fan_speed_rpm"]) == (24, 9000)


def test_a_lost_spare_is_seen_though_the_group_calls_itself_ok(bmc: FakeBmc) -> None:
    for i, state in ((1, {"State": "Absent"}), (2, {"State": "Enabled", "Health": "Critical"})):
        bmc.resources[f"{BOX}/PowerSubsystem/PowerSupplies/{i}"]["Status"] = state
    messages = plugins.collector("redfish", bmc.url, node="n1").collect()
    assert numbers(messages)["n1", "psu_redundancy_intact"] == 0  # two of four work, two are needed
    assert events(messages) == [("n1/psu2", "unhealthy")]
    bmc.resources[f"{BOX}/PowerSubsystem/PowerSupplies/2"]["Status"] = {"State": "Enabled", "Health": "OK"}
    assert numbers(plugins.collector("redfish", bmc.url, node="n1").collect())["n1", "psu_redundancy_intact"] == 1


def test_health_is_told_when_it_changes_and_again_after_hours(bmc: FakeBmc) -> None:
    now = [0.0]
    source = plugins.collector("redfish", bmc.url, node="n1", clock=lambda: now[0])
    fan = bmc.resources[f"{BOX}/ThermalSubsystem/Fans/3"]
    told = []
    for health, at in (("OK", 0), ("Warning", 60), ("Warning", 120), ("Warning", 8 * 3600), ("OK", 9 * 3600), ("OK", 10 * 3600)):
        fan["Status"]["Health"], now[0] = health, float(at)
        told.append([code for _, code in events(source.collect())])
    assert told == [[], ["degraded"], [], ["degraded"], ["healthy"], []]


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [
        (f"{ROOT}/Chassis", b"<html>", "unreachable"), (f"{ROOT}/Chassis", None, "unreachable"), (f"{BOX}/PowerSubsystem", b"[1]", "resource"),
        (f"{BOX}/ThermalSubsystem/Fans/2", b"[" * 100_000, "resource"), (f"{BOX}/ThermalSubsystem/Fans", b"x" * (5 << 20), "resource"),
    ],
)  # fmt: skip
def test_what_is_broken_is_counted_and_the_rest_is_read(bmc: FakeBmc, path: str, answer: bytes | None, reason: str) -> None:
    bmc.resources[path] = answer
    source = plugins.collector("redfish", bmc.url, node="n1")
    messages = source.collect()
    assert source.rejected[reason] == 1
    assert source.last_error
    assert bool(messages) == (reason == "resource")


def test_links_that_lead_elsewhere_are_not_followed(bmc: FakeBmc) -> None:
    bmc.resources[f"{ROOT}/Chassis"]["Members"] = [
        {"@odata.id": p} for p in ("//evil/redfish/v1/x", "http://evil/", "/redfish/v1/../../etc", "/redfish/v1/a b")
    ]
    plugins.collector("redfish", bmc.url, node="n1").collect()
    assert bmc.asked == [f"{ROOT}/Chassis"]


def test_a_service_without_end_is_cut(bmc: FakeBmc) -> None:
    many = [f"{ROOT}/Chassis/{i}" for i in range(60)]
    bmc.resources[f"{ROOT}/Chassis"]["Members"] = [{"@odata.id": p} for p in many]
    fans = {"@odata.id": f"{BOX}/ThermalSubsystem"}
    bmc.resources |= {p: {**copy.deepcopy(bmc.resources[BOX]), "ThermalSubsystem": fans} for p in many}
    source = plugins.collector("redfish", bmc.url, node="n1")
    source.collect()
    assert len(bmc.asked) <= 512
    assert source.rejected["resource"] > 0


def test_a_password_goes_over_https_only(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected an https URL"):
        plugins.collector("redfish", "http://bmc", credentials=tmp_path / "login")
    with pytest.raises(UsageError, match="ca: "):
        plugins.collector("redfish", "https://bmc", ca=tmp_path / "none.pem")


def test_https_with_a_certificate_that_is_trusted_only_if_it_is_told(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install -y openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=bmc", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)  # fmt: skip
    (tmp_path / "login").write_text("reader:secret\n")
    fake = FakeBmc(modern(), tls=(cert, key), login=f"Basic {base64.b64encode(b'reader:secret').decode()}")
    try:
        stranger = plugins.collector("redfish", fake.url, node="n1", credentials=tmp_path / "login")
        assert stranger.collect() == []
        assert "certificate" in stranger.last_error.lower()
        assert "secret" not in stranger.last_error
        for trust in ({"ca": cert}, {"insecure": True}):
            assert numbers(plugins.collector("redfish", fake.url, node="n1", credentials=tmp_path / "login", **trust).collect())
        assert plugins.collector("redfish", fake.url, node="n1", ca=cert).collect() == []  # 401
    finally:
        fake.close()


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=4), lambda x: st.lists(x, max_size=2), max_leaves=4
)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_service_is_surveyed_without_a_crash(data: st.DataObject) -> None:
    """Anything at any place of any resource: numbers stay finite and names printable."""
    resources = copy.deepcopy(data.draw(st.sampled_from([modern(), older()])))
    for _ in range(data.draw(st.integers(1, 4))):
        place: Any = resources
        while isinstance(place, (dict, list)) and place:
            key = data.draw(st.sampled_from(sorted(place))) if isinstance(place, dict) else data.draw(st.integers(0, len(place) - 1))
            if data.draw(st.booleans()) or not isinstance(place[key], (dict, list)) or not place[key]:
                place[key] = data.draw(ODD) if place is not resources else {}
                break
            place = place[key]

    def get(path: str) -> dict[str, Any]:
        found = resources.get(path)
        return json.loads(json.dumps(found)) if isinstance(found, dict) else {}

    found = chassis.survey(get, chassis.members(get(f"{ROOT}/Chassis")))
    assert all(abs(v) < 1e12 for v in found.numbers.values())
    assert all(name.isprintable() and "/" not in name for name in found.health)
