"""What an account owns in one region, and the states that time brings about."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field

from quiesce_lab.cloud.admin_model import AutomationAgent, DeployedFunction, Invocation, Policy, Role
from quiesce_lab.ports import Invokable

SYSTEM_DISK = "SYSTEM_DISK"
DATA_DISK = "DATA_DISK"
NORMAL = "NORMAL"
CREATING = "CREATING"
COPYING = "COPYING_FROM_REMOTE"


@dataclass(frozen=True)
class Account:
    """One access key of an account; ``token`` is set for temporary keys only."""

    secret_id: str
    secret_key: str
    token: str | None
    uin: str


@dataclass
class Instance:
    """A CVM instance."""

    instance_id: str
    private_ip: str
    name: str
    state: str
    zone: str
    uuid: str
    created_s: float
    tags: dict[str, str]


@dataclass
class Disk:
    """A CBS disk. ``stage_state`` is a state set from outside; otherwise attachment and time decide."""

    disk_id: str
    size_gib: int
    usage: str
    zone: str
    created_s: float
    name: str = "Unnamed"
    disk_type: str = "CLOUD_HSSD"
    charge_type: str = "POSTPAID_BY_HOUR"
    instance_id: str | None = None
    last_instance_id: str | None = None
    snapshot_ability: bool = True
    shareable: bool = False
    encrypt: bool = False
    delete_snapshot: int = 0
    delete_with_instance: bool = False
    stage_state: str | None = None
    listed_at_s: float = 0.0
    attached_at_s: float = 0.0
    snapshot_underway: bool = False
    """A CreateSnapshot of this disk has been accepted and has not yet cloned it."""
    tags: dict[str, str] = field(default_factory=dict)

    def state(self, now_s: float) -> str:
        """State of the disk at ``now_s`` (DiskState of the SDK's Disk model)."""
        if self.stage_state is not None:
            return self.stage_state
        if self.instance_id is None:
            return "UNATTACHED"
        return "ATTACHED" if now_s >= self.attached_at_s else "ATTACHING"


@dataclass
class Snapshot:
    """A CBS snapshot. There is no FAILED state: a failed one is stuck, or vanishes (SDK, Snapshot.SnapshotState)."""

    snapshot_id: str
    disk_id: str
    size_gib: int
    usage: str
    zone: str
    encrypt: bool
    name: str
    cut_s: float
    listed_at_s: float
    takes_s: float
    deadline_s: float | None = None
    stuck_percent: int | None = None
    vanishes_at_s: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    shared_with: list[str] = field(default_factory=list)
    copying_to: list[str] = field(default_factory=list)
    """What keeps it from being deleted: images made of it, accounts, and regions that a copy is under way to."""
    copies_end_s: dict[str, float] = field(default_factory=dict)
    """Regions that it has been copied to, and when each copy was or will be complete."""
    copied: bool = False
    """Whether it is itself a copy of a snapshot of another region."""

    def state(self, now_s: float) -> str:
        """CREATING until its time is over, then NORMAL; a copy is COPYING_FROM_REMOTE (SDK, SnapshotState)."""
        return NORMAL if self.percent(now_s) == 100 else COPYING if self.copied else CREATING

    def copying(self, now_s: float) -> list[str]:
        """Regions that a copy is under way to."""
        return [*self.copying_to, *(region for region, end_s in self.copies_end_s.items() if now_s < end_s)]

    def percent(self, now_s: float) -> int:
        """Progress; 100 only when NORMAL."""
        elapsed_s = now_s - self.cut_s
        reached = min(99, int(100 * elapsed_s / self.takes_s)) if elapsed_s < self.takes_s else 100
        return reached if self.stuck_percent is None else min(reached, self.stuck_percent)

    def gone(self, now_s: float) -> bool:
        """Tell whether its deadline has passed, or whether it is one that vanishes and has."""
        return any(end_s is not None and now_s >= end_s for end_s in (self.deadline_s, self.vanishes_at_s))


@dataclass
class SnapshotGroup:
    """A group of snapshots of one instance's disks. ``members`` are all that were made, also those gone since."""

    group_id: str
    name: str
    members: list[str]
    created_s: float
    listed_at_s: float
    tags: dict[str, str]


@dataclass(frozen=True)
class LogLine:
    """One line of a CLS topic; ``content`` holds its keys and values, tags included."""

    time_ms: int
    content: dict[str, str]
    source: str
    filename: str
    package: str
    number: int
    searchable_at_s: float


@dataclass
class Topic:
    """A CLS log topic."""

    topic_id: str
    name: str
    lines: list[LogLine] = field(default_factory=list)


@dataclass
class Estate:
    """Everything that one account owns in one region. Guarded by the world's lock."""

    uin: str
    region: str
    instances: dict[str, Instance] = field(default_factory=dict)
    disks: dict[str, Disk] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    groups: dict[str, SnapshotGroup] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)
    functions: dict[str, Invokable] = field(default_factory=dict)
    deployed: dict[str, DeployedFunction] = field(default_factory=dict)
    """Functions as resources of SCF (scf_admin); ``functions`` are those that can be invoked here."""
    roles: dict[str, Role] = field(default_factory=dict)
    policies: dict[int, Policy] = field(default_factory=dict)
    """Of CAM; those of an account are in its estate of the default region."""
    agents: dict[str, AutomationAgent] = field(default_factory=dict)
    invocations: dict[str, Invocation] = field(default_factory=dict)
    """Of TAT: agents by their instances, and every command that was run."""
    event_buses: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    """Custom event buses by their ids, each with the events that were put on it."""
    client_tokens: dict[str, tuple[dict[str, object], list[str]]] = field(default_factory=dict)
    """CreateDisks calls by ClientToken: the request, and the ids that it got."""
    provisioning: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    """Held through CreateDisks and AttachDisks, which change block devices and must not overlap."""

    def disks_of(self, instance_id: str) -> list[Disk]:
        """Disks attached to an instance, system disk first."""
        attached = [disk for disk in self.disks.values() if disk.instance_id == instance_id]
        return sorted(attached, key=lambda disk: disk.usage != SYSTEM_DISK)

    def members_of(self, group: SnapshotGroup) -> list[Snapshot]:
        """Snapshots of a group that there still are, in the order of the request."""
        return [self.snapshots[snapshot_id] for snapshot_id in group.members if snapshot_id in self.snapshots]

    def drop_gone(self, now_s: float) -> list[str]:
        """Forget snapshots whose time has come, and return their ids."""
        gone = [key for key, snapshot in self.snapshots.items() if snapshot.gone(now_s)]
        for key in gone:
            del self.snapshots[key]
        return gone
