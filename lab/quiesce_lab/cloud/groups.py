"""CreateSnapshotGroup, DescribeSnapshotGroups and DeleteSnapshotGroup.

A group is one call that clones several disks one after the other, ``group_gap_s`` apart: the API calls it *not* a
consistent snapshot (SDK, SnapshotGroup.SnapshotGroupType), so whoever needs the disks to agree has to hold still.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from quiesce_lab.cloud import filters
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.model import NORMAL, Disk, Estate, Snapshot, SnapshotGroup
from quiesce_lab.cloud.snapshots import accepted, cut_fraction, enter, find_disk, insist_on_disk, insist_on_quota, new_id
from quiesce_lab.cloud.tagging import read_cbs_tags
from quiesce_lab.cloud.views import group_view

_MOST_DISKS = 21
"""Twenty elastic disks and the system disk of one instance (CBS use limits page); no limit of groups is documented."""
_MAX_NAME = 60
_RULES = filters.Rules(
    ids="",
    names=frozenset(["snapshot-group-id", "snapshot-group-state", "snapshot-group-name", "snapshot-id"]),
)


def create_snapshot_group(context: Context) -> Answer:
    """Accept all disks or none, clone them one by one, and answer with the group's id alone."""
    name, disks, members = _accept(context)
    tags = read_cbs_tags(context.body.get("Tags"))
    answer_at = time.monotonic() + context.latency_s
    context.pause(context.latency_s * cut_fraction(context))
    context.record.note(context.call, cut_began_at=time.monotonic())
    try:
        _cut(context, members, answer_at)
        group = _enter(context, name, members, tags, max(0.0, answer_at - time.monotonic()))
    finally:
        with context.world.lock:
            for disk in disks:
                disk.snapshot_underway = False
    context.pause(max(0.0, answer_at - time.monotonic()))
    return {"SnapshotGroupId": group.group_id}


def describe_snapshot_groups(context: Context) -> Answer:
    """List groups that have a member left; a new one is not listed at once. Which order they come in is not documented."""
    now_s, body = context.now_s(), context.body
    selected = filters.select(body, _RULES)
    with context.world.lock:
        estate = context.estate
        views = [group_view(group, estate, now_s) for group in _listed(estate, now_s)]
        fitting = [view for view in views if filters.fits(selected, _properties(view))]
    return {"TotalCount": len(fitting), "SnapshotGroupSet": filters.page(fitting, body)}


def delete_snapshot_group(context: Context) -> Answer:
    """Delete one group with all its members, which must be complete (SDK, DeleteSnapshotGroup)."""
    body, now_s = context.body, context.now_s()
    ids = {*body.get("SnapshotGroupIds", ()), *((body["SnapshotGroupId"],) if body.get("SnapshotGroupId") else ())}
    if not ids:
        raise ApiError("MissingParameter", "Give `SnapshotGroupId` or `SnapshotGroupIds`.")
    if len(ids) > 1:
        raise ApiError("InvalidParameterValue", "One call deletes one snapshot group.")
    with context.world.lock:
        group = next((group for group in _listed(context.estate, now_s) if group.group_id in ids), None)
        if group is None:
            raise ApiError("ResourceNotFound.NotFound", f"The snapshot group `{ids.pop()}` does not exist.")
        members = context.estate.members_of(group)
        if any(snapshot.state(now_s) != NORMAL for snapshot in members):
            raise ApiError("ResourceUnavailable.SnapshotCreating", f"The group `{group.group_id}` is not finished.")
        del context.estate.groups[group.group_id]
        for snapshot in members:
            del context.estate.snapshots[snapshot.snapshot_id]
    for snapshot in members:
        context.blocks.delete_snapshot(snapshot.snapshot_id)
    return {}


def _accept(context: Context) -> tuple[str, list[Disk], list[Snapshot]]:
    body, now_s = context.body, context.now_s()
    if not context.settings.snapshot_groups:
        # The code is a guess: none is documented for accounts outside the beta.
        raise ApiError("UnsupportedOperation", "This account has no snapshot groups.")
    ids, name = body["DiskIds"], body.get("SnapshotGroupName", "Unnamed")
    if not name or len(f"{name}_{len(ids) - 1}") > _MAX_NAME:
        raise ApiError("InvalidParameterValue", "`SnapshotGroupName` with the number of a member has 2 to 60 characters.")
    if len(ids) > _MOST_DISKS or len(set(ids)) != len(ids):
        raise ApiError("InvalidParameterValue", f"`DiskIds` takes at most {_MOST_DISKS} ids, each once.")
    read_cbs_tags(body.get("Tags"))
    with context.world.lock:
        disks = [find_disk(context.estate, disk_id, now_s) for disk_id in ids]
        _insist_on_one_instance(disks)
        for disk in disks:
            insist_on_disk(disk, context.estate, now_s)
        insist_on_quota(context.estate, len(disks))
        members = [accepted(context, disk, f"{name}_{number}", disk.usage) for number, disk in enumerate(disks)]
    return name, disks, members


def _insist_on_one_instance(disks: Sequence[Disk]) -> None:
    for disk in disks:
        if disk.instance_id is None:
            raise ApiError("InvalidDisk.NotSupported", f"The disk `{disk.disk_id}` is not attached to an instance.")
    if len({disk.instance_id for disk in disks}) > 1:
        raise ApiError(
            "UnsupportedOperation.SnapshotGroupDiskAttachMultiInstance",
            "The disks of a snapshot group are attached to one instance.",
        )


def _cut(context: Context, members: Sequence[Snapshot], answer_at: float) -> None:
    for number, snapshot in enumerate(members):
        if number:
            context.pause(context.settings.group_gap_s)
        context.blocks.snapshot(snapshot.disk_id, snapshot.snapshot_id)
        last = number == len(members) - 1
        rest_s = max(0.0, answer_at - time.monotonic())
        enter(context, snapshot, rest_s, context.fault if last else None)


def _enter(context: Context, name: str, members: Sequence[Snapshot], tags: dict[str, str], rest_s: float) -> SnapshotGroup:
    ids = tuple(snapshot.snapshot_id for snapshot in members)
    cut_at = time.monotonic()
    with context.world.lock:
        group_id = new_id("snapg-", context.estate.groups)
        listed_at_s = context.now_s() + rest_s + context.settings.visible_after_s
        group = SnapshotGroup(group_id, name, list(ids), context.now_s(), listed_at_s, tags)
        context.estate.groups[group_id] = group
    context.record.note(context.call, cut_at=cut_at, member_ids=ids)
    return group


def _listed(estate: Estate, now_s: float) -> list[SnapshotGroup]:
    return [group for group in estate.groups.values() if now_s >= group.listed_at_s and estate.members_of(group)]


def _properties(view: dict[str, Any]) -> dict[str, Collection[str]]:
    return {
        "snapshot-group-id": (view["SnapshotGroupId"],),
        "snapshot-group-state": (view["SnapshotGroupState"],),
        "snapshot-group-name": (view["SnapshotGroupName"],),
        "snapshot-id": view["SnapshotIdSet"],
    }
