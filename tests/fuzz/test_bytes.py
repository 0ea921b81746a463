"""Whatever bytes arrive over TLS: no crash, no 5xx, and nothing held but what was signed."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quiesced import decode
from quiesced.auth import sign
from quiesced.messages import QuiesceRequest
from tests.daemon.hook_caller import KEY_ID, SECRET
from tests.fuzz.served import Served, served

BODY = (Path(__file__).parents[2] / "hooks" / "messages" / "quiesce-request.json").read_bytes()
BOUNDED = settings(max_examples=45, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"\x00",
        b" ",
        b":",
        b"%",
        b"\xff",
        b"0",
        b"-1",
        b"Transfer-Encoding: chunked\r\n",
        b"{",
        b'"',
    ]
)
LINES = st.lists(st.one_of(st.binary(max_size=40), PIECES), max_size=20).map(b"".join)
REQUEST_LINES = st.builds(
    b"%s %s %s\r\n%s\r\n".__mod__,
    st.tuples(
        st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"get", b""]),
        st.sampled_from(
            [b"/v1/quiesce", b"/v1/status", b"/healthz", b"/metrics", b"//x", b"*", b"http://a/v1/quiesce", b"/%ff"]
        ),
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"HTTP/x", b""]),
        LINES,
    ),
)


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("hook"), read_limit_s=0.3) as made:
        yield made


def say(hook: Served, said: bytes) -> bytes:
    """Say this and no more, and return every byte of the answer."""
    heard = b""
    plain = socket.create_connection(("127.0.0.1", hook.port), 10)
    with hook.site.context().wrap_socket(plain, server_hostname="127.0.0.1") as connection, contextlib.suppress(OSError):
        connection.settimeout(0.5)  # longer than the hook waits for the rest of a request
        connection.sendall(said)
        while piece := connection.recv(65_536):
            heard += piece
            connection.settimeout(0.02)  # it has answered; a second answer follows at once or not at all
    return heard


def quiesce() -> bytes:
    """A request that is signed rightly, as bytes."""
    headers = sign(KEY_ID, SECRET, "POST", "/v1/quiesce", BODY).headers()
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = f"POST /v1/quiesce HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n{''.join(lines)}\r\n"
    return head.encode() + BODY


def insist(hook: Served, heard: bytes) -> None:
    assert not re.search(rb"HTTP/1\.\d 5\d\d ", heard), heard
    assert not hook.errors.messages


@BOUNDED
@given(said=st.one_of(st.binary(max_size=300), LINES, REQUEST_LINES))
def test_bytes_that_nobody_signed_hold_nothing(hook: Served, said: bytes) -> None:
    insist(hook, say(hook, said))
    assert hook.keeper.asked == []


@BOUNDED
@given(place=st.floats(0, 1), cut=st.integers(0, 12), put=st.one_of(PIECES, st.binary(max_size=8)))
def test_a_signed_request_that_was_tampered_with_holds_what_was_signed_or_nothing(
    hook: Served, place: float, cut: int, put: bytes
) -> None:
    whole = quiesce()
    at = int(place * len(whole))
    del hook.keeper.asked[:]
    insist(hook, say(hook, whole[:at] + put + whole[at + cut :]))
    assert hook.keeper.asked in ([], [decode.quiesce_request(BODY)])


def test_the_same_bytes_untouched_do_hold(hook: Served) -> None:
    """Otherwise the tests above would show nothing."""
    del hook.keeper.asked[:]
    assert b'"held"' in say(hook, quiesce())
    assert [type(request) for request in hook.keeper.asked] == [QuiesceRequest]
    assert hook.is_well()
    del hook.keeper.asked[:]
