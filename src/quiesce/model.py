"""The values that travel between plan, procedure, judge and report."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec


class Level(enum.IntEnum):
    """What a set of snapshots may be called, weakest first (docs/glossary.md)."""

    NONE = 0
    UNKNOWN = 1
    CRASH = 2
    FILESYSTEM = 3
    APPLICATION = 4

    @property
    def word(self) -> str:
        """Name in policies, certificates, tags and logs."""
        return self.name.lower()


class OnQuiesceFailure(enum.Enum):
    """What to do when the hold could not be had."""

    FAIL = "fail"
    """No snapshot is taken, and the run has failed."""
    CRASH_CONSISTENT = "crash_consistent"
    """Snapshots are taken all the same, and reported as weaker."""
    SKIP = "skip"
    """No snapshot is taken, and the run is no failure."""


class OnPartial(enum.Enum):
    """What becomes of the snapshots of a set that could not be made whole."""

    KEEP = "keep"
    """They stay, marked as no set."""
    DELETE = "delete"
    """They expire within a day or so, and are deleted at once where that is possible."""


class HoldUntil(enum.Enum):
    """The moment after which writers may go on.

    When the cut happens inside CBS is not documented, so it is a setting (facts: Tencent Cloud, snapshot concept page).
    """

    ACCEPTED = "accepted"
    """The call returned an id."""
    LISTED = "listed"
    """The API lists every snapshot."""
    COMPLETED = "completed"
    """Every snapshot is complete; for small disks only."""


class Limits(msgspec.Struct, frozen=True):
    """The stall budget of one hold, in seconds."""

    acquire_limit_s: float
    hold_limit_s: float


class Intent(msgspec.Struct, frozen=True):
    """One snapshot that is to exist. Its name is the only key that CreateSnapshot leaves us (no ClientToken)."""

    disk_id: str
    name: str
    expires_at: str | None = None
    """ISO 8601 with offset, UTC; None keeps the snapshot until somebody deletes it."""
    group: str | None = None
    """Name of the group that is to be made of this snapshot and the others of its set; None makes each by itself."""


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot as the cloud lists it."""

    snapshot_id: str
    name: str
    disk_id: str
    state: str
    percent: int
    group_id: str | None = None
    """Set when it was found as a member of the group that its intent names."""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)


class TargetPlan(msgspec.Struct, frozen=True):
    """Everything decided about one instance before anything is touched."""

    run_id: str
    policy: str
    instance_id: str
    address: str
    intents: tuple[Intent, ...]
    level: Level
    on_quiesce_failure: OnQuiesceFailure
    limits: Limits
    hold_until: HoldUntil
    on_partial: OnPartial = OnPartial.KEEP
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def grouped(self) -> bool:
        """Whether the set is to be made by one call."""
        return len(self.intents) > 1 and all(intent.group for intent in self.intents)

    @property
    def disks(self) -> tuple[str, ...]:
        """Ids of the disks in the set, in the order of the plan."""
        return tuple(intent.disk_id for intent in self.intents)
