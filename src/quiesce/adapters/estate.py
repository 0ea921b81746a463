"""Every snapshot of a region that Quiesce made, with what is known of it: for retention and for coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import msgspec
from msgspec.structs import replace

from quiesce.adapters.tags import Tag, as_mapping
from quiesce.adapters.tencent import Answer, Api, Cloud, Nothing, Page, Reads, pages
from quiesce.certificate import TAG_LEVEL, TAG_SET_SIZE
from quiesce.model import Level
from quiesce.naming import PENDING, parse
from quiesce.retention import Point

CBS_OFFSET = timezone(timedelta(hours=8))
"""CBS writes times without an offset, and they are UTC+8 (seen in ap-singapore; other regions are not documented)."""
_LEVELS = {level.word: level for level in Level}


class _Snapshot(Answer, frozen=True):
    snapshot_id: str | None = None
    snapshot_name: str | None = None
    disk_id: str | None = None
    snapshot_state: str | None = None
    percent: int | None = None
    create_time: str | None = None
    image_count: int | None = None
    share_reference: int | None = None
    copying_to_regions: tuple[str, ...] | None = None
    tags: tuple[Tag, ...] | None = None


class _Snapshots(Page, frozen=True):
    snapshot_set: tuple[_Snapshot, ...] | None = None


class Made(msgspec.Struct, frozen=True):
    """A snapshot that Quiesce made, and the policy or the prefix of the policy that it was made for."""

    point: Point
    policy: str
    prefix: str
    name: str
    """Its own name, which it has once its level is known."""
    tags: Mapping[str, str]
    percent: int
    copying_to: tuple[str, ...]
    shares: int
    """With how many accounts it is shared."""


def made_here(reader: Reads) -> tuple[Made, ...]:
    """List every snapshot with a name of ours. Raises CloudError.

    There is no filter for tags (API reference, DescribeSnapshots), so every snapshot of the region is read.
    """
    params = {"OrderField": "CREATE_TIME", "Order": "DESC"}
    listed = [one for page in pages(reader, "DescribeSnapshots", params, _Snapshots) for one in page.snapshot_set or ()]
    found = (_made(one) for one in listed)
    return _counted(tuple({one.point.snapshot_id: one for one in found if one is not None}.values()))


def _counted(made: tuple[Made, ...]) -> tuple[Made, ...]:
    """Note of each how many members its set has lost: they are no longer listed."""
    present = Counter(one.point.set_key for one in made)
    return tuple(
        replace(one, point=replace(one.point, missing=max(0, _set_size(one) - present[one.point.set_key]))) for one in made
    )


def _set_size(one: Made) -> int:
    text = one.tags.get(TAG_SET_SIZE, "")
    return int(text) if text.isdecimal() else 0


def rename(cbs: Reads, snapshot_id: str, name: str) -> None:
    """Give a snapshot its own name. Raises CloudError."""
    cbs.read("ModifySnapshotAttribute", {"SnapshotId": snapshot_id, "SnapshotName": name}, Nothing)


def writer(cloud: Cloud) -> Api:
    """Open a client that deletes."""
    return cloud.api("cbs", "2017-03-12")


def _made(one: _Snapshot) -> Made | None:
    name = parse(one.snapshot_name or "")
    if name is None or not one.snapshot_id or not one.disk_id or not one.create_time:
        return None
    tags = as_mapping(one.tags)
    point = Point(
        snapshot_id=one.snapshot_id,
        disk_id=one.disk_id,
        run_id=name.run_id,
        instance_id=tags.get("quiesce:instance", ""),
        created_at=datetime.strptime(one.create_time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CBS_OFFSET),
        level=_LEVELS.get(tags.get(TAG_LEVEL, ""), Level.UNKNOWN),
        pending=(one.snapshot_name or "").endswith(PENDING),
        complete=one.snapshot_state == "NORMAL",
        bound=_bound(one),
    )
    return Made(
        point=point,
        policy=tags.get("quiesce:policy", ""),
        prefix=name.prefix,
        name=str(name),
        tags=tags,
        percent=one.percent or 0,
        copying_to=one.copying_to_regions or (),
        shares=one.share_reference or 0,
    )


def _bound(one: _Snapshot) -> str:
    if one.copying_to_regions:
        return f"being copied to {', '.join(one.copying_to_regions)}"
    if one.share_reference:
        return "shared with another account"
    return "bound to an image" if one.image_count else ""
