"""Snapshots in other regions and for other accounts: CBS's copies and its sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from quiesce.adapters.tags import Tag, as_mapping
from quiesce.adapters.tencent import Answer, Api, Nothing, Page, Reads, pages
from quiesce.errors import CloudError

_DONE = "Success"


class Copied(msgspec.Struct, frozen=True):
    """A snapshot that was copied here from another region. It names no disk (recorded answers), so its name tells."""

    snapshot_id: str
    name: str
    complete: bool
    expires: bool
    tags: Mapping[str, str]


class _Listed(Answer, frozen=True):
    snapshot_id: str | None = None
    snapshot_name: str | None = None
    snapshot_state: str | None = None
    copy_from_remote: bool | None = None
    is_permanent: bool | None = None
    tags: tuple[Tag, ...] | None = None


class _Snapshots(Page, frozen=True):
    snapshot_set: tuple[_Listed, ...] | None = None


class _Result(Answer, frozen=True):
    destination_region: str | None = None
    code: str | None = None
    message: str | None = None


class _Results(Answer, frozen=True):
    snapshot_copy_result_set: tuple[_Result, ...] | None = None


class _Permission(Answer, frozen=True):
    account_id: str | None = None


class _Permissions(Answer, frozen=True):
    share_permission_set: tuple[_Permission, ...] | None = None


def copies_in(reader: Reads) -> tuple[Copied, ...]:
    """List every copy in the region that ``reader`` reads. Raises CloudError."""
    listed = [one for page in pages(reader, "DescribeSnapshots", {}, _Snapshots) for one in page.snapshot_set or ()]
    return tuple(
        Copied(
            snapshot_id=one.snapshot_id,
            name=one.snapshot_name or "",
            complete=one.snapshot_state == "NORMAL",
            expires=one.is_permanent is False,
            tags=as_mapping(one.tags),
        )
        for one in listed
        if one.copy_from_remote and one.snapshot_id
    )


def copy(api: Api, snapshot_id: str, name: str, region: str) -> None:
    """Begin a copy to a region, once. Raises CloudError, also for a refusal that comes inside of an answer."""
    params = {"SnapshotId": snapshot_id, "SnapshotName": name, "DestinationRegions": [region]}
    results = api.once("CopySnapshotCrossRegions", params, _Results).snapshot_copy_result_set or ()
    for one in results:
        if one.code != _DONE:
            raise CloudError(f"CopySnapshotCrossRegions: {one.code}: {one.message}", code=one.code or "", ambiguous=False)


def expire(reader: Reads, snapshot_id: str, expires_at: str) -> None:
    """Have the cloud delete a snapshot at a time. Raises CloudError."""
    params = {"SnapshotId": snapshot_id, "IsPermanent": False, "Deadline": expires_at}
    reader.read("ModifySnapshotAttribute", params, Nothing)


def accounts_of(reader: Reads, snapshot_id: str) -> frozenset[str]:
    """List the accounts that a snapshot is shared with. Raises CloudError."""
    listed = reader.read("DescribeSnapshotSharePermission", {"SnapshotId": snapshot_id}, _Permissions)
    return frozenset(one.account_id for one in listed.share_permission_set or () if one.account_id)


def share(reader: Reads, snapshot_id: str, accounts: Sequence[str], *, take_back: bool = False) -> None:
    """Share a snapshot, or take it back; repeating is harmless. One id a call, so that one that fails stops no other.

    Raises CloudError.
    """
    permission = "CANCEL" if take_back else "SHARE"
    params = {"SnapshotIds": [snapshot_id], "AccountIds": list(accounts), "Permission": permission}
    reader.read("ModifySnapshotsSharePermission", params, Nothing)
