"""A real Prometheus for tests: started on a free port, asked over HTTP, stopped at the end."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def get(url: str, **params: object) -> str:
    """Return a page; raises OSError where there is none."""
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(params)}" if params else url, timeout=20) as answer:
        return str(answer.read().decode())


def until(done: Callable[[], bool], what: Callable[[], object], seconds: float = 90) -> None:
    """Wait until something holds; servers that do not answer yet do not hold."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if done():
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} s: {what()}")


class Prometheus:
    """One process that scrapes `targets` (job -> port) every `every` and evaluates rule files as often."""

    def __init__(self, command: str, folder: Path, targets: dict[str, int], *, every: str = "1s", rules: tuple[Path, ...] = (), alertmanager: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(r) for r in rules],
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in targets.items()],
        }
        if alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]}
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.argv = [
            command, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip

    def __enter__(self) -> Prometheus:
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(self.argv, stdout=subprocess.DEVNULL, stderr=log)
        try:
            until(lambda: bool(get(f"{self.url}/-/ready")), lambda: (self.folder / "log").read_text()[-2000:])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait(30)

    def api(self, path: str, **params: object) -> Any:
        """Return the data of an answer; a refusal fails the test with its reason."""
        try:
            return json.loads(get(f"{self.url}/api/v1/{path}", **params))["data"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{path} {params}: {error.code}: {error.read().decode()[:500]}")

    def now(self, expr: str, **params: object) -> list[dict[str, Any]]:
        """Return the series that answer an expression at one moment."""
        return list(self.api("query", query=expr, **params)["result"])
