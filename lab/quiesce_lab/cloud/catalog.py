"""The services and actions that the lab's cloud has."""

from __future__ import annotations

from dataclasses import dataclass

from quiesce_lab.cloud import (
    cam,
    cbs,
    cls,
    cvm,
    disks,
    elsewhere,
    eventbridge,
    functions,
    groups,
    scf_admin,
    scf_triggers,
    snapshots,
    tag,
    tat,
)
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
CAM = Service("cam", "2019-01-16", "tencentcloud.cam.v20190116.models", 20, needs_region=False)
TAT = Service("tat", "2020-10-28", "tencentcloud.tat.v20201028.models", 20)

SERVICES = {service.name: service for service in (CBS, CVM, TAG, CLS, SCF, EB, CAM, TAT)}

_NOT_OF_FUNCTIONS = (
    "CfsConfig",
    "DeadLetterConfig",
    "DnsCache",
    "InstallDependency",
    "InstanceConcurrencyConfig",
    "IntranetConfig",
    "Layers",
    "ProtocolParams",
)
_NOT_OF_NEW_FUNCTIONS = (
    *_NOT_OF_FUNCTIONS,
    "AsyncRunEnable",
    "AutoCreateClsTopic",
    "AutoDeployClsTopicIndex",
    "ProtocolType",
    "Tags",
    "TraceEnable",
)
_NOT_OF_COMMANDS = (
    "DefaultParameterConfs",
    "DefaultParameters",
    "EnableParameter",
    "OutputCOSBucketUrl",
    "OutputCOSKeyPrefix",
    "Parameters",
    "SaveCommand",
    "Tags",
    "Username",
)
_TRIGGER = ("FunctionName", "TriggerName", "Type")

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
    Action(
        "CreateFunction",
        SCF,
        scf_admin.create_function,
        ("FunctionName", "Code", "Handler", "Runtime"),
        _NOT_OF_NEW_FUNCTIONS,
    ),
    Action("GetFunction", SCF, scf_admin.get_function, ("FunctionName",), ("ShowCode",)),
    Action("GetFunctionAddress", SCF, scf_admin.get_function_address, ("FunctionName",)),
    Action("UpdateFunctionCode", SCF, scf_admin.update_function_code, ("FunctionName",), ("EnvId", "Publish")),
    Action(
        "UpdateFunctionConfiguration",
        SCF,
        scf_admin.update_function_configuration,
        ("FunctionName",),
        (*_NOT_OF_FUNCTIONS, "IgnoreSysLog", "L5Enable", "Publish"),
    ),
    Action("GetFunctionEventInvokeConfig", SCF, scf_admin.get_function_event_invoke_config, ("FunctionName",)),
    Action(
        "UpdateFunctionEventInvokeConfig",
        SCF,
        scf_admin.update_function_event_invoke_config,
        ("FunctionName", "AsyncTriggerConfig"),
    ),
    Action("CreateTrigger", SCF, scf_triggers.create_trigger, _TRIGGER, ("Description",)),
    Action("UpdateTrigger", SCF, scf_triggers.update_trigger, _TRIGGER, ("Description",)),
    Action("UpdateTriggerStatus", SCF, scf_triggers.update_trigger_status, (*_TRIGGER, "Enable"), ("TriggerDesc",)),
    Action("DeleteTrigger", SCF, scf_triggers.delete_trigger, _TRIGGER, ("TriggerDesc",)),
    Action("ListTriggers", SCF, scf_triggers.list_triggers, ("FunctionName",), ("Filters", "Order", "OrderBy")),
    Action("GetRole", CAM, cam.get_role, ("RoleName",), ("RoleId",)),
    Action("CreateRole", CAM, cam.create_role, ("RoleName", "PolicyDocument"), ("ConsoleLogin", "SessionDuration", "Tags")),
    Action("UpdateAssumeRolePolicy", CAM, cam.update_assume_role_policy, ("PolicyDocument", "RoleName"), ("RoleId",)),
    Action("ListPolicies", CAM, cam.list_policies, (), ("Scope",)),
    Action("GetPolicy", CAM, cam.get_policy, ("PolicyId",)),
    Action("CreatePolicy", CAM, cam.create_policy, ("PolicyName", "PolicyDocument"), ("Tags",)),
    Action("UpdatePolicy", CAM, cam.update_policy, (), ("Alias", "Description")),
    Action("AttachRolePolicy", CAM, cam.attach_role_policy, ("AttachRoleName",), ("AttachRoleId",)),
    Action(
        "ListAttachedRolePolicies",
        CAM,
        cam.list_attached_role_policies,
        ("Page", "Rp", "RoleName"),
        ("Keyword", "PolicyType", "RoleId"),
    ),
    Action("DescribeAutomationAgentStatus", TAT, tat.describe_automation_agent_status),
    Action("RunCommand", TAT, tat.run_command, ("Content", "InstanceIds"), _NOT_OF_COMMANDS),
    Action("DescribeInvocations", TAT, tat.describe_invocations),
    Action("DescribeInvocationTasks", TAT, tat.describe_invocation_tasks),
    Action("PutEvents", EB, eventbridge.put_events, ("EventList", "EventBusId")),
    Action("UploadLog", CLS, cls.upload_log, ("TopicId",), octets=True),
    Action("SearchLog", CLS, cls.search_log, ("From", "To"), ("HighLight", "SamplingRate")),
)

ACTIONS = {(action.service.name, action.name): action for action in _ACTIONS}
NAMES = frozenset(action.name for action in _ACTIONS)
