"""Deleting what was made of a set that could not be made whole, by the operator's choice and after the release.

A snapshot can be deleted only once it is complete (API reference, DeleteSnapshots), which may take longer than this
function lives. So each is first made to expire: what cannot be deleted in time, the cloud deletes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quiesce.adapters.tencent import Api, Cloud, Nothing
from quiesce.errors import CloudError
from quiesce.ports import Clock

AGAIN_S = 1.0
GONE = frozenset({"InvalidSnapshotId.NotFound", "ResourceNotFound.NotFound"})
"""What a delete of something that is deleted already is answered with, also when only the first answer was lost."""


def discard(
    cloud: Cloud, clock: Clock, leftovers: Sequence[str], snapshots: Sequence[str], *, expires_at: str, limit_s: float
) -> Mapping[str, str]:
    """Delete ``leftovers``: these snapshots, or the group that has them; says of each what became of it.

    One id a call, because a batch with one bad id deletes nothing (SDK). Raises nothing that the cloud may raise.
    """
    api, ends_s = cloud.api("cbs", "2017-03-12"), clock.monotonic() + limit_s
    expiring = {snapshot_id: _expire(api, snapshot_id, expires_at) for snapshot_id in snapshots}
    left = {name: delete(api, name, single=name in expiring) for name in leftovers}
    while any(left.values()) and clock.monotonic() + AGAIN_S < ends_s:
        clock.sleep(AGAIN_S)
        left.update({name: delete(api, name, single=name in expiring) for name, why in left.items() if why})
    kept = "; ".join(f"{snapshot_id} {fate}" for snapshot_id, fate in expiring.items())
    return {name: f"{expiring.get(name, kept)}; not deleted: {why}" if why else "deleted" for name, why in left.items()}


def _expire(api: Api, snapshot_id: str, expires_at: str) -> str:
    params = {"SnapshotId": snapshot_id, "IsPermanent": False, "Deadline": expires_at}
    try:
        api.read("ModifySnapshotAttribute", params, Nothing)
    except CloudError as error:
        return f"cannot be made to expire: {error}"
    return f"expires at {expires_at}"


def delete(api: Api, name: str, *, single: bool) -> str:
    """Try once, one id a call: a batch with one bad id deletes nothing (SDK). Returns why it did not work, or nothing."""
    try:
        if single:
            api.once("DeleteSnapshots", {"SnapshotIds": [name]}, Nothing)
        else:
            api.once("DeleteSnapshotGroup", {"SnapshotGroupId": name}, Nothing)
    except CloudError as error:
        return "" if error.code in GONE else str(error)
    return ""
