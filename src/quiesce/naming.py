"""Snapshot names: the only key that CreateSnapshot leaves us, so they are made from the run and the disk alone.

A snapshot is created under its name with ``-pending`` behind it, and renamed once its level is known and tagged: a
pending name in the console means that nobody has vouched for the snapshot.
"""

from __future__ import annotations

import re

import msgspec

MAX_LENGTH = 60
"""CBS refuses longer names (API reference, ModifySnapshotAttribute)."""
PENDING = "-pending"
MAX_PREFIX = 10
"""Leaves room for ``quiesce-``, a run id of 24, the 8 characters of a disk id behind its ``disk-``, and PENDING. Being
no longer than the hash of a run, no prefix can swallow one, so names parse back in exactly one way."""
PREFIX = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{MAX_PREFIX - 2}}}[a-z0-9])?")
RUN_ID = re.compile(r"(?:\d{8}t\d{4}-)?[0-9a-f]{10}")
DISK_ID = re.compile(r"disk-[a-z0-9]{4,12}")
_STEM = "disk-"
_NAME = re.compile(
    rf"quiesce-(?P<prefix>{PREFIX.pattern})-(?P<run>{RUN_ID.pattern})-(?P<disk>[a-z0-9]{{4,12}})(?:{PENDING})?"
)


class SnapshotName(msgspec.Struct, frozen=True):
    """What a snapshot's name says: the policy's prefix, the run that made it, and its disk."""

    prefix: str
    run_id: str
    disk_id: str

    def __str__(self) -> str:
        return f"quiesce-{self.prefix}-{self.run_id}-{self.disk_id.removeprefix(_STEM)}"

    @property
    def fits(self) -> bool:
        """Whether the cloud takes the name and ``parse`` gives its parts back."""
        return len(pending(str(self))) <= MAX_LENGTH and parse(str(self)) == self


class GroupName(msgspec.Struct, frozen=True):
    """Name of the snapshot group that a run makes of one instance's disks; a group cannot be renamed.

    The cloud names the members after it, with ``_0``, ``_1`` and so on behind it (SDK, SnapshotGroupName). Such a name is
    as good as a pending one: its snapshot gets its own when its level is known.
    """

    prefix: str
    run_id: str
    instance_id: str

    def __str__(self) -> str:
        return f"quiesce-{self.prefix}-{self.run_id}-{self.instance_id.removeprefix('ins-')}"


def pending(name: str) -> str:
    """Return the name that a snapshot has until its level is known."""
    return name + PENDING


def parse(text: str) -> SnapshotName | None:
    """Take a name apart, pending or not; None when Quiesce did not make it."""
    match = _NAME.fullmatch(text)
    return SnapshotName(match["prefix"], match["run"], _STEM + match["disk"]) if match else None
