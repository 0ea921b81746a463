"""The hook over real TLS: routes, refusals, and nobody waits for somebody else's silence."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import statistics
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from quiesced.auth import sign
from quiesced.messages import CheckRequest, QuiesceRequest, ReleaseRequest
from tests.daemon.fake_keeper import FakeKeeper
from tests.daemon.hook_caller import KEY_ID, SECRET, Site, ask, connected, serving
from tests.waiting import wait_until

MESSAGES = Path(__file__).parents[2] / "hooks" / "messages"
CHECK, QUIESCE, RELEASE = ((MESSAGES / f"{name}-request.json").read_bytes() for name in ("check", "quiesce", "release"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def keeper() -> FakeKeeper:
    keeper = FakeKeeper()
    keeper.may_hold.set()
    return keeper


@pytest.fixture
def port(site: Site, keeper: FakeKeeper) -> Iterator[int]:
    with serving(keeper, site.listen()) as port:
        yield port


def test_a_whole_hold_goes_over_one_connection(site: Site, keeper: FakeKeeper, port: int) -> None:
    lease = json.loads(QUIESCE)["lease_id"]
    with connected(port, site.context()) as connection:
        assert ask(connection, "POST", "/v1/check", CHECK)[1]["ready"] is True
        assert ask(connection, "POST", "/v1/quiesce", QUIESCE)[1]["state"] == "held"
        assert ask(connection, "GET", "/v1/status")[1]["lease_id"] == lease
        assert ask(connection, "POST", "/v1/release", RELEASE)[1]["state"] == "released"
        assert ask(connection, "GET", "/v1/status")[1]["state"] == "idle"
    assert [type(request) for request in keeper.asked] == [CheckRequest, QuiesceRequest, ReleaseRequest]


def test_health_needs_no_signature(site: Site, port: int) -> None:
    with connected(port, site.context()) as connection:
        assert ask(connection, "GET", "/healthz", signed=False) == (200, {"ok": True})


REFUSALS: dict[str, tuple[str, str, bytes, int, str]] = {
    "unknown path": ("POST", "/v1/freeze", CHECK, 404, "unknown_path"),
    "path with a query": ("POST", "/v1/check?x=1", CHECK, 404, "unknown_path"),
    "path in disguise": ("POST", "/v1/%63heck", CHECK, 404, "unknown_path"),
    "path with a slash more": ("POST", "/v1/check/", CHECK, 404, "unknown_path"),
    "get instead of post": ("GET", "/v1/quiesce", b"", 405, "wrong_method"),
    "post instead of get": ("POST", "/v1/status", b"{}", 405, "wrong_method"),
    "delete health": ("DELETE", "/healthz", b"", 405, "wrong_method"),
    "no json": ("POST", "/v1/check", b"what", 400, "bad_json"),
    "other message": ("POST", "/v1/check", RELEASE, 400, "bad_message"),
}


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_request_that_is_refused_for_its_form_changes_nothing(
    site: Site, keeper: FakeKeeper, port: int, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    with connected(port, site.context()) as connection:
        found, answer = ask(connection, method, path, body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert set(answer) == {"error"} and set(answer["error"]) == {"code", "message"}
    assert keeper.asked == []


def test_a_body_that_is_too_large_is_refused_before_it_is_read(site: Site, keeper: FakeKeeper, port: int) -> None:
    with connected(port, site.context()) as connection:
        connection.putrequest("POST", "/v1/check")
        connection.putheader("Content-Length", "65537")
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (413, "close")
        assert json.loads(answer.read())["error"]["code"] == "too_large"
    assert keeper.asked == []


def test_the_largest_body_is_read(site: Site, port: int) -> None:
    with connected(port, site.context()) as connection:
        assert ask(connection, "POST", "/v1/check", CHECK + b" " * (65_536 - len(CHECK)))[0] == 200


@pytest.mark.parametrize("path", ["/v1/check", "/v1/quiesce", "/v1/release"])
def test_an_unsigned_request_is_refused(site: Site, keeper: FakeKeeper, port: int, path: str) -> None:
    with connected(port, site.context()) as connection:
        status, answer = ask(connection, "POST", path, CHECK, signed=False)
    assert (status, answer["error"]["code"]) == (401, "unknown_key")
    assert keeper.asked == []


def test_the_same_request_twice_is_a_replay(site: Site, keeper: FakeKeeper, port: int) -> None:
    headers = sign(KEY_ID, SECRET, "POST", "/v1/check", CHECK).headers()
    with connected(port, site.context()) as connection:
        codes = []
        for _ in range(2):
            connection.request("POST", "/v1/check", CHECK, headers)
            answer = connection.getresponse()
            codes.append(json.loads(answer.read()).get("error", {}).get("code"))
    assert codes == [None, "replayed"]
    assert len(keeper.asked) == 1


def test_a_body_in_chunks_is_refused(site: Site, keeper: FakeKeeper, port: int) -> None:
    with connected(port, site.context()) as connection:
        connection.putrequest("POST", "/v1/check")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()  # the refusal does not wait for a body, and a body might meet a closed connection
        answer = connection.getresponse()
        assert answer.status == 411
        assert json.loads(answer.read())["error"]["code"] == "length_required"
    assert keeper.asked == []


def test_what_goes_wrong_inside_is_not_told_outside(site: Site, keeper: FakeKeeper, port: int) -> None:
    keeper.fault = ValueError("the innermost secret")
    with connected(port, site.context()) as connection:
        status, answer = ask(connection, "POST", "/v1/check", CHECK)
        keeper.fault = None
        assert ask(connection, "POST", "/v1/check", CHECK)[0] == 200
    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "secret" not in json.dumps(answer)


def test_the_banner_names_no_version(site: Site, port: int) -> None:
    with connected(port, site.context()) as connection:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
    assert answer.getheader("Server") == "quiesced"


def test_a_release_is_answered_while_a_quiesce_waits(site: Site, keeper: FakeKeeper, port: int) -> None:
    keeper.may_hold.clear()
    answers: list[Any] = []

    def quiesce() -> None:
        with connected(port, site.context()) as connection:
            answers.append(ask(connection, "POST", "/v1/quiesce", QUIESCE))

    waiting = threading.Thread(target=quiesce)
    waiting.start()
    try:
        wait_until(lambda: keeper.asked)
        with connected(port, site.context()) as connection:
            assert ask(connection, "POST", "/v1/release", RELEASE)[1]["state"] == "never_held"
    finally:
        keeper.may_hold.set()
        waiting.join()
    assert answers[0][1]["state"] == "held"


def _say_nothing(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 5)


def _begin_a_handshake(port: int) -> socket.socket:
    connection = _say_nothing(port)
    connection.sendall(b"\x16\x03\x01")
    return connection


@pytest.mark.parametrize(
    ("behave", "callers"), [(_say_nothing, 60), (_begin_a_handshake, 8)], ids=["silence", "half a handshake"]
)
def test_callers_that_say_nothing_keep_nobody_waiting(
    site: Site, port: int, behave: Callable[[int], socket.socket], callers: int
) -> None:
    with ExitStack() as stack:
        for _ in range(callers):
            stack.enter_context(behave(port))
        started_s = time.monotonic()
        with connected(port, site.context()) as connection:
            assert ask(connection, "GET", "/healthz", signed=False)[0] == 200
        assert time.monotonic() - started_s < 2


def test_a_caller_that_speaks_no_tls_is_hung_up_on(site: Site, port: int) -> None:
    with _say_nothing(port) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.settimeout(5)
        answer = plain.recv(4096)
    assert b"ok" not in answer
    with connected(port, site.context()) as connection:
        assert ask(connection, "GET", "/healthz", signed=False)[0] == 200


def test_tls_older_than_1_2_is_refused(site: Site, port: int) -> None:
    context = site.context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of what is tested here
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)), connected(port, context):
        pass


def test_a_client_certificate_is_demanded_where_configured(site: Site, keeper: FakeKeeper, tmp_path: Path) -> None:
    callers = Site(tmp_path)
    client_ca = tmp_path / "client-ca.pem"
    callers.authority.cert_pem.write_to_path(str(client_ca))
    with serving(keeper, site.listen(client_ca)) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)), connected(port, site.context()) as connection:
            ask(connection, "GET", "/healthz", signed=False)
        context = site.context()
        callers.authority.issue_cert("function").configure_cert(context)
        with connected(port, context) as connection:
            assert ask(connection, "GET", "/healthz", signed=False)[0] == 200


def test_no_answer_waits_for_an_acknowledgement(site: Site, port: int) -> None:
    """40 ms of every hold otherwise: Nagle's algorithm against delayed acknowledgements."""
    took_s = []
    with connected(port, site.context()) as connection:
        for _ in range(40):
            started_s = time.monotonic()
            ask(connection, "POST", "/v1/check", CHECK)
            took_s.append(time.monotonic() - started_s)
    assert statistics.median(took_s[5:]) < 0.025


def test_an_answer_is_sent_in_one_piece(site: Site, port: int) -> None:
    """Head and body in one record of TLS: whoever was given a hold is woken once, and goes on at once."""
    with connected(port, site.context()) as connection:
        connection.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: hook\r\n\r\n")
        assert connection.sock.recv(65_536).endswith(b'\r\n\r\n{"ok":true}')


def test_a_hold_is_answered_before_its_request_is_logged(
    site: Site, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answered, logged = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            if answered.wait(20):
                logged.set()

    caplog.set_level(logging.INFO, "quiesced.server")
    monkeypatch.setattr(logging.getLogger("quiesced.server"), "handlers", [Slow()])
    with connected(port, site.context()) as connection:
        connection.sock.settimeout(10)
        try:
            assert ask(connection, "POST", "/v1/quiesce", QUIESCE)[1]["state"] == "held"
        finally:
            answered.set()
    assert logged.wait(10)
