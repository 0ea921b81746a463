"""Other ways to take the same snapshots, written as their authors publish them, to stand beside Quiesce.

None of them is made worse than it is: each holds its lock in one live session, which several published recipes do not.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pymysql
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


Rival = Callable[[Console, Path, Sequence[str], str], list[str]]
"""Takes the console, the database's socket, the disks and a name; returns the snapshot ids, one a disk."""


def without_quiescing(console: Console, _socket: Path, disks: Sequence[str], name: str) -> list[str]:
    """Call CreateSnapshot and nothing else."""
    return [_create(console.cbs, disk, name) for disk in disks]


def documented_by_hand(console: Console, socket: Path, disks: Sequence[str], name: str) -> list[str]:
    """The procedure that Tencent documents, typed by hand: FTWRL, sync, create the snapshots, UNLOCK TABLES.

    Source: the CBS user guide's page on creating snapshots. The client is connected before the lock, as a person's is.
    """
    cbs = console.cbs
    with _session(socket) as session, session.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        subprocess.run(["sync"], check=True)
        ids = [_create(cbs, disk, name) for disk in disks]
        cursor.execute("UNLOCK TABLES")
    return ids


def common_script(console: Console, socket: Path, disks: Sequence[str], name: str) -> list[str]:
    """What scripts of this kind do: no guard, FTWRL, sync, one disk after the other, each tagged inside the lock.

    Source: the order of calls in ec2-consistent-snapshot, which tags within the lock's window, carried over to CBS.
    """
    cbs, tag = console.cbs, console.tag
    with _session(socket) as session, session.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        subprocess.run(["sync"], check=True)
        ids = []
        for disk in disks:
            ids.append(_create(cbs, disk, name))
            resource = f"qcs::cvm:{console.region}:uin/:snapshot/{ids[-1]}"
            tags = [{"TagKey": "backup", "TagValue": name}]
            tag.call_json("ModifyResourceTags", {"Resource": resource, "ReplaceTags": tags})
        cursor.execute("UNLOCK TABLES")
    return ids


def _session(socket: Path) -> pymysql.Connection[pymysql.cursors.Cursor]:
    return pymysql.connect(unix_socket=str(socket), user="root", autocommit=True)


def _create(cbs: CommonClient, disk: str, name: str) -> str:
    answer = cbs.call_json("CreateSnapshot", {"DiskId": disk, "SnapshotName": name})
    return str(answer["Response"]["SnapshotId"])
