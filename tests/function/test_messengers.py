"""Messages through apprise: its own plug-in for JSON, against a real server on loopback."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import apprise
import pytest

from quiesce.adapters.deliver import deliver
from quiesce.adapters.logs import JsonLog
from quiesce.notifying import Message
from quiesce.settings import NotifySettings

SRC = str(Path(__file__).parents[2] / "src")
MESSAGE = Message("Quiesce: failed", "ins-a: failed, none: *no* <disk>\nNext: look", {})


class Receiver(ThreadingHTTPServer):
    """Answers every POST with one status, and keeps what it was sent."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.bodies: list[Any] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextlib.contextmanager
def receiver(status: int = 200) -> Iterator[Receiver]:
    with Receiver(status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def told(*urls: str) -> list[dict[str, Any]]:
    out = io.StringIO()
    deliver(MESSAGE, NotifySettings(urls), JsonLog(out, common={}, hidden=()), {})
    assert "T0KEN" not in out.getvalue()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_service_gets_title_and_text_as_they_are() -> None:
    with receiver() as server:
        (line,) = told(f"json://127.0.0.1:{server.server_port}/T0KEN")
    (body,) = server.bodies
    assert (body["title"], body["message"]) == (MESSAGE.title, MESSAGE.text)
    assert line["outcome"] == "sent"


def test_a_service_that_refuses_is_a_trouble_that_is_told_without_its_address(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), receiver(403) as server:
        (line,) = told(f"json://127.0.0.1:{server.server_port}/T0KEN")
    assert (line["outcome"], line["reason"]) == ("trouble", "json://…: the service did not take it, or did not answer")
    assert "T0KEN" not in caplog.text


def test_an_address_that_apprise_does_not_know_is_said() -> None:
    (line,) = told("nosuchservice://T0KEN")
    assert line["reason"].startswith("nosuchservice://…: apprise does not know such an address")


@pytest.mark.parametrize(
    "url",
    [
        "wecombot://T0KEN-of-a-bot",
        "feishu://T0KEN",
        "dingtalk://T0KEN",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ],
)
def test_the_services_that_the_documents_name_are_known_to_apprise(url: str) -> None:
    assert apprise.Apprise().add(url)


def run(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", source], env={"PYTHONPATH": SRC}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_nothing_but_sending_loads_apprise() -> None:
    assert run("import sys, quiesce.invocation; print('apprise' in sys.modules)") == "False"


def test_without_apprise_that_is_said_and_nothing_fails() -> None:
    missing = "import sys; sys.modules['apprise'] = None\n"
    send = "from quiesce.adapters import messengers, deliver\nfrom quiesce.errors import NotifyError\n"
    attempt = "try:\n  messengers.send('wecombot://T0KEN', 't', 'b')\nexcept NotifyError as error: print(error)"
    assert run(missing + send + attempt) == "wecombot://…: apprise is not in this package (docs/notifications.md)"
