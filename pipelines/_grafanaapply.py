"""Apply: bring a Grafana server to what grayscope ships, without undoing what a person did there."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from grayscope.dashboards import NAMES, load, uid
from grayscope.errors import InputError, UsageError, shorten
from grayscope.grafana import Server
from grayscope.sinks._posting import RefusedError

FOLDER = "grayscope"
#: What a version that we saved says: our name and what was in it. A person who saves makes a version that says something else, or nothing.
MARK = re.compile(r"grayscope ([0-9a-f]{16})")
#: Lines of a difference that are shown.
SHOWN = 40


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one thing: `done` is created, updated, same, kept (a person's, not overwritten) or checked."""

    kind: str
    name: str
    done: str
    why: str = ""
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Apply:
    """The order of work on one server.

    Parameters
    ----------
    server : Server
    folder : str
        Title of the folder, where it is made.
    datasource : str
        uid or name of the Prometheus data source; empty: the default one, or the only one.
    force : bool
        Overwrite what a person changed.
    dry_run : bool
        Ask, compare, write nothing.
    """

    server: Server
    folder: str = "grayscope"
    datasource: str = ""
    force: bool = False
    dry_run: bool = False

    def dashboards(self) -> Iterator[Step]:
        """Yield what becomes of the server's health, data source, folder and dashboards; each is done when it is yielded."""
        health = self.server.ask("GET", "/health")
        if health.get("database", "ok") != "ok":
            raise InputError.at(f"grafana {self.server.where}", "health of its database", "ok", health["database"])
        source = self.source()
        yield Step("data source", str(source.get("name")), "checked", self.trouble(source))
        yield self.place()
        for name in NAMES:
            yield self.dashboard(uid(name), load(name))

    def source(self) -> dict[str, Any]:
        """Return the data source that the dashboards will ask.

        Raises
        ------
        UsageError
            There is none of that name, none at all, or several and no default.
        """
        known = [s for s in self.server.ask("GET", "/datasources", kind=list) if s.get("type") == "prometheus"]
        names = ", ".join(shorten(s.get("name")) for s in known[:10]) or "none"
        if self.datasource:
            wanted = [s for s in known if self.datasource in (s.get("uid"), s.get("name"))]
            if not wanted:
                raise UsageError(f"grafana {self.server.where}: data source: expected one of type prometheus called {self.datasource!r}, found {names}")
            return dict(wanted[0])
        chosen = [s for s in known if s.get("isDefault")] or known
        if not known:
            raise UsageError(f"grafana {self.server.where}: data source: expected one of type prometheus, found none: add it under Connections > Data sources")
        if len(chosen) > 1:
            raise UsageError(f"grafana {self.server.where}: data source: several of type prometheus and none is the default: choose with --datasource: {names}")
        return dict(chosen[0])

    def trouble(self, source: dict[str, Any]) -> str:
        """Return what Grafana says against a data source: no reason to stop, for it may be mended later."""
        try:
            self.server.ask("GET", f"/datasources/uid/{source.get('uid')}/health")
        except RefusedError as error:
            return "" if error.code in (403, 404) else str(error)
        return ""

    def place(self) -> Step:
        """Make the folder unless it is there, under whatever title."""
        try:
            return Step("folder", str(self.server.ask("GET", f"/folders/{FOLDER}").get("title")), "same")
        except RefusedError as error:
            if error.code != 404:
                raise
        if not self.dry_run:
            try:
                self.server.ask("POST", "/folders", {"uid": FOLDER, "title": self.folder})
            except RefusedError as error:
                if error.code != 409:
                    raise
                raise UsageError(f"{error}: a folder called {self.folder!r} is there already: choose another title with --folder") from None
        return Step("folder", self.folder, "created")

    def dashboard(self, key: str, board: dict[str, Any]) -> Step:
        """Create or update one dashboard, unless a person saved it last."""
        title, mark = str(board["title"]), digest(board)
        try:
            found = self.server.ask("GET", f"/dashboards/uid/{key}")
        except RefusedError as error:
            if error.code != 404:
                raise
            return self._save(Step("dashboard", title, "created"), board, mark, FOLDER, False)
        there, meta = dict(found.get("dashboard") or {}), found.get("meta") or {}
        if meta.get("provisioned"):
            return Step("dashboard", title, "kept", "it comes from files (provisioning): change it there")
        last = self._last(key)
        ours = MARK.fullmatch(str(last.get("message", "")))
        diff = difference(there, board)
        if (ours and ours[1] == mark) or not diff:
            return Step("dashboard", title, "same")
        if not ours and not self.force:
            who = f"saved by {shorten(last.get('createdBy') or 'somebody', 60)} as version {last.get('version', '?')}"
            return Step("dashboard", title, "kept", f"{who}, not by grayscope: --force overwrites it", diff)
        why = "" if ours else "what a person changed was overwritten; it is in the dashboard's history"
        board = {**board, "version": there.get("version"), "id": there.get("id")}
        return self._save(Step("dashboard", title, "updated", why, diff), board, mark, meta.get("folderUid") or "", self.force)

    def _save(self, step: Step, board: dict[str, Any], mark: str, folder: str, force: bool) -> Step:
        if self.dry_run:
            return step
        try:
            self.server.ask("POST", "/dashboards/db", {"dashboard": board, "folderUid": folder, "overwrite": force, "message": f"grayscope {mark}"})
        except RefusedError as error:
            if error.code != 412:
                raise
            return Step(step.kind, step.name, "kept", "somebody saved it just now: look at it and run this again", step.diff)
        return step

    def _last(self, key: str) -> dict[str, Any]:
        found = self.server.ask("GET", f"/dashboards/uid/{key}/versions", params={"limit": 10}, kind=object)
        versions = found.get("versions", []) if isinstance(found, dict) else found  # older servers answer with the bare list
        if not isinstance(versions, list) or not all(isinstance(v, dict) for v in versions):
            raise InputError.at(f"grafana {self.server.where}", f"versions of {key}", "a list", found)
        return max(versions, key=lambda v: int(v.get("version", 0)), default={})


def digest(content: Any) -> str:
    """Return a short identity of some JSON.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def difference(there: dict[str, Any], ours: dict[str, Any]) -> tuple[str, ...]:
    """Return the lines that would change, as ``diff -u`` shows them, without the server's own numbers; bounded.

    Examples
    --------
    >>> difference({"id": 7, "title": "a"}, {"title": "b"})
    ('-"title": "a"', '+"title": "b"')
    """
    old, new = (json.dumps({k: v for k, v in x.items() if k not in ("id", "version")}, sort_keys=True, indent=1).splitlines() for x in (there, ours))
    lines = [f"{x[0]}{shorten(x[1:].strip())}" for x in list(difflib.unified_diff(old, new, n=0))[2:] if x[0] in "+-"]
    lines = [x for x in lines if x.rstrip(",")[1:] not in ("{", "}", "[", "]")] or lines
    return tuple(lines if len(lines) <= SHOWN else [*lines[:SHOWN], f"… {len(lines) - SHOWN} more lines"])
