"""Who may start a run: whoever signs for it, or whom CAM let in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from quiesce.request import run_id
from quiesce.settings import HttpAuth
from tests.function.requests_made import NOW, TIMESTAMP, event, read, refusal, settings, signed, tampered, with_headers


def test_an_idempotency_key_belongs_to_one_policy() -> None:
    assert run_id("nightly", "deploy-42") != run_id("hourly", "deploy-42")


def test_a_replayed_signed_request_without_a_key_is_the_same_run_not_another() -> None:
    first, replay = read(signed()), read(signed(), context={"request_id": "another"})

    assert first.run_id == replay.run_id
    assert first.run_id != read(signed(at=str(int(TIMESTAMP) + 1))).run_id


def test_with_cam_the_function_url_needs_no_signature_and_every_request_is_its_own_run() -> None:
    cam = settings(HttpAuth.CAM, secret=None)

    assert read(event("function-url"), cam).run_id == run_id("nightly", "f03dc946-3f1a")


def test_with_cam_the_api_gateway_still_needs_a_signature_because_cam_does_not_guard_it() -> None:
    assert refusal(event("api-gateway"), settings(HttpAuth.CAM)).status == 401
    assert refusal(event("api-gateway"), settings(HttpAuth.CAM, secret=None)).status == 403
    assert read(signed("api-gateway"), settings(HttpAuth.CAM)).policy == "nightly"


def test_a_load_balancer_that_cam_does_not_guard_has_to_sign() -> None:
    assert refusal(event("clb"), settings(HttpAuth.CAM)).status == 401


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(event("function-url"), id="no signature"),
        pytest.param(tampered(body='{"policy": "weekly"}'), id="another body"),
        pytest.param(with_headers(Idempotency_Key="deploy-43"), id="another idempotency key"),
        pytest.param(with_headers(X_Quiesce_Timestamp=str(int(TIMESTAMP) + 1)), id="another timestamp"),
        pytest.param(with_headers(X_Quiesce_Timestamp="now"), id="a timestamp that is none"),
        pytest.param(with_headers(X_Quiesce_Timestamp=[TIMESTAMP, "1"]), id="two timestamps"),
        pytest.param(with_headers(X_Quiesce_Signature="é"), id="a signature that is not ASCII"),
        pytest.param(with_headers(X_Quiesce_Signature="\ud800"), id="a signature that is not even text"),
        pytest.param(signed(secret=b"somebody else's secret"), id="another secret"),
        pytest.param(signed(at=str(int(TIMESTAMP) - 301)), id="301 s old"),
        pytest.param(signed(at=str(int(TIMESTAMP) + 301)), id="301 s ahead"),
    ],
)
def test_a_request_that_is_not_rightly_signed_is_refused(call: dict[str, Any]) -> None:
    assert refusal(call).status == 401


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_clock_may_be_300_s_off(seconds: int) -> None:
    at = (NOW + timedelta(seconds=seconds)).timestamp()

    assert read(signed(at=str(int(at)))).policy == "nightly"
