"""A world small enough to see through: one instance with its hook, the snapshots of one region, one clock.

It refuses what could never be (a second lease while one is held, a snapshot of a disk nobody has) with an
AssertionError, and it knows what the procedure cannot: whether the instance really stood still when a disk was cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from quiesce.errors import CloudError
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
) -> TargetPlan:
    return TargetPlan(
        run_id=run_id,
        policy="nightly",
        instance_id="ins-1",
        address="10.0.0.7",
        intents=tuple(Intent(disk, f"quiesce-nightly-{run_id}-{disk}") for disk in disks or ("disk-a",)),
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
    state: str = "NORMAL"
    hidden_looks: int = 0
    """How many more look-ups do not list anything yet."""
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def find(self, intents: Sequence[Intent]) -> Mapping[str, Snapshot]:
        if self.faults.strikes("find", "before"):
            raise CloudError("find", code="InternalError", ambiguous=False)
        if self.hidden_looks:
            self.hidden_looks -= 1
            return {}
        names = {i.disk_id: (i.name, pending(i.name)) for i in intents}
        return {d: cut.snapshot for d, known in names.items() for cut in self.cuts if cut.snapshot.name in known}

    def prepare(self, intents: Sequence[Intent]) -> None:
        assert not self.instance.owes_a_release, "something slow is done inside the hold"
        if self.faults.strikes("prepare", "before"):
            raise CloudError("prepare", code="ClientNetworkError", ambiguous=False)
        self.prepared |= {intent.disk_id for intent in intents}

    def create(self, intent: Intent, *, timeout_s: float) -> str:
        assert intent.disk_id in self.instance.disks, "a snapshot of a disk that nobody has"
        assert intent.disk_id in self.prepared, "nothing was prepared for this disk"
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

    def label(self, names: Mapping[str, str], tags: Mapping[str, str]) -> None:
        assert not self.instance.owes_a_release, "something slow is done inside the hold"
        if self.faults.strikes("label", "before"):
            raise CloudError("label", code="InternalError", ambiguous=False)
        self._change(names, lambda snapshot: replace(snapshot, tags={**snapshot.tags, **tags}))
        if self.faults.strikes("label", "tagged only"):
            raise CloudError("rename", code="InternalError", ambiguous=False)
        self._change(names, lambda snapshot: replace(snapshot, name=names[snapshot.snapshot_id]))
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
