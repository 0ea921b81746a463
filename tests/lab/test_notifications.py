"""Whole invocations in the lab's cloud, after which somebody is told, or nobody."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from msgspec.structs import replace

from quiesce import fleet
from quiesce.adapters.logs import JsonLog
from quiesce.certificate import SigningKey
from quiesce.followup import follow_up
from quiesce.invocation import handle
from quiesce.policies import load
from quiesce.recording import Recorder
from quiesce.report import Report
from quiesce.settings import NotifyOn, NotifySettings
from quiesce.wiring import Wiring
from tests.free_ports import free_port
from tests.function.fake_world import plan_for
from tests.function.loopback import Authority, LoopbackServer, Reply
from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.lab.estates import DISK, INSTANCE, POLICIES, add, settings_for

KEY = "a key that receivers have too"
CERTIFICATE_SECRET = "a secret of the tests"
TIMER = {"Type": "Timer", "TriggerName": "nightly", "Time": "2026-11-26T03:30:00Z", "Message": "nightly"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        lab.cloud.world.add_instance(INSTANCE, "127.0.0.1")
        lab.disk(DISK, instance_id=INSTANCE)
        (tmp_path / "policies.toml").write_text(POLICIES)
        yield lab


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[LoopbackServer]:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "receivers.pem"))
    with Authority(ca, tmp_path / "receivers.pem").serve(lambda _: Reply()) as server:
        yield server


def environment(lab: Lab, tmp_path: Path, receiver: LoopbackServer, **changes: str) -> dict[str, str]:
    """The function's, whose hook nobody answers for: every hold fails at once."""
    return {
        "TENCENTCLOUD_SECRETID": SECRET_ID,
        "TENCENTCLOUD_SECRETKEY": SECRET_KEY,
        "TENCENTCLOUD_SESSIONTOKEN": TOKEN,
        "TENCENTCLOUD_REGION": REGION,
        "QUIESCE_POLICIES": str(tmp_path / "policies.toml"),
        "QUIESCE_CLOUD_ENDPOINT": lab.endpoint,
        "QUIESCE_CLOUD_CA": str(lab.ca_file),
        "QUIESCE_HOOK_PORT": str(free_port()),
        "QUIESCE_HOOK_CA": str(lab.ca_file),
        "QUIESCE_HOOK_KEY": "k:a shared secret of the tests",
        "QUIESCE_CERTIFICATE_KEY": f"k:{CERTIFICATE_SECRET}",
        "QUIESCE_NOTIFY_URLS": f"https://127.0.0.1:{receiver.port}/T0KEN",
        "QUIESCE_NOTIFY_KEY": KEY,
        "QUIESCE_NOTIFY_CA": str(tmp_path / "receivers.pem"),
        **changes,
    }


def invoked(env: Mapping[str, str], event: object = TIMER) -> tuple[Any, list[dict[str, Any]]]:
    out = io.StringIO()
    context = {"request_id": "req-7", "time_limit_in_ms": 300_000, "function_name": "quiesce"}
    try:
        value = handle(event, context, env, out)
    except Exception as error:  # noqa: BLE001 - what SCF would be given
        value = error
    assert "T0KEN" not in out.getvalue()
    return value, [json.loads(line) for line in out.getvalue().splitlines()]


def outcomes(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["step"], line["outcome"]) for line in lines if line["step"] == "notify"]


def test_a_failed_run_tells_once_after_everything_else(lab: Lab, tmp_path: Path, receiver: LoopbackServer) -> None:
    value, lines = invoked(environment(lab, tmp_path, receiver))
    (received,) = receiver.received
    assert received.params["run_id"] == value["run_id"]
    assert received.params["status"] == value["status"] == "failed"
    assert INSTANCE in received.params["text"]
    assert (lines[-1]["step"], lines[-1]["outcome"], lines[-1]["run_id"]) == ("notify", "sent", value["run_id"])


def test_a_receiver_that_is_not_there_changes_nothing_of_a_run(lab: Lab, tmp_path: Path, receiver: LoopbackServer) -> None:
    told, _ = invoked(environment(lab, tmp_path, receiver))
    env = environment(lab, tmp_path, receiver, QUIESCE_NOTIFY_URLS=f"https://127.0.0.1:{free_port()}/T0KEN")
    value, lines = invoked(env)
    assert [value[key] for key in ("status", "policy")] == [told[key] for key in ("status", "policy")]
    assert [one["status"] for one in value["targets"]] == [one["status"] for one in told["targets"]]
    assert outcomes(lines) == [("notify", "trouble")]


def test_a_timers_run_that_cannot_begin_tells_so_and_an_http_caller_is_answered_instead(
    lab: Lab, tmp_path: Path, receiver: LoopbackServer
) -> None:
    env = environment(lab, tmp_path, receiver)
    refused, _ = invoked(env, {**TIMER, "Message": "no-such-policy"})
    assert type(refused).__name__ == "RequestError"
    (received,) = receiver.received
    assert (received.params["kind"], received.params["request_id"]) == ("refusal", "req-7")
    answer, _ = invoked(env, {"httpMethod": "POST", "path": "/runs", "headers": {}, "body": "{}"})
    assert answer["statusCode"] >= 400
    assert len(receiver.received) == 1, "whoever can reach the URL could make it ring"


def test_a_worker_tells_of_its_batch(lab: Lab, tmp_path: Path, receiver: LoopbackServer) -> None:
    plan = replace(plan_for(DISK, run_id="4f1c9a0b7d"), instance_id=INSTANCE, address="127.0.0.1")
    (batch,) = fleet.split([plan], "timer", time_s=300.0, key=SigningKey("k", CERTIFICATE_SECRET.encode()))
    value, lines = invoked(environment(lab, tmp_path, receiver), fleet.as_event(batch))
    (received,) = receiver.received
    assert (received.params["run_id"], received.params["status"]) == ("4f1c9a0b7d", value["status"])
    assert outcomes(lines) == [("notify", "sent")]
    assert lines[-1]["batch"] == 1


def test_a_function_with_no_time_left_answers_and_tells_nobody(lab: Lab, tmp_path: Path, receiver: LoopbackServer) -> None:
    out = io.StringIO()
    settings = settings_for(lab, tmp_path, notify=notify_settings(receiver, tmp_path))
    recorder = Recorder(Wiring(settings, JsonLog(out, common={}, hidden=())), {})
    recorder.notify(Report("r-1", "nightly", ()), ends_s=time.monotonic() + 1.0)
    assert receiver.received == []
    assert "no time left" in out.getvalue()


def notify_settings(receiver: LoopbackServer, tmp_path: Path) -> NotifySettings:
    on = frozenset({NotifyOn.FAILED, NotifyOn.LATE})
    return NotifySettings((f"https://127.0.0.1:{receiver.port}/T0KEN",), on, KEY.encode(), tmp_path / "receivers.pem")


@pytest.mark.parametrize(("days", "told"), [(0.1, 0), (3.0, 1)], ids=["in time", "late"])
def test_the_follow_up_tells_of_what_is_late(
    lab: Lab, tmp_path: Path, receiver: LoopbackServer, days: float, told: int
) -> None:
    add(lab, 1, days)
    log = JsonLog(io.StringIO(), common={}, hidden=())
    settings = settings_for(lab, tmp_path, notify=notify_settings(receiver, tmp_path))
    follow_up(load(tmp_path / "policies.toml"), Wiring(settings, log))
    assert [received.params["kind"] for received in receiver.received] == ["follow_up"] * told
    assert [received.params["items"][0]["disk_id"] for received in receiver.received] == [DISK] * told
