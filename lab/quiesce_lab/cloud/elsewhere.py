"""Snapshots in other regions and for other accounts: CopySnapshotCrossRegions and the two actions of sharing."""

from __future__ import annotations

from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.model import DATA_DISK, NORMAL, Snapshot
from quiesce_lab.cloud.snapshots import find_snapshot, insist_on_quota, name_of, new_id
from quiesce_lab.cloud.times import naive_utc8
from quiesce_lab.cloud.world import REGIONS

MOST_ACCOUNTS = 50
"""User guide, sharing snapshots."""


def copy_snapshot_cross_regions(context: Context) -> Answer:
    """Begin a copy to each region; one that cannot be made has its code in the answer (SDK, SnapshotCopyResult)."""
    body = context.body
    name = name_of(body) or f"Copied {body['SnapshotId']} from {context.estate.region}"
    with context.world.lock:
        source = find_snapshot(context.estate, body["SnapshotId"])
        _insist_on_copyable(source, context.now_s())
        results = [_copied(context, source, region, name) for region in body["DestinationRegions"]]
    return {"SnapshotCopyResultSet": results}


def modify_snapshots_share_permission(context: Context) -> Answer:
    """Share snapshots of data disks with other accounts, or take them back."""
    body, permission = context.body, context.body["Permission"]
    if permission not in ("SHARE", "CANCEL"):
        raise ApiError("InvalidParameterValue", "`Permission` is SHARE or CANCEL.")
    accounts = body["AccountIds"]
    if len(accounts) > MOST_ACCOUNTS or not all(account.isdigit() for account in accounts):
        raise ApiError("InvalidParameterValue", f"`AccountIds` takes at most {MOST_ACCOUNTS} ids, which are digits.")
    with context.world.lock:
        snapshots = [find_snapshot(context.estate, snapshot_id) for snapshot_id in body["SnapshotIds"]]
        for snapshot in snapshots:
            _insist_on_shareable(snapshot, context)
        for snapshot in snapshots:
            others = [account for account in snapshot.shared_with if account not in accounts]
            snapshot.shared_with = [*others, *accounts] if permission == "SHARE" else others
    return {}


def describe_snapshot_share_permission(context: Context) -> Answer:
    """List the accounts that a snapshot is shared with."""
    with context.world.lock:
        snapshot = find_snapshot(context.estate, context.body["SnapshotId"])
        created = naive_utc8(snapshot.cut_s)
        return {"SharePermissionSet": [{"CreatedTime": created, "AccountId": account} for account in snapshot.shared_with]}


def _insist_on_copyable(source: Snapshot, now_s: float) -> None:
    if source.state(now_s) != NORMAL:
        raise ApiError("InvalidSnapshot.NotSupported", f"The snapshot `{source.snapshot_id}` is not NORMAL.")
    if source.encrypt or source.usage != DATA_DISK:
        raise ApiError("UnsupportedOperation.SnapshotNotSupportCopy", "Only unencrypted data disks can be copied.")


def _insist_on_shareable(snapshot: Snapshot, context: Context) -> None:
    if snapshot.usage != DATA_DISK or snapshot.encrypt or snapshot.state(context.now_s()) != NORMAL:
        raise ApiError("UnsupportedOperation", f"The snapshot `{snapshot.snapshot_id}` cannot be shared.")


def _copied(context: Context, source: Snapshot, region: str, name: str) -> Answer:
    try:
        return _result(region, snapshot_id=_copy(context, source, region, name))
    except ApiError as error:
        return _result(region, code=error.code, message=error.message)


def _result(region: str, *, snapshot_id: str = "", code: str = "Success", message: str = "") -> Answer:
    return {"SnapshotId": snapshot_id, "Message": message, "Code": code, "DestinationRegion": region}


def _copy(context: Context, source: Snapshot, region: str, name: str) -> str:
    """Make the copy, which has no disk (recorded answer of a copied snapshot) and none of the source's tags."""
    now_s = context.now_s()
    if region not in REGIONS or region == context.estate.region:
        raise ApiError("InvalidParameterValue", f"`{region}` is no other region that takes snapshots.")
    if region in source.copying(now_s):
        raise ApiError("ResourceInUse.CopySnapshotConflict", f"A copy to `{region}` is under way.")
    estate = context.world.estate(context.estate.uin, region)
    insist_on_quota(estate)
    copy = Snapshot(
        snapshot_id=new_id("snap-", estate.snapshots),
        disk_id="",
        size_gib=source.size_gib,
        usage=source.usage,
        zone=f"{region}-1",
        encrypt=False,
        name=name,
        cut_s=now_s,
        listed_at_s=now_s + context.settings.visible_after_s,
        takes_s=context.settings.copy_seconds,
        copied=True,
    )
    context.blocks.copy_snapshot(source.snapshot_id, copy.snapshot_id)
    estate.snapshots[copy.snapshot_id] = copy
    source.copies_end_s[region] = now_s + copy.takes_s
    return copy.snapshot_id
