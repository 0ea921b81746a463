"""A signed webhook, received by a real server over TLS that may answer anything."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from quiesce.adapters.deliver import deliver
from quiesce.adapters.logs import JsonLog
from quiesce.adapters.webhook import TIMEOUT_S
from quiesce.notifying import Message
from quiesce.settings import NotifySettings
from tests.function.loopback import HANG_UP, Authority, Received, Reply

KEY = b"a key that receivers have too"
SECRET_PATH = "/hooks/T0KEN-that-no-log-may-hold"
MESSAGE = Message("Quiesce: failed", "ins-a: failed", {"kind": "run", "run_id": "r-1", "items": []})
OK = Reply(b"{}")


def told(port: int, ca: Path | None, *more: str, limit_s: float = 10.0, path: str = SECRET_PATH) -> list[dict[str, Any]]:
    """Deliver the message to a loopback port; returns the log's lines."""
    out = io.StringIO()
    settings = NotifySettings((f"https://127.0.0.1:{port}{path}", *more), frozenset(), KEY, ca)
    deliver(MESSAGE, settings, JsonLog(out, common={}, hidden=()), {"run_id": "r-1"}, limit_s)
    assert "T0KEN" not in out.getvalue()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def is_signed(received: Received, key: bytes = KEY) -> bool:
    """What docs/notifications.md tells a receiver to do."""
    at = received.headers["x-quiesce-timestamp"]
    expected = hmac.new(key, at.encode() + b"\n" + received.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, received.headers["x-quiesce-signature"]) and abs(time.time() - int(at)) < 60


def test_a_receiver_knows_by_the_signature_who_sent_what(authority: Authority) -> None:
    with authority.serve(lambda _: OK) as server:
        lines = told(server.port, authority.pem)
    (received,) = server.received
    assert received.path == SECRET_PATH
    assert received.headers["content-type"] == "application/json"
    assert is_signed(received)
    assert not is_signed(received, b"another key")
    assert not is_signed(Received(1, received.path, received.headers, received.body + b" "))
    assert {"version": 1, "title": "Quiesce: failed", "run_id": "r-1", "kind": "run"}.items() <= received.params.items()
    assert [(line["step"], line["outcome"], line["run_id"]) for line in lines] == [("notify", "sent", "r-1")]


@pytest.mark.parametrize(
    ("first", "attempts"),
    [
        pytest.param(Reply(status=500), 2, id="not well"),
        pytest.param(Reply(status=429), 2, id="too many"),
        pytest.param(HANG_UP, 2, id="no answer"),
        pytest.param(Reply(status=404), 1, id="not there, and not there a second later"),
    ],
)
def test_what_may_pass_is_tried_once_more_with_the_same_id(authority: Authority, first: Reply, attempts: int) -> None:
    answers = iter([first, OK])
    with authority.serve(lambda _: next(answers)) as server:
        lines = told(server.port, authority.pem)
    assert len(server.received) == attempts
    assert len({received.params["id"] for received in server.received}) == 1
    assert lines[0]["outcome"] == ("sent" if attempts == 2 else "trouble")


@pytest.mark.parametrize(
    ("reply", "attempts", "said"),
    [
        pytest.param(Reply(status=500, body=b"T0KEN"), 2, "answered HTTP 500", id="never well"),
        pytest.param(HANG_UP, 2, "gave no answer", id="never answers"),
        pytest.param(
            Reply(status=302, headers={"Location": "https://127.0.0.1:1/elsewhere"}),
            1,
            "redirects are not followed",
            id="away",
        ),
    ],
)
def test_two_attempts_are_all_and_the_trouble_is_said_without_the_address(
    authority: Authority, reply: Reply, attempts: int, said: str
) -> None:
    with authority.serve(lambda _: reply) as server:
        (line,) = told(server.port, authority.pem)
    assert len(server.received) == attempts
    assert (line["step"], line["outcome"]) == ("notify", "trouble")
    assert line["reason"].startswith("https://127.0.0.1/… ")
    assert said in line["reason"]


def test_a_redirect_is_not_followed_even_to_where_it_would_work(authority: Authority) -> None:
    with authority.serve(lambda _: OK) as elsewhere:
        away = Reply(status=307, headers={"Location": f"https://127.0.0.1:{elsewhere.port}/"})
        with authority.serve(lambda _: away) as server:
            told(server.port, authority.pem)
        assert elsewhere.received == []


def test_a_receiver_that_hangs_costs_no_more_than_the_time_there_is(authority: Authority) -> None:
    woken = Event()

    def hang(_: Received) -> Reply:
        woken.wait(30)
        return HANG_UP

    with authority.serve(hang) as server:
        began_s = time.monotonic()
        lines = told(server.port, authority.pem, limit_s=1.0)
        took_s = time.monotonic() - began_s
        woken.set()
    assert 0.9 <= took_s < 2.0
    assert "had not answered after 1 s" in lines[0]["reason"]


HANGING = """
import io, sys, time
from quiesce.adapters.deliver import deliver
from quiesce.adapters.logs import JsonLog
from quiesce.notifying import Message
from quiesce.settings import NotifySettings
settings, log = NotifySettings((sys.argv[1],), frozenset(), b"key"), JsonLog(io.StringIO(), common={}, hidden=())
deliver(Message("t", "b", {}), settings, log, {}, 0.6)
print(time.monotonic())
"""


def test_one_that_hangs_does_not_keep_the_process_from_ending() -> None:
    src = str(Path(__file__).parents[2] / "src")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, "-c", HANGING, f"https://127.0.0.1:{silent.getsockname()[1]}/"]
        done = subprocess.run(command, env={"PYTHONPATH": src}, capture_output=True, text=True, check=True)
    assert time.monotonic() - float(done.stdout) < TIMEOUT_S / 2


def test_one_that_hangs_keeps_no_other_from_being_told(authority: Authority) -> None:
    woken = Event()

    def answer(received: Received) -> Reply:
        if received.path == SECRET_PATH:
            woken.wait(30)
        return OK

    with authority.serve(answer) as server:
        lines = told(server.port, authority.pem, f"https://127.0.0.1:{server.port}/other", limit_s=2.0)
        woken.set()
    assert [line["outcome"] for line in lines] == ["trouble", "sent"]


def test_a_receiver_with_a_certificate_of_nobody_we_trust_is_told_nothing(authority: Authority) -> None:
    with authority.serve(lambda _: OK) as server:
        (line,) = told(server.port, None)
    assert server.received == []
    assert "gave no answer (SSLError)" in line["reason"]


def test_without_time_nothing_is_sent_and_that_is_said(authority: Authority) -> None:
    with authority.serve(lambda _: OK) as server:
        (line,) = told(server.port, authority.pem, limit_s=0.2)
    assert server.received == []
    assert line["reason"] == "there was no time left to send anything"


def test_without_a_message_or_an_address_nothing_is_sent_or_logged(authority: Authority) -> None:
    out = io.StringIO()
    with authority.serve(lambda _: OK) as server:
        log = JsonLog(out, common={}, hidden=())
        deliver(None, NotifySettings((f"https://127.0.0.1:{server.port}/",), frozenset(), KEY, authority.pem), log, {})
        deliver(MESSAGE, NotifySettings(), log, {})
    assert (server.received, out.getvalue()) == ([], "")


def test_the_address_is_in_no_log_of_any_library_even_at_debug(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), authority.serve(lambda _: Reply(status=500)) as server:
        told(server.port, authority.pem)
    assert "T0KEN" not in caplog.text
