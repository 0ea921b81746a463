"""Bad input gets a clear error, and nothing is touched: no call that changes anything, no hold, no pause of a writer."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from quiesce.adapters.hook_client import signature_headers
from quiesce.request import sign
from quiesce.variables import Key
from quiesce_lab import deployment
from quiesce_lab.scf import OK, RAISED, Function, Invoked
from quiesce_lab.stage import INSTANCE, Stage
from tests.lab.situations import assert_writable

pytestmark = pytest.mark.lab
CHANGES = {"CreateSnapshot", "DeleteSnapshots", "ModifySnapshotAttribute", "ModifyResourceTags", "CreateDisks"}


def with_policies(lab: Stage, text: str) -> Function:
    code = deployment.lay_out(lab.site.machine, lab.site, text, name="function-of-bad-input")
    return replace(lab.function, code_dir=code)


def with_variable(lab: Stage, name: str, value: str) -> Function:
    return replace(lab.function, environment={**lab.function.environment, name: value})


def http(lab: Stage, body: bytes, *, secret: str | None = None, encoded: bool = False, **changes: Any) -> dict[str, Any]:
    """A signed event of the function URL; ``changes`` replace keys of it."""
    lab.wait_until_complete()
    timestamp = str(int(time.time()))
    signature = sign((secret or lab.shared.http_secret).encode(), timestamp, "", body)
    event: dict[str, Any] = {
        "httpMethod": "POST",
        "path": "/runs",
        "headers": {"x-quiesce-timestamp": timestamp, "x-quiesce-signature": signature},
        "queryString": {},
        "body": base64.b64encode(body).decode() if encoded else body.decode("latin-1"),
    }
    return {**event, **({"isBase64Encoded": True, "requestContext": {}} if encoded else {}), **changes}


def assert_untouched(lab: Stage, done: Invoked) -> None:
    actions = {call.action for call in lab.site.cloud.record.calls}
    assert not actions & CHANGES
    assert not any(step.get("step") == "quiesce" and step.get("outcome") == "held" for step in done.steps)
    assert_writable(lab, within_s=2)


@pytest.fixture(autouse=True)
def clean_record(lab: Stage) -> None:
    lab.site.cloud.record.clear()


POLICIES = {
    "not TOML": ("[policies.nightly", "not TOML"),
    "unknown key": (deployment.policy_text(INSTANCE, hold_limits_s="4.0"), "policies.nightly.hold_limits_s: unknown"),
    "wrong value": (deployment.policy_text(INSTANCE, level='"best"'), "policies.nightly.level"),
    "unsafe limits": (deployment.policy_text(INSTANCE, hold_limit_s="1.0", acquire_limit_s="0.5"), "hold_limit_s"),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_a_broken_policy_file(lab: Stage, kind: str) -> None:
    text, words = POLICIES[kind]
    done = with_policies(lab, text).invoke(lab.event())
    assert done.status == RAISED
    assert "PolicyError" in done.error
    assert words in done.error
    assert_untouched(lab, done)


TARGETS = {
    "unknown instance": ('instances = ["ins-nothere"]', "ins-nothere: there is no such instance"),
    "disk not attached": (f'instances = ["{INSTANCE}"]\ndisks = ["disk-nothere"]', "disk-nothere: not a CBS disk attached"),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_targets_that_are_not_there(lab: Stage, kind: str) -> None:
    targets, words = TARGETS[kind]
    head = deployment.policy_text(INSTANCE, hold_limit_s="4.0", acquire_limit_s="1.0").partition(
        "[policies.nightly.targets]"
    )[0]
    done = with_policies(lab, f"{head}[policies.nightly.targets]\n{targets}\n").invoke(lab.event())
    assert done.status == OK
    assert done.value["status"] == "failed"
    assert any(words in target["refusal"] for target in done.value["targets"]), done.value
    assert_untouched(lab, done)


VARIABLES = {
    "daemon unreachable": ("QUIESCE_HOOK_PORT", "9", "gave no answer"),
    "wrong key": ("QUIESCE_HOOK_KEY", "lab:" + "0" * 64, "bad_signature"),
    "unknown key id": ("QUIESCE_HOOK_KEY", "other:" + "0" * 64, "unknown_key"),
}


@pytest.mark.parametrize("kind", VARIABLES)
def test_a_hook_that_cannot_be_asked(lab: Stage, kind: str) -> None:
    name, value, words = VARIABLES[kind]
    done = with_variable(lab, name, value).invoke(lab.event())
    (target,) = done.value["targets"]
    assert done.value["status"] == "failed"
    assert any(words in reason for reason in target["certificate"]["reasons"])
    assert_untouched(lab, done)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        pytest.param({"Records": [{"cos": {}}]}, "a cos event", id="COS"),
        pytest.param({"specversion": "1.0"}, "this EventBridge event lacks", id="EventBridge"),
        pytest.param({"hello": 1}, "an unknown event", id="unknown"),
        pytest.param([1], "not an object", id="no object"),
        pytest.param(
            {"Type": "Timer", "Time": "2026-11-23T02:00:00Z", "TriggerName": "t", "Message": ""}, "no policy", id="timer"
        ),
        pytest.param(deployment.timer_event("weekly"), "there is no policy 'weekly'", id="unknown policy"),
    ],
)
def test_an_event_of_another_kind(lab: Stage, event: object, words: str) -> None:
    done = lab.function.invoke(event)
    assert done.status == RAISED
    assert "RequestError" in done.error
    assert words in done.error
    assert_untouched(lab, done)


HTTP: dict[str, tuple[Callable[[Stage], dict[str, Any]], int]] = {
    "body that is not JSON": (lambda lab: http(lab, b"policy=nightly"), 400),
    "body with an unknown field": (lambda lab: http(lab, b'{"policy": "nightly", "now": true}'), 400),
    "wrong signature": (lambda lab: http(lab, b'{"policy": "nightly"}', secret="another secret of 16"), 401),
    "no signature": (lambda lab: http(lab, b'{"policy": "nightly"}', headers={}), 401),
    "wrong method": (lambda lab: http(lab, b"", httpMethod="DELETE"), 405),
    "wrong path": (lambda lab: http(lab, b"", path="/"), 404),
    "unknown policy": (lambda lab: http(lab, b'{"policy": "weekly"}'), 404),
}


@pytest.mark.parametrize("kind", HTTP)
def test_an_http_request_that_is_wrong(lab: Stage, kind: str) -> None:
    make, status = HTTP[kind]
    done = lab.function.invoke(make(lab))
    assert set(done.value) == {"isBase64Encoded", "statusCode", "headers", "body"}
    assert done.value["statusCode"] == status
    assert json.loads(done.value["body"])["error"]["message"]
    assert_untouched(lab, done)


@pytest.mark.parametrize("encoded", [False, True], ids=["function URL", "API Gateway, base64"])
def test_a_signed_http_request_runs_and_a_replay_of_it_is_the_same_run(lab: Stage, encoded: bool) -> None:
    event = http(lab, b'{"policy": "nightly"}' + b" " * encoded, encoded=encoded)
    first, replay = lab.function.invoke(event), lab.function.invoke(event)
    assert first.value["statusCode"] == replay.value["statusCode"] == 200, first.value["body"]
    assert len(lab.site.cloud.record.of("CreateSnapshot")) == 1


def test_a_replayed_request_to_the_daemon_is_refused(lab: Stage) -> None:
    """The hook's own door: the very same signed bytes a second time."""
    body = Path(__file__).parents[2].joinpath("hooks/messages/release-request.json").read_bytes()
    key = Key(lab.shared.hook_key_id, lab.shared.hook_secret.encode())
    headers = signature_headers(key, "POST", "/v1/release", body, timestamp=str(int(time.time())), nonce="n" * 20)
    url = f"https://{lab.host.address}:{deployment.HOOK_PORT}/v1/release"
    answers = [
        requests.post(url, data=body, headers=headers, verify=str(lab.site.authority.ca_pem), timeout=5) for _ in "12"
    ]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[1].json()["error"]["code"] == "replayed"
