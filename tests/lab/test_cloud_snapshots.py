"""CreateSnapshot as the platform does it: one cut inside the call, NORMAL long after it, and no help."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from tests.lab.cloud_world import Lab, running_lab
from tests.waiting import wait_until


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        lab.disk("disk-a", instance_id="ins-a")
        yield lab


def in_utc(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def test_a_snapshot_is_creating_with_a_rising_percentage_and_then_normal(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 100
    snapshot_id = lab.snapshot("disk-a", SnapshotName="quiesce-1")
    first = lab.listed(snapshot_id)
    lab.clock.passed_s += 50
    middle = lab.listed(snapshot_id)
    lab.clock.passed_s += 51
    last = lab.listed(snapshot_id)

    assert first and middle and last
    assert (first["SnapshotState"], first["SnapshotName"], first["DiskId"]) == ("CREATING", "quiesce-1", "disk-a")
    assert first["Percent"] < 5 and 45 <= middle["Percent"] <= 60 and middle["SnapshotState"] == "CREATING"
    assert (last["SnapshotState"], last["Percent"]) == ("NORMAL", 100)


def test_the_snapshot_holds_what_was_on_the_disk_at_the_cut(lab: Lab) -> None:
    lab.blocks.disks["disk-a"].append("before")
    snapshot_id = lab.snapshot("disk-a")
    lab.blocks.disks["disk-a"].append("after")

    assert lab.blocks.snapshots[snapshot_id] == ["before"]


@pytest.mark.parametrize(("cut_at", "share"), [("start", 0.0), ("middle", 0.5), ("end", 1.0)])
def test_the_cut_falls_where_the_setting_says(lab: Lab, cut_at: Any, share: float) -> None:
    lab.cloud.settings.latency_s["CreateSnapshot"] = 0.4
    lab.cloud.settings.cut_at = cut_at
    lab.snapshot("disk-a")
    call = lab.cloud.record.of("CreateSnapshot")[0]

    assert call.cut_at is not None and call.answered_at is not None and call.cut_began_at is not None
    assert call.cut_at - call.arrived_at == pytest.approx(0.4 * share, abs=0.1)
    assert call.answered_at - call.arrived_at == pytest.approx(0.4, abs=0.1)
    assert call.cut_began_at <= lab.blocks.cuts[0][1] <= call.cut_at


def test_a_random_cut_falls_inside_the_call_and_not_always_at_one_place(lab: Lab) -> None:
    lab.cloud.settings.latency_s["CreateSnapshot"] = 0.2
    disks = [lab.disk(f"disk-{number}") for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lab.snapshot, disks))
    calls = lab.cloud.record.of("CreateSnapshot")
    shares = [((call.cut_at or 0) - call.arrived_at) / 0.2 for call in calls]

    assert all(call.arrived_at <= (call.cut_at or 0) <= (call.answered_at or 0) for call in calls)
    assert max(shares) - min(shares) > 0.25


def test_calls_for_four_disks_in_parallel_take_as_long_as_one(lab: Lab) -> None:
    lab.cloud.settings.latency_s["CreateSnapshot"] = 0.3
    clients = [(lab.client("cbs"), lab.disk(f"disk-{number}")) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        began = time.monotonic()
        list(pool.map(lambda pair: pair[0].call_json("CreateSnapshot", {"DiskId": pair[1]}), clients))
        took_s = time.monotonic() - began

    assert 0.3 <= took_s < 0.6


def test_a_slow_clone_of_one_disk_does_not_hold_up_another_call(lab: Lab) -> None:
    with lab.blocks.lock, ThreadPoolExecutor(1) as pool:
        cloning = pool.submit(lab.snapshot, "disk-a")
        wait_until(lambda: [call for call in lab.cloud.record.calls if call.cut_began_at])
        assert lab.call("cbs", "DescribeDisks")["TotalCount"] == 1
        assert not cloning.done()
        lab.blocks.lock.release()
        cloning.result(5)
        lab.blocks.lock.acquire()


def test_a_new_snapshot_is_listed_only_after_a_while(lab: Lab) -> None:
    lab.cloud.settings.visible_after_s = 60
    snapshot_id = lab.snapshot("disk-a")
    assert lab.listed(snapshot_id) is None
    lab.clock.passed_s += 61

    assert lab.listed(snapshot_id)


def test_one_disk_creates_one_snapshot_at_a_time(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 100
    lab.snapshot("disk-a")
    assert lab.error_of("cbs", "CreateSnapshot", {"DiskId": "disk-a"}) == "InvalidDisk.SnapshotCreating"
    lab.clock.passed_s += 101

    assert lab.snapshot("disk-a")


def test_of_two_calls_at_the_same_time_for_one_disk_one_is_refused(lab: Lab) -> None:
    lab.cloud.settings.latency_s["CreateSnapshot"] = 0.3
    both = threading.Barrier(2)

    def call(_: int) -> str:
        client = lab.client("cbs")
        both.wait(5)
        try:
            client.call_json("CreateSnapshot", {"DiskId": "disk-a"})
        except TencentCloudSDKException as error:
            return error.code
        return ""

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(call, range(2))) == ["", "InvalidDisk.SnapshotCreating"]
    assert len(lab.blocks.cuts) == 1


@pytest.mark.parametrize(
    ("disk", "params", "code"),
    [
        pytest.param({"snapshot_ability": False}, {}, "InvalidDisk.NotSupportSnapshot", id="no ability"),
        pytest.param({"shareable": True}, {}, "UnsupportedOperation.ShareDiskNotSupportSnap", id="shared"),
        pytest.param({"state": "ROLLBACKING"}, {}, "ResourceInUse.DiskRollbacking", id="rolling back"),
        pytest.param({"state": "TORECYCLE"}, {}, "ResourceUnavailable.Expire", id="expired"),
        pytest.param({}, {"DiskId": "disk-z"}, "InvalidDiskId.NotFound", id="no such disk"),
        pytest.param({}, {"SnapshotName": "x"}, "InvalidParameterValue", id="name too short"),
        pytest.param({}, {"SnapshotName": "x" * 61}, "InvalidParameterValue", id="name too long"),
        pytest.param({}, {"Deadline": in_utc(time.time() + 86_000)}, "InvalidParameterValue", id="under a day"),
        pytest.param({}, {"Deadline": "2099-01-01 00:00:00"}, "InvalidParameterValue", id="deadline form"),
        pytest.param({}, {"Deadline": "2099-01-01T00:00:00+08:00"}, "InvalidParameterValue", id="deadline zone"),
        pytest.param({}, {"DiskUsage": "SYSTEM_DISK"}, "InvalidParameterValue", id="data disk as system"),
        pytest.param({}, {"LocalSnap": True}, "UnsupportedOperation", id="instant"),
        pytest.param({}, {"DiskBackupId": "dbp-1"}, "ResourceNotFound.NotFound", id="backup point"),
        pytest.param({}, {"Tags": [{"Key": "qcs:x", "Value": "v"}]}, "InvalidParameterValue", id="reserved tag"),
        pytest.param({}, {"Tags": [{"Key": "k" * 128, "Value": "v"}]}, "InvalidParameterValue", id="long tag key"),
        pytest.param({}, {"Tags": [{"Key": "k", "Value": "v" * 256}]}, "InvalidParameterValue", id="long tag value"),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused_before_anything_is_cut(
    lab: Lab, disk: dict[str, Any], params: dict[str, Any], code: str
) -> None:
    lab.disk("disk-b", **disk)

    assert lab.error_of("cbs", "CreateSnapshot", {"DiskId": "disk-b", **params}) == code
    assert lab.blocks.cuts == []
    if not disk:
        assert lab.snapshot("disk-b")


def test_the_quota_is_64_and_64_more_for_each_disk(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    lab.cloud.settings.rate_limit["CreateSnapshot"] = 1000
    client = lab.client("cbs")
    for _ in range(128):
        client.call_json("CreateSnapshot", {"DiskId": "disk-a"})

    assert lab.error_of("cbs", "CreateSnapshot", {"DiskId": "disk-a"}) == "InsufficientSnapshotQuota"
    overview = lab.call("cbs", "DescribeSnapshotOverview")
    assert (overview["TotalNums"], overview["TotalSize"], overview["RealTradeSize"]) == (128, 2560.0, 2480.0)


def test_times_are_written_in_utc_plus_8_without_an_offset(lab: Lab) -> None:
    deadline_s = float(int(time.time()) + 2 * 86_400)
    listed = lab.listed(lab.snapshot("disk-a", Deadline=in_utc(deadline_s)))

    assert listed and not listed["IsPermanent"]
    beijing = timezone(timedelta(hours=8))
    made = datetime.strptime(listed["CreateTime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=beijing)
    ends = datetime.strptime(listed["DeadlineTime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=beijing)
    assert abs(made.timestamp() - time.time()) < 5
    assert ends.timestamp() == deadline_s


def test_a_permanent_snapshot_has_an_empty_deadline(lab: Lab) -> None:
    listed = lab.listed(lab.snapshot("disk-a"))

    assert listed and (listed["IsPermanent"], listed["DeadlineTime"]) == (True, "")


def test_a_snapshot_past_its_deadline_is_deleted_with_its_image(lab: Lab) -> None:
    snapshot_id = lab.snapshot("disk-a", Deadline=in_utc(time.time() + 90_000))
    lab.clock.passed_s += 80_000
    assert lab.raw_ok("DescribeSnapshots", {})["TotalCount"] == 1
    lab.clock.passed_s += 20_000

    assert lab.raw_ok("DescribeSnapshots", {})["TotalCount"] == 0
    assert snapshot_id not in lab.blocks.snapshots


def test_deleting_is_all_or_nothing(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    kept = lab.snapshot("disk-a")
    lab.cloud.settings.snapshot_seconds = 100
    young = lab.snapshot("disk-a")

    assert lab.error_of("cbs", "DeleteSnapshots", {"SnapshotIds": [kept, "snap-none"]}) == "InvalidSnapshotId.NotFound"
    assert lab.error_of("cbs", "DeleteSnapshots", {"SnapshotIds": [kept, young]}) == "InvalidSnapshot.NotSupported"
    assert set(lab.blocks.snapshots) == {kept, young}
    lab.clock.passed_s += 101
    lab.call("cbs", "DeleteSnapshots", {"SnapshotIds": [kept, young]})
    assert lab.blocks.snapshots == {}
    assert lab.call("cbs", "DescribeSnapshots")["TotalCount"] == 0


def test_attributes_can_be_modified_and_a_deadline_needs_is_permanent_false(lab: Lab) -> None:
    snapshot_id, later = lab.snapshot("disk-a"), in_utc(time.time() + 90_000)

    def modified(**params: Any) -> tuple[str, bool]:
        lab.call("cbs", "ModifySnapshotAttribute", {"SnapshotId": snapshot_id, **params})
        listed = lab.listed(snapshot_id)
        assert listed
        return listed["SnapshotName"], listed["IsPermanent"]

    assert modified(SnapshotName="renamed") == ("renamed", True)
    assert modified(Deadline=later) == ("renamed", True)
    assert modified(Deadline=later, IsPermanent=False) == ("renamed", False)
    assert modified(IsPermanent=True) == ("renamed", True)
    assert lab.error_of("cbs", "ModifySnapshotAttribute", {"SnapshotId": snapshot_id}) == "MissingParameter"


def test_snapshots_are_found_by_name_and_disk_and_come_in_pages(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    lab.disk("disk-b")
    for name in ("quiesce-1", "quiesce-2"):
        for disk_id in ("disk-a", "disk-b"):
            lab.snapshot(disk_id, SnapshotName=name)
    client = lab.client("cbs")

    def names(**params: Any) -> list[tuple[str, str]]:
        found = client.call_json("DescribeSnapshots", params)["Response"]["SnapshotSet"]
        return [(one["SnapshotName"], one["DiskId"]) for one in found]

    by_both = [{"Name": "snapshot-name", "Values": ["quiesce-2"]}, {"Name": "disk-id", "Values": ["disk-a", "disk-z"]}]
    assert names(Filters=by_both) == [("quiesce-2", "disk-a")]
    assert names(Filters=[{"Name": "snapshot-name", "Values": ["quiesce"]}]) == []
    oldest_first = names(Order="ASC")
    assert oldest_first[0] == ("quiesce-1", "disk-a")
    assert names() == oldest_first[::-1]
    assert names(Order="ASC", Offset=1, Limit=2) == oldest_first[1:3]
    past_the_end = client.call_json("DescribeSnapshots", {"Offset": 9})["Response"]
    assert (past_the_end["TotalCount"], past_the_end["SnapshotSet"]) == (4, [])


def test_more_than_20_calls_a_second_are_refused_and_not_carried_out(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    client, codes = lab.client("cbs"), []
    lab.cloud.settings.rate_limit["CreateSnapshot"] = 3
    for _ in range(5):
        try:
            client.call_json("CreateSnapshot", {"DiskId": "disk-a"})
            codes.append("")
        except TencentCloudSDKException as error:
            codes.append(error.code)

    assert codes == ["", "", "", "RequestLimitExceeded", "RequestLimitExceeded"]
    assert len(lab.blocks.cuts) == 3
    assert client.call_json("DescribeDisks", {}), "another API has its own limit"
    lab.clock.passed_s += 1.1
    assert lab.snapshot("disk-a")


@pytest.mark.parametrize(("service", "action", "limit"), [("cbs", "DescribeDisks", 20), ("cvm", "DescribeInstances", 40)])
def test_the_documented_limits_hold(lab: Lab, service: str, action: str, limit: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: lab.raw(action=action, service=service).code, range(limit + 15)))
    times = sorted(call.arrived_at for call in lab.cloud.record.of(action))

    if times[-1] - times[0] < 0.9:
        assert codes.count("") == limit
    assert codes.count("") <= limit * (1 + int(times[-1] - times[0]))


def test_a_machine_that_cannot_clone_gives_an_internal_error_and_no_snapshot(lab: Lab) -> None:
    lab.blocks.broken = True
    assert lab.error_of("cbs", "CreateSnapshot", {"DiskId": "disk-a"}) == "InternalError"
    lab.blocks.broken = False

    assert lab.call("cbs", "DescribeSnapshots")["TotalCount"] == 0
    assert lab.snapshot("disk-a"), "the disk is free again"
