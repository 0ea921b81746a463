"""The hook client with the protocol's own messages, and hooks that answer with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from quiesce import holds
from quiesce.adapters.hook_client import HookClient
from quiesce.errors import AgentError
from quiesce.model import Limits
from quiesce.variables import Key
from tests.function.loopback import Authority, LoopbackServer, Received, Reply
from tests.function.settings_for import hook_settings

MESSAGES = Path(__file__).parents[2] / "hooks" / "messages"
NOW_S = 1_795_399_200
KEY = Key("k1", b"a shared secret of the tests")


def message(name: str) -> bytes:
    return (MESSAGES / f"{name}.json").read_bytes()


CHECK = msgspec.json.decode(message("check-request"), type=holds.CheckRequest)
QUIESCE = msgspec.json.decode(message("quiesce-request"), type=holds.QuiesceRequest)
RELEASE = msgspec.json.decode(message("release-request"), type=holds.ReleaseRequest)
ANSWERS = {"/v1/check": "check-answer", "/v1/quiesce": "quiesce-held", "/v1/release": "release-answer"}


def honest(received: Received) -> Reply:
    return Reply(message(ANSWERS[received.path]))


@contextmanager
def client_of(
    server: LoopbackServer, authority: Authority, *, timeout_s: float = 3.0, hold_limit_s: float = 10.0
) -> Iterator[HookClient]:
    settings = hook_settings(server.port, authority.pem, timeout_s=timeout_s)
    client = HookClient("127.0.0.1", settings, Limits(2.0, hold_limit_s), now=lambda: NOW_S + 0.9)
    try:
        yield client
    finally:
        client.close()


def failure(call: Callable[[], object]) -> AgentError:
    with pytest.raises(AgentError) as failed:
        call()
    return failed.value


def refused(status: int, code: str) -> Reply:
    return Reply(json.dumps({"error": {"code": code, "message": "in words"}}).encode(), status)
