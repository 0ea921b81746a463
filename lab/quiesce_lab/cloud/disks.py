"""CreateDisks and AttachDisks: how a snapshot becomes a disk again."""

from __future__ import annotations

import secrets
import string
from typing import Any

from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.model import DATA_DISK, NORMAL, SYSTEM_DISK, Disk, Estate, Instance, Snapshot
from quiesce_lab.cloud.tagging import read_cbs_tags

_TYPES = frozenset(["CLOUD_PREMIUM", "CLOUD_BSSD", "CLOUD_SSD", "CLOUD_HSSD", "CLOUD_TSSD"])
_CHARGES = frozenset(["PREPAID", "POSTPAID_BY_HOUR", "CDCPAID"])
_MAX_ELASTIC_DISKS = 20
"""Elastic disks that one instance takes (CBS use limits page)."""
_ID_LETTERS = string.ascii_lowercase + string.digits


def create_disks(context: Context) -> Answer:
    """Make disks, empty or from a snapshot; listed as UNATTACHED a moment later. A ClientToken gives the same ids."""
    body, token = context.body, context.body.get("ClientToken")
    if token is not None and not (token.isascii() and 1 <= len(token) <= 64):
        raise ApiError("InvalidParameter.InvalidClientToken", "`ClientToken` has 1 to 64 ASCII characters.")
    with context.estate.provisioning:
        earlier = context.estate.client_tokens.get(token or "")
        if earlier is None:
            earlier = (body, _make(context))
            if token:
                context.estate.client_tokens[token] = earlier
        if earlier[0] != body:
            raise ApiError("InvalidParameter.InvalidClientToken", "This `ClientToken` belongs to another request.")
    return {"DiskIdSet": earlier[1]}


def attach_disks(context: Context) -> Answer:
    """Attach unattached data disks to an instance of the same zone; ATTACHED a moment later."""
    body, now_s = context.body, context.now_s()
    ids = body["DiskIds"]
    if len(ids) > 10 or len(set(ids)) != len(ids):
        raise ApiError("InvalidParameterValue.LimitExceeded", "`DiskIds` takes at most 10 ids, each once.")
    with context.estate.provisioning:
        with context.world.lock:
            instance = context.estate.instances.get(body["InstanceId"])
            if instance is None:
                raise ApiError("InvalidInstanceId.NotFound", f"The instance `{body['InstanceId']}` does not exist.")
            disks = [_attachable(context.estate, disk_id, instance, now_s) for disk_id in ids]
            if len(context.estate.disks_of(instance.instance_id)) + len(disks) > _MAX_ELASTIC_DISKS:
                raise ApiError("LimitExceeded.InstanceAttachedDisk", "The instance takes no more disks.")
        for disk in disks:
            context.blocks.attach(disk.disk_id, instance.instance_id)
            with context.world.lock:
                disk.instance_id = disk.last_instance_id = instance.instance_id
                disk.attached_at_s = context.now_s() + context.settings.disk_seconds
                disk.delete_with_instance = body.get("DeleteWithInstance", disk.delete_with_instance)
    return {}


def _make(context: Context) -> list[str]:
    body = context.body
    tags = read_cbs_tags(body.get("Tags"))
    _check_offer(body, context.estate.region)
    with context.world.lock:
        source = _source(context, body["SnapshotId"]) if "SnapshotId" in body else None
    size_gib = _size_gib(body, source)
    made = []
    for _ in range(body.get("DiskCount", 1)):
        disk = Disk(
            disk_id=_new_id(context.estate),
            size_gib=size_gib,
            usage=DATA_DISK,
            zone=body["Placement"]["Zone"],
            created_s=context.now_s(),
            name=body.get("DiskName", "Unnamed"),
            disk_type=body["DiskType"],
            charge_type=body["DiskChargeType"],
            shareable=body.get("Shareable", False),
            encrypt=source.encrypt if source else False,
            delete_snapshot=body.get("DeleteSnapshot", 0),
            tags=dict(tags),
        )
        context.blocks.create(disk.disk_id, size_gib, from_snapshot=source.snapshot_id if source else None)
        with context.world.lock:
            disk.listed_at_s = context.now_s() + context.settings.disk_seconds
            context.estate.disks[disk.disk_id] = disk
        made.append(disk.disk_id)
    return made


def _check_offer(body: dict[str, Any], region: str) -> None:
    zone = body["Placement"].get("Zone")
    if not zone:
        raise ApiError("MissingParameter", "The request is missing the required parameter `Placement.Zone`.")
    if body["DiskChargeType"] == "PREPAID" and "DiskChargePrepaid" not in body:
        raise ApiError("MissingParameter", "A PREPAID disk needs `DiskChargePrepaid`.")
    for name, good in (
        ("Placement.Zone", zone.rpartition("-")[0] == region),
        ("DiskType", body["DiskType"] in _TYPES),
        ("DiskChargeType", body["DiskChargeType"] in _CHARGES),
        ("DiskCount", 1 <= body.get("DiskCount", 1) <= 50),
        ("DiskName", len(body.get("DiskName", "").encode()) <= 60),
        ("DeleteSnapshot", body.get("DeleteSnapshot", 0) in (0, 1)),
    ):
        if not good:
            raise ApiError("InvalidParameterValue", f"The value of the parameter `{name}` is wrong.")


def _source(context: Context, snapshot_id: str) -> Snapshot:
    snapshot = context.estate.snapshots.get(snapshot_id)
    if snapshot is None:
        raise ApiError("InvalidSnapshotId.NotFound", f"The snapshot `{snapshot_id}` does not exist.")
    if snapshot.state(context.now_s()) != NORMAL:
        raise ApiError("ResourceUnavailable.SnapshotCreating", f"The snapshot `{snapshot_id}` is not finished.")
    if snapshot.usage != DATA_DISK:
        raise ApiError("InvalidSnapshot.NotSupported", f"The snapshot `{snapshot_id}` is not of a data disk.")
    return snapshot


def _size_gib(body: dict[str, Any], source: Snapshot | None) -> int:
    size_gib: int | None = body.get("DiskSize", source.size_gib if source else None)
    if size_gib is None:
        raise ApiError("MissingParameter", "A disk without a snapshot needs `DiskSize`.")
    if source and size_gib < source.size_gib:
        raise ApiError("InvalidParameter.DiskSizeNotMatch", f"The snapshot needs {source.size_gib} GiB or more.")
    if size_gib < 1:
        raise ApiError("InvalidParameterValue", "`DiskSize` is above 0.")
    return size_gib


def _attachable(estate: Estate, disk_id: str, instance: Instance, now_s: float) -> Disk:
    disk = estate.disks.get(disk_id)
    if disk is None or now_s < disk.listed_at_s:
        raise ApiError("InvalidDiskId.NotFound", f"The disk `{disk_id}` does not exist.")
    for code, applies in (
        ("ResourceUnavailable.TypeError", disk.usage == SYSTEM_DISK),
        ("ResourceUnavailable.Attached", disk.instance_id is not None),
        ("UnsupportedOperation.StateError", disk.state(now_s) != "UNATTACHED"),
        ("UnsupportedOperation.StateError", instance.state not in ("RUNNING", "STOPPED")),
        ("ResourceUnavailable.ZoneNotMatch", disk.zone != instance.zone),
    ):
        if applies:
            raise ApiError(code, f"The disk `{disk_id}` cannot be attached to `{instance.instance_id}`.")
    return disk


def _new_id(estate: Estate) -> str:
    while True:
        disk_id = "disk-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
        if disk_id not in estate.disks:
            return disk_id
