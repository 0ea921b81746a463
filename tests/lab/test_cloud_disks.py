"""Disks and instances: how they are found, made from a snapshot, and attached."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quiesce_lab.errors import LabError
from tests.lab.cloud_world import Lab, running_lab

NEW = {"Placement": {"Zone": "ap-guangzhou-1"}, "DiskChargeType": "POSTPAID_BY_HOUR", "DiskType": "CLOUD_HSSD"}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        lab.cloud.settings.snapshot_seconds = 0
        lab.cloud.settings.disk_seconds = 0
        yield lab


def disk_ids(lab: Lab, *filters: tuple[str, list[str]], **params: Any) -> list[str]:
    wanted = [{"Name": name, "Values": values} for name, values in filters]
    answer = lab.call("cbs", "DescribeDisks", {**params, **({"Filters": wanted} if wanted else {})})
    return sorted(disk["DiskId"] for disk in answer["DiskSet"])


def test_disks_are_found_by_instance_tag_state_and_usage(lab: Lab) -> None:
    lab.disk("disk-a", instance_id="ins-a", tags={"role": "data"})
    lab.disk("disk-b", instance_id="ins-a", usage="SYSTEM_DISK")
    lab.disk("disk-c", tags={"role": "log"})

    assert disk_ids(lab, ("instance-id", ["ins-a"])) == ["disk-a", "disk-b"]
    assert disk_ids(lab, ("instance-id", ["ins-a"]), ("portable", ["TRUE"])) == ["disk-a"]
    assert disk_ids(lab, ("tag:role", ["data", "log"])) == ["disk-a", "disk-c"]
    assert disk_ids(lab, ("tag-key", ["role"]), ("tag-value", ["log"])) == ["disk-c"]
    assert disk_ids(lab, ("disk-state", ["UNATTACHED"])) == ["disk-c"]
    assert disk_ids(lab, ("instance-ip-address", ["10.0.0.4"])) == ["disk-a", "disk-b"]
    assert disk_ids(lab, DiskIds=["disk-c", "disk-none"]) == ["disk-c"]


def test_an_instance_shows_its_disks_and_a_local_system_disk_where_none_is_staged(lab: Lab) -> None:
    lab.disk("disk-a", instance_id="ins-a")
    without = lab.call("cvm", "DescribeInstances")["InstanceSet"][0]
    lab.disk("disk-s", instance_id="ins-a", usage="SYSTEM_DISK")
    with_one = lab.call("cvm", "DescribeInstances")["InstanceSet"][0]

    assert without["SystemDisk"]["DiskType"] == "LOCAL_BASIC"
    assert disk_ids(lab, DiskIds=[without["SystemDisk"]["DiskId"]]) == []
    assert with_one["SystemDisk"]["DiskId"] == "disk-s"
    assert [disk["DiskId"] for disk in with_one["DataDisks"]] == ["disk-a"]


def test_instances_are_found_by_id_tag_and_address(lab: Lab) -> None:
    lab.cloud.world.add_instance("ins-b", "10.0.0.5", {"backup": "no"}, "STOPPED")

    def ids(**params: Any) -> list[str]:
        return sorted(one["InstanceId"] for one in lab.call("cvm", "DescribeInstances", params)["InstanceSet"])

    assert ids() == ["ins-a", "ins-b"]
    assert ids(InstanceIds=["ins-b"]) == ["ins-b"]
    assert ids(Filters=[{"Name": "tag:backup", "Values": ["yes"]}]) == ["ins-a"]
    assert ids(Filters=[{"Name": "private-ip-address", "Values": ["10.0.0.5"]}]) == ["ins-b"]
    assert ids(Filters=[{"Name": "instance-state", "Values": ["RUNNING"]}]) == ["ins-a"]
    created = lab.call("cvm", "DescribeInstances")["InstanceSet"][0]["CreatedTime"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)


def test_a_disk_made_from_a_snapshot_holds_what_the_snapshot_held(lab: Lab) -> None:
    lab.blocks.disks[lab.disk("disk-a")].append("row")
    snapshot_id = lab.snapshot("disk-a")
    disk_id = lab.call("cbs", "CreateDisks", {**NEW, "SnapshotId": snapshot_id})["DiskIdSet"][0]
    made = lab.call("cbs", "DescribeDisks", {"DiskIds": [disk_id]})["DiskSet"][0]

    assert (made["DiskState"], made["DiskSize"], made["Attached"]) == ("UNATTACHED", 20, False)
    assert lab.blocks.disks[disk_id] == ["row"]


def test_a_new_disk_is_listed_and_an_attached_one_is_attached_only_after_a_while(lab: Lab) -> None:
    lab.cloud.settings.disk_seconds = 60
    disk_id = lab.call("cbs", "CreateDisks", {**NEW, "DiskSize": 10})["DiskIdSet"][0]
    assert disk_ids(lab) == []
    assert lab.error_of("cbs", "AttachDisks", {"InstanceId": "ins-a", "DiskIds": [disk_id]}) == "InvalidDiskId.NotFound"
    lab.clock.passed_s += 61
    lab.call("cbs", "AttachDisks", {"InstanceId": "ins-a", "DiskIds": [disk_id]})

    assert lab.blocks.attached == {disk_id: "ins-a"}
    assert disk_ids(lab, ("disk-state", ["ATTACHING"])) == [disk_id]
    lab.clock.passed_s += 61
    assert disk_ids(lab, ("disk-state", ["ATTACHED"])) == [disk_id]


def test_a_client_token_makes_creating_disks_idempotent(lab: Lab) -> None:
    request = {**NEW, "DiskSize": 10, "DiskCount": 2, "ClientToken": "once"}
    first, second = (lab.call("cbs", "CreateDisks", request)["DiskIdSet"] for _ in range(2))

    assert first == second and len(lab.blocks.disks) == 2
    assert lab.error_of("cbs", "CreateDisks", {**request, "DiskCount": 3}) == "InvalidParameter.InvalidClientToken"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        pytest.param({"DiskSize": 10, "Placement": {"Zone": "ap-tokyo-1"}}, "InvalidParameterValue", id="zone elsewhere"),
        pytest.param({"DiskSize": 10, "Placement": {"ProjectId": 1}}, "MissingParameter", id="no zone"),
        pytest.param({"DiskSize": 10, "DiskType": "FLOPPY"}, "InvalidParameterValue", id="type"),
        pytest.param({"DiskSize": 10, "DiskCount": 51}, "InvalidParameterValue", id="51 disks"),
        pytest.param({"DiskSize": 10, "DiskChargeType": "PREPAID"}, "MissingParameter", id="prepaid without a term"),
        pytest.param({}, "MissingParameter", id="no size"),
        pytest.param({"SnapshotId": "snap-none"}, "InvalidSnapshotId.NotFound", id="no such snapshot"),
        pytest.param({"DiskSize": 10, "KmsKeyId": "k"}, "UnsupportedOperation", id="not modelled"),
        pytest.param({"DiskSize": 10, "ClientToken": "t" * 65}, "InvalidParameter.InvalidClientToken", id="token"),
    ],
)
def test_a_disk_that_cannot_be_is_not_made(lab: Lab, params: dict[str, Any], code: str) -> None:
    assert lab.error_of("cbs", "CreateDisks", {**NEW, **params}) == code
    assert lab.blocks.disks == {}


def test_a_disk_comes_only_from_a_finished_snapshot_of_a_data_disk_that_fits(lab: Lab) -> None:
    lab.disk("disk-a")
    lab.disk("disk-s", instance_id="ins-a", usage="SYSTEM_DISK")
    whole, system = lab.snapshot("disk-a"), lab.snapshot("disk-s")
    lab.cloud.settings.snapshot_seconds = 100
    young = lab.snapshot("disk-a")

    def error(snapshot_id: str, **params: Any) -> str:
        return lab.error_of("cbs", "CreateDisks", {**NEW, "SnapshotId": snapshot_id, **params})

    assert error(young) == "ResourceUnavailable.SnapshotCreating"
    assert error(system) == "InvalidSnapshot.NotSupported"
    assert error(whole, DiskSize=10) == "InvalidParameter.DiskSizeNotMatch"
    assert error(whole, DiskSize=30) == ""


def test_only_an_unattached_data_disk_of_the_zone_can_be_attached(lab: Lab) -> None:
    lab.disk("disk-a", instance_id="ins-a")
    lab.disk("disk-r", state="ROLLBACKING")
    lab.disk("disk-ok")

    def error(*ids: str, instance_id: str = "ins-a") -> str:
        return lab.error_of("cbs", "AttachDisks", {"InstanceId": instance_id, "DiskIds": list(ids)})

    assert error("disk-a") == "ResourceUnavailable.Attached"
    assert error("disk-r") == "UnsupportedOperation.StateError"
    assert error("disk-ok", "disk-none") == "InvalidDiskId.NotFound"
    assert error("disk-ok", instance_id="ins-none") == "InvalidInstanceId.NotFound"
    assert error(*[f"disk-{number}" for number in range(11)]) == "InvalidParameterValue.LimitExceeded"
    assert lab.blocks.attached == {}
    assert error("disk-ok") == ""


@pytest.mark.parametrize(
    ("disk_id", "size_gib", "settings"),
    [
        pytest.param("disk-x", 0, {}, id="no size"),
        pytest.param("disk-x", 1, {"instance_id": "ins-none"}, id="no such instance"),
        pytest.param("disk-x", 1, {"usage": "SYSTEM_DISK"}, id="system disk of nobody"),
        pytest.param("disk-x", 1, {"usage": "TAPE"}, id="usage"),
        pytest.param("disk-x", 1, {"state": "FROZEN"}, id="state"),
        pytest.param("disk-x", 1, {"region": "mars"}, id="region"),
        pytest.param("disk-s", 1, {}, id="id taken"),
        pytest.param("disk-x", 1, {"instance_id": "ins-a", "usage": "SYSTEM_DISK"}, id="second system disk"),
    ],
)
def test_an_impossible_stage_is_refused(lab: Lab, disk_id: str, size_gib: int, settings: dict[str, Any]) -> None:
    lab.disk("disk-s", instance_id="ins-a", usage="SYSTEM_DISK")

    with pytest.raises(LabError):
        lab.cloud.world.add_disk(disk_id, size_gib, **settings)
    assert disk_ids(lab) == ["disk-s"]
