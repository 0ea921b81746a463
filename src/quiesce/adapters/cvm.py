"""Finding instances: CVM, DescribeInstances."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from quiesce.adapters.tencent import PAGE, PAGES_AT_ONCE, Answer, Cloud, Page
from quiesce.adapters.warm import Pool
from quiesce.parallel import at_once
from quiesce.plan import Instance
from quiesce.policies import Targets

IDS_PER_FILTER = 5
"""SDK, cvm, DescribeInstances: values of one filter."""


class _Disk(Answer, frozen=True):
    disk_type: str | None = None


class _Instance(Answer, frozen=True):
    instance_id: str | None = None
    instance_state: str | None = None
    private_ip_addresses: tuple[str, ...] | None = None
    system_disk: _Disk | None = None
    data_disks: tuple[_Disk, ...] | None = None


class _Instances(Page, frozen=True):
    instance_set: tuple[_Instance, ...] | None = None


def find_instances(cloud: Cloud, targets: Targets) -> tuple[Instance, ...]:
    """List the instances that a policy names, and those that carry its tag; raises CloudError.

    By filter, not by ``InstanceIds``: one unknown id there fails the whole call, and would hide which id it was.
    """
    filters = [
        {"Name": "instance-id", "Values": list(targets.instances[start : start + IDS_PER_FILTER])}
        for start in range(0, len(targets.instances), IDS_PER_FILTER)
    ]
    if targets.tag is not None:
        filters.append({"Name": f"tag:{targets.tag.key}", "Values": list(targets.tag.values)})
    cvm = Pool(cloud, "cvm", "2017-03-12", time)
    listed = [instance for one in filters for instance in _listed(cvm, one)]
    return tuple({instance.instance_id: _instance(instance) for instance in listed if instance.instance_id}.values())


def _listed(cvm: Pool, one: Mapping[str, object]) -> Iterable[_Instance]:
    """List page by page, the pages behind the first some at a time."""

    def read(offset: int) -> _Instances:
        return cvm.read("DescribeInstances", {"Filters": [one], "Offset": offset, "Limit": PAGE}, _Instances)

    first = read(0)
    offsets = range(PAGE, first.total_count, PAGE)
    others = at_once(read, offsets, at_most=PAGES_AT_ONCE) if offsets else []
    return (instance for page in (first, *others) for instance in page.instance_set or ())


def _instance(listed: _Instance) -> Instance:
    addresses: Sequence[str] = listed.private_ip_addresses or ()
    return Instance(
        instance_id=listed.instance_id or "",
        state=listed.instance_state or "UNKNOWN",
        address=addresses[0] if addresses else "",
        local_data=tuple(_local(listed.data_disks or ())),
        local_system=next(_local([listed.system_disk or _Disk()]), None),
    )


def _local(disks: Iterable[_Disk]) -> Iterator[str]:
    """Kinds of the disks that DescribeDisks never lists (SDK, cvm: LOCAL_BASIC, LOCAL_SSD and others)."""
    kinds = (disk.disk_type or "" for disk in disks)
    return (kind for kind in kinds if kind.startswith("LOCAL_"))
