"""CreateSnapshot, DeleteSnapshots and ModifySnapshotAttribute.

CreateSnapshot clones the disk once, at one instant inside its latency, and answers long before the snapshot is NORMAL.
It never syncs and never waits for writers: what an application had not put on the disk by then is not in the snapshot.
"""

from __future__ import annotations

import random
import secrets
import string
import time
from collections.abc import Container
from typing import Any

from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.faults import Fault, FaultKind
from quiesce_lab.cloud.model import DATA_DISK, NORMAL, SYSTEM_DISK, Disk, Estate, Snapshot
from quiesce_lab.cloud.tagging import read_cbs_tags
from quiesce_lab.cloud.times import parse_deadline

_DAY_S = 86_400
_CUT_FRACTION = {"start": 0.0, "middle": 0.5, "end": 1.0}
_ID_LETTERS = string.ascii_lowercase + string.digits


def create_snapshot(context: Context) -> Answer:
    """Accept, clone the disk at the cut, and answer with the id. Nothing is held while time passes."""
    disk, snapshot = _accept(context)
    fraction = cut_fraction(context)
    answer_at = time.monotonic() + context.latency_s
    context.pause(context.latency_s * fraction)
    context.record.note(context.call, cut_began_at=time.monotonic())
    try:
        context.blocks.snapshot(disk.disk_id, snapshot.snapshot_id)
        # Cloning takes its time out of the latency, so that the latency is what a caller sees.
        rest_s = max(0.0, answer_at - time.monotonic())
        cut_at = time.monotonic()
        enter(context, snapshot, rest_s, context.fault)
        context.record.note(context.call, cut_at=cut_at, snapshot_id=snapshot.snapshot_id)
    finally:
        with context.world.lock:
            disk.snapshot_underway = False
    context.pause(rest_s)
    return {"SnapshotId": snapshot.snapshot_id}


def delete_snapshots(context: Context) -> Answer:
    """Delete all the snapshots named, or none: each must exist and be NORMAL (SDK, DeleteSnapshots)."""
    ids, now_s = context.body["SnapshotIds"], context.now_s()
    if len(ids) > 100 or len(set(ids)) != len(ids):
        raise ApiError("InvalidParameterValue", "`SnapshotIds` takes at most 100 ids, each once.")
    with context.world.lock:
        for snapshot in [find_snapshot(context.estate, snapshot_id) for snapshot_id in ids]:
            if snapshot.state(now_s) != NORMAL:
                raise ApiError(
                    "InvalidSnapshot.NotSupported",
                    f"The snapshot `{snapshot.snapshot_id}` is {snapshot.state(now_s)}; only NORMAL ones go.",
                )
            _insist_on_free(snapshot, now_s, with_images=context.body.get("DeleteBindImages") is True)
        for snapshot_id in ids:
            del context.estate.snapshots[snapshot_id]
    for snapshot_id in ids:
        context.blocks.delete_snapshot(snapshot_id)
    return {}


def _insist_on_free(snapshot: Snapshot, now_s: float, *, with_images: bool) -> None:
    """Refuse what others depend on (error codes of the SDK)."""
    if snapshot.images and not with_images:
        raise ApiError("UnsupportedOperation.SnapshotHasBindedImage", f"`{snapshot.snapshot_id}` has images.")
    if snapshot.shared_with:
        raise ApiError("UnsupportedOperation.SnapHasShared", f"`{snapshot.snapshot_id}` is shared.")
    if snapshot.copying(now_s):
        raise ApiError("ResourceInUse.CopySnapshotConflict", f"`{snapshot.snapshot_id}` is being copied.")


def modify_snapshot_attribute(context: Context) -> Answer:
    """Rename a snapshot, or make it permanent or not. Deadline takes effect with IsPermanent false only (SDK)."""
    body = context.body
    if not {"IsPermanent", "SnapshotName", "Deadline"} & body.keys():
        raise ApiError("MissingParameter", "Give at least one of `IsPermanent`, `SnapshotName` and `Deadline`.")
    name, deadline_s = name_of(body), _deadline(body, context.now_s())
    with context.world.lock:
        snapshot = find_snapshot(context.estate, body["SnapshotId"])
        snapshot.name = name or snapshot.name
        if body.get("IsPermanent") is True:
            snapshot.deadline_s = None
        elif body.get("IsPermanent") is False and deadline_s is not None:
            snapshot.deadline_s = deadline_s
    return {}


def find_disk(estate: Estate, disk_id: str, now_s: float) -> Disk:
    """Find a disk. Raises ApiError ``InvalidDiskId.NotFound``."""
    disk = estate.disks.get(disk_id)
    if disk is None or now_s < disk.listed_at_s:
        raise ApiError("InvalidDiskId.NotFound", f"The disk `{disk_id}` does not exist.")
    return disk


def insist_on_disk(disk: Disk, estate: Estate, now_s: float) -> None:
    """Refuse a disk of which no snapshot can be made now. Raises ApiError."""
    for code, applies, reason in (
        ("InvalidDisk.NotSupportSnapshot", not disk.snapshot_ability, "cannot be snapshotted"),
        ("UnsupportedOperation.ShareDiskNotSupportSnap", disk.shareable, "is shared"),
        ("ResourceInUse.DiskRollbacking", disk.state(now_s) == "ROLLBACKING", "is rolling back"),
        ("ResourceUnavailable.Expire", disk.state(now_s) == "TORECYCLE", "has expired"),
        ("InvalidDisk.SnapshotCreating", _busy(disk, estate, now_s), "is creating a snapshot"),
    ):
        if applies:
            raise ApiError(code, f"The disk `{disk.disk_id}` {reason}.")


def insist_on_quota(estate: Estate, more: int = 1) -> None:
    """Refuse what exceeds 64 + 64 for each disk of the region (CBS use limits page). Raises ApiError."""
    underway = sum(1 for other in estate.disks.values() if other.snapshot_underway)
    if len(estate.snapshots) + underway + more > 64 + 64 * len(estate.disks):
        raise ApiError("InsufficientSnapshotQuota", "The snapshot quota of this region is used up.")


def accepted(context: Context, disk: Disk, name: str, usage: str) -> Snapshot:
    """Make a snapshot that is accepted and not yet cut, and mark its disk. The world's lock must be held."""
    disk.snapshot_underway = True
    return Snapshot(
        snapshot_id=new_id("snap-", context.estate.snapshots),
        disk_id=disk.disk_id,
        size_gib=disk.size_gib,
        usage=usage,
        zone=disk.zone,
        encrypt=disk.encrypt,
        name=name,
        cut_s=0.0,
        listed_at_s=0.0,
        takes_s=context.settings.snapshot_seconds,
    )


def enter(context: Context, snapshot: Snapshot, rest_s: float, fault: Fault | None) -> None:
    """Enter a snapshot whose clone has just been made into the books; the answer is ``rest_s`` away."""
    with context.world.lock:
        snapshot.cut_s = context.now_s()
        snapshot.listed_at_s = snapshot.cut_s + rest_s + context.settings.visible_after_s
        if fault and fault.kind is FaultKind.STUCK_AT:
            snapshot.stuck_percent = fault.percent
        if fault and fault.kind is FaultKind.VANISHED:
            snapshot.vanishes_at_s = snapshot.cut_s + snapshot.takes_s / 2
        context.estate.snapshots[snapshot.snapshot_id] = snapshot


def cut_fraction(context: Context) -> float:
    """Draw where inside the latency the cut falls, from 0 to 1."""
    return _CUT_FRACTION.get(context.settings.cut_at, random.random())


def new_id(stem: str, taken: Container[str]) -> str:
    """Draw an id that is not taken."""
    while True:
        drawn = stem + "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
        if drawn not in taken:
            return drawn


def _accept(context: Context) -> tuple[Disk, Snapshot]:
    body, now_s = context.body, context.now_s()
    name, deadline_s, tags = name_of(body), _deadline(body, now_s), read_cbs_tags(body.get("Tags"))
    _refuse_what_is_not_there(body)
    with context.world.lock:
        disk = find_disk(context.estate, body["DiskId"], now_s)
        insist_on_disk(disk, context.estate, now_s)
        insist_on_quota(context.estate)
        snapshot = accepted(context, disk, name or "Unnamed", _usage(body, disk))
        snapshot.deadline_s, snapshot.tags = deadline_s, tags
    return disk, snapshot


def _busy(disk: Disk, estate: Estate, now_s: float) -> bool:
    return disk.snapshot_underway or any(
        snapshot.disk_id == disk.disk_id and snapshot.state(now_s) != NORMAL for snapshot in estate.snapshots.values()
    )


def _refuse_what_is_not_there(body: dict[str, Any]) -> None:
    if body.get("DiskBackupId"):
        raise ApiError("ResourceNotFound.NotFound", f"The backup point `{body['DiskBackupId']}` does not exist.")
    if body.get("LocalSnap"):
        raise ApiError("UnsupportedOperation", "Instant snapshots are on an allow-list, and this account is not on it.")


def _usage(body: dict[str, Any], disk: Disk) -> str:
    usage: str = body.get("DiskUsage", disk.usage)
    if usage not in (SYSTEM_DISK, DATA_DISK) or (usage == SYSTEM_DISK and disk.usage == DATA_DISK):
        raise ApiError("InvalidParameterValue", f"A {disk.usage} cannot yield a snapshot with DiskUsage `{usage}`.")
    return usage


def name_of(body: dict[str, Any]) -> str | None:
    """Read ``SnapshotName``. Raises ApiError."""
    name: str | None = body.get("SnapshotName")
    if name is not None and not 2 <= len(name) <= 60:
        raise ApiError("InvalidParameterValue", "`SnapshotName` has 2 to 60 characters.")
    return name


def _deadline(body: dict[str, Any], now_s: float) -> float | None:
    if "Deadline" not in body:
        return None
    try:
        deadline_s = parse_deadline(body["Deadline"])
    except ValueError as error:
        raise ApiError("InvalidParameterValue", "`Deadline` is written in UTC as 2022-01-08T09:47:55+00:00.") from error
    if deadline_s < now_s + _DAY_S:
        raise ApiError("InvalidParameterValue", "`Deadline` is at least one day from now.")
    return deadline_s


def find_snapshot(estate: Estate, snapshot_id: str) -> Snapshot:
    """Find a snapshot. Raises ApiError ``InvalidSnapshotId.NotFound``."""
    snapshot = estate.snapshots.get(snapshot_id)
    if snapshot is None:
        raise ApiError("InvalidSnapshotId.NotFound", f"The snapshot `{snapshot_id}` does not exist.")
    return snapshot
