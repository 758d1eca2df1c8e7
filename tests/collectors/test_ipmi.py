"""Ipmi: the listings of three tools tell the same of fans, supplies, air and redundancy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.brokers.parquet import Parquet
from grayscope.errors import InputError
from grayscope.event import Event
from grayscope.tracewriter import TraceWriter

ipmi: Any = __import__("grayscope.collectors.ipmi", fromlist=["listing"])
SENSOR = """Inlet Temp       | 23.000     | degrees C  | ok    | na        | -7.000    | 3.000     | 38.000    | 42.000    | na
FAN1             | 8400.000   | RPM        | ok    | na        | 360.000   | 600.000   | na        | na        | na
FAN2             | 300.000    | RPM        | cr    | na        | 360.000   | 600.000   | na        | na        | na
FAN3             | na         | RPM        | na    | na        | 360.000   | 600.000   | na        | na        | na
PS1 Input Power  | 1400.000   | Watts      | ok    | na        | na        | na        | na        | na        | na
PS2 Status       | 0x0        | discrete   | 0x0900| na        | na        | na        | na        | na        | na
Total Power      | 5600.000   | Watts      | ok    | na        | na        | na        | na        | na        | na
P1-DIMMA1 Temp   | 40.000     | degrees C  | ok    | na        | na        | na        | na        | na        | na
"""
ELIST = """Inlet Temp       | 01h | ok  |  7.1 | 23 degrees C
FAN1             | 41h | ok  | 29.1 | 8400 RPM
FAN2             | 42h | cr  | 29.2 | 300 RPM
FAN3             | 43h | ns  | 29.3 | No Reading
PS1 Input Power  | 50h | ok  | 10.1 | 1400 Watts
PS2 Status       | 51h | ok  | 10.2 | Presence detected, Failure detected
PS Redundancy    | 77h | ok  |  7.1 | Redundancy Lost
Fan Redundancy   | 78h | ok  |  7.1 | Fully Redundant
Pwr Consumption  | 79h | ok  |  7.1 | 5600 Watts
"""
FREE = """ID  | Name            | Type              | Reading    | Units | Event
1   | Inlet Temp      | Temperature       | 23.00      | C     | 'OK'
41  | FAN1            | Fan               | 8400.00    | RPM   | 'OK'
42  | FAN2            | Fan               | 300.00     | RPM   | 'At or Below (<=) Lower Critical Threshold'
50  | PS1 Input Power | Current           | 1400.00    | W     | 'OK'
51  | PS2 Status      | Power Supply      | N/A        | N/A   | 'Presence detected' 'Power Supply Failure detected'
77  | PS Redundancy   | Power Supply      | N/A        | N/A   | 'Redundancy Lost'
"""
COMMA = """ID,Name,Type,State,Reading,Units,Event
41,FAN1,Fan,Nominal,8400.00,RPM,'OK'
42,FAN2,Fan,Critical,300.00,RPM,'At or Below (<=) Lower Critical Threshold'
"""


def told(path: Path, **files: str) -> tuple[dict[tuple[str, str], float], list[tuple[str, str]], dict[str, int]]:
    for name, text in files.items():
        (path / f"{name}.txt").write_text(text)
    with TraceWriter(path / "trace") as writer:
        counts = plugins.collector("ipmi", sorted(path.glob("*.txt")), start=60_000_000, step=60_000_000, node="n1").write(writer)
    frame = pl.read_parquet(path / "trace" / "node.parquet")
    numbers = {(r["subject"], k): v for r in frame.to_dicts() for k, v in r.items() if k not in ("subject", "time") and v is not None and v == v}
    return numbers, [(m.subject, m.code) for m in Parquet(path / "trace").receive() if isinstance(m, Event)], counts


def test_ipmitool_sensor(tmp_path: Path) -> None:
    numbers, events, counts = told(tmp_path, a=SENSOR)
    assert numbers == {
        ("n1", "inlet_temperature_celsius"): 23, ("n1/fan1", "fan_speed_rpm"): 8400, ("n1/fan2", "fan_speed_rpm"): 300, ("n1/psu1", "psu_power_watts"): 1400,
        ("n1", "node_power_watts"): 5600}  # fmt: skip
    assert events == [("n1/fan2", "unhealthy")]
    assert counts["rejected: not_a_sensor"] == 1  # a fan that is not there


def test_ipmitool_sdr_elist(tmp_path: Path) -> None:
    numbers, events, _ = told(tmp_path, a=ELIST)
    assert (numbers["n1", "psu_redundancy_intact"], numbers["n1", "fan_redundancy_intact"], numbers["n1", "node_power_watts"]) == (0, 1, 5600)
    assert events == [("n1/fan2", "unhealthy"), ("n1/psu2", "unhealthy")]


def test_freeipmi(tmp_path: Path) -> None:
    numbers, events, _ = told(tmp_path, a=FREE)
    assert (numbers["n1", "psu_redundancy_intact"], numbers["n1/fan2", "fan_speed_rpm"], numbers["n1/psu1", "psu_power_watts"]) == (0, 300, 1400)
    assert ("n1/psu2", "unhealthy") in events
    assert ("n1/fan2", "unhealthy") in events


def test_freeipmi_with_states_and_commas(tmp_path: Path) -> None:
    numbers, events, _ = told(tmp_path, a=COMMA)
    assert numbers == {("n1/fan1", "fan_speed_rpm"): 8400, ("n1/fan2", "fan_speed_rpm"): 300}
    assert events == [("n1/fan2", "unhealthy")]


def test_looks_follow_one_another_and_health_is_told_when_it_changes(tmp_path: Path) -> None:
    well = ELIST.replace("| cr  |", "| ok  |").replace(", Failure detected", "")
    _, events, counts = told(tmp_path, a=ELIST, b=ELIST, c=well)
    assert events == [("n1/fan2", "unhealthy"), ("n1/psu2", "unhealthy"), ("n1/fan2", "healthy"), ("n1/psu2", "healthy")]
    assert counts["files"] == 3
    frame = pl.read_parquet(tmp_path / "trace" / "node.parquet").filter(pl.col("subject") == "n1/fan1")
    assert frame["time"].dt.timestamp("us").to_list() == [60_000_000, 120_000_000, 180_000_000]


@pytest.mark.parametrize("text", ["", "Could not open device at /dev/ipmi0", "<html>\n</html>", "\0\0\0", "a | b"])
def test_what_is_no_listing_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected sensors as"):
        ipmi.listing(text.encode(), "f")


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_listings_are_sensors_or_one_clear_error(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([SENSOR, ELIST, FREE, COMMA])).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        where = data.draw(st.integers(0, len(body) - 1))
        body[where : where + data.draw(st.integers(0, 9))] = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from([b"|", b"\n", b",", b'"', b"9" * 400])))
    said, sensors = "", []
    try:
        sensors, _ = ipmi.listing(bytes(body), "f")
    except InputError as error:
        said = str(error)
    assert "expected" in said if said else sensors
    for sensor in sensors:
        place, _, value = ipmi.meaning(sensor)
        assert "/" not in place
        assert place.isprintable()
        assert abs(value) < 1e13
        assert ipmi.trouble(sensor) in (None, "healthy", "unhealthy")
