"""The scripted cloud that the tests of disks and snapshots ask, and the store that asks it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quiesce.adapters.cbs import CbsSnapshots
from quiesce.adapters.rate_limit import RateLimit
from quiesce.adapters.tencent import Cloud
from quiesce.model import Intent
from tests.function.loopback import Authority, LoopbackServer, Received, Reply
from tests.function.settings_for import cloud_settings

A, B = Intent("disk-aaaa1111", "quiesce-p-0123456789-aaaa1111"), Intent("disk-bbbb2222", "quiesce-p-0123456789-b")


@dataclass
class SteppedClock:
    """Moves only when somebody sleeps."""

    now_s: float = 100.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def answer(**fields: object) -> Reply:
    return Reply(json.dumps({"Response": {**fields, "RequestId": "r-1"}}).encode())


def snapshots(server: LoopbackServer, authority: Authority, clock: SteppedClock | None = None) -> CbsSnapshots:
    cloud = Cloud(cloud_settings(server.port, authority.pem))
    return CbsSnapshots(cloud, RateLimit(clock or SteppedClock()))


def paged(everything: Sequence[Mapping[str, object]], key: str, received: Received) -> Reply:
    start, count = received.params["Offset"], received.params["Limit"]
    return answer(TotalCount=len(everything), **{key: everything[start : start + count]})


def cooperative(received: Received) -> Reply:
    """Answer as a cloud in which all is well and no snapshot is being made."""
    if received.action == "DescribeSnapshots":
        return answer(TotalCount=0, SnapshotSet=[])
    if received.action == "DescribeSnapshotOverview":
        return answer(TotalNums=3)
    if received.action == "DescribeDisks":
        listed = received.params.get("DiskIds", ["disk-aaaa1111"])
        return answer(TotalCount=1, DiskSet=[{"DiskId": listed[0]}])
    return answer(SnapshotId="snap-for-" + received.params["DiskId"])
