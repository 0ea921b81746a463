"""The hook client, against real TLS servers that answer as hooks/PROTOCOL.md says, otherwise, or too late."""

from __future__ import annotations

import json
import threading

import pytest

from quiesce.adapters.hook_client import MAX_ANSWER_BYTES
from tests.function.hook_calls import CHECK, QUIESCE, client_of, failure, honest, message, refused
from tests.function.loopback import Answerer, Authority, Received, Reply


def changed(name: str, **changes: object) -> Reply:
    return Reply(json.dumps({**json.loads(message(name)), **changes}).encode())


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(b""), id="empty"),
        pytest.param(Reply(b"held"), id="no JSON"),
        pytest.param(Reply(b'{"protocol": 1, "lease_id": "\xff"}'), id="no UTF-8"),
        pytest.param(changed("quiesce-held", protocol=2), id="another protocol"),
        pytest.param(changed("quiesce-held", extra=1), id="unknown field"),
        pytest.param(changed("quiesce-held", state="perhaps"), id="unknown state"),
        pytest.param(changed("quiesce-held", hold_remaining_s="9.98"), id="text for a number"),
        pytest.param(changed("quiesce-held", witness={"applications": []}), id="half a witness"),
        pytest.param(Reply(message("check-answer")), id="the answer to another question"),
        pytest.param(Reply(message("quiesce-held") + b" " * MAX_ANSWER_BYTES), id="endless"),
        pytest.param(Reply(b"<html>", 404, "text/html"), id="another server's 404"),
        pytest.param(Reply(b"", 307, headers={"Location": "/v1/elsewhere"}), id="redirected"),
        pytest.param(Reply(b"", 302, headers={"Location": "https://127.0.0.1:1/"}), id="redirected away"),
        pytest.param(refused(500, "internal"), id="internal error"),
    ],
)
def test_an_answer_that_is_not_understood_is_none(authority: Authority, reply: Reply) -> None:
    with authority.serve(lambda _: reply) as server, client_of(server, authority) as client:
        failed = failure(lambda: client.quiesce(QUIESCE))

    assert failed.answered is False
    assert len(server.received) == 1


@pytest.mark.parametrize("code", ["bad_signature", "clock_skew", "replayed", "bad_message", "too_large"])
def test_a_refusal_for_form_says_that_nothing_was_changed(authority: Authority, code: str) -> None:
    with authority.serve(lambda _: refused(400, code)) as server, client_of(server, authority) as client:
        failed = failure(lambda: client.quiesce(QUIESCE))

    assert failed.answered is True
    assert code in str(failed)


def test_a_refused_hold_is_an_answer_not_an_error(authority: Authority) -> None:
    with authority.serve(lambda _: Reply(message("quiesce-refused"))) as server, client_of(server, authority) as client:
        answer = client.quiesce(QUIESCE)

    assert answer.refusal is not None
    assert answer.refusal.code == "acquire_timeout"


def slow(pause_s: float, let_go: threading.Event) -> Answerer:
    def reply(received: Received) -> Reply:
        let_go.wait(pause_s)
        return honest(received)

    return reply


def test_a_check_ends_when_the_hook_is_silent_for_too_long(authority: Authority, impatient: None) -> None:
    let_go = threading.Event()
    with authority.serve(slow(10, let_go)) as server, client_of(server, authority, timeout_s=0.1) as client:
        try:
            failed = failure(lambda: client.check(CHECK))
        finally:
            let_go.set()

    assert failed.answered is False


def test_a_quiesce_may_take_as_long_as_flushing_and_acquiring_may(authority: Authority) -> None:
    with (
        authority.serve(slow(0.5, threading.Event())) as server,
        client_of(server, authority, timeout_s=0.1) as client,
    ):
        assert client.quiesce(QUIESCE).state == "held"
