"""The tag service and the log service."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from quiesce_lab.cloud import loggroup
from tests.lab.cloud_world import Lab, running_lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        lab.disk("disk-a")
        lab.cloud.world.add_topic("topic-1", "runs")
        yield lab


def resource(snapshot_id: str, **parts: str) -> str:
    names = {"service": "cvm", "region": "ap-guangzhou", "uin": "", "kind": "snapshot", **parts}
    return "qcs::{service}:{region}:uin/{uin}:{kind}/".format(**names) + snapshot_id


def tags(**values: str) -> list[dict[str, str]]:
    return [{"TagKey": key, "TagValue": value} for key, value in values.items()]


def tags_of(lab: Lab, snapshot_id: str) -> dict[str, str]:
    listed = lab.listed(snapshot_id)
    assert listed
    return {tag["Key"]: tag["Value"] for tag in listed["Tags"]}


def test_tags_put_on_a_snapshot_are_shown_with_it(lab: Lab) -> None:
    snapshot_id = lab.snapshot("disk-a", Tags=[{"Key": "a", "Value": "1"}])
    target = resource(snapshot_id)
    lab.call("tag", "ModifyResourceTags", {"Resource": target, "ReplaceTags": tags(a="2", b="3")})
    assert tags_of(lab, snapshot_id) == {"a": "2", "b": "3"}
    lab.call(
        "tag",
        "ModifyResourceTags",
        {"Resource": target, "ReplaceTags": tags(c="4"), "DeleteTags": [{"TagKey": "a"}]},
    )
    assert tags_of(lab, snapshot_id) == {"b": "3", "c": "4"}
    answer = lab.call("tag", "TagResources", {"ResourceList": [target, resource("snap-none")], "Tags": tags(d="5")})

    assert tags_of(lab, snapshot_id) == {"b": "3", "c": "4", "d": "5"}
    assert [(one["Resource"], one["Code"]) for one in answer["FailedResources"]] == [
        (resource("snap-none"), "InvalidParameterValue.ResourceIdInvalid")
    ]


@pytest.mark.parametrize(
    ("parts", "params", "code"),
    [
        pytest.param({}, {}, "MissingParameter", id="nothing to do"),
        pytest.param({}, {"ReplaceTags": []}, "InvalidParameter.Tag", id="empty list"),
        pytest.param(
            {}, {"ReplaceTags": tags(**{f"k{n}": "v" for n in range(11)})}, "LimitExceeded.TagNumPerRequest",
            id="11 tags",
        ),
        pytest.param({}, {"ReplaceTags": tags(a="")}, "InvalidParameterValue.TagValueEmpty", id="empty value"),
        pytest.param(
            {}, {"ReplaceTags": tags(**{"k" * 128: "v"})}, "InvalidParameterValue.TagKeyLengthExceeded", id="long key"
        ),
        pytest.param(
            {}, {"ReplaceTags": tags(a="v" * 256)}, "InvalidParameterValue.TagValueLengthExceeded", id="long value"
        ),
        pytest.param(
            {}, {"ReplaceTags": tags(**{"tencent-x": "v"})}, "InvalidParameterValue.ReservedTagKey", id="reserved"
        ),
        pytest.param(
            {}, {"ReplaceTags": tags(**{"a{b}": "v"})}, "InvalidParameterValue.TagKeyCharacterIllegal", id="characters"
        ),
        pytest.param(
            {}, {"ReplaceTags": tags(a="1"), "DeleteTags": [{"TagKey": "a"}]},
            "InvalidParameterValue.DeleteTagsParamError", id="replaced and deleted",
        ),
        pytest.param({}, {"DeleteTags": [{"TagKey": "z"}]}, "ResourceNotFound.AttachedTagKeyNotFound", id="not there"),
        pytest.param(
            {"service": "cbs"}, {"ReplaceTags": tags(a="1")}, "InvalidParameter.UnsupportedService", id="service cbs"
        ),
        pytest.param(
            {"kind": "snap"}, {"ReplaceTags": tags(a="1")}, "InvalidParameterValue.ResourcePrefixInvalid", id="prefix"
        ),
        pytest.param(
            {"kind": "volume"}, {"ReplaceTags": tags(a="1")}, "InvalidParameterValue.ResourceIdInvalid", id="volume"
        ),
        pytest.param({"uin": "7"}, {"ReplaceTags": tags(a="1")}, "InvalidParameterValue.UinInvalid", id="account"),
        pytest.param({"region": "gz"}, {"ReplaceTags": tags(a="1")}, "InvalidParameterValue.RegionInvalid", id="gz"),
        pytest.param(
            {"kind": "x/snapshot"}, {"ReplaceTags": tags(a="1")}, "InvalidParameterValue.ResourceDescriptionError",
            id="description",
        ),
    ],
)  # fmt: skip
def test_wrong_tags_change_nothing(lab: Lab, parts: dict[str, str], params: dict[str, Any], code: str) -> None:
    snapshot_id = lab.snapshot("disk-a", Tags=[{"Key": "a", "Value": "1"}])
    request = {"Resource": resource(snapshot_id, **parts), **params}

    assert lab.error_of("tag", "ModifyResourceTags", request) == code
    assert tags_of(lab, snapshot_id) == {"a": "1"}


def test_a_resource_carries_50_tags_and_no_more(lab: Lab) -> None:
    snapshot_id = lab.snapshot("disk-a", Tags=[{"Key": f"k{number}", "Value": "v"} for number in range(50)])

    request = {"Resource": resource(snapshot_id), "ReplaceTags": tags(one="more")}
    assert lab.error_of("tag", "ModifyResourceTags", request) == "LimitExceeded.ResourceAttachedTags"


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def bytes_field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def log(time_ms: int, **contents: str) -> bytes:
    pairs = [bytes_field(1, key.encode()) + bytes_field(2, value.encode()) for key, value in contents.items()]
    return varint(1 << 3) + varint(time_ms) + b"".join(bytes_field(2, pair) for pair in pairs)


def group(*logs: bytes) -> bytes:
    return bytes_field(1, b"".join(bytes_field(1, one) for one in logs) + bytes_field(4, b"10.0.0.4"))


def upload(lab: Lab, body: bytes, **headers: str) -> str:
    client = lab.client("cls")
    try:
        client.call_octet_stream("UploadLog", {"X-CLS-TopicId": "topic-1", **headers}, body)
    except TencentCloudSDKException as error:
        return error.code
    return ""


def search(lab: Lab, query: str, **params: Any) -> list[dict[str, str]]:
    request = {"TopicId": "topic-1", "From": 0, "To": 10**14, "QueryString": query, "Sort": "asc", **params}
    return [json.loads(one["LogJson"]) for one in lab.call("cls", "SearchLog", request)["Results"]]


def test_uploaded_lines_are_found_by_word_and_by_key(lab: Lab) -> None:
    now_ms = int(time.time() * 1000)
    assert upload(lab, group(log(now_ms, run="r1", level="application"), log(now_ms + 1, run="r2", level="crash"))) == ""
    assert search(lab, "*") == [], "not searchable at once"
    lab.clock.passed_s += 1

    assert [one["run"] for one in search(lab, "*")] == ["r1", "r2"]
    assert search(lab, "run:r2") == [{"run": "r2", "level": "crash"}]
    assert search(lab, 'level:"application" AND run:r1') == [{"run": "r1", "level": "application"}]
    assert search(lab, "crash") == [{"run": "r2", "level": "crash"}]
    assert search(lab, "run:r3") == []
    assert search(lab, "*", From=now_ms + 1) == [{"run": "r2", "level": "crash"}]


def test_a_search_goes_on_where_the_last_one_ended(lab: Lab) -> None:
    upload(lab, group(*[log(1_700_000_000_000 + number, n=str(number)) for number in range(5)]))
    lab.clock.passed_s += 1
    request = {"TopicId": "topic-1", "From": 0, "To": 10**14, "Limit": 3, "Sort": "asc"}
    first = lab.call("cls", "SearchLog", request)
    second = lab.call("cls", "SearchLog", {**request, "Context": first["Context"]})

    assert (len(first["Results"]), first["ListOver"]) == (3, False)
    assert (len(second["Results"]), second["ListOver"]) == (2, True)


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        pytest.param(group(log(1, a="b")), {"X-CLS-TopicId": "none"}, "ResourceNotFound.TopicNotExist", id="topic"),
        pytest.param(group(log(1, a="b")), {"X-CLS-CompressType": "lz4"}, "UnsupportedOperation", id="compressed"),
        pytest.param(group(log(1, a="b")), {"X-CLS-Colour": "x"}, "UnknownParameter", id="unknown header"),
        pytest.param(b"\xff\xff", {}, "InvalidParameter.Content", id="not protobuf"),
        pytest.param(bytes_field(1, bytes_field(1, b"")), {}, "InvalidParameter.Content", id="no time"),
        pytest.param(b"", {}, "FailedOperation.MissingContent", id="nothing"),
        pytest.param(group(log(1, _a="b")), {}, "InvalidParameter.Content", id="underscore key"),
        pytest.param(group(log(1, a="b" * 1_100_000)), {}, "LimitExceeded.LogSize", id="value over 1 MB"),
        pytest.param(group(*[log(1)] * 10_001), {}, "LimitExceeded.LogSize", id="10,001 lines"),
        pytest.param(group(log(1, a="b"), log(1, _c="d")), {}, "InvalidParameter.Content", id="second line wrong"),
    ],
)
def test_a_wrong_upload_leaves_no_line(lab: Lab, body: bytes, headers: dict[str, str], code: str) -> None:
    assert upload(lab, body, **headers) == code
    lab.clock.passed_s += 1
    assert search(lab, "*") == []


@pytest.mark.parametrize("query", ["a OR b", "NOT a", "(a)", "* | select count(*)", 'a:"open'])
def test_a_query_that_the_lab_does_not_understand_is_an_error_and_not_an_empty_list(lab: Lab, query: str) -> None:
    request = {"TopicId": "topic-1", "From": 0, "To": 1, "QueryString": query}
    assert lab.error_of("cls", "SearchLog", request) == "FailedOperation.SyntaxError"


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.dictionaries(st.text(min_size=1), st.text())), min_size=1))
def test_what_is_encoded_is_decoded(lines: list[tuple[int, dict[str, str]]]) -> None:
    decoded = loggroup.decode(group(*[log(moment, **contents) for moment, contents in lines]))

    assert [(one.time, dict(one.contents)) for one in decoded[0].logs] == lines
    assert decoded[0].source == "10.0.0.4"


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    with contextlib.suppress(loggroup.DecodeError):
        loggroup.decode(data)
