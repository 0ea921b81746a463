"""Finding disks: CBS, DescribeDisks."""

from __future__ import annotations

import time
from collections.abc import Sequence

from quiesce.adapters.tencent import PAGE, PAGES_AT_ONCE, Answer, Api, Cloud, Page, pages
from quiesce.adapters.warm import Pool
from quiesce.parallel import at_once
from quiesce.plan import Disk

INSTANCES_PER_FILTER = 5
"""SDK, cbs, DescribeDisks: values of one filter."""


class _Disk(Answer, frozen=True):
    disk_id: str | None = None
    instance_id: str | None = None
    disk_state: str | None = None
    disk_usage: str | None = None
    disk_size: int | None = None
    snapshot_ability: bool | None = None
    shareable: bool | None = None
    migrating: bool | None = None
    rollbacking: bool | None = None


class _Disks(Page, frozen=True):
    disk_set: tuple[_Disk, ...] | None = None


def find_disks(cloud: Cloud, instance_ids: Sequence[str]) -> tuple[Disk, ...]:
    """List the CBS disks of these instances; local disks are not among them. Raises CloudError.

    Of many instances by listing every disk of the region, where that is fewer calls: 20 a second are for the account.
    """
    api = _api(cloud)
    if len(instance_ids) > INSTANCES_PER_FILTER:
        first = api.read("DescribeDisks", {"Offset": 0, "Limit": PAGE}, _Disks)
        if first.total_count / PAGE <= len(instance_ids) / INSTANCES_PER_FILTER:
            return _every_disk_of(cloud, first, frozenset(instance_ids))
    filters = [
        {"Name": "instance-id", "Values": list(instance_ids[start : start + INSTANCES_PER_FILTER])}
        for start in range(0, len(instance_ids), INSTANCES_PER_FILTER)
    ]
    listed = [
        disk
        for one in filters
        for page in pages(api, "DescribeDisks", {"Filters": [one]}, _Disks)
        for disk in page.disk_set or ()
    ]
    return tuple(_disk(disk) for disk in listed if disk.disk_id)


def every_disk(cloud: Cloud) -> tuple[Disk, ...]:
    """List every CBS disk of the region. Raises CloudError."""
    return tuple(_disk(disk) for page in pages(_api(cloud), "DescribeDisks", {}, _Disks) for disk in page.disk_set or ())


def _every_disk_of(cloud: Cloud, first: _Disks, instance_ids: frozenset[str]) -> tuple[Disk, ...]:
    def read(offset: int) -> _Disks:
        return cbs.read("DescribeDisks", {"Offset": offset, "Limit": PAGE}, _Disks)

    cbs, offsets = Pool(cloud, "cbs", "2017-03-12", time), range(PAGE, first.total_count, PAGE)
    others = at_once(read, offsets, at_most=PAGES_AT_ONCE) if offsets else []
    listed = {disk.disk_id: disk for page in (first, *others) for disk in page.disk_set or ()}
    return tuple(_disk(disk) for disk in listed.values() if disk.disk_id and disk.instance_id in instance_ids)


def is_listed(api: Api, disk_id: str) -> bool:
    """Whether the cloud still lists a disk. Raises CloudError."""
    listed = api.read("DescribeDisks", {"DiskIds": [disk_id]}, _Disks).disk_set or ()
    return [disk.disk_id for disk in listed] == [disk_id]


def _api(cloud: Cloud) -> Api:
    return cloud.api("cbs", "2017-03-12")


def _disk(listed: _Disk) -> Disk:
    return Disk(
        disk_id=listed.disk_id or "",
        instance_id=listed.instance_id or "",
        state=listed.disk_state or "UNKNOWN",
        snapshot_ability=listed.snapshot_ability is True,
        shareable=listed.shareable is True,
        system=listed.disk_usage == "SYSTEM_DISK",
        migrating=listed.migrating is True,
        rolling_back=listed.rollbacking is True,
        size_gib=listed.disk_size or 0,
    )
