"""A world small enough to see through: one instance with its hook, the snapshots of one region, one clock.

It refuses what could never be (a second lease while one is held, a snapshot of a disk nobody has) with an
AssertionError, and it knows what the procedure cannot: whether the instance really stood still when a disk was cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from quiesce.errors import CloudError, UnavailableError
from quiesce.model import HoldUntil, Intent, Level, Limits, OnQuiesceFailure, Snapshot, TargetPlan
from quiesce.naming import pending
from quiesce.ports import World
from tests.function.fake_instance import FakeClock, FakeInstance, Faults

LIMITS = Limits(acquire_limit_s=2.0, hold_limit_s=10.0)


def plan_for(
    *disks: str,
    level: Level = Level.APPLICATION,
    on_quiesce_failure: OnQuiesceFailure = OnQuiesceFailure.FAIL,
    hold_until: HoldUntil = HoldUntil.ACCEPTED,
    run_id: str = "run-1",
    group: str | None = None,
    expires_at: str | None = None,
) -> TargetPlan:
    return TargetPlan(
        run_id=run_id,
        policy="nightly",
        instance_id="ins-1",
        address="10.0.0.7",
        intents=tuple(
            Intent(disk, f"quiesce-nightly-{run_id}-{disk}", expires_at, group and f"quiesce-{group}-{run_id}-ins")
            for disk in disks or ("disk-a",)
        ),
        level=level,
        on_quiesce_failure=on_quiesce_failure,
        limits=LIMITS,
        hold_until=hold_until,
    )


@dataclass(frozen=True)
class Cut:
    """One snapshot as the cloud has it, with the truth about the instant of its cut."""

    snapshot: Snapshot
    epoch: int | None
    """Which unbroken hold of the instance the cut fell into; None when the instance was writing."""


@dataclass
class FakeCloud:
    """The snapshots of one region. Names are not unique there, as in CBS."""

    instance: FakeInstance
    clock: FakeClock
    faults: Faults
    cuts: list[Cut] = field(default_factory=list)
    latency_s: float = 0.3
    prepared: set[str] = field(default_factory=set)
    admitted: set[str] = field(default_factory=set)
    state: str = "NORMAL"
    group_of: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Snapshot id to the id and the name of the group that it is a member of."""
    expiries: dict[str, str] = field(default_factory=dict)
    looks_while_held: int = 0
    hidden_looks: int = 0
    """How many more look-ups do not list anything yet."""
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def find(self, intents: Sequence[Intent]) -> Mapping[str, Snapshot]:
        if self.faults.strikes("find", "before"):
            raise CloudError("find", code="InternalError", ambiguous=False)
        self.looks_while_held += self.instance.owes_a_release
        if self.hidden_looks:
            self.hidden_looks -= 1
            return {}
        found = {i.disk_id: self._found(i, cut.snapshot) for i in intents for cut in self.cuts if self._is(i, cut.snapshot)}
        if self.faults.strikes("find", "member missing"):
            found.pop(intents[-1].disk_id, None)
        return found

    def _is(self, intent: Intent, snapshot: Snapshot) -> bool:
        _, group = self.group_of.get(snapshot.snapshot_id, ("", None))
        by_name = snapshot.name in (intent.name, pending(intent.name))
        return by_name or (group is not None and (group, intent.disk_id) == (intent.group, snapshot.disk_id))

    def _found(self, intent: Intent, snapshot: Snapshot) -> Snapshot:
        named = snapshot.name in (intent.name, pending(intent.name))
        return snapshot if named else msgspec.structs.replace(snapshot, group_id=self.group_of[snapshot.snapshot_id][0])

    def connect(self, intents: Sequence[Intent]) -> None:
        assert not self.instance.owes_a_release, "something slow is done inside the hold"
        if self.faults.strikes("connect", "before"):
            raise CloudError("connect", code="ClientNetworkError", ambiguous=False)
        self.prepared |= {intent.disk_id for intent in intents}

    def admit(self, intents: Sequence[Intent]) -> None:
        held = self.instance.held and self.instance.owes_a_release  # one whose release was lost ends by itself
        assert not held, "the rate limit is waited for inside the hold"
        self.admitted |= {intent.disk_id for intent in intents}

    def create(self, *intents: Intent, timeout_s: float) -> str:
        return self._create_group(intents, timeout_s) if len(intents) > 1 else self._create(intents[0], timeout_s)

    def _create_group(self, intents: Sequence[Intent], timeout_s: float) -> str:
        """Cut one disk after the other; the members have the group's name with a number until they get their own."""
        if self.faults.strikes("create group", "unavailable"):
            raise UnavailableError("no groups here", code="UnsupportedOperation")
        if self.faults.strikes("create group", "before"):
            raise CloudError("refused", code="InsufficientSnapshotQuota", ambiguous=False)
        if self.faults.strikes("create group", "never_arrived"):
            raise CloudError("lost", code="ClientNetworkError", ambiguous=True)
        group_id = f"snapg-{next(self.ids)}"
        for number, intent in enumerate(intents):
            snapshot_id = self._create(intent, timeout_s)
            self.group_of[snapshot_id] = (group_id, intent.group or "")
            self._change([snapshot_id], partial(msgspec.structs.replace, name=f"{intent.group}_{number}"))
        if self.faults.strikes("create group", "after"):
            raise CloudError("lost", code="ClientNetworkError", ambiguous=True)
        return group_id

    def _create(self, intent: Intent, timeout_s: float) -> str:
        assert intent.disk_id in self.instance.disks, "a snapshot of a disk that nobody has"
        assert intent.disk_id in self.prepared, "nothing was prepared for this disk"
        assert intent.disk_id in self.admitted, "a call that the rate limit may refuse"
        assert timeout_s > 0
        step = f"create {intent.disk_id}"
        if self.faults.strikes(step, "before"):
            raise CloudError("refused", code="InvalidDisk.Busy", ambiguous=False)
        if self.faults.strikes(step, "never_arrived"):
            raise CloudError("lost", code="ClientNetworkError", ambiguous=True)
        self.clock.sleep(self.latency_s / 2)
        if self.instance.held and self.faults.strikes(step, "hold_ends"):
            self.instance.let_go("the daemon was killed")
        epoch = self.instance.epoch if self.instance.held else None
        snapshot = Snapshot(f"snap-{next(self.ids)}", pending(intent.name), intent.disk_id, self.state, 100)
        self.cuts.append(Cut(snapshot, epoch))
        self.clock.sleep(self.latency_s / 2)
        if self.faults.strikes(step, "after"):
            raise CloudError("lost", code="ClientNetworkError", ambiguous=True)
        return snapshot.snapshot_id

    def label(self, names: Mapping[str, str], tags: Mapping[str, str], *, expires_at: str | None = None) -> None:
        assert not self.instance.owes_a_release, "something slow is done inside the hold"
        if self.faults.strikes("label", "before"):
            raise CloudError("label", code="InternalError", ambiguous=False)
        self.expiries |= dict.fromkeys(names, expires_at) if expires_at else {}
        self._change(names, lambda snapshot: msgspec.structs.replace(snapshot, tags={**snapshot.tags, **tags}))
        if self.faults.strikes("label", "tagged only"):
            raise CloudError("rename", code="InternalError", ambiguous=False)
        self._change(names, lambda snapshot: msgspec.structs.replace(snapshot, name=names[snapshot.snapshot_id]))
        if self.faults.strikes("label", "after"):
            raise CloudError("lost", code="ClientNetworkError", ambiguous=True)

    def _change(self, ids: Iterable[str], change: Callable[[Snapshot], Snapshot]) -> None:
        for index, cut in enumerate(self.cuts):
            if cut.snapshot.snapshot_id in ids:
                self.cuts[index] = replace(cut, snapshot=change(cut.snapshot))


@dataclass
class FakeWorld:
    """Everything together, with the World that the procedure is given."""

    disks: tuple[str, ...] = ("disk-a",)
    faults: Faults = field(default_factory=Faults)
    clock: FakeClock = field(default_factory=FakeClock)
    leases: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    recorded: Level | None = None
    recorded_level: Callable[[TargetPlan, Mapping[str, Snapshot]], Level | None] | None = None
    """Reads what was recorded; without it, ``recorded`` is what was."""

    def __post_init__(self) -> None:
        self.instance = FakeInstance(self.clock, self.faults, disks=self.disks, written_disks=self.disks)
        self.cloud = FakeCloud(self.instance, self.clock, self.faults)

    @property
    def world(self) -> World:
        return World(
            agent=self.instance,
            snapshots=self.cloud,
            clock=self.clock,
            new_lease_id=lambda: f"lease-{next(self.leases)}",
            recorded_level=self.recorded_level or (lambda plan, found: self.recorded),
            api_timeout_s=5.0,
        )
