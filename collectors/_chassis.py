"""Chassis: what a Redfish service says of power, fans and heat, old resources (Power, Thermal) and new ones alike; wire format only."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

NAN = float("nan")
#: Members of one collection, parts of one chassis and chassis that are read.
MOST = 64
#: A part with this state is not there, or not in use: it carries nothing.
IDLE = ("Absent", "Disabled", "UnavailableOffline", "StandbyOffline", "Deferring")
#: Fetches a resource by its path; {} where it cannot be had.
Get = Callable[[str], Mapping[str, Any]]


@dataclass
class Found:
    """What one look at a service found.

    Parameters
    ----------
    numbers : dict of (part, metric) to float
        The part ``""`` is the machine itself.
    health : dict of part to (health, text)
        ``OK``, ``Warning`` or ``Critical`` as the service says it.
    model : str
    rejected : int
        Entries that were not what the schema says.
    """

    numbers: dict[tuple[str, str], float] = field(default_factory=dict)
    health: dict[str, tuple[str, str]] = field(default_factory=dict)
    model: str = ""
    rejected: int = 0


def survey(get: Get, chassis: list[str]) -> Found:
    """Read the chassis at these paths."""
    found = Found()
    for path in chassis[:MOST]:
        document = get(path)
        found.model = found.model or _text(document.get("Model"))
        _power(get, document, found)
        _thermal(get, document, found)
    return found


def members(document: Mapping[str, Any]) -> list[str]:
    """Return the paths of a collection's members.

    Examples
    --------
    >>> members({"Members": [{"@odata.id": "/redfish/v1/Chassis/1"}, 3]})
    ['/redfish/v1/Chassis/1']
    """
    return [path for entry in _list(document.get("Members")) if (path := link(entry))]


def link(entry: Any) -> str:
    """Return the path of a link, ``""`` if it is none or leads outside of the service.

    Examples
    --------
    >>> link({"@odata.id": "/redfish/v1/Chassis/1"}), link({"@odata.id": "//elsewhere/redfish/v1/x"}), link({"@odata.id": "/redfish/v1/../secret"})
    ('/redfish/v1/Chassis/1', '', '')
    """
    path = entry.get("@odata.id") if isinstance(entry, dict) else None
    fine = isinstance(path, str) and len(path) < 1024 and re.fullmatch(r"/redfish/v1(/[A-Za-z0-9_.:,+~%@()\-]+)+/?", path) and "/.." not in path
    return str(path) if fine else ""


# -- power ----------------------------------------------------------------------------------------------------------


def _power(get: Get, chassis: Mapping[str, Any], found: Found) -> None:
    new, old = (get(p) if (p := link(chassis.get(name))) else {} for name in ("PowerSubsystem", "Power"))
    supplies = [get(p) for p in members(get(p))[:MOST]] if (p := link(new.get("PowerSupplies"))) else _list(old.get("PowerSupplies"))
    status: dict[str, bool] = {}
    for supply in _parts(supplies, "psu", found, status):
        watts = (_number(supply[1].get(name)) for name in ("PowerOutputWatts", "LastPowerOutputWatts"))
        _add(found, supply[0], "psu_power_watts", next((w for w in watts if not math.isnan(w)), NAN))
    _redundancy(new.get("PowerSupplyRedundancy") or old.get("Redundancy"), "psu_redundancy_intact", status, found)
    drawn = [_number(c.get("PowerConsumedWatts")) for c in _list(old.get("PowerControl"))[:1] if isinstance(c, dict)]
    environment = get(p) if supplies and not drawn and (p := link(chassis.get("EnvironmentMetrics"))) else {}
    drawn += [_number(_dict(environment.get("PowerWatts")).get("Reading"))] if environment else []
    if drawn and supplies:
        before = found.numbers.get(("", "node_power_watts"), 0.0)
        _add(found, "", "node_power_watts", before + drawn[0])


def _thermal(get: Get, chassis: Mapping[str, Any], found: Found) -> None:
    new, old = (get(p) if (p := link(chassis.get(name))) else {} for name in ("ThermalSubsystem", "Thermal"))
    fans = [get(p) for p in members(get(p))[:MOST]] if (p := link(new.get("Fans"))) else _list(old.get("Fans"))
    status: dict[str, bool] = {}
    for part, fan in _parts(fans, "fan", found, status):
        rpm = _number(fan.get("Reading")) if fan.get("ReadingUnits", "RPM") == "RPM" else NAN
        _add(found, part, "fan_speed_rpm", _number(_dict(fan.get("SpeedPercent")).get("SpeedRPM")) if "SpeedPercent" in fan else rpm)
    _redundancy(new.get("FanRedundancy") or old.get("Redundancy"), "fan_redundancy_intact", status, found)
    metrics = get(p) if (p := link(new.get("ThermalMetrics"))) else {}
    summary = _dict(metrics.get("TemperatureSummaryCelsius"))
    told = [(where, _number(_dict(summary.get(where)).get("Reading"))) for where in ("Intake", "Exhaust")]
    told += [(_text(t.get("PhysicalContext")), _number(t.get("ReadingCelsius"))) for t in _list(old.get("Temperatures")) if isinstance(t, dict)]
    for where, celsius in told:
        metric = {"Intake": "inlet_temperature_celsius", "Exhaust": "exhaust_temperature_celsius"}.get(where)
        if metric is not None and ("", metric) not in found.numbers:
            _add(found, "", metric, celsius)


# -- parts ----------------------------------------------------------------------------------------------------------


def _parts(entries: list[Any], kind: str, found: Found, status: dict[str, bool]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (name, resource) of what is there; notes in `status`, by path, who works."""
    for i, entry in enumerate(entries[:MOST]):
        if not isinstance(entry, dict) or not entry:
            found.rejected += 1
            continue
        told = _dict(entry.get("Status"))
        state, health = _text(told.get("State")), _text(told.get("Health"))
        status[_text(entry.get("@odata.id")) or f"#{i}"] = state not in IDLE and health != "Critical"
        if state == "Absent":
            continue
        name = part(kind, _text(entry.get("Name")) or _text(entry.get("FanName")) or _text(entry.get("MemberId")) or _text(entry.get("Id")) or str(i))
        while name in found.health:
            name += "_"
        found.health[name] = (health if health in ("Warning", "Critical") else "OK", f"{_text(entry.get('Name'))} is {health or 'of unknown health'}, {state}")
        yield name, entry


def part(kind: str, name: str) -> str:
    """Return a name for a part that begins with its kind.

    Examples
    --------
    >>> part("fan", "Fan 1A"), part("psu", "Bay2"), part("psu", "PSU1")
    ('fan1a', 'psu_bay2', 'psu1')
    """
    clean = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:64] or "0"
    return kind + clean[len(kind) :].lstrip("_") if clean.startswith(kind) and clean != kind else f"{kind}{'' if clean.isdigit() else '_'}{clean}"


def _redundancy(groups: Any, metric: str, status: Mapping[str, bool], found: Found) -> None:
    """Note 1 where a group can lose a member, 0 where it cannot any more; the worst group counts."""
    told = [intact(group, status) for group in _list(groups)[:MOST] if isinstance(group, dict)]
    known = [value for value in (*told, found.numbers.get(("", metric), NAN)) if not math.isnan(value)]
    if known:
        _add(found, "", metric, min(known))


def intact(group: Mapping[str, Any], status: Mapping[str, bool]) -> float:
    """Return 1 if a redundancy group can lose one more member, 0 if not, NaN if it was never meant to be redundant or nobody knows.

    The group's own health is believed where it is bad. Where it is good the members are counted all the same: firmware was seen to
    call a group without its spare OK.

    Examples
    --------
    >>> group = {"MinNeededInGroup": 1, "RedundancyGroup": [{"@odata.id": "/a"}, {"@odata.id": "/b"}], "Status": {"State": "Enabled", "Health": "OK"}}
    >>> intact(group, {"/a": True, "/b": True}), intact(group, {"/a": True, "/b": False})
    (1.0, 0.0)
    """
    told = _dict(group.get("Status"))
    if "NotRedundant" in (group.get("RedundancyType"), group.get("Mode")) or told.get("State") in IDLE or group.get("RedundancyEnabled") is False:
        return NAN
    if told.get("Health") in ("Warning", "Critical"):
        return 0.0
    names = [_text(_dict(m).get("@odata.id")) for m in _list(group.get("RedundancyGroup") or group.get("RedundancySet"))]
    needed = _number(group.get("MinNeededInGroup", group.get("MinNumNeeded")))
    if len(names) > needed >= 1 and all(name in status for name in names):
        return float(sum(status[name] for name in names) > needed)
    return 1.0 if told.get("Health") == "OK" else NAN


def _add(found: Found, name: str, metric: str, value: float) -> None:
    if not math.isnan(value):
        found.numbers[name, metric] = value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "".join(c if c.isprintable() else "_" for c in value[:256]) if isinstance(value, str) else ""


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return NAN
    try:
        return float(value) if abs(value) < 1e9 else NAN
    except OverflowError:
        return NAN
