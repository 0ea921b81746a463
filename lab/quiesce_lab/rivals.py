"""Other ways to take the same snapshots, written as their authors publish them, to stand beside Quiesce.

None of them is made worse than it is: each holds its lock in one live session, which several published recipes do not.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile


@dataclass(frozen=True)
class Console:
    """An operator's access to the lab's cloud: one SDK client, as its documentation shows it."""

    endpoint: str
    ca: Path
    secret_id: str
    secret_key: str
    region: str

    @property
    def profile(self) -> ClientProfile:
        """The SDK's own defaults, but for where the cloud is."""
        return ClientProfile(httpProfile=HttpProfile(endpoint=self.endpoint, certification=str(self.ca)))

    @property
    def cbs(self) -> CommonClient:
        """A client for disks and snapshots."""
        return self._client("cbs", "2017-03-12")

    @property
    def tag(self) -> CommonClient:
        """A client for tags."""
        return self._client("tag", "2018-08-13")

    def _client(self, service: str, version: str) -> CommonClient:
        credential = Credential(self.secret_id, self.secret_key)
        return CommonClient(service, version, credential, self.region, self.profile)


Hold = Callable[[], AbstractContextManager[None]]
"""Holds the applications as their manuals have people do it by hand."""
Rival = Callable[[Console, Hold, Sequence[str], str], list[str]]
"""Takes the console, the hold by hand, the disks and a name; returns the snapshot ids, one a disk."""


def without_quiescing(console: Console, _hold: Hold, disks: Sequence[str], name: str) -> list[str]:
    """Call CreateSnapshot and nothing else."""
    return [_create(console.cbs, disk, name) for disk in disks]


def documented_by_hand(console: Console, hold: Hold, disks: Sequence[str], name: str) -> list[str]:
    """The procedure that Tencent documents, typed by hand: the application's own hold, sync, create the snapshots, let go.

    Source: the CBS user guide's page on creating snapshots, which has FLUSH TABLES WITH READ LOCK for MySQL.
    """
    cbs = console.cbs
    with hold():
        subprocess.run(["sync"], check=True)
        return [_create(cbs, disk, name) for disk in disks]


def common_script(console: Console, hold: Hold, disks: Sequence[str], name: str) -> list[str]:
    """What scripts of this kind do: no guard, the lock, sync, one disk after the other, each tagged inside the lock.

    Source: the order of calls in ec2-consistent-snapshot, which tags within the lock's window, carried over to CBS.
    """
    cbs, tag = console.cbs, console.tag
    with hold():
        subprocess.run(["sync"], check=True)
        ids = []
        for disk in disks:
            ids.append(_create(cbs, disk, name))
            resource = f"qcs::cvm:{console.region}:uin/:snapshot/{ids[-1]}"
            tags = [{"TagKey": "backup", "TagValue": name}]
            tag.call_json("ModifyResourceTags", {"Resource": resource, "ReplaceTags": tags})
    return ids


def _create(cbs: CommonClient, disk: str, name: str) -> str:
    answer = cbs.call_json("CreateSnapshot", {"DiskId": disk, "SnapshotName": name})
    return str(answer["Response"]["SnapshotId"])
