"""Snapshot names: the only key that CreateSnapshot leaves us, so they are made from the run and the disk alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LENGTH = 60
"""CBS refuses longer names (API reference, ModifySnapshotAttribute)."""
MAX_PREFIX = 12
"""Leaves room for ``quiesce-``, a run id of 24 and a disk id of 13. Being shorter than the 13 characters of a run's
time of day, no prefix can swallow one, so names parse back in exactly one way."""
PREFIX = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{MAX_PREFIX - 2}}}[a-z0-9])?")
RUN_ID = re.compile(r"(?:\d{8}t\d{4}-)?[0-9a-f]{10}")
DISK_ID = re.compile(r"disk-[a-z0-9]{4,12}")
_NAME = re.compile(rf"quiesce-(?P<prefix>{PREFIX.pattern})-(?P<run>{RUN_ID.pattern})-(?P<disk>{DISK_ID.pattern})")


@dataclass(frozen=True)
class SnapshotName:
    """What a snapshot's name says: the policy's prefix, the run that made it, and its disk."""

    prefix: str
    run_id: str
    disk_id: str

    def __str__(self) -> str:
        return f"quiesce-{self.prefix}-{self.run_id}-{self.disk_id}"

    @property
    def fits(self) -> bool:
        """Whether the cloud takes the name and ``parse`` gives its parts back."""
        return len(str(self)) <= MAX_LENGTH and parse(str(self)) == self


def parse(text: str) -> SnapshotName | None:
    """Take a name apart; None when Quiesce did not make it."""
    match = _NAME.fullmatch(text)
    return SnapshotName(match["prefix"], match["run"], match["disk"]) if match else None
