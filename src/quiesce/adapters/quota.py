"""Whether the region takes more snapshots, known before anybody is held: CreateSnapshot would say so inside the hold.

The quota is 64, and 64 more for each cloud disk of the region (CBS, use limits); another page words it as 64 for each
disk, and an account may have been given more: so it can be set.
"""

from __future__ import annotations

import threading

from quiesce.adapters.tencent import Answer, Page, Reads
from quiesce.errors import CloudError

BASE, PER_DISK = 64, 64
UNCHECKED = 0


class _Overview(Answer, frozen=True):
    total_nums: int


class Quota:
    """What is left of it, read once and counted down. Safe from several threads."""

    def __init__(self, reader: Reads, limit: int | None) -> None:
        """``limit``: how many snapshots the region takes; None is what is documented, 0 never checks."""
        self._reader = reader
        self._limit = limit
        self._lock = threading.Lock()
        self._left: float | None = None if limit != UNCHECKED else float("inf")

    def suffices(self, count: int) -> bool:
        """Whether so many more fit, which are not counted."""
        with self._lock:
            if self._left is None:
                self._left = self._read()
            return count <= self._left

    def take(self, count: int) -> None:
        """Count so many more. Raises CloudError when they do not fit."""
        with self._lock:
            if self._left is None:
                self._left = self._read()
            if count > self._left:
                raise CloudError(
                    f"the region takes {self._left:g} more snapshots, and this set has {count}: delete some, have the quota "
                    "raised, or set QUIESCE_SNAPSHOT_QUOTA when it was",
                    code="InsufficientSnapshotQuota",
                    ambiguous=False,
                )
            self._left -= count

    def _read(self) -> float:
        """Look; what cannot be seen stops nobody, because CreateSnapshot itself will say so."""
        try:
            made = self._reader.read("DescribeSnapshotOverview", {}, _Overview).total_nums
            if self._limit is not None:
                return self._limit - made
            disks = self._reader.read("DescribeDisks", {"Limit": 1}, Page).total_count
        except CloudError:
            return float("inf")
        return max(0, BASE + PER_DISK * disks - made)
