"""A real headless Chromium, spoken to through a pipe: what does a page look like at a width, and what does the browser complain about?"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --remote-debugging-pipe"
)


class Browser:
    """One page of a running Chromium."""

    def __init__(self, to: IO[bytes], back: IO[bytes]) -> None:
        self._to, self._back, self._count, self._session = to, back, 0, ""
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def open(self, page: Path, width: int, height: int = 900) -> None:
        """Load a file at a window of this size, as a phone would below 600 pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Page.navigate", url=page.as_uri())
        self._until(lambda m: m.get("method") == "Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        answer = self._until(lambda m: m.get("id") == self._count)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _until(self, wanted: Any) -> dict[str, Any]:
        while True:
            message = self._read()
            if message.get("method") in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))
            if message.get("method") == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(("file:", "about:")):
                    self.complaints.append(f"asked for {url}")
            if wanted(message):
                return message

    def _read(self) -> dict[str, Any]:
        found = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, "the browser has ended"
            found += byte
        message: dict[str, Any] = json.loads(found)
        return message


@contextmanager
def browser(command: str, profile: Path) -> Iterator[Browser]:
    """Run Chromium with a profile of its own and end it."""
    take, to = os.pipe()
    back, give = os.pipe()
    line = f"exec {shlex.quote(command)} {FLAGS} --user-data-dir={shlex.quote(str(profile))} 3<&{take} 4>&{give} {take}<&- {give}>&-"
    process = subprocess.Popen(["bash", "-c", line], pass_fds=(take, give), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(take)
    os.close(give)
    with os.fdopen(to, "wb") as writer, os.fdopen(back, "rb") as reader:
        try:
            opened = Browser(writer, reader)
            yield opened
            opened._session = ""
            opened.call("Browser.close")
        finally:
            process.terminate()
            process.wait(20)
