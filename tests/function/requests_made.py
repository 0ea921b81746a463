"""Events as SCF hands them over, signed as an honest caller signs them, and settings to read them by."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from quiesce import policies
from quiesce.certificate import SigningKey
from quiesce.errors import RequestError
from quiesce.request import Request, parse, sign
from quiesce.settings import HttpAuth, Settings
from tests.function.settings_for import cloud_settings, hook_settings

EVENTS = Path(__file__).parent / "events"
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=timezone.utc)
TIMESTAMP = str(int(NOW.timestamp()))
SECRET = b"http-secret-0123456789"
CONTEXT: dict[str, object] = {"request_id": "f03dc946-3f1a", "time_limit_in_ms": 300_000}


def event(name: str, **changes: object) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return {**loaded, **changes}


def settings(auth: HttpAuth = HttpAuth.HMAC, secret: bytes | None = SECRET) -> Settings:
    here = Path(__file__)
    return Settings(
        policies=here,
        hook=hook_settings(9443, here),
        cloud=cloud_settings(443, None),
        http_auth=auth,
        http_secret=secret,
        certificate_key=SigningKey("c1", b"certificate-secret"),
        cls_topic=None,
        fleet_above=16,
    )


POLICIES = policies.parse(
    """
    [policies.nightly.targets]
    instances = ["ins-00lycyy6"]
    [[policies.nightly.events]]
    source = "cvm.cloud.tencent"
    types = ["cvm:ErrorEvent:ping_unreachable"]
    [policies.deploy.targets]
    instances = ["ins-00lycyy6"]
    [[policies.deploy.events]]
    source = "deploy.example"
    types = ["release:planned"]
    subjects = ["shop"]
    [[policies.deploy.events]]
    source = "cvm.cloud.tencent"
    types = ["cvm:CloudEvent:ApiCall"]
    """
)


def signed(
    shape: str = "function-url", *, key: str = "", at: str = TIMESTAMP, secret: bytes = SECRET, **changes: object
) -> dict[str, Any]:
    """An HTTP event as an honest caller makes it."""
    call = event(shape, **changes)
    headers = {"X-Quiesce-Timestamp": at, "X-Quiesce-Signature": sign(secret, at, key, call["body"].encode())}
    if key:
        headers["Idempotency-Key"] = key
    return {**call, "headers": {**call["headers"], **headers}}


def tampered(**changes: object) -> dict[str, Any]:
    return {**signed(key="deploy-42"), **changes}


def with_headers(**headers: object) -> dict[str, Any]:
    call = signed(key="deploy-42")
    return {**call, "headers": {**call["headers"], **{k.replace("_", "-"): v for k, v in headers.items()}}}


def read(call: object, config: Settings | None = None, context: dict[str, object] = CONTEXT) -> Request:
    request = parse(call, context, config or settings(), NOW, POLICIES)
    assert isinstance(request, Request)
    return request


def refusal(call: object, config: Settings | None = None) -> RequestError:
    with pytest.raises(RequestError) as refused:
        read(call, config)
    return refused.value
