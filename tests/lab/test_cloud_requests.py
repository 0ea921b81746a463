"""The form of requests and answers: what the platform refuses, the lab refuses."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from quiesce_lab.cloud import shapes
from quiesce_lab.cloud.catalog import ACTIONS
from quiesce_lab.cloud.errors import ApiError
from tests.lab.cloud_world import Lab, running_lab

# Answers recorded in ap-singapore in 2022; the one of DescribeInstances is trimmed.
RECORDED = json.loads((Path(__file__).parent / "cloud_recordings.json").read_text())


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        yield lab


def shape_of(value: Any) -> Any:
    """Reduce an answer to its keys and JSON types; a list to the shape of its first item."""
    if isinstance(value, dict):
        return {name: shape_of(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return type(value).__name__


def agrees(seen: Any, recorded: Any) -> bool:
    """Tell whether two shapes have the same keys throughout, and types that differ at most by null or emptiness."""
    if isinstance(seen, dict) and isinstance(recorded, dict):
        return seen.keys() == recorded.keys() and all(agrees(seen[name], recorded[name]) for name in seen)
    if isinstance(seen, list) and isinstance(recorded, list):
        return not seen or not recorded or agrees(seen[0], recorded[0])
    return seen == recorded or "NoneType" in (seen, recorded)


@pytest.mark.parametrize(
    ("service", "action"), [("cbs", "DescribeDisks"), ("cbs", "DescribeSnapshots"), ("cvm", "DescribeInstances")]
)
def test_answers_have_the_shape_of_recorded_ones(lab: Lab, service: str, action: str) -> None:
    lab.disk("disk-a", instance_id="ins-a", tags={"k": "v"})
    lab.disk("disk-s", instance_id="ins-a", usage="SYSTEM_DISK")
    lab.snapshot("disk-a")
    seen, recorded = shape_of(lab.call(service, action)), shape_of(RECORDED[action])

    assert agrees(seen, recorded), (seen, recorded)


def test_instance_tags_carry_both_spellings_and_disks_the_usual_one(lab: Lab) -> None:
    lab.disk("disk-a", tags={"k": "v"})
    instance = lab.call("cvm", "DescribeInstances")["InstanceSet"][0]
    disk = lab.call("cbs", "DescribeDisks")["DiskSet"][0]

    assert instance["Tags"] == [{"tagKey": "backup", "tagValue": "yes", "Key": "backup", "Value": "yes"}]
    assert (instance["PublicIpAddresses"], instance["DataDisks"]) == (None, [])
    assert disk["Tags"] == [{"Key": "k", "Value": "v"}]


@pytest.mark.filterwarnings("ignore:.*fileds are useless")  # recorded answers hold keys that the SDK does not know
def test_the_sdks_own_clients_read_the_answers(lab: Lab) -> None:
    lab.disk("disk-a", instance_id="ins-a")
    cbs, cvm = lab.typed_client("cbs"), lab.typed_client("cvm")
    cbs_models = importlib.import_module("tencentcloud.cbs.v20170312.models")
    cvm_models = importlib.import_module("tencentcloud.cvm.v20170312.models")
    request = cbs_models.CreateSnapshotRequest()
    request.DiskId, request.SnapshotName = "disk-a", "quiesce-x"
    snapshot_id = cbs.CreateSnapshot(request).SnapshotId
    listed = cbs.DescribeSnapshots(cbs_models.DescribeSnapshotsRequest()).SnapshotSet[0]
    instance = cvm.DescribeInstances(cvm_models.DescribeInstancesRequest()).InstanceSet[0]

    assert (listed.SnapshotId, listed.SnapshotName, listed.SnapshotState) == (snapshot_id, "quiesce-x", "CREATING")
    assert [disk.DiskId for disk in instance.DataDisks] == ["disk-a"]
    assert lab.cloud.record.of("CreateSnapshot")[0].request_client.startswith("SDK_PYTHON_")


@pytest.mark.parametrize(
    ("service", "action", "params", "code"),
    [
        pytest.param("cbs", "CreateSnapshot", {"DiskId": "disk-a", "Name": "x"}, "UnknownParameter", id="unknown field"),
        pytest.param("cbs", "CreateSnapshot", {"DiskId": "disk-a", "diskid": "x"}, "UnknownParameter", id="spelling"),
        pytest.param(
            "cbs",
            "CreateSnapshot",
            {"DiskId": "disk-a", "Tags": [{"Key": "k", "Val": "v"}]},
            "UnknownParameter",
            id="unknown field inside",
        ),
        pytest.param("cbs", "CreateSnapshot", {"DiskId": 7}, "InvalidParameter", id="number for a string"),
        pytest.param("cbs", "CreateSnapshot", {"DiskId": None}, "InvalidParameter", id="null"),
        pytest.param("cbs", "DescribeDisks", {"Limit": "20"}, "InvalidParameter", id="string for a number"),
        pytest.param("cbs", "DescribeDisks", {"Limit": True}, "InvalidParameter", id="true for a number"),
        pytest.param("cbs", "DescribeDisks", {"DiskIds": "disk-a"}, "InvalidParameter", id="string for a list"),
        pytest.param("cbs", "CreateSnapshot", {}, "MissingParameter", id="missing"),
        pytest.param("cbs", "DeleteSnapshots", {"SnapshotIds": []}, "MissingParameter", id="empty list"),
        pytest.param("cbs", "DescribeDisks", {"Limit": 101}, "InvalidParameterValue", id="page too long"),
        pytest.param("cbs", "DescribeDisks", {"Limit": 0}, "InvalidParameterValue", id="page of nothing"),
        pytest.param("cbs", "DescribeDisks", {"Offset": -1}, "InvalidParameterValue", id="negative offset"),
        pytest.param("cbs", "DescribeDisks", {"Order": "UP"}, "InvalidParameterValue", id="order"),
        pytest.param(
            "cbs",
            "DescribeSnapshots",
            {"SnapshotIds": ["s"], "Filters": [{"Name": "disk-id", "Values": ["d"]}]},
            "InvalidParameter",
            id="ids and filters",
        ),
        pytest.param(
            "cbs",
            "DescribeSnapshots",
            {"Filters": [{"Name": "tag:k", "Values": ["v"]}]},
            "InvalidFilter",
            id="snapshots have no tag filter",
        ),
        pytest.param(
            "cbs",
            "DescribeSnapshots",
            {"Filters": [{"Name": "disk-id", "Values": [str(n) for n in range(11)]}]},
            "InvalidParameterValue.LimitExceeded",
            id="11 disks in a filter",
        ),
        pytest.param(
            "cbs",
            "DescribeDisks",
            {"Filters": [{"Name": "colour", "Values": ["v"]}]},
            "InvalidFilter",
            id="filter",
        ),
        pytest.param("cbs", "DescribeDisks", {"Filters": [{"Name": "zone"}]}, "MissingParameter", id="no values"),
        pytest.param(
            "cvm",
            "DescribeInstances",
            {"Filters": [{"Name": "zone", "Values": list("abcdef")}]},
            "InvalidParameterValue.LimitExceeded",
            id="6 values of a CVM filter",
        ),
        pytest.param(
            "cvm",
            "DescribeInstances",
            {"InstanceIds": [str(n) for n in range(101)]},
            "InvalidParameterValue.LimitExceeded",
            id="101 instances",
        ),
        pytest.param("cbs", "DescribeInstances", {}, "InvalidAction", id="action of another service"),
        pytest.param("cbs", "FreezeDisk", {}, "InvalidAction", id="action that is not there"),
    ],
)
def test_a_request_of_the_wrong_form_is_refused(
    lab: Lab, service: str, action: str, params: Mapping[str, Any], code: str
) -> None:
    lab.disk("disk-a")

    assert lab.error_of(service, action, params) == code
    assert lab.cloud.record.calls[-1].error_code == code
    assert lab.blocks.cuts == []


def test_a_wrong_version_is_refused(lab: Lab) -> None:
    with pytest.raises(TencentCloudSDKException, match="no version") as refused:
        lab.client("cbs", version="2016-01-01").call_json("DescribeDisks", {})
    assert refused.value.code == "NoSuchVersion"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param({"body": "not json"}, "InvalidParameter", id="not JSON"),
        pytest.param({"body": "[]"}, "InvalidParameter", id="not an object"),
        pytest.param({"method": "PUT"}, "UnsupportedProtocol", id="PUT"),
        pytest.param({"path": "/v2"}, "UnsupportedProtocol", id="another path"),
        pytest.param({"action": "UploadLog", "service": "cls"}, "UnsupportedProtocol", id="JSON for bytes"),
        pytest.param({"headers": {"X-TC-Action": None}}, "MissingParameter", id="no action"),
        pytest.param({"headers": {"X-TC-Version": None}}, "MissingParameter", id="no version"),
        pytest.param({"headers": {"X-TC-Region": None}}, "MissingParameter", id="no region"),
        pytest.param({"headers": {"X-TC-Region": "mars-1"}}, "UnsupportedRegion", id="no such region"),
        pytest.param({"body": b" " * (10 * 1024 * 1024 + 1)}, "RequestSizeLimitExceeded", id="longer than 10 MB"),
    ],
)
def test_what_the_sdk_would_not_send_is_refused_too(lab: Lab, wrong: dict[str, Any], code: str) -> None:
    raw = lab.raw(**wrong)

    assert (raw.status, raw.content_type, raw.code) == (200, "application/json", code)


def test_what_one_region_holds_is_not_seen_in_another(lab: Lab) -> None:
    lab.disk("disk-a")
    elsewhere = lab.client("cbs", region="ap-singapore").call_json("DescribeDisks", {})["Response"]

    assert elsewhere["TotalCount"] == 0
    assert lab.call("cbs", "DescribeDisks")["TotalCount"] == 1


def test_what_one_account_holds_is_not_seen_by_another(lab: Lab) -> None:
    lab.disk("disk-a", uin="200000000002")

    assert lab.call("cbs", "DescribeDisks")["TotalCount"] == 0


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_every_field_of_the_sdks_models_is_known_with_a_type(action: Any) -> None:
    model = shapes.request_model(action.service.models, action.name)

    assert set(shapes.fields_of(model)) == {name.removeprefix("_") for name in vars(model())}
    for name in shapes.fields_of(model):
        with pytest.raises(ApiError) as refused:
            shapes.check(model, {name: object()})
        assert refused.value.code == "InvalidParameter"
    assert set(action.required) | set(action.unmodelled) <= set(shapes.fields_of(model))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
FIELDS = sorted(
    {name for one in ACTIONS.values() for name in shapes.fields_of(shapes.request_model(one.service.models, one.name))}
)


@given(st.sampled_from(sorted(ACTIONS)), st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON, max_size=4))
def test_any_json_is_either_of_the_right_form_or_refused(key: tuple[str, str], body: dict[str, Any]) -> None:
    action = ACTIONS[key]
    model = shapes.request_model(action.service.models, action.name)
    try:
        shapes.check(model, json.loads(json.dumps(body)), required=action.required)
    except ApiError as error:
        assert error.code in {"UnknownParameter", "InvalidParameter", "MissingParameter"}
    else:
        assert set(body) <= set(shapes.fields_of(model))
