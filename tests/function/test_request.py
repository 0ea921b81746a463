"""Events become requests, each its own run and a redelivered one the same run."""

from __future__ import annotations

import base64
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.errors import RequestError
from quiesce.naming import RUN_ID
from quiesce.request import Trigger, parse, run_id
from tests.function.requests_made import (
    CONTEXT,
    NOW,
    POLICIES,
    event,
    read,
    refusal,
    settings,
    signed,
    tampered,
    with_headers,
)


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
