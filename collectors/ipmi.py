"""Ipmi: sensor listings of ipmitool and FreeIPMI as a trace: fans, supplies, air, and which redundancy is gone."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from grayscope.errors import InputError
from grayscope.tracewriter import TraceWriter

from ._filed import Files, contents, stamps
from ._healthbook import Healthbook
from ._jsons import clean

#: Lines of one listing, characters of one line.
LINES, LONGEST = 100_000, 2000
NUMBER = re.compile(r"\s*(-?[0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z%][A-Za-z% ]*)?\s*")
#: State of a threshold sensor, from ipmitool and FreeIPMI: non-critical, critical, non-recoverable.
LEVELS = {"ok": "healthy", "nominal": "healthy", "nc": "degraded", "warning": "degraded", "cr": "unhealthy", "nr": "unhealthy", "critical": "unhealthy"}
#: IPMI 2.0 table 42-3, redundancy states (generic type 0Bh), by their words: 1 can lose a member, 0 cannot.
REDUNDANCY = (("redundancy lost", 0.0), ("redundancy degraded", 0.0), ("degraded from fully redundant", 0.0), ("non-redundant", 0.0), ("fully redundant", 1.0))
#: Power supply sensor, type 08h: what is wrong with it. "Presence detected" alone is well.
SUPPLY = ("failure detected", "predictive failure", "ac lost", "input lost", "configuration error", "out-of-range")
FAN, PSU = re.compile(r"fan|blower|pump", re.I), re.compile(r"\b(?:psu|ps|power supply|pwr supply|p/s)[ _]?([0-9]{1,2})", re.I)
INLET, EXHAUST = re.compile(r"inlet|ambient|intake|front.?panel", re.I), re.compile(r"exhaust|outlet", re.I)
TOTAL = re.compile(r"^(?:total[ _]?(?:power|pwr)|sys(?:tem)?[ _](?:power|pwr|level)|pwr consumption|power meter|chassis[ _]power|.*total.*watt)", re.I)


class Sensor(NamedTuple):
    """One line of a listing: `value` is None where the sensor is discrete, `state` what the tool makes of it."""

    name: str
    value: float | None
    unit: str
    state: str


class Ipmi(Files):
    """Reads ``ipmitool sensor``, ``ipmitool sdr [elist]`` and ``ipmi-sensors`` (also comma-separated); a file is one look.

    Known are fans (rpm), watts of supplies and of the machine, inlet and exhaust air, and the sensors that tell a redundancy. Other
    sensors are counted as unknown. A threshold that the controller calls crossed, or a supply that says it failed, is the health of that
    part. A machine without a redundancy sensor is silent about redundancy: absence is never health.

    Parameters
    ----------
    paths : sequence of path
        Of one node in their order, or with `node` empty of as many nodes as there are names up to the first dot.
    start, step : int, optional
        Microseconds from file to file of one node; without them a file's time is that of its last change.
    node : str

    Notes
    -----
    Sources of names: IPMI 2.0 specification, tables 42-2 and 42-3; ipmitool(1); ipmi-sensors(8). Names of sensors are the vendor's.
    """

    def begin(self) -> None:
        """Begin with nobody's health known."""
        self.book = Healthbook()

    def write(self, writer: TraceWriter, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """Write all looks; return counts.

        Raises
        ------
        InputError
            A file that cannot be read or is no listing.
        """
        nodes: dict[str, list[Path]] = {}
        for path in self.paths:
            nodes.setdefault(self.of(path), []).append(path)
        count = 0
        for node, paths in nodes.items():
            for path, time in zip(paths, stamps(paths, self.start, self.step), strict=True):
                sensors, odd = listing(contents(path), str(path))
                self.filed.reject("not_a_sensor", odd)
                count += len(sensors)
                for sensor in sensors:
                    self._take(sensor, node, time)
        return {"files": len(self.paths), "sensors": count, **self.filed.write(writer, self.step, progress)}

    def _take(self, sensor: Sensor, node: str, time: int) -> None:
        place, metric, value = meaning(sensor)
        subject = f"{node}/{place}" if place else node
        if metric:
            self.filed.add(metric, {"subject": subject}, time, value)
        else:
            name = re.sub(r"[0-9]+", "#", sensor.name)
            if name in self.unknown or len(self.unknown) < 1000:
                self.unknown[name] = self.unknown.get(name, 0) + 1
        level = LEVELS.get(sensor.state.lower()) if sensor.value is not None else trouble(sensor)
        if level is not None and (place or level != "healthy"):
            told = self.book.tell(time, subject, sensor.name, level, f"{sensor.state}{f', {sensor.value:g} {sensor.unit}' if sensor.value is not None else ''}")
            if told is not None:
                self.filed.tell(told)


def listing(data: bytes, where: str) -> tuple[list[Sensor], int]:
    """Return the sensors of a listing, and how many lines were none.

    Raises
    ------
    InputError
        No line is a sensor's.

    Examples
    --------
    >>> listing(b"FAN1 | 8000.000 | RPM | ok | 500.000 | na | na | na | na | na", "f")[0]
    [Sensor(name='FAN1', value=8000.0, unit='RPM', state='ok')]
    >>> listing(b"PS Redundancy | 77h | ok  |  7.1 | Redundancy Lost", "f")[0]
    [Sensor(name='PS Redundancy', value=None, unit='', state='Redundancy Lost')]
    """
    lines = data.decode("utf-8", "replace").splitlines()
    if len(lines) > LINES:
        raise InputError.at(where, "lines", f"at most {LINES}", len(lines))
    found, odd = [], 0
    for line in lines:
        if not line.strip() or line.startswith("ID") or not _split(line):
            continue
        sensor = _sensor(_split(line))
        odd += sensor is None
        found += [sensor] if sensor is not None else []
    if not found:
        raise InputError.at(where, "content", "sensors as ipmitool sensor, ipmitool sdr or ipmi-sensors list them", lines[0][:120] if lines else "nothing")
    return found, odd


def _split(line: str) -> list[str]:
    if "|" in line[:LONGEST]:
        return [clean(part.strip(), 200) for part in line[:LONGEST].split("|")]
    try:
        fields = next(csv.reader([line[:LONGEST]]))
    except csv.Error:
        return []
    return [clean(part.strip(), 200) for part in fields]


def _sensor(fields: list[str]) -> Sensor | None:
    """Tell the forms apart by their number of fields and what stands in them."""
    name = fields[0]
    if len(fields) >= 6 and name.isdigit():  # ipmi-sensors: ID, Name, Type, [State,] Reading, Units, Event
        name, state, (reading, unit, event) = fields[1], fields[3] if len(fields) > 6 else "", fields[-3:]
        value = _value(reading)
        return Sensor(name, value, unit, (state or crossed(event)) if value is not None else event.replace("'", ""))
    if len(fields) >= 10:  # ipmitool sensor: name, reading, unit, state, six thresholds
        value = _value(fields[1]) if fields[2] != "discrete" else None
        return Sensor(name, value, fields[2], fields[3]) if name and (value is not None or fields[2] == "discrete") else None
    if len(fields) == 5 and fields[2]:  # ipmitool sdr elist: name, number, state, entity, reading
        return _worded(name, fields[4], fields[2])
    return _worded(name, fields[1], fields[2]) if len(fields) == 3 else None  # ipmitool sdr


def crossed(event: str) -> str:
    """Return ipmitool's word for what FreeIPMI calls an event of a threshold.

    Examples
    --------
    >>> crossed("'At or Below (<=) Lower Non-Critical Threshold'"), crossed("'At or Above (>=) Upper Critical Threshold'"), crossed("'OK'")
    ('nc', 'cr', 'ok')
    """
    words = event.lower()
    return "nc" if "non-critical" in words else "cr" if "critical" in words or "non-recoverable" in words else "ok"


def _worded(name: str, reading: str, state: str) -> Sensor | None:
    match = NUMBER.fullmatch(reading)
    if not name or state.lower() == "ns":
        return None
    return Sensor(name, float(match[1]), (match[2] or "").strip(), state) if match else Sensor(name, None, "", reading)


def _value(text: str) -> float | None:
    match = NUMBER.fullmatch(text)
    return float(match[1]) if match else None


def meaning(sensor: Sensor) -> tuple[str, str, float]:
    """Return (part, metric, value) of a sensor; an empty metric where it tells none that we know.

    Examples
    --------
    >>> (
    ...     meaning(Sensor("Fan 3A", 9000, "RPM", "ok")),
    ...     meaning(Sensor("Inlet Temp", 22, "degrees C", "ok"))[1],
    ...     meaning(Sensor("PS2 Input Power", 800, "Watts", "ok")),
    ... )
    (('fan_3a', 'fan_speed_rpm', 9000), 'inlet_temperature_celsius', ('psu2', 'psu_power_watts', 800))
    >>> meaning(Sensor("Fan Redundancy", None, "", "Fully Redundant"))
    ('', 'fan_redundancy_intact', 1.0)
    """
    name, unit, supply = sensor.name, sensor.unit.lower(), PSU.search(sensor.name)
    place = f"psu{int(supply[1])}" if supply else _fan(name) if FAN.search(name) else ""
    if sensor.value is None:
        value = next((v for words, v in REDUNDANCY if words in sensor.state.lower()), None)
        kind = "fan" if FAN.search(name) else "psu" if supply or re.search(r"\bps|power|psu", name, re.I) else ""
        return ("", f"{kind}_redundancy_intact", value) if value is not None and kind else (place, "", 0.0)
    if unit == "rpm":
        return place or f"fan_{_fan(name)}", "fan_speed_rpm", sensor.value
    if unit == "w" or unit.startswith("watt"):
        return (place, "psu_power_watts", sensor.value) if supply else ("", "node_power_watts" if TOTAL.search(name) else "", sensor.value)
    if unit in ("degrees c", "c") and not place:
        return "", "inlet_temperature_celsius" if INLET.search(name) else "exhaust_temperature_celsius" if EXHAUST.search(name) else "", sensor.value
    return place, "", sensor.value


def trouble(sensor: Sensor) -> str | None:
    """Return the level of a discrete sensor of a supply, None of all others."""
    if not PSU.search(sensor.name):
        return None
    words = sensor.state.lower()
    return "unhealthy" if any(w in words for w in SUPPLY) else "healthy" if "presence detected" in words else None


def _fan(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:64] or "fan"
