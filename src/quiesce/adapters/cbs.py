"""Disks and snapshots: CBS. Implements ports.SnapshotStore."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from quiesce.adapters.tags import SnapshotTags
from quiesce.adapters.tencent import Answer, Api, Cloud, Nothing, Page, pages
from quiesce.errors import CloudError
from quiesce.model import Intent, Snapshot
from quiesce.naming import pending
from quiesce.plan import Disk
from quiesce.ports import Clock

DISKS_PER_FILTER = 10
"""SDK, cbs, DescribeSnapshots: values of the filter ``disk-id``."""
INSTANCES_PER_FILTER = 5
CREATES_PER_WINDOW = 20
WINDOW_S = 1.05
"""CreateSnapshot: 20 requests a second per account and region (API reference), and a little for their clock."""
LOOK_EVERY_S = 0.05


class _Tag(Answer, frozen=True):
    key: str | None = None
    value: str | None = None


class _Snapshot(Answer, frozen=True):
    snapshot_id: str | None = None
    snapshot_name: str | None = None
    disk_id: str | None = None
    snapshot_state: str | None = None
    percent: int | None = None
    tags: tuple[_Tag, ...] | None = None


class _Snapshots(Page, frozen=True):
    snapshot_set: tuple[_Snapshot, ...] | None = None


class _Disk(Answer, frozen=True):
    disk_id: str | None = None
    instance_id: str | None = None
    disk_state: str | None = None
    disk_usage: str | None = None
    snapshot_ability: bool | None = None
    shareable: bool | None = None
    migrating: bool | None = None
    rollbacking: bool | None = None


class _Disks(Page, frozen=True):
    disk_set: tuple[_Disk, ...] | None = None


class _Created(Answer, frozen=True):
    snapshot_id: str | None = None


class RateLimit:
    """Lets at most ``count`` calls be underway, or just done, in any ``window_s`` seconds. One per process, for all targets.

    A permit is taken before the hold and used in it, however long that takes to get, so it counts until the window after
    its use is over. One that is not used has to be given back.
    """

    def __init__(self, clock: Clock, count: int = CREATES_PER_WINDOW, window_s: float = WINDOW_S) -> None:
        self._clock = clock
        self._count = count
        self._window_s = window_s
        self._lock = threading.Lock()
        self._taken = 0
        self._used: deque[float] = deque()

    def take(self, count: int) -> None:
        """Wait until this many permits are there, and take them all; more than there are, when none is in use."""
        while not self._taken_at_once(count):
            self._clock.sleep(LOOK_EVERY_S)

    def _taken_at_once(self, count: int) -> bool:
        with self._lock:
            while self._used and self._used[0] <= self._clock.monotonic() - self._window_s:
                self._used.popleft()
            busy = self._taken + len(self._used)
            free = not busy or busy + count <= self._count
            self._taken += count if free else 0
            return free

    def used(self) -> None:
        """Say that a call was answered, or given up: from here on it is certainly in the past of the cloud's counter."""
        with self._lock:
            self._taken -= 1
            self._used.append(self._clock.monotonic())

    def give_back(self, count: int) -> None:
        """Return permits that will not be used."""
        with self._lock:
            self._taken -= count


class CbsSnapshots:
    """The snapshots of one region, for one target. Only ``create`` may be called from several threads at a time."""

    def __init__(self, cloud: Cloud, rate_limit: RateLimit) -> None:
        self._cloud = cloud
        self._rate_limit = rate_limit
        self._reader = _api(cloud)
        self._writers: dict[str, Api] = {}
        self._permitted: set[str] = set()

    def close(self) -> None:
        """Give back what ``prepare`` took and no ``create`` has used."""
        self._rate_limit.give_back(len(self._permitted))
        self._permitted.clear()

    def find(self, intents: Sequence[Intent]) -> Mapping[str, Snapshot]:
        """Look up by exact name, newest first, because whether the API's own name filter is exact is not documented."""
        wanted = {(intent.disk_id, name) for intent in intents for name in (intent.name, pending(intent.name))}
        found: dict[str, Snapshot] = {}
        for some in _by_tens(intents):
            params = {"Filters": [{"Name": "disk-id", "Values": some}], "OrderField": "CREATE_TIME", "Order": "DESC"}
            for page in pages(self._reader, "DescribeSnapshots", params, _Snapshots):
                for listed in page.snapshot_set or ():
                    if listed.snapshot_id and (listed.disk_id, listed.snapshot_name) in wanted:
                        snapshot = _snapshot(listed)
                        found.setdefault(snapshot.disk_id, snapshot)
                if all(disk_id in found for disk_id in some):
                    break
        return found

    def prepare(self, intents: Sequence[Intent]) -> None:
        """Take the permits, then open one connection per disk by reading that disk, which also tells that it is there.

        A disk that is being snapshotted by anybody is refused here: CreateSnapshot would be, inside the hold (API
        reference, InvalidDisk.SnapshotCreating). Connections last, so that none is idle for longer than the hold takes.
        """
        self._insist_on_idle(intents)
        self._rate_limit.take(len(intents))
        self._permitted.update(intent.disk_id for intent in intents)
        self._writers = {intent.disk_id: _api(self._cloud) for intent in intents}
        with ThreadPoolExecutor(max_workers=len(self._writers)) as pool:
            list(pool.map(_warm, self._writers.values(), self._writers.keys()))

    def create(self, intent: Intent, *, timeout_s: float) -> str:
        """Send CreateSnapshot exactly once, on the connection that ``prepare`` opened for this disk."""
        params = {"DiskId": intent.disk_id, "SnapshotName": pending(intent.name)}
        if intent.expires_at is not None:
            params["Deadline"] = intent.expires_at
        try:
            created = self._writers[intent.disk_id].once("CreateSnapshot", params, _Created, timeout_s=timeout_s)
        finally:
            self._permitted.remove(intent.disk_id)
            self._rate_limit.used()
        if not created.snapshot_id:
            message = "CreateSnapshot was answered without a SnapshotId, so whether it worked is not known"
            raise CloudError(message, code="NullSnapshotId", ambiguous=True)
        return created.snapshot_id

    def label(self, names: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Tag first and rename last, so that a name without ``pending`` means that the tags are there."""
        SnapshotTags(self._cloud).put(list(names), tags)
        for snapshot_id, name in names.items():
            params = {"SnapshotId": snapshot_id, "SnapshotName": name}
            self._reader.read("ModifySnapshotAttribute", params, Nothing)

    def _insist_on_idle(self, intents: Sequence[Intent]) -> None:
        for some in _by_tens(intents):
            underway = [{"Name": "disk-id", "Values": some}, {"Name": "snapshot-state", "Values": ["CREATING"]}]
            for page in pages(self._reader, "DescribeSnapshots", {"Filters": underway}, _Snapshots):
                for listed in page.snapshot_set or ():
                    if listed.disk_id in some and listed.snapshot_state == "CREATING":
                        raise _underway(listed)


def find_disks(cloud: Cloud, instance_ids: Sequence[str]) -> tuple[Disk, ...]:
    """List the CBS disks of these instances; local disks are not among them. Raises CloudError."""
    api = _api(cloud)
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


def _by_tens(intents: Sequence[Intent]) -> list[list[str]]:
    disk_ids = [intent.disk_id for intent in intents]
    return [disk_ids[start : start + DISKS_PER_FILTER] for start in range(0, len(disk_ids), DISKS_PER_FILTER)]


def _underway(listed: _Snapshot) -> CloudError:
    which = f"{listed.snapshot_id} ({listed.snapshot_name}, {listed.percent or 0} %)"
    message = f"{listed.disk_id} is being snapshotted already: {which}; run again when that one is complete"
    return CloudError(message, code="InvalidDisk.SnapshotCreating", ambiguous=False)


def _api(cloud: Cloud) -> Api:
    return cloud.api("cbs", "2017-03-12")


def _warm(api: Api, disk_id: str) -> None:
    listed = api.read("DescribeDisks", {"DiskIds": [disk_id]}, _Disks).disk_set or ()
    if [disk.disk_id for disk in listed] != [disk_id]:
        raise CloudError(f"{disk_id} is no longer listed", code="InvalidDiskId.NotFound", ambiguous=False)


def _snapshot(listed: _Snapshot) -> Snapshot:
    return Snapshot(
        snapshot_id=listed.snapshot_id or "",
        name=listed.snapshot_name or "",
        disk_id=listed.disk_id or "",
        state=listed.snapshot_state or "UNKNOWN",
        percent=listed.percent or 0,
        tags={tag.key: tag.value or "" for tag in listed.tags or () if tag.key},
    )


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
    )
