"""A management controller that is none: serves resources typed by hand, each held to what DMTF's schemas require."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: Properties that the schemas (DSP8010) require, by resource; the common three for all.
REQUIRED = {
    "Power": (), "Thermal": (), "PowerSubsystem": (), "ThermalSubsystem": (), "ThermalMetrics": (), "EnvironmentMetrics": (), "PowerSupply": (), "Fan": (),
    "Chassis": ("ChassisType",), "ChassisCollection": ("Members", "Members@odata.count"), "PowerSupplyCollection": ("Members", "Members@odata.count"),
    "FanCollection": ("Members", "Members@odata.count"),
}  # fmt: skip
GROUP = {"PowerSupplyRedundancy": ("MinNeededInGroup", "RedundancyGroup", "RedundancyType", "Status"),
         "FanRedundancy": ("MinNeededInGroup", "RedundancyGroup", "RedundancyType", "Status"),
         "Redundancy": ("@odata.id", "MemberId", "MinNumNeeded", "Mode", "Name", "RedundancySet", "Status")}  # fmt: skip
STATES = {"Enabled", "Disabled", "Absent", "StandbyOffline", "UnavailableOffline", "Deferring", "StandbySpare", "Starting"}
ROOT = "/redfish/v1"
BOX = f"{ROOT}/Chassis/1"


def links(*paths: str) -> list[dict[str, str]]:
    return [{"@odata.id": p} for p in paths]


def resource(path: str, kind: str, **properties: Any) -> dict[str, Any]:
    collection = {} if kind.endswith("Collection") else {"Id": path.rpartition("/")[2]}
    version = "" if kind.endswith("Collection") else ".v1_1_0"
    return {"@odata.id": path, "@odata.type": f"#{kind}{version}.{kind}", "Name": properties.pop("Name", kind), **collection, **properties}


def collection(path: str, kind: str, *members: str) -> dict[str, Any]:
    return resource(path, f"{kind}Collection", Members=links(*members), **{"Members@odata.count": len(members)})


def ok(health: str = "OK", state: str = "Enabled") -> dict[str, str]:
    return {"State": state, "Health": health}


def modern() -> dict[str, dict[str, Any]]:
    """Four supplies of which two are needed, three fans of which two are, as in the schemas of 2020.4 and later."""
    power, thermal = f"{BOX}/PowerSubsystem", f"{BOX}/ThermalSubsystem"
    supplies, fans = [f"{power}/PowerSupplies/{i}" for i in range(1, 5)], [f"{thermal}/Fans/{i}" for i in range(1, 4)]
    found = [
        collection(f"{ROOT}/Chassis", "Chassis", BOX),
        resource(BOX, "Chassis", ChassisType="RackMount", Model="G9", PowerSubsystem=links(power)[0], ThermalSubsystem=links(thermal)[0],
                 EnvironmentMetrics=links(f"{BOX}/EnvironmentMetrics")[0]),
        resource(f"{BOX}/EnvironmentMetrics", "EnvironmentMetrics", PowerWatts={"Reading": 5400.5}),
        resource(power, "PowerSubsystem", PowerSupplies=links(f"{power}/PowerSupplies")[0], PowerSupplyRedundancy=[
            {"RedundancyType": "NPlusM", "MaxSupportedInGroup": 4, "MinNeededInGroup": 2, "RedundancyGroup": links(*supplies), "Status": ok()}]),
        collection(f"{power}/PowerSupplies", "PowerSupply", *supplies),
        *(resource(p, "PowerSupply", Name=f"PSU{i}", Status=ok()) for i, p in enumerate(supplies, 1)),
        resource(thermal, "ThermalSubsystem", Fans=links(f"{thermal}/Fans")[0], ThermalMetrics=links(f"{thermal}/ThermalMetrics")[0], FanRedundancy=[
            {"RedundancyType": "NPlusM", "MinNeededInGroup": 2, "RedundancyGroup": links(*fans), "Status": ok()}]),
        collection(f"{thermal}/Fans", "Fan", *fans),
        *(resource(p, "Fan", Name=f"Fan {i}", Status=ok(), SpeedPercent={"Reading": 40, "SpeedRPM": 8000 + i}) for i, p in enumerate(fans, 1)),
        resource(f"{thermal}/ThermalMetrics", "ThermalMetrics", TemperatureSummaryCelsius={"Intake": {"Reading": 23.5}, "Exhaust": {"Reading": None}}),
    ]  # fmt: skip
    return {r["@odata.id"]: r for r in found}


def older() -> dict[str, dict[str, Any]]:
    """The same in two resources, as before 2020.4."""
    power, thermal = f"{BOX}/Power", f"{BOX}/Thermal"
    supplies = [
        {"@odata.id": f"{power}#/PowerSupplies/{i}", "MemberId": str(i), "Name": f"PS{i}", "Status": ok(), "LastPowerOutputWatts": 1000 + i} for i in (0, 1)
    ]
    fans = [
        {"@odata.id": f"{thermal}#/Fans/{i}", "MemberId": str(i), "Name": f"FAN{i}", "Status": ok(), "Reading": 9000, "ReadingUnits": "RPM"} for i in (0, 1)
    ]

    def group(where: str, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"@odata.id": f"{where}#/Redundancy/0", "MemberId": "0", "Name": "group", "Mode": "N+m", "MinNumNeeded": 1,
                 "RedundancySet": links(*(p["@odata.id"] for p in parts)), "Status": ok()}]  # fmt: skip

    heat = [{"Name": "inlet", "PhysicalContext": "Intake", "ReadingCelsius": 24, "Status": ok()}, {"PhysicalContext": "CPU", "ReadingCelsius": 60}]
    found = [
        collection(f"{ROOT}/Chassis", "Chassis", BOX),
        resource(BOX, "Chassis", ChassisType="RackMount", Model="G8", Power=links(power)[0], Thermal=links(thermal)[0]),
        resource(power, "Power", PowerSupplies=supplies, Redundancy=group(power, supplies), PowerControl=[{"PowerConsumedWatts": 2100}]),
        resource(thermal, "Thermal", Fans=fans, Redundancy=group(thermal, fans), Temperatures=heat),
    ]  # fmt: skip
    return {r["@odata.id"]: r for r in found}


def check(document: Any) -> None:
    """Hold a resource to the schema: required properties, states that exist."""
    kind = document["@odata.type"].rpartition(".")[2]
    for name in ("@odata.id", "@odata.type", "Name", *(() if kind.endswith("Collection") else ("Id",)), *REQUIRED[kind]):
        assert name in document, (document["@odata.id"], name)
    for group, names in GROUP.items():
        for entry in document.get(group, ()):
            assert set(names) <= entry.keys(), (document["@odata.id"], group)
    if "Status" in document:
        assert document["Status"].get("State", "Enabled") in STATES
        assert document["Status"].get("Health", "OK") in ("OK", "Warning", "Critical")


class FakeBmc:
    """Serves `resources`; a value that is bytes is sent as it is. Counts what is asked for, and refuses everything but GET."""

    def __init__(self, resources: dict[str, Any], *, tls: tuple[Path, Path] | None = None, login: str = "") -> None:
        self.resources, self.asked, self.others, self.login = resources, list[str](), list[str](), login
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.asked.append(self.path)
                found = fake.resources.get(self.path.rstrip("/"))
                allowed = not fake.login or self.headers.get("Authorization") == fake.login
                body = b"{}" if not allowed or found is None else found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(401 if not allowed else 404 if found is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    fake.others.append(name)
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
