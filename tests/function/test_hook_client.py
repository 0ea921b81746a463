"""The hook client: what it asks, how often, and whom it trusts, against real TLS servers."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trustme

from quiesce.adapters.hook_client import HookClient, signature_headers
from quiesce.budget import RELEASE_MARGIN_S
from quiesce.holds import QuiesceAnswer
from quiesce.model import Limits
from quiesce.settings import HookSettings
from quiesced import auth
from tests.function.hook_calls import CHECK, KEY, NOW_S, QUIESCE, RELEASE, client_of, failure, honest, message, refused
from tests.function.loopback import HANG_UP, Authority, Received, Reply
from tests.function.settings_for import hook_settings


def test_the_three_requests_carry_the_protocols_messages_and_share_one_connection(authority: Authority) -> None:
    with authority.serve(honest) as server, client_of(server, authority) as client:
        checked, held, released = client.check(CHECK), client.quiesce(QUIESCE), client.release(RELEASE)

    assert (checked.ready, held.state, released.held_without_gap) == (True, "held", True)
    assert held.witness == released.witness
    assert [(r.path, r.connection) for r in server.received] == [
        ("/v1/check", 1),
        ("/v1/quiesce", 1),
        ("/v1/release", 1),
    ]
    for received, name in zip(server.received, ("check", "quiesce", "release"), strict=True):
        assert received.params == json.loads(message(f"{name}-request"))


def test_every_request_is_signed_over_method_path_timestamp_nonce_and_body(authority: Authority) -> None:
    with authority.serve(honest) as server, client_of(server, authority) as client:
        client.check(CHECK)
        client.check(CHECK)

    for received in server.received:
        nonce, timestamp = received.headers["x-quiesce-nonce"], received.headers["x-quiesce-timestamp"]
        digest = hashlib.sha256(received.body).hexdigest()
        text = f"POST\n/v1/check\n{timestamp}\n{nonce}\n{digest}"
        assert received.headers["x-quiesce-signature"] == hmac.new(KEY.secret, text.encode(), "sha256").hexdigest()
        assert (received.headers["x-quiesce-key"], timestamp) == ("k1", str(NOW_S))
        assert re.fullmatch(r"[A-Za-z0-9_-]{16,64}", nonce)
    assert server.received[0].headers["x-quiesce-nonce"] != server.received[1].headers["x-quiesce-nonce"]


def test_the_daemon_reckons_the_same_signature() -> None:
    request = {"method": "POST", "path": "/v1/check", "body": message("check-request")}
    moment = {"timestamp": str(NOW_S), "nonce": "0123456789abcdef"}

    headers = signature_headers(KEY, **request, **moment)  # type: ignore[arg-type]

    assert headers["X-Quiesce-Signature"] == auth.signature(KEY.secret, **request, **moment)  # type: ignore[arg-type]


def test_no_request_waits_for_the_acknowledgement_of_another(authority: Authority) -> None:
    """TCP_NODELAY is set on the connection that a hold uses: 40 ms of every hold otherwise."""
    with authority.serve(honest) as server, client_of(server, authority) as client:
        client.check(CHECK)
        pool = client._pool.pool
        assert pool is not None
        connection = pool.get(block=False)
        try:
            assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        finally:
            connection.close()


def test_a_check_whose_answer_was_lost_is_asked_once_more(authority: Authority, impatient: None) -> None:
    replies = [HANG_UP, Reply(message("check-answer"))]
    with authority.serve(lambda _: replies.pop(0)) as server, client_of(server, authority) as client:
        assert client.check(CHECK).ready

    with authority.serve(lambda _: HANG_UP) as server, client_of(server, authority) as client:
        assert failure(lambda: client.check(CHECK)).answered is False
    assert len(server.received) == 2


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(HANG_UP, id="lost answer"),
        pytest.param(refused(500, "internal"), id="internal error"),
        pytest.param(Reply(b"{}"), id="another answer"),
        pytest.param(refused(401, "replayed"), id="refused"),
    ],
)
def test_quiesce_is_asked_exactly_once_whatever_comes_back(authority: Authority, reply: Reply) -> None:
    with authority.serve(lambda _: reply) as server, client_of(server, authority) as client:
        failure(lambda: client.quiesce(QUIESCE))

    assert len(server.received) == 1


def test_a_release_is_asked_until_it_is_answered(authority: Authority) -> None:
    replies = [HANG_UP, refused(500, "internal"), Reply(b"<html>", 502), Reply(message("release-answer"))]
    with authority.serve(lambda _: replies.pop(0)) as server, client_of(server, authority) as client:
        assert client.release(RELEASE).state == "released"

    nonces = {received.headers["x-quiesce-nonce"] for received in server.received}
    assert len(nonces) == 4


def test_a_release_works_when_the_connection_of_the_hold_broke(authority: Authority) -> None:
    with authority.serve(honest) as server, client_of(server, authority) as client:
        client.check(CHECK)
        client.quiesce(QUIESCE)
        server.hang_up_all()
        assert client.release(RELEASE).state == "released"

    assert server.connections == 2


def test_a_release_works_after_a_quiesce_whose_answer_was_lost(authority: Authority) -> None:
    def lossy(received: Received) -> Reply:
        return HANG_UP if received.path == "/v1/quiesce" else honest(received)

    with authority.serve(lossy) as server, client_of(server, authority) as client:
        client.check(CHECK)
        failed = failure(lambda: client.quiesce(QUIESCE))
        released = client.release(RELEASE)

    assert (failed.answered, released.state) == (False, "released")


def test_a_release_is_given_up_when_the_holds_own_limit_has_certainly_passed(authority: Authority) -> None:
    hold_limit_s = 0.2
    with (
        authority.serve(lambda _: HANG_UP) as server,
        client_of(server, authority, hold_limit_s=hold_limit_s) as client,
    ):
        began = time.monotonic()
        failed = failure(lambda: client.release(RELEASE))

    assert time.monotonic() - began >= hold_limit_s + RELEASE_MARGIN_S
    assert failed.answered is False
    assert len(server.received) >= 3


def test_a_release_that_is_refused_for_its_form_is_not_repeated(authority: Authority) -> None:
    with authority.serve(lambda _: refused(401, "unknown_key")) as server, client_of(server, authority) as client:
        failed = failure(lambda: client.release(RELEASE))

    assert failed.answered is True
    assert "unknown_key: in words" in str(failed)
    assert len(server.received) == 1


def test_a_hook_that_another_ca_vouches_for_is_refused(authority: Authority, tmp_path: Path) -> None:
    pem = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(pem))
    with authority.serve(honest) as server, client_of(server, replace(authority, pem=pem)) as client:
        failed = failure(lambda: client.quiesce(QUIESCE))

    assert failed.answered is False
    assert server.received == []


def test_the_environment_has_no_say(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CA bundle, a proxy or a netrc of the machine would each break or divert the request."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with authority.serve(honest) as server, client_of(server, authority) as client:
        assert client.check(CHECK).ready

    assert "authorization" not in server.received[0].headers


def test_a_client_certificate_is_shown_when_there_is_one(authority: Authority, tmp_path: Path) -> None:
    issued = authority.ca.issue_cert("function")
    both, alone, key = (tmp_path / name for name in ("both.pem", "alone.pem", "key.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(both))
    issued.cert_chain_pems[0].write_to_path(str(alone))
    issued.private_key_pem.write_to_path(str(key))
    with authority.serve(honest) as server:
        server.demand_client_certificate(authority.ca)
        bare = hook_settings(server.port, authority.pem)
        failure(lambda: asked(bare))
        assert asked(msgspec.structs.replace(bare, client_certificate=both)).state == "held"
        assert asked(msgspec.structs.replace(bare, client_certificate=alone, client_key=key)).state == "held"


def test_a_certificate_of_another_authority_is_not_spoken_to(authority: Authority, tmp_path: Path) -> None:
    """The pinned CA is the only one that counts: a public one, or another tenant's, vouches for nobody here."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with authority.serve(honest) as server:
        assert "certificate verify failed" in str(failure(lambda: asked(hook_settings(server.port, other))))
    assert server.received == []


def asked(settings: HookSettings) -> QuiesceAnswer:
    client = HookClient("127.0.0.1", settings, Limits(2.0, 10.0))
    try:
        return client.quiesce(QUIESCE)
    finally:
        client.close()


def test_an_address_where_nobody_answers_is_an_error_without_an_answer(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = HookClient("127.0.0.1", hook_settings(port, authority.pem), Limits(2.0, 10.0))
    try:
        assert failure(lambda: client.quiesce(QUIESCE)).answered is False
    finally:
        client.close()
