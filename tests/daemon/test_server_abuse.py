"""Callers that fail, drip or speak something else, over real TLS: they are cut off, and nobody else waits for them."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quiesced.peers import MAX_FAILURES, Peers
from quiesced.server import THREADS
from quiesced.tally import Tally
from tests.daemon.fake_keeper import FakeKeeper
from tests.daemon.hook_caller import KEY_ID, Site, ask, connected, serving
from tests.waiting import wait_until

MESSAGES = Path(__file__).parents[2] / "hooks" / "messages"
CHECK, QUIESCE, RELEASE = ((MESSAGES / f"{name}-request.json").read_bytes() for name in ("check", "quiesce", "release"))
READ_LIMIT_S = 1.0


@dataclass
class Hook:
    """A served hook, and what it remembers."""

    site: Site
    keeper: FakeKeeper
    tally: Tally = field(default_factory=Tally)
    peers: Peers = field(default_factory=Peers)
    port: int = 0

    def shut_out(self) -> None:
        """Have this address fail too often."""
        with connected(self.port, self.site.context()) as connection:
            for _ in range(MAX_FAILURES):
                assert ask(connection, "POST", "/v1/check", CHECK, signed=False)[0] == 401

    def tls(self) -> ssl.SSLSocket:
        """Connect and shake hands, and say nothing more."""
        plain = socket.create_connection(("127.0.0.1", self.port), 10)
        return self.site.context().wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Hook]:
    made = Hook(Site(tmp_path), FakeKeeper())
    made.keeper.may_hold.set()
    listen = made.site.listen()
    with serving(made.keeper, listen, tally=made.tally, peers=made.peers, read_limit_s=READ_LIMIT_S) as made.port:
        yield made


def test_after_too_many_refusals_even_a_good_signature_is_not_looked_at(hook: Hook) -> None:
    hook.shut_out()
    with connected(hook.port, hook.site.context()) as connection:
        for signed in (True, False):
            status, answer = ask(connection, "POST", "/v1/quiesce", QUIESCE, signed=signed)
            assert (status, answer["error"]["code"]) == (429, "too_many_failures")
        assert ask(connection, "GET", "/healthz", signed=False)[0] == 200
    assert hook.keeper.asked == []


def test_who_is_shut_out_is_told_when_to_ask_again(hook: Hook) -> None:
    hook.shut_out()
    with connected(hook.port, hook.site.context()) as connection:
        connection.request("GET", "/v1/status")
        answer = connection.getresponse()
        answer.read()
    assert 0 < int(answer.headers["Retry-After"]) <= 60


def test_a_signed_release_is_admitted_from_an_address_that_is_shut_out(hook: Hook) -> None:
    """Otherwise an attacker behind the function's address could keep the database locked to its limit."""
    with connected(hook.port, hook.site.context()) as connection:
        assert ask(connection, "POST", "/v1/quiesce", QUIESCE)[1]["state"] == "held"
        hook.shut_out()
        assert ask(connection, "POST", "/v1/release", RELEASE, signed=False)[0] == 401
        assert ask(connection, "POST", "/v1/release", RELEASE)[1]["state"] == "released"


def test_failed_handshakes_count_and_connections_that_say_nothing_do_not(hook: Hook) -> None:
    for _ in range(2 * MAX_FAILURES):
        socket.create_connection(("127.0.0.1", hook.port), 5).close()
    with connected(hook.port, hook.site.context()) as connection:
        assert ask(connection, "GET", "/v1/status")[0] == 200
    for _ in range(MAX_FAILURES):
        with socket.create_connection(("127.0.0.1", hook.port), 5) as plain:
            plain.sendall(b"GET /v1/status HTTP/1.1\r\n\r\n")
            while plain.recv(100):
                continue
    wait_until(lambda: hook.peers.shut_out_s("127.0.0.1") > 0)
    assert hook.tally.requests_refused()["handshake"] == MAX_FAILURES


HEADERS = b"POST /v1/release HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"


@pytest.mark.parametrize("said", [b"POST /v1/che", HEADERS[:-2], HEADERS], ids=["request line", "headers", "body"])
def test_a_caller_that_drips_is_cut_off_while_others_are_served(hook: Hook, said: bytes) -> None:
    """Each byte comes well within any limit of a single read."""
    with contextlib.ExitStack() as stack:
        dripping = [stack.enter_context(hook.tls()) for _ in range(THREADS - 1)]
        for connection in dripping:
            connection.sendall(said)
            connection.settimeout(0.05)
        started_s = time.monotonic()
        answer = b""
        while not answer:
            assert time.monotonic() - started_s < 20 * READ_LIMIT_S
            with connected(hook.port, hook.site.context()) as other:
                assert ask(other, "GET", "/healthz", signed=False)[0] == 200
            for connection in dripping:
                with contextlib.suppress(OSError):
                    connection.sendall(b"x")
            with contextlib.suppress(OSError):  # nothing yet
                answer = dripping[0].recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"too_slow"' in answer + _rest(dripping[0])


def _rest(connection: ssl.SSLSocket) -> bytes:
    """Read until the other side closes."""
    connection.settimeout(10)
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(4096):
            found += piece
    return found


def test_half_a_handshake_that_drips_is_cut_off(hook: Hook) -> None:
    with socket.create_connection(("127.0.0.1", hook.port), 5) as plain:
        plain.sendall(b"\x16\x03\x01\x02\x00")

        def cut_off() -> bool:
            try:
                plain.sendall(b"\x01")
            except OSError:
                return True
            return False

        wait_until(cut_off, 20 * READ_LIMIT_S)
    assert hook.tally.requests_refused() == {"handshake": 1}


def test_callers_that_shake_hands_and_say_nothing_keep_nobody_waiting(hook: Hook) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2 * THREADS):
            stack.enter_context(hook.tls())
        with connected(hook.port, hook.site.context()) as connection:
            assert ask(connection, "GET", "/healthz", signed=False)[0] == 200
    assert hook.tally.requests_refused() == {}


NOT_OUR_HTTP = {
    "no http": (b"what is this\r\n\r\n", 400, "bad_http"),
    "http of tomorrow": (b"GET /healthz HTTP/2.0\r\n\r\n", 400, "bad_http"),
    "unknown coding": (b"POST /v1/check HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "bad_http"),
    "a length in words": (b"POST /v1/check HTTP/1.1\r\nContent-Length: ten\r\n\r\n", 400, "bad_http"),
    "a negative length": (b"POST /v1/check HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411, "length_required"),
    "long headers": (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 413, "too_large"),
    "long path": (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 413, "too_large"),
}


@pytest.mark.parametrize(("said", "status", "code"), NOT_OUR_HTTP.values(), ids=NOT_OUR_HTTP.keys())
def test_what_is_not_our_http_is_refused_in_our_words(hook: Hook, said: bytes, status: int, code: str) -> None:
    with hook.tls() as connection:
        connection.sendall(said)
        head, _, body = _rest(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["error"]["code"] == code
    assert hook.tally.requests_refused() == {code: 1}


def test_a_key_is_named_and_its_secret_is_not_enough_without_the_right_signature(hook: Hook) -> None:
    forged = {
        "X-Quiesce-Key": KEY_ID,
        "X-Quiesce-Timestamp": str(int(time.time())),
        "X-Quiesce-Nonce": "n" * 20,
        "X-Quiesce-Signature": "0" * 64,
    }
    with connected(hook.port, hook.site.context()) as connection:
        connection.request("POST", "/v1/quiesce", QUIESCE, forged)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (401, "bad_signature")
    assert hook.keeper.asked == []
