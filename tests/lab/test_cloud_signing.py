"""The cloud checks signatures with its own code, and lets nothing else in."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from quiesce_lab.cloud import tc3
from tests.lab.cloud_world import SECRET_ID, SECRET_KEY, Lab, running_lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        yield lab


def test_the_documented_example_gives_the_documented_signature() -> None:
    # The example keys and digests of the signature page of the API documentation.
    body = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    headers = {"content-type": "application/json; charset=utf-8", "host": "cvm.tencentcloudapi.com"}
    canonical = tc3.canonical_request(headers, ("content-type", "host"), body)
    text = tc3.string_to_sign(canonical, timestamp="1551113065", date="2019-02-25", service="cvm")

    assert hashlib.sha256(body).hexdigest() == "35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064"
    assert (
        hashlib.sha256(canonical.encode()).hexdigest() == "5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031"
    )
    assert (
        tc3.sign("Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", date="2019-02-25", service="cvm", text=text)
        == "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
    )


def test_the_sdk_signs_as_the_cloud_expects(lab: Lab) -> None:
    assert lab.call("cbs", "DescribeDisks")["TotalCount"] == 0


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param({"secret_key": "another"}, "AuthFailure.SignatureFailure", id="another key"),
        pytest.param({"date": "2019-02-25"}, "AuthFailure.SignatureFailure", id="date of another day"),
        pytest.param({"signed_in_s": -400}, "AuthFailure.SignatureExpire", id="too old"),
        pytest.param({"signed_in_s": 1000}, "AuthFailure.SignatureExpire", id="from the future"),
        pytest.param({"headers": {"X-TC-Token": "other"}}, "AuthFailure.TokenFailure", id="another token"),
        pytest.param({"headers": {"X-TC-Token": None}}, "AuthFailure.TokenFailure", id="no token"),
        pytest.param({"headers": {"Authorization": None}}, "AuthFailure.InvalidAuthorization", id="unsigned"),
        pytest.param({"headers": {"Authorization": "SKIP"}}, "AuthFailure.InvalidAuthorization", id="SDK's SKIP"),
        pytest.param(
            {
                "headers": {
                    "Authorization": f"TC3-HMAC-SHA256 Credential=AKIDother/2026-11-23/cbs/tc3_request, "
                    f"SignedHeaders=content-type;host, Signature={'0' * 64}"
                }
            },
            "AuthFailure.SecretIdNotFound",
            id="unknown key id",
        ),
        pytest.param(
            {
                "headers": {
                    "Authorization": f"TC3-HMAC-SHA256 Credential={SECRET_ID}/2026-11-23/cbs/tc3_request, "
                    f"SignedHeaders=content-type, Signature={'0' * 64}"
                }
            },
            "AuthFailure.InvalidAuthorization",
            id="host not signed",
        ),
        pytest.param({"headers": {"Content-Type": "text/plain"}}, "AuthFailure.SignatureFailure", id="type changed"),
        pytest.param({"headers": {"Host": "cbs.tencentcloudapi.com"}}, "AuthFailure.SignatureFailure", id="host changed"),
        pytest.param({"headers": {"X-TC-Timestamp": None}}, "MissingParameter", id="no timestamp"),
        pytest.param({"service": "cvm"}, "InvalidAction", id="signed for another service"),
        pytest.param({"service": "tat"}, "InvalidAction", id="signed for a service that is not there"),
    ],
)
def test_a_bad_signature_is_refused_with_its_code(lab: Lab, wrong: dict[str, Any], code: str) -> None:
    off_s = wrong.get("signed_in_s")  # from when the test is run, which may be long after it was collected
    when = {} if off_s is None else {"signed_s": time.time() + off_s}
    raw = lab.raw(**{name: value for name, value in wrong.items() if name != "signed_in_s"}, **when)

    assert (raw.status, raw.content_type, raw.code) == (200, "application/json", code)
    assert raw.response["RequestId"]


def test_the_same_request_without_a_fault_is_answered(lab: Lab) -> None:
    raw = lab.raw()

    assert (raw.status, raw.content_type, raw.code) == (200, "application/json", "")
    assert set(raw.response) == {"TotalCount", "DiskSet", "RequestId"}


def test_a_permanent_key_must_not_send_a_token(lab: Lab) -> None:
    lab.cloud.world.add_account(SECRET_ID, SECRET_KEY)

    assert lab.raw().code == "AuthFailure.TokenFailure"
    assert lab.raw(headers={"X-TC-Token": None}).code == ""


def test_the_sdk_raises_what_the_cloud_refuses(lab: Lab) -> None:
    lab.credential = lambda: Credential(SECRET_ID, "another", None)  # type: ignore[method-assign]
    with pytest.raises(TencentCloudSDKException) as refused:
        lab.call("cbs", "DescribeDisks")

    assert refused.value.code == "AuthFailure.TokenFailure"
    assert refused.value.requestId == lab.cloud.record.calls[-1].request_id
