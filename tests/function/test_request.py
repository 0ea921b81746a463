from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce import policies
from quiesce.certificate import SigningKey
from quiesce.errors import RequestError
from quiesce.naming import RUN_ID
from quiesce.request import Question, ReportQuestion, Request, Trigger, parse, run_id, sign
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


def read(call: object, config: Settings | None = None, context: dict[str, object] = CONTEXT) -> Request:
    request = parse(call, context, config or settings(), NOW, POLICIES)
    assert isinstance(request, Request)
    return request


def refusal(call: object, config: Settings | None = None) -> RequestError:
    with pytest.raises(RequestError) as refused:
        read(call, config)
    return refused.value


def test_a_timer_names_its_policy_in_its_message_and_its_moment_in_the_run_id() -> None:
    request = read(event("timer"))

    assert (request.policy, request.trigger, request.request_id) == ("nightly", Trigger.TIMER, "f03dc946-3f1a")
    assert request.run_id.startswith("20190221t1149-")


def test_a_timer_that_is_delivered_again_is_the_same_run() -> None:
    again = read(event("timer"), context={"request_id": "another-delivery"})

    assert again.run_id == read(event("timer")).run_id


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"Time": "2019-02-22T11:49:00Z"}, id="another moment"),
        pytest.param({"Time": "2019-02-21T11:49:30Z"}, id="another second of the same minute"),
        pytest.param({"Message": "hourly"}, id="another policy"),
        pytest.param({"TriggerName": "Second"}, id="another trigger"),
    ],
)
def test_another_timer_event_is_another_run(changes: dict[str, str]) -> None:
    assert read(event("timer", **changes)).run_id != read(event("timer")).run_id


@pytest.mark.parametrize("shape", ["function-url", "api-gateway"])
def test_both_http_shapes_become_the_same_request(shape: str) -> None:
    request = read(signed(shape, key="deploy-42"))

    assert (request.policy, request.trigger) == ("nightly", Trigger.HTTP)
    assert request.run_id == run_id("nightly", "deploy-42")


def test_a_body_in_base64_is_signed_as_the_bytes_it_stands_for() -> None:
    call = signed("api-gateway", key="deploy-42")
    call["body"], call["isBase64Encoded"] = base64.b64encode(call["body"].encode()).decode(), True

    assert read(call).run_id == run_id("nightly", "deploy-42")


def test_header_names_are_read_in_any_case_and_values_from_lists() -> None:
    call = signed(key="deploy-42")
    call["headers"] = {name.upper(): [value, value] for name, value in call["headers"].items()}

    assert read(call).run_id == run_id("nightly", "deploy-42")


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


def tampered(**changes: object) -> dict[str, Any]:
    return {**signed(key="deploy-42"), **changes}


def with_headers(**headers: object) -> dict[str, Any]:
    call = signed(key="deploy-42")
    return {**call, "headers": {**call["headers"], **{k.replace("_", "-"): v for k, v in headers.items()}}}


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


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        pytest.param(signed(httpMethod="GET"), 405, "GET does nothing", id="GET"),
        pytest.param(signed(path="/"), 404, "nothing at '/'", id="root"),
        pytest.param(signed(path="/runs/"), 404, "nothing at", id="a path that only contains runs"),
        pytest.param(signed(path="/myruns"), 404, "nothing at", id="a path that ends like it"),
        pytest.param(signed(body=""), 400, '{"policy": "<name>"}', id="empty body"),
        pytest.param(signed(body="nightly"), 400, '{"policy": "<name>"}', id="no JSON"),
        pytest.param(signed(body='{"policy": "nightly", "force": true}'), 400, "force", id="unknown field"),
        pytest.param(signed(body='{"policy": 1}'), 400, "policy", id="policy of another type"),
        pytest.param(signed(body='{"policy": "' + "x" * 70_000 + '"}'), 413, "65536 bytes", id="large body"),
        pytest.param(tampered(body="!", isBase64Encoded=True), 400, "base64", id="base64 that is none"),
        pytest.param(tampered(body="\ud800"), 400, "UTF-8", id="half a surrogate"),
        pytest.param(tampered(body={"policy": "nightly"}), 400, "must be text", id="body that is an object"),
        pytest.param(with_headers(Idempotency_Key="x" * 129), 400, "128", id="long idempotency key"),
        pytest.param(with_headers(Idempotency_Key="a b"), 400, "visible ASCII", id="idempotency key with a space"),
        pytest.param(event("timer-without-message"), 400, "CustomArgument", id="timer without a message"),
        pytest.param(event("timer", Time="yesterday"), 400, "2026-11-23T02:00:00Z", id="timer without a time"),
        pytest.param(event("timer", Message=None), 400, "Message", id="timer with a null message"),
        pytest.param(event("eventbridge", type="cvm:ErrorEvent:guest_reboot"), 400, "guest_reboot", id="no policy's event"),
        pytest.param(event("eventbridge", specversion="2.0"), 400, "specversion '2.0'", id="a later specversion"),
        pytest.param(event("eventbridge", id=None), 400, "lacks its source", id="an event without an id"),
        pytest.param({"EventList": [event("eventbridge")] * 2}, 400, "batch of 2 EventBridge", id="several events"),
        pytest.param(event("mps"), 400, "media processing event (WorkflowTask)", id="MPS"),
        pytest.param(event("cmq"), 400, "a CMQ event", id="CMQ"),
        pytest.param(event("clb"), 401, "X-Quiesce-Signature", id="CLB, which signs nothing"),
        pytest.param(event("cos"), 400, "a cos event", id="COS"),
        pytest.param(event("ckafka"), 400, "a Ckafka event", id="CKafka"),
        pytest.param(event("cls"), 400, "a CLS event", id="CLS"),
        pytest.param(event("console-test"), 400, "keys: key1, key2", id="the console's test event"),
        pytest.param({}, 400, "keys: none", id="empty"),
        pytest.param(["Timer"], 400, "not an object", id="a list"),
    ],
)
def test_anything_else_is_refused_with_what_was_wrong(call: object, status: int, words: str) -> None:
    refused = refusal(call)

    assert refused.status == status
    assert words in str(refused)


@pytest.mark.parametrize("name", ["ckafka", "cos", "console-test"])
def test_a_refused_event_is_told_what_is_accepted(name: str) -> None:
    assert "EventBridge events that a policy names, and through the function URL POST" in str(refusal(event(name)))


@pytest.mark.parametrize("name", ["eventbridge", "eventbridge-batch"])
def test_an_event_of_the_bus_starts_the_policy_that_names_it_once_however_often_it_comes(name: str) -> None:
    first, again = read(event(name)), read(event(name), context={"request_id": "another delivery"})
    assert (first.policy, first.trigger, first.run_id) == ("nightly", Trigger.EVENT, again.run_id)
    assert RUN_ID.fullmatch(first.run_id)


@pytest.mark.parametrize("subject", ["subject", "subjuect"])
def test_an_event_about_another_subject_starts_nothing(subject: str) -> None:
    planned = {"specversion": "1.0.2", "id": "1", "source": "deploy.example", "type": "release:planned", "time": "0"}
    assert read({**planned, subject: "shop"}).policy == "deploy"
    assert "no policy is started" in str(refusal({**planned, subject: "blog"}))


def test_two_policies_for_one_event_are_refused_rather_than_chosen_from() -> None:
    both = {**POLICIES, "second": POLICIES["nightly"]}
    with pytest.raises(RequestError, match="would start nightly and second"):
        parse(event("eventbridge"), CONTEXT, settings(), NOW, both)


RUN = "20261124t0300-0123456789"


def question(policy: str = "nightly", run: str = RUN, signed_for: str = f"/runs/{RUN}?policy=nightly") -> dict[str, Any]:
    headers = {"X-Quiesce-Timestamp": TIMESTAMP, "X-Quiesce-Signature": sign(SECRET, TIMESTAMP, "", signed_for.encode())}
    call = {"httpMethod": "GET", "path": f"/runs/{run}", "headers": headers, "body": ""}
    return {**call, "queryString": {"policy": policy} if policy else {}}


def test_what_a_run_got_is_asked_for_by_its_id_and_its_policy() -> None:
    assert parse(question(), CONTEXT, settings(), NOW, POLICIES) == Question("nightly", RUN)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        pytest.param(question(policy="deploy"), 401, id="signed for another policy"),
        pytest.param(question(run="20261124t0301-0123456789"), 401, id="signed for another run"),
        pytest.param(question(signed_for=""), 401, id="signed for nothing"),
        pytest.param(question(policy=""), 400, id="no policy"),
        pytest.param(question(run="x"), 404, id="no run id"),
    ],
)
def test_a_question_that_was_not_signed_for_this_is_refused(call: dict[str, Any], status: int) -> None:
    with pytest.raises(RequestError) as refused:
        parse(call, CONTEXT, settings(), NOW, POLICIES)
    assert refused.value.status == status


def report_question(days: str | None = None, signed_for: str = "/report", path: str = "/report") -> dict[str, Any]:
    call = question(signed_for=signed_for)
    return {**call, "path": path, "queryString": {} if days is None else {"days": days}}


def test_the_report_is_asked_for_with_or_without_its_days() -> None:
    asked = parse(report_question(), CONTEXT, settings(), NOW, POLICIES)
    assert asked == ReportQuestion(30)
    week = report_question("7", "/report?days=7", path="/release/report")
    assert parse(week, CONTEXT, settings(), NOW, POLICIES) == ReportQuestion(7)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        pytest.param(report_question("8", "/report?days=7"), 401, id="signed for other days"),
        pytest.param(report_question(signed_for=""), 401, id="signed for nothing"),
        pytest.param({**report_question(), "headers": {}}, 401, id="not signed"),
        pytest.param(report_question("0", "/report?days=0"), 400, id="no days"),
        pytest.param(report_question("367", "/report?days=367"), 400, id="more than a year"),
        pytest.param(report_question("٣", "/report?days=٣"), 400, id="a digit that is not ASCII"),
        pytest.param({**report_question(), "httpMethod": "PUT"}, 404, id="another method"),
    ],
)
def test_a_report_that_was_not_signed_for_is_refused(call: dict[str, Any], status: int) -> None:
    with pytest.raises(RequestError) as refused:
        parse(call, CONTEXT, settings(), NOW, POLICIES)
    assert refused.value.status == status


def test_a_report_goes_to_whoever_cam_let_in_and_through_the_function_url_alone() -> None:
    call = {**report_question(), "headers": {}}
    assert parse(call, CONTEXT, settings(HttpAuth.CAM), NOW, POLICIES) == ReportQuestion(30)
    with pytest.raises(RequestError):
        parse({**call, "requestContext": {}}, CONTEXT, settings(HttpAuth.CAM), NOW, POLICIES)


@given(policy=st.text(), key=st.text(), at=st.none() | st.datetimes(min_value=datetime(2000, 1, 1)))
def test_every_run_id_is_fit_for_a_snapshot_name_and_made_from_its_parts_alone(
    policy: str, key: str, at: datetime | None
) -> None:
    made = run_id(policy, key, at)

    assert RUN_ID.fullmatch(made)
    assert made == run_id(policy, key, at)


@given(
    event=st.fixed_dictionaries(
        {},
        optional={
            "httpMethod": st.sampled_from(["POST", "GET", 1]),
            "path": st.sampled_from(["/runs", "/", None]),
            "body": st.sampled_from(['{"policy": "nightly"}', "\ud800", None, {}]),
            "headers": st.none() | st.dictionaries(st.text(), st.text() | st.lists(st.text())),
            "Type": st.just("Timer"),
            "Time": st.sampled_from(["2026-11-23T02:00:00Z", "\ud800", None]),
            "Message": st.sampled_from(["nightly", "\ud800", None]),
        },
    )
)
def test_no_event_is_answered_by_anything_but_a_request_or_a_refusal(event: dict[str, object]) -> None:
    try:
        request = read(event)
    except RequestError:
        return
    assert request.trigger is Trigger.TIMER
    assert RUN_ID.fullmatch(request.run_id)
