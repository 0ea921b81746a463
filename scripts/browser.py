"""A Chromium without a window, asked over a pipe (DevTools protocol): opens a page, measures it, takes pictures of it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

PROGRAM = "chromium"
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions")


def program() -> str | None:
    """Path of the browser, or None where there is none."""
    return shutil.which(PROGRAM)


def dumped(page: Path) -> str:
    """Let the browser read a page, and return what it made of it as HTML again. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as profile:
        command = [PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "--dump-dom", page.resolve().as_uri()]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@dataclass
class Tab:
    """One tab. ``events`` are all that it told unasked, in order."""

    to: BinaryIO
    back: BinaryIO
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    number: int = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command, and return its result. Raises RuntimeError when the browser refuses or has gone."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        self.to.write(json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0")
        self.to.flush()
        while True:
            told = self._read()
            if told.get("id") == self.number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return dict(told["result"])
            self.events.append(told)

    def wait_for(self, event: str) -> None:
        """Wait until the browser tells this; it may have done so already."""
        while not any(told.get("method") == event for told in self.events):
            self.events.append(self._read())

    def open(self, page: Path, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Open a page in a window of this size, and wait until it has loaded."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=page.resolve().as_uri())
        self.wait_for("Page.loadEventFired")
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def picture(self) -> bytes:
        """Take a picture of what the window shows, as PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def told(self, event: str) -> list[Mapping[str, Any]]:
        """What it told by this event since the page was opened."""
        return [told["params"] for told in self.events if told.get("method") == event]

    def _read(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self.back.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            text += byte
        return dict(json.loads(text))


@contextlib.contextmanager
def tab() -> Iterator[Tab]:
    """Start a browser, and end it with the block."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The browser reads commands from its file descriptor 3 and answers on 4. The shell puts the pipes there,
        # and bash because others take descriptors of one digit only.
        pipes = 'read=$1 write=$2; shift 2; eval "exec 3<&$read 4>&$write"; exec "$@"'
        command = ["bash", "-c", pipes, "bash", str(theirs_in), str(theirs_out), PROGRAM, *_OPTIONS]
        command += [f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        with os.fdopen(ours_out, "wb") as to, os.fdopen(ours_in, "rb") as back:
            one = Tab(to, back)
            try:
                _attach(one)
                yield one
            finally:
                process.terminate()
                process.wait(30)


def _attach(one: Tab) -> None:
    target = one.ask("Target.createTarget", url="about:blank")["targetId"]
    one.session = one.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Network", "Log", "Runtime"):
        one.ask(f"{domain}.enable")
