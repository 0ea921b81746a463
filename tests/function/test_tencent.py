"""Calling the cloud: what the SDK does on the wire, and which errors come out."""

from __future__ import annotations

import json
import logging
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from quiesce.adapters.tencent import Answer, Api, Cloud, is_ambiguous
from quiesce.errors import CloudError
from tests.function.loopback import HANG_UP, Authority, LoopbackServer, Received, Reply
from tests.function.settings_for import SECRET_KEY, TOKEN, cloud_settings


class Overview(Answer, frozen=True):
    total_nums: int | None = None


def answer(**fields: object) -> Reply:
    return Reply(json.dumps({"Response": {**fields, "RequestId": "r-1"}}).encode())


def error(code: str, message: str = "as the cloud says it") -> Reply:
    return answer(Error={"Code": code, "Message": message})


def api(server: LoopbackServer, authority: Authority, *, timeout_s: float = 3.0) -> Api:
    return Cloud(cloud_settings(server.port, authority.pem, timeout_s=timeout_s)).api("cbs", "2017-03-12")


def failure(call: Callable[[], object]) -> CloudError:
    with pytest.raises(CloudError) as failed:
        call()
    return failed.value


def test_a_call_is_signed_names_its_action_and_speaks_english(authority: Authority) -> None:
    with authority.serve(lambda _: answer(TotalNums=3)) as server:
        overview = api(server, authority).once("DescribeSnapshotOverview", {}, Overview)

    (received,) = server.received
    assert overview.total_nums == 3
    assert received.action == "DescribeSnapshotOverview"
    assert received.headers["x-tc-version"] == "2017-03-12"
    assert received.headers["x-tc-region"] == "ap-guangzhou"
    assert received.headers["x-tc-language"] == "en-US"
    assert received.headers["x-tc-token"] == TOKEN
    assert received.headers["host"] == f"127.0.0.1:{server.port}"
    assert received.headers["authorization"].startswith("TC3-HMAC-SHA256 Credential=AKID")


def test_two_calls_of_one_client_share_a_connection(authority: Authority) -> None:
    with authority.serve(lambda _: answer()) as server:
        client = api(server, authority)
        client.once("DescribeDisks", {}, Overview)
        client.once("CreateSnapshot", {}, Overview)

    assert [received.connection for received in server.received] == [1, 1]


def test_a_null_or_unknown_field_is_no_error(authority: Authority) -> None:
    with authority.serve(lambda _: answer(TotalNums=None, AddedLastWeek=[1])) as server:
        assert api(server, authority).once("DescribeSnapshotOverview", {}, Overview).total_nums is None


@pytest.mark.parametrize(
    ("code", "ambiguous"),
    [
        pytest.param("RequestLimitExceeded", False),
        pytest.param("RequestLimitExceeded.UinLimitExceeded", False),
        pytest.param("InvalidDisk.Busy", False),
        pytest.param("InvalidDisk.SnapshotCreating", False),
        pytest.param("ResourceBusy", False),
        pytest.param("ResourceUnavailable.TooManyCreatingSnapshot", False),
        pytest.param("InsufficientSnapshotQuota", False),
        pytest.param("InvalidAccount.InsufficientBalance", False),
        pytest.param("OperationDenied.AccountSecurityRisk", False),
        pytest.param("UnsupportedOperation.ShareDiskNotSupportSnap", False),
        pytest.param("ResourceNotFound.NotFound", False),
        pytest.param("MissingParameter", False),
        pytest.param("InvalidParameterValue.LimitExceeded", False),
        pytest.param("UnauthorizedOperation.RoleNotExists", False),
        pytest.param("AuthFailure.TokenFailure", False),
        pytest.param("LimitExceeded.InstanceAttachedDisk", False),
        pytest.param("LimitExceeded.TagQuotaLimitExceeded", True),
        pytest.param("InternalError", True),
        pytest.param("InternalError.ComponentError", True),
        pytest.param("InternalError.ResourceOpFailed", True),
        pytest.param("FailedOperation", True),
        pytest.param("SomethingNew.InThisRelease", True),
        pytest.param("RequestLimitExceededAfterAll", True),
    ],
)
def test_an_error_keeps_its_code_and_says_whether_the_call_may_have_worked(
    authority: Authority, code: str, ambiguous: bool
) -> None:
    with authority.serve(lambda _: error(code)) as server:
        failed = failure(lambda: api(server, authority).once("CreateSnapshot", {}, Overview))

    assert (failed.code, failed.ambiguous) == (code, ambiguous)
    assert is_ambiguous(code) is ambiguous
    assert str(failed) == f"CreateSnapshot: {code}: as the cloud says it (request r-1)"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(HANG_UP, "ClientNetworkError", id="hung up"),
        pytest.param(Reply(b"<html>bad gateway</html>", 502, "text/html"), "ServerNetworkError", id="502"),
        pytest.param(Reply(b"<html>"), "JSONDecodeError", id="no JSON"),
        pytest.param(Reply(b"{}"), "KeyError", id="no Response"),
        pytest.param(Reply(b'{"Response": null}'), "TypeError", id="null Response"),
        pytest.param(Reply(b"[]", content_type="text/html"), "TypeError", id="a list"),
        pytest.param(Reply(b'{"Response": {"TotalNums": "3"}}'), "ValidationError", id="a field of another type"),
        pytest.param(
            Reply(b"{}", headers={"Content-Encoding": "gzip"}), "ContentDecodingError", id="a body that cannot be read"
        ),
    ],
)
def test_an_answer_that_is_none_is_ambiguous(authority: Authority, reply: Reply, code: str) -> None:
    with authority.serve(lambda _: reply) as server:
        failed = failure(lambda: api(server, authority).once("CreateSnapshot", {}, Overview))

    assert (failed.code, failed.ambiguous) == (code, True)
    assert len(server.received) == 1


def test_an_error_is_seen_whatever_its_content_type(authority: Authority) -> None:
    reply = replace(error("InvalidDisk.Busy"), content_type="application/json; charset=utf-8")
    with authority.serve(lambda _: reply) as server:
        failed = failure(lambda: api(server, authority).once("CreateSnapshot", {}, Overview))

    assert (failed.code, failed.ambiguous) == ("InvalidDisk.Busy", False)


def test_a_timeout_given_to_a_call_counts_not_that_of_the_settings(authority: Authority) -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        cloud = Cloud(cloud_settings(deaf.getsockname()[1], authority.pem, timeout_s=30.0))
        failed = failure(lambda: cloud.api("cbs", "2017-03-12").once("CreateSnapshot", {}, Overview, timeout_s=0.2))

    assert (failed.code, failed.ambiguous) == ("ClientNetworkError", True)
    assert time.monotonic() - began < 10


def test_a_server_with_another_certificate_is_refused(authority: Authority) -> None:
    with authority.serve(lambda _: answer()) as server:
        failed = failure(lambda: Cloud(cloud_settings(server.port, None)).api("cbs", "x").once("A", {}, Overview))

    assert failed.code == "ClientNetworkError"
    assert server.received == []


@pytest.mark.parametrize(
    "passing",
    [
        pytest.param(HANG_UP, id="lost answer"),
        pytest.param(error("RequestLimitExceeded"), id="rate limit"),
        pytest.param(error("InternalError"), id="internal error"),
    ],
)
def test_a_read_is_tried_again_while_the_trouble_may_pass(authority: Authority, impatient: None, passing: Reply) -> None:
    replies = [passing, passing, answer(TotalNums=3)]
    with authority.serve(lambda _: replies.pop(0)) as server:
        assert api(server, authority).read("DescribeSnapshotOverview", {}, Overview).total_nums == 3


def test_a_read_gives_up_after_three_attempts(authority: Authority, impatient: None) -> None:
    with authority.serve(lambda _: error("InternalError")) as server:
        failed = failure(lambda: api(server, authority).read("DescribeSnapshotOverview", {}, Overview))

    assert (failed.code, len(server.received)) == ("InternalError", 3)


def test_a_read_that_is_refused_for_good_is_not_repeated(authority: Authority) -> None:
    with authority.serve(lambda _: error("UnauthorizedOperation")) as server:
        failure(lambda: api(server, authority).read("DescribeSnapshotOverview", {}, Overview))

    assert len(server.received) == 1


def echo(received: Received) -> Reply:
    """Answer as a bad proxy does, with the request's own headers."""
    return Reply(f"{SECRET_KEY} {received.headers['x-tc-token']} {dict(received.headers)}".encode(), 502, "text/plain")


def test_no_secret_reaches_an_error_or_the_log(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), authority.serve(echo) as server:
        failed = failure(lambda: api(server, authority).once("CreateSnapshot", {}, Overview))

    for secret in (SECRET_KEY, TOKEN):
        assert secret not in "".join(traceback.format_exception(failed))
        assert secret not in caplog.text
    assert "X-TC-Token" not in caplog.text


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        pytest.param({}, "cbs.tencentcloudapi.com", id="nearest region"),
        pytest.param({"region": "ap-shanghai-fsi"}, "cbs.ap-shanghai-fsi.tencentcloudapi.com", id="financial region"),
        pytest.param({"root_domain": "internal.tencentcloudapi.com"}, "cbs.internal.tencentcloudapi.com", id="root domain"),
        pytest.param({"endpoint": "10.0.0.9:8443"}, "10.0.0.9:8443", id="endpoint"),
    ],
)
def test_a_service_is_reached_under_the_host_that_the_settings_ask_for(settings: dict[str, str], host: str) -> None:
    base = msgspec.structs.replace(cloud_settings(443, None), endpoint=None)

    assert Cloud(msgspec.structs.replace(base, **settings)).api("cbs", "2017-03-12").host == host
