"""Resources as the API shows them, with the key sets of recorded answers of 2022."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quiesce_lab.cloud.model import CREATING, DATA_DISK, NORMAL, SYSTEM_DISK, Disk, Estate, Instance, Snapshot, SnapshotGroup
from quiesce_lab.cloud.times import naive_utc8, utc_z

View = dict[str, Any]


def disk_view(disk: Disk, estate: Estate, now_s: float) -> View:
    """Show a disk as DescribeDisks does; InstanceIdList holds the instance of an ordinary disk too, as recorded."""
    state = disk.state(now_s)
    count = sum(1 for snapshot in estate.snapshots.values() if snapshot.disk_id == disk.disk_id)
    instances = [disk.instance_id] if disk.instance_id else []
    return {
        "DiskId": disk.disk_id,
        "DiskName": disk.name,
        "DiskType": disk.disk_type,
        "DiskState": state,
        "DiskUsage": disk.usage,
        "DiskSize": disk.size_gib,
        "DiskChargeType": disk.charge_type,
        "Placement": {**_placement(disk.zone), "DedicatedClusterId": None},
        "InstanceId": disk.instance_id or "",
        "InstanceIdList": instances,
        "InstanceType": "CVM" if instances else "",
        "LastAttachInsId": disk.last_instance_id,
        "Attached": bool(instances),
        "Portable": disk.usage == DATA_DISK,
        "Shareable": disk.shareable,
        "Encrypt": disk.encrypt,
        "SnapshotAbility": disk.snapshot_ability,
        "SnapshotCount": count,
        "SnapshotSize": 0,
        "DeleteSnapshot": disk.delete_snapshot,
        "DeleteWithInstance": disk.delete_with_instance,
        "Rollbacking": state == "ROLLBACKING",
        "Tags": tag_views(disk.tags),
        "CreateTime": naive_utc8(disk.created_s),
        **_UNUSED_BY_A_PAY_AS_YOU_GO_DISK,
    }


_UNUSED_BY_A_PAY_AS_YOU_GO_DISK: View = {
    "AutoRenewFlagError": False,
    "AutoSnapshotPolicyIds": None,
    "BackupDisk": False,
    "DeadlineError": False,
    "DeadlineTime": "",
    "DifferDaysOfDeadline": 0,
    "DiskBackupCount": 0,
    "DiskBackupQuota": 0,
    "ErrorPrompt": "",
    "IsReturnable": True,
    "LatestOperation": "",
    "LatestOperationRequestId": "",
    "LatestOperationState": "",
    "MigratePercent": 0,
    "Migrating": False,
    "RenewFlag": "",
    "ReturnFailCode": 0,
    "RollbackPercent": 0,
    "ThroughputPerformance": 0,
}


def snapshot_view(snapshot: Snapshot, now_s: float) -> View:
    """Show a snapshot as DescribeSnapshots does; DeadlineTime is empty when it is permanent."""
    deadline_s = snapshot.deadline_s
    return {
        "SnapshotId": snapshot.snapshot_id,
        "SnapshotName": snapshot.name,
        "SnapshotState": snapshot.state(now_s),
        "Percent": snapshot.percent(now_s),
        "SnapshotType": "PRIVATE_SNAPSHOT",
        "DiskId": snapshot.disk_id,
        "DiskSize": snapshot.size_gib,
        "DiskUsage": snapshot.usage,
        "Encrypt": snapshot.encrypt,
        "Placement": _placement(snapshot.zone),
        "CreateTime": naive_utc8(snapshot.cut_s),
        "DeadlineTime": "" if deadline_s is None else naive_utc8(deadline_s),
        "IsPermanent": deadline_s is None,
        "Tags": tag_views(snapshot.tags),
        "CopyFromRemote": snapshot.copied,
        "CopyingToRegions": snapshot.copying(now_s),
        "Images": [{"ImageId": image, "ImageName": image} for image in snapshot.images],
        "ImageCount": len(snapshot.images),
        "ShareReference": len(snapshot.shared_with),
    }


def group_view(group: SnapshotGroup, estate: Estate, now_s: float) -> View:
    """Show a group as DescribeSnapshotGroups does (SDK, SnapshotGroup); no answer was recorded."""
    members = estate.members_of(group)
    percent = min(snapshot.percent(now_s) for snapshot in members)
    return {
        "SnapshotGroupId": group.group_id,
        "SnapshotGroupName": group.name,
        "SnapshotGroupType": "NORMAL",
        "SnapshotGroupState": NORMAL if percent == 100 else CREATING,
        "Percent": percent,
        "ContainRootSnapshot": any(snapshot.usage == SYSTEM_DISK for snapshot in members),
        "SnapshotIdSet": [snapshot.snapshot_id for snapshot in members],
        "CreateTime": naive_utc8(group.created_s),
        "ModifyTime": naive_utc8(group.created_s),
        "Images": [],
        "ImageCount": 0,
        "IsPermanent": all(snapshot.deadline_s is None for snapshot in members),
        "DeadlineTime": None,
        "AutoSnapshotPolicyId": None,
    }


def instance_view(instance: Instance, estate: Estate) -> View:
    """Show an instance as DescribeInstances does: nulls for empty lists, tags with both spellings of their keys."""
    disks = estate.disks_of(instance.instance_id)
    system = [disk for disk in disks if disk.usage == SYSTEM_DISK]
    return {
        "Placement": {"Zone": instance.zone, "HostId": None, "ProjectId": 0},
        "InstanceId": instance.instance_id,
        "Uuid": instance.uuid,
        "InstanceState": instance.state,
        "RestrictState": "NORMAL",
        "InstanceType": "SA2.MEDIUM4",
        "CPU": 2,
        "Memory": 4,
        "InstanceName": instance.name,
        "InstanceChargeType": "POSTPAID_BY_HOUR",
        "SystemDisk": _instance_disk(system[0]) if system else _LOCAL_SYSTEM_DISK,
        "DataDisks": [_instance_disk(disk) for disk in disks if disk.usage == DATA_DISK],
        "PrivateIpAddresses": [instance.private_ip],
        "PublicIpAddresses": None,
        "IPv6Addresses": None,
        "VirtualPrivateCloud": {"VpcId": "vpc-lab00000", "SubnetId": "subnet-lab00000", "AsVpcGateway": False},
        "SecurityGroupIds": [],
        "OsName": "Debian 12",
        "CreatedTime": utc_z(instance.created_s),
        "ExpiredTime": None,
        "Tags": [_instance_tag(key, value) for key, value in instance.tags.items()],
        "LatestOperation": "RunInstances",
        "LatestOperationState": "SUCCESS",
    }


def tag_views(tags: Mapping[str, str]) -> list[View]:
    """Show tags as CBS does."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _instance_tag(key: str, value: str) -> View:
    return {"tagKey": key, "tagValue": value, "Key": key, "Value": value}


def _placement(zone: str) -> View:
    return {"Zone": zone, "CageId": "", "CdcId": "", "CdcName": "", "ProjectId": 0, "ProjectName": "Default Project"}


def _instance_disk(disk: Disk) -> View:
    return {
        "DiskType": disk.disk_type,
        "DiskId": disk.disk_id,
        "DiskSize": disk.size_gib,
        "Encrypt": disk.encrypt,
        "KmsKeyId": None,
        "ThroughputPerformance": 0,
        "CdcId": None,
    }


# A local system disk is no CBS disk: an instance shows it, DescribeDisks does not (SDK, cvm SystemDisk.DiskType).
_LOCAL_SYSTEM_DISK: View = {
    "DiskType": "LOCAL_BASIC",
    "DiskId": "ldisk-system00",
    "DiskSize": 50,
    "Encrypt": False,
    "KmsKeyId": None,
    "ThroughputPerformance": 0,
    "CdcId": None,
}
