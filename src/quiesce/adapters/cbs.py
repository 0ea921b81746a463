"""Snapshots: CBS. Implements ports.SnapshotStore."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from quiesce.adapters.cbs_groups import Groups
from quiesce.adapters.disks import is_listed
from quiesce.adapters.rate_limit import Permit, RateLimit, Sent
from quiesce.adapters.tags import SnapshotTags, Tag, as_mapping
from quiesce.adapters.tencent import Answer, Api, Cloud, Nothing, Page, pages
from quiesce.adapters.warm import Shared
from quiesce.errors import CloudError
from quiesce.model import Intent, Snapshot
from quiesce.naming import pending
from quiesce.parallel import at_once

DISKS_PER_FILTER = 10
"""SDK, cbs, DescribeSnapshots: values of the filter ``disk-id``."""


class _Snapshot(Answer, frozen=True):
    snapshot_id: str | None = None
    snapshot_name: str | None = None
    disk_id: str | None = None
    snapshot_state: str | None = None
    percent: int | None = None
    tags: tuple[Tag, ...] | None = None


class _Snapshots(Page, frozen=True):
    snapshot_set: tuple[_Snapshot, ...] | None = None


class _Created(Answer, frozen=True):
    snapshot_id: str | None = None


class CbsSnapshots:
    """The snapshots of one region, for one target. Only ``create`` may be called from several threads at a time."""

    def __init__(
        self,
        cloud: Cloud,
        rate_limit: RateLimit,
        shared: Shared | None = None,
    ) -> None:
        """``shared`` is what the targets of a run have in common."""
        self._cloud = cloud
        self._rate_limit = rate_limit
        self._shared = shared or Shared(cloud, time)
        self._connections = self._shared.connections
        self._sightings = self._shared.sightings
        self._reader = self._shared.cbs
        self._groups = Groups(self._reader)
        self._writers: dict[str, Api] = {}
        self._permits: dict[str, Permit] = {}

    def close(self) -> None:
        """Give back what ``admit`` took and no ``create`` has used."""
        self._rate_limit.give_back(len(self._permits))
        self._permits.clear()

    def find(self, intents: Sequence[Intent]) -> Mapping[str, Snapshot]:
        """Look up by exact name, newest first, because whether the API's own name filter is exact is not documented.

        What has no name of its own yet is found through its group. That members are named after it is documented too, and
        relied upon only where the group cannot be asked for.
        """
        group = _group_of(intents)
        found, numbered = self._named(intents, group)
        for snapshot in self._members(group) if group and len(found) < len(intents) else ():
            if any(intent.disk_id == snapshot.disk_id for intent in intents):
                found.setdefault(snapshot.disk_id, snapshot)
        return {**numbered, **found} if self._groups.unavailable else found

    def _named(self, intents: Sequence[Intent], group: str | None) -> tuple[dict[str, Snapshot], dict[str, Snapshot]]:
        """List the disks' snapshots: those that bear their own names, and those that bear the group's with a number."""
        wanted = {(intent.disk_id, name) for intent in intents for name in (intent.name, pending(intent.name))}
        found: dict[str, Snapshot] = {}
        numbered: dict[str, Snapshot] = {}
        for some in _by_tens([intent.disk_id for intent in intents]):
            params = {"Filters": [{"Name": "disk-id", "Values": some}], "OrderField": "CREATE_TIME", "Order": "DESC"}
            underway = dict.fromkeys(some, "")
            for page in pages(self._reader, "DescribeSnapshots", params, _Snapshots):
                underway |= _underway(page, some)
                for snapshot in (_snapshot(listed) for listed in page.snapshot_set or () if listed.snapshot_id):
                    if (snapshot.disk_id, snapshot.name) in wanted:
                        found.setdefault(snapshot.disk_id, snapshot)
                    elif group and snapshot.name.rpartition("_")[0] == group and snapshot.disk_id in some:
                        numbered.setdefault(snapshot.disk_id, snapshot)
                if all(disk_id in found for disk_id in some):
                    break
            for disk_id, words in underway.items():
                self._sightings.note(disk_id, words)
        return found, numbered

    def connect(self, intents: Sequence[Intent]) -> None:
        """Have one open connection per disk: one that was used just now, or else a new one, opened by reading that disk.

        A disk that is being snapshotted by anybody is refused here, and a set that the quota does not take: CreateSnapshot
        would be, inside the hold (API reference, InvalidDisk.SnapshotCreating, InsufficientSnapshotQuota). Connections last,
        so that none is idle for longer than the hold takes.
        """
        self._insist_on_idle([intent.disk_id for intent in intents])
        self._shared.quota.take(len(intents))
        for intent in intents:
            api = self._connections.take()
            if api:
                self._writers[intent.disk_id] = api
        missing = [intent.disk_id for intent in intents if intent.disk_id not in self._writers]
        if missing:
            self._writers.update(zip(missing, at_once(self._open, missing), strict=True))

    def admit(self, intents: Sequence[Intent]) -> None:
        """Take a permit for each disk, and one for a group."""
        wanted = {intent.disk_id for intent in intents} | {name for name in (_group_of(intents),) if name}
        missing = wanted - self._permits.keys()
        if missing:
            self._permits |= dict.fromkeys(missing, self._rate_limit.take(len(missing)))

    def create(self, *intents: Intent, timeout_s: float) -> str:
        """Send CreateSnapshot or CreateSnapshotGroup exactly once, on the connection that ``connect`` opened."""
        api, group = self._writers[intents[0].disk_id], _group_of(intents)
        sent = self._use(group or intents[0].disk_id)
        try:
            created = self._groups.create(api, intents, timeout_s) if group else _create(api, intents[0], timeout_s)
        except CloudError as error:
            if error.code.startswith("RequestLimitExceeded"):
                self._rate_limit.was_refused()
            raise
        if sent:
            self._rate_limit.answered(sent)
        self._connections.give(self._writers.pop(intents[0].disk_id))
        return created

    def label(self, names: Mapping[str, str], tags: Mapping[str, str], *, expires_at: str | None = None) -> None:
        """Tag first and rename last, so that a name without ``pending`` means that the tags are there.

        The expiry before either: it needs no right to tag, and without it a snapshot is kept, and paid for, for ever.
        """
        for snapshot_id in names if expires_at else ():
            expiry = {"SnapshotId": snapshot_id, "IsPermanent": False, "Deadline": expires_at}
            self._reader.read("ModifySnapshotAttribute", expiry, Nothing)
        SnapshotTags(self._cloud.region, self._shared.tag).put(list(names), tags)
        for snapshot_id, name in names.items():
            params = {"SnapshotId": snapshot_id, "SnapshotName": name}
            self._reader.read("ModifySnapshotAttribute", params, Nothing)

    def _members(self, group: str) -> Iterator[Snapshot]:
        """Every member of the groups with this name, newest first."""
        group_of = self._groups.members(group)
        if not group_of:
            return
        params = {"SnapshotIds": list(group_of), "OrderField": "CREATE_TIME", "Order": "DESC"}
        for page in pages(self._reader, "DescribeSnapshots", params, _Snapshots):
            for listed in page.snapshot_set or ():
                yield replace(_snapshot(listed), group_id=group_of.get(listed.snapshot_id or ""))

    def _use(self, name: str) -> Sent | None:
        permit = self._permits.pop(name, None)
        return self._rate_limit.used(permit) if permit else None

    def _insist_on_idle(self, disk_ids: Sequence[str]) -> None:
        seen = {disk_id: self._sightings.of(disk_id) for disk_id in disk_ids}
        for some in _by_tens([disk_id for disk_id, words in seen.items() if words is None]):
            filters = [{"Name": "disk-id", "Values": some}, {"Name": "snapshot-state", "Values": ["CREATING"]}]
            for page in pages(self._reader, "DescribeSnapshots", {"Filters": filters}, _Snapshots):
                seen.update(_underway(page, some))
        underway = next((words for words in seen.values() if words), "")
        if underway:
            raise CloudError(underway, code="InvalidDisk.SnapshotCreating", ambiguous=False)

    def _open(self, disk_id: str) -> Api:
        """Open a connection by reading a disk, which also tells that it is there."""
        api = self._cloud.api("cbs", "2017-03-12")
        if not is_listed(api, disk_id):
            raise CloudError(f"{disk_id} is no longer listed", code="InvalidDiskId.NotFound", ambiguous=False)
        return api


def _group_of(intents: Sequence[Intent]) -> str | None:
    """Name of the group that these make; one disk is asked for by itself."""
    return intents[0].group if len(intents) > 1 else None


def _by_tens(disk_ids: Sequence[str]) -> list[list[str]]:
    return [list(disk_ids[start : start + DISKS_PER_FILTER]) for start in range(0, len(disk_ids), DISKS_PER_FILTER)]


def _underway(page: _Snapshots, disk_ids: Sequence[str]) -> dict[str, str]:
    """Say of each disk that is being snapshotted by which."""
    return {
        one.disk_id or "": f"{one.disk_id} is being snapshotted already: {one.snapshot_id} ({one.snapshot_name}, "
        f"{one.percent or 0} %); run again when that one is complete"
        for one in page.snapshot_set or ()
        if one.disk_id in disk_ids and one.snapshot_state == "CREATING"
    }


def _create(api: Api, intent: Intent, timeout_s: float) -> str:
    params = {"DiskId": intent.disk_id, "SnapshotName": pending(intent.name)}
    if intent.expires_at is not None:
        params["Deadline"] = intent.expires_at
    created = api.once("CreateSnapshot", params, _Created, timeout_s=timeout_s)
    if not created.snapshot_id:
        message = "CreateSnapshot was answered without a SnapshotId, so whether it worked is not known"
        raise CloudError(message, code="NullSnapshotId", ambiguous=True)
    return created.snapshot_id


def _snapshot(listed: _Snapshot) -> Snapshot:
    return Snapshot(
        snapshot_id=listed.snapshot_id or "",
        name=listed.snapshot_name or "",
        disk_id=listed.disk_id or "",
        state=listed.snapshot_state or "UNKNOWN",
        percent=listed.percent or 0,
        tags=as_mapping(listed.tags),
    )
