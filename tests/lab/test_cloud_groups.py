"""Snapshot groups as the platform has them: one call for several disks, cut one after the other, answered with one id."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quiesce_lab.cloud import faults
from tests.lab.cloud_world import ALLOWED_EVERY_S, Lab, running_lab
from tests.waiting import wait_until

DISKS = ["disk-a", "disk-b", "disk-c"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        for disk_id in DISKS:
            lab.disk(disk_id, instance_id="ins-a")
        lab.cloud.settings.group_gap_s = 0.0
        yield lab


def group(lab: Lab, name: str = "nightly", **params: Any) -> str:
    """CreateSnapshotGroup through the SDK."""
    asked = {"DiskIds": DISKS, "SnapshotGroupName": name, **params}
    answer = lab.call("cbs", "CreateSnapshotGroup", asked)
    assert answer.keys() == {"SnapshotGroupId", "RequestId"}, "neither snapshot ids nor disks"
    group_id: str = answer["SnapshotGroupId"]
    return group_id


def groups(lab: Lab, **filters: str) -> list[dict[str, Any]]:
    """DescribeSnapshotGroups through the SDK, with one value a filter; ``_`` is written for ``-``."""
    wanted = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
    found = lab.call("cbs", "DescribeSnapshotGroups", {"Filters": wanted} if wanted else {})
    assert found["TotalCount"] == len(found["SnapshotGroupSet"])
    return list(found["SnapshotGroupSet"])


def members(lab: Lab) -> dict[str, str]:
    """Name of every snapshot, by its disk."""
    return {one["DiskId"]: one["SnapshotName"] for one in lab.call("cbs", "DescribeSnapshots")["SnapshotSet"]}


def test_the_members_are_found_through_the_group_and_named_after_it_in_the_order_of_the_disks(lab: Lab) -> None:
    group_id = group(lab)
    (listed,) = groups(lab, snapshot_group_id=group_id)

    assert (listed["SnapshotGroupName"], listed["SnapshotGroupType"], listed["ContainRootSnapshot"]) == (
        "nightly",
        "NORMAL",
        False,
    )
    assert set(listed["SnapshotIdSet"]) == set(lab.blocks.snapshots)
    assert members(lab) == {"disk-a": "nightly_0", "disk-b": "nightly_1", "disk-c": "nightly_2"}


def test_the_disks_are_cut_one_after_the_other(lab: Lab) -> None:
    lab.cloud.settings.latency_s["CreateSnapshotGroup"] = 0.2
    lab.cloud.settings.cut_at = "start"
    lab.cloud.settings.group_gap_s = 0.05
    group(lab)
    call = lab.cloud.record.of("CreateSnapshotGroup")[0]
    moments = [moment for _, moment in lab.blocks.cuts]

    assert [disk_id for disk_id, _ in lab.blocks.cuts] == DISKS
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(moments))
    assert call.cut_began_at is not None and call.cut_at is not None and call.answered_at is not None
    assert call.arrived_at <= call.cut_began_at <= moments[0] and moments[-1] <= call.cut_at <= call.answered_at
    assert set(call.member_ids) == set(lab.blocks.snapshots)


def test_a_group_is_creating_until_its_last_member_is_normal(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 100
    lab.cloud.faults.set("CreateSnapshotGroup", faults.stuck_at(40))
    group(lab)
    lab.clock.passed_s += 101
    (listed,) = groups(lab, snapshot_group_name="nightly")
    states = [one["SnapshotState"] for one in lab.call("cbs", "DescribeSnapshots", {"Order": "ASC"})["SnapshotSet"]]

    assert (listed["SnapshotGroupState"], listed["Percent"]) == ("CREATING", 40)
    assert states == ["NORMAL", "NORMAL", "CREATING"]


def test_a_member_may_vanish_and_the_group_then_lacks_it(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    lab.cloud.faults.set("CreateSnapshotGroup", faults.vanished())
    group(lab)

    assert len(groups(lab)[0]["SnapshotIdSet"]) == 2
    assert members(lab) == {"disk-a": "nightly_0", "disk-b": "nightly_1"}


def test_a_group_is_listed_only_after_a_while_and_found_by_each_filter(lab: Lab) -> None:
    lab.cloud.settings.visible_after_s = 60
    group_id = group(lab)
    assert groups(lab) == []
    lab.clock.passed_s += 61
    (member, *_) = groups(lab)[0]["SnapshotIdSet"]

    for filters in (
        {"snapshot_group_id": group_id},
        {"snapshot_group_name": "nightly"},
        {"snapshot_group_state": "NORMAL"},
        {"snapshot_id": member},
    ):
        assert [one["SnapshotGroupId"] for one in groups(lab, **filters)] == [group_id]
    assert groups(lab, snapshot_group_name="night") == []
    assert lab.error_of("cbs", "DescribeSnapshotGroups", {"Filters": [{"Name": "disk-id", "Values": ["x"]}]}) == (
        "InvalidFilter"
    )


@pytest.mark.parametrize(
    ("params", "code"),
    [
        pytest.param({"DiskIds": ["disk-a", "disk-z"]}, "InvalidDiskId.NotFound", id="no such disk"),
        pytest.param(
            {"DiskIds": ["disk-a", "disk-of-b"]},
            "UnsupportedOperation.SnapshotGroupDiskAttachMultiInstance",
            id="two instances",
        ),
        pytest.param({"DiskIds": ["disk-a", "disk-loose"]}, "InvalidDisk.NotSupported", id="not attached"),
        pytest.param({"DiskIds": ["disk-a", "disk-busy"]}, "InvalidDisk.SnapshotCreating", id="one is creating"),
        pytest.param({"DiskIds": ["disk-a", "disk-a"]}, "InvalidParameterValue", id="twice"),
        pytest.param({"DiskIds": []}, "MissingParameter", id="none"),
        pytest.param({"SnapshotGroupName": "x" * 59}, "InvalidParameterValue", id="members' names too long"),
        pytest.param({"Deadline": "2099-01-01T00:00:00+00:00"}, "UnknownParameter", id="no Deadline"),
        pytest.param({"ClientToken": "once"}, "UnknownParameter", id="no ClientToken"),
        pytest.param({"Tags": [{"Key": "qcs:x", "Value": "v"}]}, "InvalidParameterValue", id="reserved tag"),
    ],
)
def test_a_group_that_cannot_be_is_refused_before_anything_is_cut(lab: Lab, params: dict[str, Any], code: str) -> None:
    lab.cloud.settings.snapshot_seconds = 100
    lab.cloud.world.add_instance("ins-b", "10.0.0.5")
    lab.disk("disk-of-b", instance_id="ins-b")
    lab.disk("disk-loose")
    lab.snapshot(lab.disk("disk-busy", instance_id="ins-a"))

    asked = {"DiskIds": DISKS, "SnapshotGroupName": "nightly", **params}
    assert lab.error_of("cbs", "CreateSnapshotGroup", asked) == code
    assert [disk_id for disk_id, _ in lab.blocks.cuts] == ["disk-busy"]
    assert group(lab), "no disk was left marked"


def test_a_group_counts_with_all_its_members_against_the_quota(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    lab.cloud.settings.rate_limit = {"CreateSnapshotGroup": 1000}
    for _ in range(85):  # 255 of 256
        group(lab)

    assert lab.error_of("cbs", "CreateSnapshotGroup", {"DiskIds": DISKS}) == "InsufficientSnapshotQuota"


def test_an_account_without_the_feature_is_refused(lab: Lab) -> None:
    lab.cloud.settings.snapshot_groups = False

    assert lab.error_of("cbs", "CreateSnapshotGroup", {"DiskIds": DISKS}) == "UnsupportedOperation"
    assert lab.blocks.cuts == []


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        pytest.param(faults.refuse("OperationDenied"), 0, id="refused"),
        pytest.param(faults.error_after_success(), 3, id="error after success"),
        pytest.param(faults.null_snapshot_id(), 3, id="null id"),
    ],
)
def test_a_group_meets_the_faults_of_a_snapshot(lab: Lab, fault: faults.Fault, made: int) -> None:
    lab.cloud.faults.set("CreateSnapshotGroup", fault)
    lab.raw(f'{{"DiskIds": ["{DISKS[0]}", "{DISKS[1]}", "{DISKS[2]}"]}}', action="CreateSnapshotGroup")

    assert len(members(lab)) == made
    assert lab.cloud.record.of("CreateSnapshotGroup")[0].fault == fault.kind.value


def test_deleting_a_group_deletes_its_complete_members_and_nothing_else(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 100
    lone, group_id = lab.snapshot(lab.disk("disk-d")), group(lab)
    early = lab.error_of("cbs", "DeleteSnapshotGroup", {"SnapshotGroupId": group_id})
    lab.clock.passed_s += 101
    lab.call("cbs", "DeleteSnapshotGroup", {"SnapshotGroupId": group_id, "SnapshotGroupIds": [group_id]})

    assert early == "ResourceUnavailable.SnapshotCreating"
    assert set(lab.blocks.snapshots) == {lone}
    assert groups(lab) == []
    assert lab.error_of("cbs", "DeleteSnapshotGroup", {"SnapshotGroupId": group_id}) == "ResourceNotFound.NotFound"
    assert lab.error_of("cbs", "DeleteSnapshotGroup", {"SnapshotGroupIds": ["snapg-1", "snapg-2"]}) == (
        "InvalidParameterValue"
    )
    assert lab.error_of("cbs", "DeleteSnapshotGroup") == "MissingParameter"


def test_a_member_deleted_alone_leaves_its_group_and_the_last_one_takes_it_along(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    group(lab)
    ids = groups(lab)[0]["SnapshotIdSet"]
    lab.call("cbs", "DeleteSnapshots", {"SnapshotIds": ids[:1]})

    assert groups(lab)[0]["SnapshotIdSet"] == ids[1:]
    lab.call("cbs", "DeleteSnapshots", {"SnapshotIds": ids[1:]})
    wait_until(lambda: groups(lab) == [], every_s=ALLOWED_EVERY_S)
