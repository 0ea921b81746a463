from __future__ import annotations

import json

import pytest

from quiesce.adapters.cls import RunRecords, log_group_list
from quiesce.adapters.tencent import Cloud
from quiesce.errors import CloudError
from tests.function.loopback import HANG_UP, Authority, Reply
from tests.function.settings_for import TOKEN, cloud_settings

AT_MS = 1_795_399_200_123

# What Google's protobuf encodes for the LogGroupList of the same two records.
AS_PROTOBUF_ENCODES_IT = bytes.fromhex(
    "0ac7010a2c08fbda86b1a03412140a0672756e5f6964120a34663163396130623764120d0a06e58e9fe59ba01203e99481"
    "0a960108fbda86b1a034128c010a056c6576656c128201"
) + (b"x" * 130)


def ok() -> Reply:
    return Reply(json.dumps({"Response": {"RequestId": "r-1"}}).encode())


def test_records_are_encoded_byte_for_byte_as_protobuf_does() -> None:
    records = [{"run_id": "4f1c9a0b7d", "原因": "锁"}, {"level": "x" * 130}]

    assert log_group_list(records, AT_MS) == AS_PROTOBUF_ENCODES_IT


def test_a_record_is_uploaded_flat_to_its_topic(authority: Authority) -> None:
    record = {"run_id": "4f1c9a0b7d", "targets": 2, "reached": True, "snapshots": {"disk-a": "snap-1"}, "none": None}
    with authority.serve(lambda _: ok()) as server:
        RunRecords(Cloud(cloud_settings(server.port, authority.pem)), "topic-1").write([record], AT_MS)

    (received,) = server.received
    assert received.action == "UploadLog"
    assert received.headers["x-tc-version"] == "2020-10-16"
    assert received.headers["x-cls-topicid"] == "topic-1"
    assert received.headers["content-type"] == "application/octet-stream"
    assert received.headers["x-tc-token"] == TOKEN
    flat = {"run_id": "4f1c9a0b7d", "targets": "2", "reached": "true", "snapshots": '{"disk-a":"snap-1"}'}
    assert received.body == log_group_list([flat], AT_MS)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(HANG_UP, id="lost answer"),
        pytest.param(
            Reply(b'{"Response": {"Error": {"Code": "ResourceNotFound.TopicNotExist", "Message": ""}}}'), id="no topic"
        ),
        pytest.param(
            Reply(b'{"Response": {"Error": {"Code": "InternalError", "Message": ""}, "RequestId": "r"}}'), id="internal"
        ),
    ],
)
def test_a_failed_upload_is_an_error_and_never_a_second_record(authority: Authority, reply: Reply) -> None:
    with authority.serve(lambda _: reply) as server, pytest.raises(CloudError):
        RunRecords(Cloud(cloud_settings(server.port, authority.pem)), "topic-1").write([{"a": 1}], AT_MS)

    assert len(server.received) == 1
