"""What one target of a run leaves for the next: open connections, and what a look at the disks has shown.

Both save calls of APIs that the whole account shares, 20 a second (API reference); a fleet would wait for them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TypeVar

from quiesce.adapters.quota import Quota
from quiesce.adapters.tencent import Api, Cloud
from quiesce.ports import Clock

T = TypeVar("T")

CONNECTION_FRESH_S = 8.0
"""How long after its last use a connection is believed to be open. How long the cloud keeps one idle is not documented."""
SIGHT_FRESH_S = 20.0
"""How long it is believed that nobody snapshots a disk, after a look at its snapshots."""


class Pool:
    """Clients of one service, taken for a call each. Safe from several threads."""

    def __init__(self, cloud: Cloud, service: str, version: str, clock: Clock, idle: Connections | None = None) -> None:
        """``idle``: where its connections are when nobody uses them; a place of its own unless given."""
        self._cloud = cloud
        self._service = service
        self._version = version
        self._idle = idle or Connections(clock)

    def read(self, action: str, params: Mapping[str, object], answer: type[T]) -> T:
        """See Reads."""
        api = self._idle.take() or self._cloud.api(self._service, self._version)
        found = api.read(action, params, answer)
        self._idle.give(api)
        return found


class Connections:
    """Open connections that nobody uses. Safe from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Api]] = []

    def take(self) -> Api | None:
        """Return the one that was used last, or None when none is fresh."""
        with self._lock:
            if not self._idle:
                return None
            used_s, api = self._idle.pop()
            if self._clock.monotonic() - used_s < CONNECTION_FRESH_S:
                return api
            self._idle.clear()
            return None

    def give(self, api: Api) -> None:
        """Leave one behind that has just been used."""
        with self._lock:
            self._idle.append((self._clock.monotonic(), api))


class Sightings:
    """Which disks were seen to be snapshotted by anybody, and when that was looked at. Safe from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, str]] = {}

    def note(self, disk_id: str, underway: str) -> None:
        """Note a look at one disk; ``underway`` is what was seen in words, or nothing."""
        with self._lock:
            self._seen[disk_id] = (self._clock.monotonic(), underway)

    def of(self, disk_id: str) -> str | None:
        """Say what was seen lately; None when nobody has looked."""
        with self._lock:
            seen_s, underway = self._seen.get(disk_id, (0.0, ""))
            lately = disk_id in self._seen and self._clock.monotonic() - seen_s < SIGHT_FRESH_S
            return underway if lately else None


class Shared:
    """Everything that the targets of a run share in one region."""

    def __init__(self, cloud: Cloud, clock: Clock, snapshot_quota: int | None = None, *, frugal: bool = False) -> None:
        """``snapshot_quota``: see Quota. ``frugal``: create on what a look has just used, too, without a call to open it."""
        self.connections = Connections(clock)
        """For creating: one for each call, opened beforehand."""
        self.sightings = Sightings(clock)
        self.cbs = Pool(cloud, "cbs", "2017-03-12", clock, self.connections if frugal else None)
        self.tag = Pool(cloud, "tag", "2018-08-13", clock)
        self.quota = Quota(self.cbs, snapshot_quota)
