"""A Grafana to test against: form and documented codes from the contract beside this file, state kept in memory, failures on purpose.

Every request is checked (path, verb, who asks, body; unknown keys are refused) and so is every answer; what is wrong is told to the asker and kept in
`Contract.breaches`, which the tests hold empty. It checks form and the little behaviour that is written down here, not all that Grafana does.
"""

from __future__ import annotations

import copy
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema

TOKEN = "glsa_contract_secret"  # a made-up one
Answer = tuple[int, Any]


def strict(doc: dict[str, Any]) -> dict[str, Any]:
    """Return the contract with unknown keys forbidden wherever keys are named."""
    doc = copy.deepcopy(doc)
    for schema in doc["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return doc


DOC = strict(json.loads(Path(__file__).with_name("contract.json").read_text("utf-8")))
#: Literal paths before templates.
ROUTES = [(re.compile(re.sub(r"\{\w+\}", "([^/]+)", p)), p, verbs) for p, verbs in sorted(DOC["paths"].items(), key=lambda i: "{" in i[0])]


def breach(schema: dict[str, Any], body: Any) -> str:
    """Return what is wrong with a body, or nothing."""
    found = next(iter(jsonschema.Draft7Validator({**schema, "components": DOC["components"]}).iter_errors(body)), None)
    return f"{'/'.join(map(str, found.path))}: {found.message}" if found else ""


def without_nulls(value: Any) -> Any:
    """Return a body without explicit nulls: clients send them, the contract knows none."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


@dataclass
class Fault:
    """A failure on purpose, `times` in a row: a status, or ``silent``, ``half``, ``dropped``, ``page``, ``elsewhere``, ``odd``."""

    verb: str
    path: str
    what: int | str
    times: int = 1
    headers: tuple[tuple[str, str], ...] = ()


class Contract(ThreadingHTTPServer):
    """The server; `url` and `token` are what a client needs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token = TOKEN
        self.calls: list[tuple[str, str, Any]] = []
        self.breaches: list[str] = []
        self.faults: list[Fault] = []
        self.going = threading.Event()
        self.lock = threading.RLock()
        self.state = State()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fail(self, verb: str, path: str, what: int | str, times: int = 1, **headers: str) -> None:
        self.faults.append(Fault(verb, path, what, times, tuple((k.replace("_", "-"), v) for k, v in headers.items())))

    def wrote(self) -> list[str]:
        """Return the requests that change something."""
        return [f"{verb} {path}" for verb, path, _ in self.calls if verb != "GET"]

    def stop(self) -> None:
        self.going.set()
        self.shutdown()
        self.server_close()
        self.thread.join()

    def answer(self, verb: str, path: str, query: dict[str, list[str]], body: Any, who: str) -> Answer:
        """Check the request, let the state answer, check the answer."""
        matched = next(((m, p, verbs) for r, p, verbs in ROUTES if (m := r.fullmatch(path))), None)
        if matched is None:
            return self.wrong(404, f"{verb} {path}: not in the contract")
        match, template, verbs = matched
        if verb.lower() not in verbs:
            return self.wrong(405, f"{verb} {template}: not in the contract")
        asked = verbs[verb.lower()]
        known = {p["name"] for p in asked["parameters"] if p["in"] == "query"}
        if unknown := set(query) - known:
            return self.wrong(400, f"{verb} {template}: unknown parameters {unknown}")
        if who != f"Bearer {self.token}" and template != "/api/health":
            return 401, {"message": "Invalid API key"}
        wanted = asked.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if wanted and (found := breach(wanted, without_nulls(body))):
            return self.wrong(400, f"{verb} {template}: {found}")
        with self.lock:
            code, said = self.state.answer(f"{verb} {template}", [urllib.parse.unquote(g) for g in match.groups()], query, without_nulls(body))
        if str(code) not in asked["responses"]:
            return self.wrong(500, f"{verb} {template}: the test server's {code} is not documented")
        documented = asked["responses"][str(code)].get("content", {}).get("application/json", {}).get("schema")
        if documented and code < 300 and (found := breach(documented, said)):
            return self.wrong(500, f"{verb} {template}: the test server's answer: {found}")
        return code, said

    def wrong(self, code: int, text: str) -> Answer:
        self.breaches.append(text)
        return code, {"message": text}

    def fault(self, verb: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.verb in (verb, "*") and path.startswith(fault.path):
                    fault.times -= 1
                    return fault
        return None


#: What the state answers to.
HANDLERS = {
    "GET /api/health": "health", "GET /api/datasources": "listed", "GET /api/datasources/uid/{uid}/health": "well",
    "GET /api/folders/{folder_uid}": "folder", "POST /api/folders": "new_folder",
    "GET /api/dashboards/uid/{uid}": "board", "GET /api/dashboards/uid/{uid}/versions": "versions", "POST /api/dashboards/db": "save",
    "DELETE /api/dashboards/uid/{uid}": "gone",
    "GET /api/annotations": "found", "POST /api/annotations": "note", "PATCH /api/annotations/{annotation_id}": "patch",
    "DELETE /api/annotations/{annotation_id}": "unnote",
    "GET /api/v1/provisioning/alert-rules/{UID}": "rule", "POST /api/v1/provisioning/alert-rules": "new_rule",
    "PUT /api/v1/provisioning/alert-rules/{UID}": "put_rule", "DELETE /api/v1/provisioning/alert-rules/{UID}": "no_rule",
    "GET /api/v1/provisioning/contact-points": "contacts", "POST /api/v1/provisioning/contact-points": "new_contact",
}  # fmt: skip


class State:
    """What a Grafana remembers, as far as it matters here."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, Any]] = {}
        self.boards: dict[str, list[dict[str, Any]]] = {}
        self.notes: dict[int, dict[str, Any]] = {}
        self.sources: list[dict[str, Any]] = [{"id": 1, "uid": "prom1", "name": "Prometheus", "type": "prometheus", "isDefault": True}]
        self.sick = ""
        self.provisioned: set[str] = set()
        self.rules: dict[str, dict[str, Any]] = {}
        self.points: list[dict[str, Any]] = [{"uid": "e1", "name": "oncall", "type": "email", "settings": {"addresses": "oncall@example.org"}}]
        self.numbers: Iterator[int] = iter(range(1, 1 << 30))

    def answer(self, what: str, ids: list[str], query: dict[str, list[str]], body: Any) -> Answer:
        found: Callable[..., Answer] | None = getattr(self, HANDLERS.get(what, ""), None)
        return found(ids, query, body) if found else (500, {"message": f"{what}: not kept by this test server"})

    def health(self, *_: Any) -> Answer:
        return 200, {"database": "ok", "version": "12.0.0", "commit": "0"}

    def listed(self, *_: Any) -> Answer:
        return 200, self.sources

    def well(self, ids: list[str], *_: Any) -> Answer:
        return (400, {"message": self.sick}) if self.sick else (200, {"message": "Successfully queried the Prometheus API."})

    def folder(self, ids: list[str], *_: Any) -> Answer:
        return (200, self.folders[ids[0]]) if ids[0] in self.folders else (404, {"message": "folder not found"})

    def new_folder(self, _: Any, __: Any, body: Any) -> Answer:
        if body.get("uid") in self.folders or any(f["title"] == body["title"] for f in self.folders.values()):
            return 409, {"message": "a folder with that name already exists"}
        self.folders[body["uid"]] = {"id": next(self.numbers), "uid": body["uid"], "title": body["title"], "version": 1}
        return 200, self.folders[body["uid"]]

    def board(self, ids: list[str], *_: Any) -> Answer:
        if ids[0] not in self.boards:
            return 404, {"message": "Dashboard not found"}
        last = self.boards[ids[0]][-1]
        return 200, {"dashboard": last["data"], "meta": {"version": last["version"], "provisioned": ids[0] in self.provisioned, "folderUid": last["folder"]}}

    def versions(self, ids: list[str], query: dict[str, list[str]], _: Any) -> Answer:
        if ids[0] not in self.boards:
            return 404, {"message": "Dashboard not found"}
        kept = [{k: v for k, v in x.items() if k not in ("data", "folder")} for x in reversed(self.boards[ids[0]])]
        return 200, {"versions": kept[: int(query.get("limit", ["0"])[0]) or None]}

    def save(self, _: Any, __: Any, body: Any) -> Answer:
        data, folder = dict(body["dashboard"]), body.get("folderUid", "")
        if not data.get("title"):
            return 400, {"message": "Dashboard title cannot be empty"}
        if folder and folder not in self.folders:
            return 404, {"message": "folder not found"}
        if data.get("uid") in self.provisioned:
            return 400, {"message": "Cannot save provisioned dashboard"}
        past = self.boards.setdefault(data["uid"], [])
        if past and not body.get("overwrite") and data.get("version") != past[-1]["version"]:
            return 412, {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
        number = past[-1]["version"] + 1 if past else 1
        data |= {"id": past[-1]["data"]["id"] if past else next(self.numbers), "version": number}
        past.append(
            {"version": number, "message": body.get("message", ""), "created": "2026-01-05T00:00:00Z", "createdBy": "tester", "data": data, "folder": folder}
        )
        return 200, {"id": data["id"], "uid": data["uid"], "status": "success", "title": data["title"], "url": f"/d/{data['uid']}", "version": number}

    def gone(self, ids: list[str], *_: Any) -> Answer:
        if ids[0] not in self.boards:
            return 404, {"message": "Dashboard not found"}
        del self.boards[ids[0]]
        return 200, {"message": "deleted", "title": ids[0]}

    def found(self, _: Any, query: dict[str, list[str]], __: Any) -> Answer:
        wanted, limit = set(query.get("tags", [])), int(query.get("limit", ["100"])[0])
        return 200, [n for n in self.notes.values() if wanted <= set(n["tags"])][:limit]

    def note(self, _: Any, __: Any, body: Any) -> Answer:
        if "dashboardUID" in body and body["dashboardUID"] not in self.boards:
            return 400, {"message": "Dashboard not found"}
        number = next(self.numbers)
        self.notes[number] = {"tags": [], "timeEnd": body["time"], **body, "id": number}
        return 200, {"id": number, "message": "Annotation added"}

    def patch(self, ids: list[str], __: Any, body: Any) -> Answer:
        if int(ids[0]) not in self.notes:
            return 404, {"message": "annotation not found"}
        self.notes[int(ids[0])] |= body
        return 200, {"message": "Annotation patched"}

    def unnote(self, ids: list[str], *_: Any) -> Answer:
        self.notes.pop(int(ids[0]), None)
        return 200, {"message": "Annotation deleted"}

    def rule(self, ids: list[str], *_: Any) -> Answer:
        return (200, self.rules[ids[0]]) if ids[0] in self.rules else (404, None)

    def new_rule(self, _: Any, __: Any, body: Any) -> Answer:
        if body["folderUID"] not in self.folders or body["uid"] in self.rules:
            return 400, {"message": "invalid alert rule: no such folder, or a rule with this uid"}
        return 201, self._kept(body)

    def put_rule(self, ids: list[str], __: Any, body: Any) -> Answer:
        return (200, self._kept({**body, "uid": ids[0]})) if ids[0] in self.rules else (400, {"message": "no such rule"})

    def no_rule(self, ids: list[str], *_: Any) -> Answer:
        self.rules.pop(ids[0], None)
        return 204, None

    def contacts(self, _: Any, query: dict[str, list[str]], __: Any) -> Answer:
        return 200, [p for p in self.points if query.get("name", [p["name"]]) == [p["name"]]]

    def new_contact(self, _: Any, __: Any, body: Any) -> Answer:
        self.points.append({"uid": f"c{next(self.numbers)}", **body})
        return 202, self.points[-1]

    def _kept(self, rule: dict[str, Any]) -> dict[str, Any]:
        """Keep a rule as Grafana does: it adds to each query's model what it needs itself."""
        rule = copy.deepcopy(rule)
        for query in rule["data"]:
            query["model"] = {"intervalMs": 1000, "maxDataPoints": 43200, **query["model"]}
        self.rules[rule["uid"]] = {"id": next(self.numbers), "updated": "2026-01-05T00:00:00Z", **rule}
        return self.rules[rule["uid"]]


class Handler(BaseHTTPRequestHandler):
    """Reads one request, fails on purpose or lets the contract answer."""

    server: Contract
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body waits for no word that its head has come: forty milliseconds each

    def handle_any(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urllib.parse.urlsplit(self.path)
        try:
            body = json.loads(text) if text else None
        except ValueError:
            return self.say(*self.server.wrong(400, f"{self.path}: not JSON"))
        self.server.calls.append((self.command, parts.path, body))
        fault = self.server.fault(self.command, parts.path)
        if fault is not None:
            return self.fail(fault)
        who = self.headers.get("Authorization", "")
        return self.say(*self.server.answer(self.command, parts.path, urllib.parse.parse_qs(parts.query), body, who))

    def do_GET(self) -> None:
        self.handle_any()

    def do_POST(self) -> None:
        self.handle_any()

    def do_PUT(self) -> None:
        self.handle_any()

    def do_PATCH(self) -> None:
        self.handle_any()

    def do_DELETE(self) -> None:
        self.handle_any()

    def fail(self, fault: Fault) -> None:
        if isinstance(fault.what, int):
            return self.say(fault.what, {"message": "on purpose"}, dict(fault.headers))
        if fault.what == "silent":
            self.server.going.wait(10)
        elif fault.what == "page":
            return self.say(200, None, {"Content-Type": "text/html"}, b"<html>log in</html>")
        elif fault.what == "elsewhere":
            return self.say(302, None, {"Location": "http://127.0.0.1:1/login"})
        elif fault.what == "odd":
            return self.say(200, 7)
        elif fault.what == "half":
            self.say(200, None, {"Content-Length": "4000"}, b'{"id": 1, "mess')
        self.close_connection = True
        return None

    def say(self, code: int, body: Any, headers: dict[str, str] | None = None, raw: bytes | None = None) -> None:
        data = raw if raw is not None else b"" if code == 204 else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the standard library
        del format, args
