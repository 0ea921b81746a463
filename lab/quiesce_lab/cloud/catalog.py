"""The services and actions that the lab's cloud has."""

from __future__ import annotations

from dataclasses import dataclass

from quiesce_lab.cloud import cbs, cls, cvm, disks, elsewhere, eventbridge, functions, groups, snapshots, tag
from quiesce_lab.cloud.context import Handler


@dataclass(frozen=True)
class Service:
    """One API product. ``per_second`` is the documented limit of calls by API, account and region."""

    name: str
    version: str
    models: str
    per_second: int
    needs_region: bool = True


@dataclass(frozen=True)
class Action:
    """One action. The SDK's models say which fields there are, not which must be there: that is ``required``."""

    name: str
    service: Service
    handle: Handler
    required: tuple[str, ...] = ()
    unmodelled: tuple[str, ...] = ()
    """Fields of the platform that the lab refuses, because ignoring them would be a lie."""
    octets: bool = False
    """The body is bytes, and the fields are headers ``X-CLS-<field>``."""
    keeps_time: bool = False
    """The action waits through its latency itself."""


CBS = Service("cbs", "2017-03-12", "tencentcloud.cbs.v20170312.models", 20)
CVM = Service("cvm", "2017-03-12", "tencentcloud.cvm.v20170312.models", 40)
TAG = Service("tag", "2018-08-13", "tencentcloud.tag.v20180813.models", 20, needs_region=False)
CLS = Service("cls", "2020-10-16", "tencentcloud.cls.v20201016.models", 500)
SCF = Service("scf", "2018-04-16", "tencentcloud.scf.v20180416.models", 300)
EB = Service("eb", "2021-04-16", "tencentcloud.eb.v20210416.models", 5000)

SERVICES = {service.name: service for service in (CBS, CVM, TAG, CLS, SCF, EB)}

_ACTIONS = (
    Action("DescribeDisks", CBS, cbs.describe_disks),
    Action("DescribeSnapshots", CBS, cbs.describe_snapshots),
    Action("DescribeSnapshotOverview", CBS, cbs.describe_snapshot_overview),
    Action("CreateSnapshot", CBS, snapshots.create_snapshot, ("DiskId",), keeps_time=True),
    Action("CreateSnapshotGroup", CBS, groups.create_snapshot_group, ("DiskIds",), keeps_time=True),
    Action("DescribeSnapshotGroups", CBS, groups.describe_snapshot_groups),
    Action("DeleteSnapshotGroup", CBS, groups.delete_snapshot_group),
    Action("DeleteSnapshots", CBS, snapshots.delete_snapshots, ("SnapshotIds",)),
    Action("ModifySnapshotAttribute", CBS, snapshots.modify_snapshot_attribute, ("SnapshotId",)),
    Action("CopySnapshotCrossRegions", CBS, elsewhere.copy_snapshot_cross_regions, ("DestinationRegions", "SnapshotId")),
    Action(
        "ModifySnapshotsSharePermission",
        CBS,
        elsewhere.modify_snapshots_share_permission,
        ("AccountIds", "Permission", "SnapshotIds"),
    ),
    Action("DescribeSnapshotSharePermission", CBS, elsewhere.describe_snapshot_share_permission, ("SnapshotId",)),
    Action(
        "CreateDisks",
        CBS,
        disks.create_disks,
        ("Placement", "DiskChargeType", "DiskType"),
        (
            "AutoMountConfiguration",
            "BurstPerformance",
            "DiskBackupQuota",
            "Encrypt",
            "EncryptType",
            "KmsKeyId",
            "ThroughputPerformance",
        ),
    ),
    Action("AttachDisks", CBS, disks.attach_disks, ("InstanceId", "DiskIds"), ("AttachMode",)),
    Action("DescribeInstances", CVM, cvm.describe_instances),
    Action("ModifyResourceTags", TAG, tag.modify_resource_tags, ("Resource",)),
    Action("TagResources", TAG, tag.tag_resources, ("ResourceList", "Tags")),
    Action("Invoke", SCF, functions.invoke, ("FunctionName",)),
    Action("PutEvents", EB, eventbridge.put_events, ("EventList", "EventBusId")),
    Action("UploadLog", CLS, cls.upload_log, ("TopicId",), octets=True),
    Action("SearchLog", CLS, cls.search_log, ("From", "To"), ("HighLight", "SamplingRate")),
)

ACTIONS = {(action.service.name, action.name): action for action in _ACTIONS}
NAMES = frozenset(action.name for action in _ACTIONS)
