"""What a run got, and the report, are told to whoever signs the question."""

from __future__ import annotations

from typing import Any

import pytest

from quiesce.errors import RequestError
from quiesce.request import Question, ReportQuestion, parse, sign
from quiesce.settings import HttpAuth
from tests.function.requests_made import CONTEXT, NOW, POLICIES, SECRET, TIMESTAMP, settings

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
