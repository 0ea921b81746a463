"""The lab's copies, shares and event buses refuse what the platform refuses; and what a run publishes arrives there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from quiesce.adapters.event_bus import MAX_DATA_BYTES, publish
from quiesce.adapters.tencent import Cloud
from quiesce.errors import CloudError
from quiesce_lab.cloud.model import Snapshot
from tests.lab.cloud_world import Lab, running_lab
from tests.lab.estates import add, populate, settings_for

AFAR = "ap-shanghai"
BUS = "eb-l65vlc2u"
EVENT = {"Source": "quiesce", "Type": "quiesce:run:reached", "Subject": "nightly", "Time": 1, "Data": "{}"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        lab.cloud.world.add_event_bus(BUS)
        yield lab


def copy(lab: Lab, snapshot_id: str, *regions: str) -> list[dict[str, Any]]:
    params = {"SnapshotId": snapshot_id, "DestinationRegions": list(regions), "SnapshotName": "a copy"}
    results: list[dict[str, Any]] = lab.call("cbs", "CopySnapshotCrossRegions", params)["SnapshotCopyResultSet"]
    return results


def afar(lab: Lab) -> dict[str, Snapshot]:
    return lab.cloud.world.estate(region=AFAR).snapshots


def test_a_copy_names_no_disk_and_is_on_its_way_for_a_while(lab: Lab) -> None:
    made = add(lab, 1, 0.5)
    (result,) = copy(lab, made, AFAR)
    assert (result["Code"], result["DestinationRegion"]) == ("Success", AFAR)
    assert lab.listed(made) is not None
    listed = lab.call("cbs", "DescribeSnapshots", {"SnapshotIds": [made]})["SnapshotSet"][0]
    assert listed["CopyingToRegions"] == [AFAR]
    assert lab.error_of("cbs", "DeleteSnapshots", {"SnapshotIds": [made]}) == "ResourceInUse.CopySnapshotConflict"
    (there,) = afar(lab).values()
    assert (there.disk_id, there.name, there.tags) == ("", "a copy", {})
    assert there.state(lab.clock.time()) == "COPYING_FROM_REMOTE"
    lab.clock.passed_s += 10
    assert there.state(lab.clock.time()) == "NORMAL"
    assert lab.blocks.snapshots[there.snapshot_id] == lab.blocks.snapshots[made]
    assert lab.error_of("cbs", "DeleteSnapshots", {"SnapshotIds": [made]}) == ""


def test_a_region_that_cannot_have_it_is_refused_beside_those_that_can(lab: Lab) -> None:
    made = add(lab, 1, 0.5)
    codes = [result["Code"] for result in copy(lab, made, AFAR, "ap-guangzhou", "ap-nowhere", AFAR)]
    assert codes == ["Success", "InvalidParameterValue", "InvalidParameterValue", "ResourceInUse.CopySnapshotConflict"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"stuck_percent": 3}, "InvalidSnapshot.NotSupported"),
        ({"encrypt": True}, "UnsupportedOperation.SnapshotNotSupportCopy"),
        ({"usage": "SYSTEM_DISK"}, "UnsupportedOperation.SnapshotNotSupportCopy"),
    ],
)
def test_what_cannot_be_copied_is_refused(lab: Lab, fields: Mapping[str, Any], code: str) -> None:
    made = lab.cloud.world.estate().snapshots[add(lab, 1, 0.5)]
    for name, value in fields.items():
        setattr(made, name, value)
    params = {"SnapshotId": made.snapshot_id, "DestinationRegions": [AFAR]}
    assert lab.error_of("cbs", "CopySnapshotCrossRegions", params) == code
    assert afar(lab) == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Permission": "GIVE"}, "InvalidParameterValue"),
        ({"AccountIds": ["somebody"]}, "InvalidParameterValue"),
        ({"AccountIds": [str(n) for n in range(51)]}, "InvalidParameterValue"),
        ({"SnapshotIds": ["snap-none"]}, "InvalidSnapshotId.NotFound"),
        ({"AccountIds": []}, "MissingParameter"),
    ],
)
def test_what_cannot_be_shared_is_refused(lab: Lab, changes: Mapping[str, object], code: str) -> None:
    params = {"SnapshotIds": [add(lab, 1, 0.5)], "AccountIds": ["100000000002"], "Permission": "SHARE"}
    assert lab.error_of("cbs", "ModifySnapshotsSharePermission", {**params, **changes}) == code


@pytest.mark.parametrize(
    ("bus", "changes", "code"),
    [
        (BUS, {}, ""),
        ("eb-00000000", {}, "ResourceNotFound.EventBus"),
        (BUS, {"Type": ""}, "InvalidParameter"),
        (BUS, {"Data": "not JSON"}, "InvalidParameterValue"),
        (BUS, {"Data": json.dumps("x" * 70_000)}, "LimitExceeded"),
    ],
)
def test_an_event_that_the_bus_does_not_take_is_refused(
    lab: Lab, bus: str, changes: Mapping[str, object], code: str
) -> None:
    params = {"EventBusId": bus, "EventList": [{**EVENT, **changes}]}
    assert lab.error_of("eb", "PutEvents", params) == code
    assert len(lab.cloud.world.estate().event_buses[BUS]) == (code == "")


def test_a_result_too_long_for_an_event_is_published_without_its_targets(lab: Lab, tmp_path: Path) -> None:
    cloud = Cloud(settings_for(lab, tmp_path).cloud)
    data = {"run_id": "0123456789", "targets": [{"instance_id": f"ins-{n:08d}", "reason": "x" * 80} for n in range(1000)]}
    publish(cloud, BUS, "0123456789", "nightly", "failed", data)
    (event,) = lab.cloud.world.estate().event_buses[BUS]
    assert len(str(event["Data"])) < MAX_DATA_BYTES
    assert json.loads(str(event["Data"])) == {"run_id": "0123456789", "targets_left_out": True}


def test_a_bus_that_is_not_there_is_said(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="no event bus"):
        publish(Cloud(settings_for(lab, tmp_path).cloud), "eb-00000000", "0123456789", "nightly", "failed", {})
