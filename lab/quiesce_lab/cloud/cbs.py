"""The Describe actions of CBS."""

from __future__ import annotations

from collections.abc import Collection

from quiesce_lab.cloud import filters
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.model import DATA_DISK, Disk, Estate, Snapshot
from quiesce_lab.cloud.views import disk_view, snapshot_view

_DISK_RULES = filters.Rules(
    ids="DiskIds",
    names=frozenset(
        [
            "disk-usage",
            "disk-charge-type",
            "portable",
            "project-id",
            "disk-id",
            "disk-name",
            "disk-type",
            "disk-state",
            "instance-id",
            "zone",
            "instance-ip-address",
            "instance-name",
            "tag-key",
            "tag-value",
            "dedicated-cluster-id",
            "cluster-group-id",
        ]
    ),
    tags=True,
)
_SNAPSHOT_RULES = filters.Rules(
    ids="SnapshotIds",
    names=frozenset(
        [
            "snapshot-id",
            "snapshot-name",
            "snapshot-state",
            "disk-usage",
            "project-id",
            "disk-id",
            "encrypt",
            "snapshot-type",
        ]
    ),
    max_values_of={"disk-id": 10},
)
_FREE_GIB = 80.0
"""Free quota that the billing overview states; the docs differ, and an account must read its own."""


def describe_disks(context: Context) -> Answer:
    """List disks; an unknown id is absent from the list, not an error."""
    now_s, body = context.now_s(), context.body
    selected = filters.select(body, _DISK_RULES)
    descending = filters.newest_first(body, ("CREATE_TIME", "DEADLINE"))
    with context.world.lock:
        estate = context.estate
        disks = [
            disk
            for disk in filters.among(selected, estate.disks, "disk-id")
            if now_s >= disk.listed_at_s and filters.fits(selected, _disk_properties(disk, estate, now_s))
        ]
        disks.sort(key=lambda disk: disk.created_s, reverse=descending)
        views = [disk_view(disk, estate, now_s) for disk in filters.page(disks, body)]
    return {"TotalCount": len(disks), "DiskSet": views}


def describe_snapshots(context: Context) -> Answer:
    """List snapshots. A new one is not listed at once: how soon it must be is not documented."""
    now_s, body = context.now_s(), context.body
    selected = filters.select(body, _SNAPSHOT_RULES)
    descending = filters.newest_first(body, ("CREATE_TIME",))
    with context.world.lock:
        snapshots = [
            snapshot
            for snapshot in filters.among(selected, context.estate.snapshots, "snapshot-id")
            if now_s >= snapshot.listed_at_s and filters.fits(selected, _snapshot_properties(snapshot, now_s))
        ]
        snapshots.sort(key=lambda snapshot: snapshot.cut_s, reverse=descending)
        views = [snapshot_view(snapshot, now_s) for snapshot in filters.page(snapshots, body)]
    return {"TotalCount": len(snapshots), "SnapshotSet": views}


def describe_snapshot_overview(context: Context) -> Answer:
    """Count snapshots, and their size in GiB."""
    with context.world.lock:
        sizes = [snapshot.size_gib for snapshot in context.estate.snapshots.values()]
    total_gib = float(sum(sizes))
    return {
        "TotalNums": len(sizes),
        "TotalSize": total_gib,
        "FreeQuota": _FREE_GIB,
        "RealTradeSize": max(0.0, total_gib - _FREE_GIB),
    }


def _disk_properties(disk: Disk, estate: Estate, now_s: float) -> dict[str, Collection[str]]:
    instance = estate.instances.get(disk.instance_id or "")
    return {
        "": (disk.disk_id,),
        "disk-id": (disk.disk_id,),
        "disk-name": (disk.name,),
        "disk-type": (disk.disk_type,),
        "disk-state": (disk.state(now_s),),
        "disk-usage": (disk.usage,),
        "disk-charge-type": (disk.charge_type,),
        "portable": ("TRUE" if disk.usage == DATA_DISK else "FALSE",),
        "project-id": ("0",),
        "zone": (disk.zone,),
        "instance-id": (disk.instance_id,) if disk.instance_id else (),
        "instance-name": (instance.name,) if instance else (),
        "instance-ip-address": (instance.private_ip,) if instance else (),
        **filters.tag_properties(disk.tags),
    }


def _snapshot_properties(snapshot: Snapshot, now_s: float) -> dict[str, Collection[str]]:
    return {
        "": (snapshot.snapshot_id,),
        "snapshot-id": (snapshot.snapshot_id,),
        "snapshot-name": (snapshot.name,),
        "snapshot-state": (snapshot.state(now_s),),
        "snapshot-type": ("PRIVATE_SNAPSHOT",),
        "disk-id": (snapshot.disk_id,),
        "disk-usage": (snapshot.usage,),
        "project-id": ("0",),
        "encrypt": ("TRUE" if snapshot.encrypt else "FALSE",),
    }
