"""From a request, its policy and what the cloud lists, to plans: everything decided before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import chain

import msgspec

from quiesce.model import Intent, Limits, TargetPlan
from quiesce.naming import MAX_LENGTH, GroupName, SnapshotName
from quiesce.policies import Policy
from quiesce.request import Request
from quiesce.words import _

EXPIRY_MARGIN = timedelta(hours=1)
"""CBS refuses a Deadline earlier than a day after the call (API reference, CreateSnapshot); the call comes after us."""


def expiry_in(days: int, now: datetime) -> str:
    """Write when something expires that CBS shall keep for this many days, in UTC with offset."""
    expiry = now.astimezone(timezone.utc) + timedelta(days=days) + EXPIRY_MARGIN
    return expiry.isoformat(timespec="seconds")


class Instance(msgspec.Struct, frozen=True):
    """A CVM as the cloud lists it. ``local_*``: kinds of its disks that are not CBS; no snapshot covers those."""

    instance_id: str
    state: str
    address: str
    local_data: tuple[str, ...] = ()
    local_system: str | None = None


class Disk(msgspec.Struct, frozen=True):
    """A CBS disk as the cloud lists it."""

    disk_id: str
    instance_id: str
    state: str
    snapshot_ability: bool
    shareable: bool
    system: bool = False
    migrating: bool = False
    rolling_back: bool = False
    size_gib: int = 0


class Refusal(msgspec.Struct, frozen=True):
    """Why an instance, a disk or a selection cannot be protected as the policy asks."""

    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


def make_plans(
    request: Request, policy: Policy, instances: Iterable[Instance], disks: Iterable[Disk], now: datetime
) -> tuple[tuple[TargetPlan, ...], tuple[Refusal, ...]]:
    """Plan every chosen instance. A target that a refusal names has no plan; the caller decides about the others."""
    chosen = {instance.instance_id: instance for instance in instances}
    attached: dict[str, list[Disk]] = {instance_id: [] for instance_id in chosen}
    for disk in disks:
        if disk.instance_id in chosen:
            attached[disk.instance_id].append(disk)
    refusals = list(_unmet(policy, chosen.keys(), chain.from_iterable(attached.values())))
    plans = []
    for instance in _in_order(policy, chosen):
        own = _selected(policy, attached[instance.instance_id])
        names = {disk.disk_id: _name(request, policy, disk.disk_id) for disk in own}
        against = [*_against(policy, instance, own), *_misnamed(names.values())]
        if against:
            refusals += against
        else:
            plans.append(_plan(request, policy, instance.instance_id, instance.address, names, now))
    return tuple(plans), tuple(refusals)


def plan_assigned(
    request: Request, policy: Policy, instance_id: str, address: str, disks: Iterable[str], now: datetime
) -> TargetPlan:
    """Plan one instance as another invocation of this run has found it."""
    names = {disk_id: _name(request, policy, disk_id) for disk_id in disks}
    return _plan(request, policy, instance_id, address, names, now)


def _in_order(policy: Policy, chosen: dict[str, Instance]) -> list[Instance]:
    """A group is held in the order in which the policy names its members."""
    listed = {instance_id: place for place, instance_id in enumerate(policy.targets.instances)}
    place_of = listed if policy.consistency_group else {}
    return sorted(chosen.values(), key=lambda one: (place_of.get(one.instance_id, 0), one.instance_id))


def chosen_disks(policy: Policy, disks: Iterable[Disk]) -> frozenset[str]:
    """Ids of those disks that a policy selects."""
    return frozenset(disk.disk_id for disk in _selected(policy, disks))


def _unmet(policy: Policy, found: Iterable[str], attached: Iterable[Disk]) -> Iterator[Refusal]:
    """What the policy names and the cloud does not list."""
    targets, present = policy.targets, set(found)
    for instance_id in targets.instances:
        if instance_id not in present:
            yield Refusal(instance_id, _("there is no such instance in this region"))
    if not present and targets.tag is not None:
        yield Refusal(
            f"tag {targets.tag.key}", _("no instance carries it with {values}", values=" or ".join(targets.tag.values))
        )
    if not isinstance(targets.disks, str):
        known = {disk.disk_id for disk in attached}
        for disk_id in targets.disks:
            if disk_id not in known:
                yield Refusal(disk_id, _("not a CBS disk attached to any of the policy's instances"))


def _selected(policy: Policy, disks: Iterable[Disk]) -> list[Disk]:
    wanted = policy.targets.disks
    if isinstance(wanted, str):
        chosen = (disk for disk in disks if wanted == "all" or not disk.system)
    else:
        chosen = (disk for disk in disks if disk.disk_id in wanted)
    return sorted(chosen, key=lambda disk: disk.disk_id)


def _against(policy: Policy, instance: Instance, disks: list[Disk]) -> Iterator[Refusal]:
    if instance.state != "RUNNING":
        yield Refusal(instance.instance_id, _("is {state}, not RUNNING, so no hook answers there", state=instance.state))
    elif not instance.address:
        yield Refusal(instance.instance_id, _("has no private address at which its hook could answer"))
    if not disks:
        yield Refusal(instance.instance_id, _("has no CBS disk that the policy selects"))
    local = _local(policy, instance)
    if local:
        kinds = ", ".join(local)
        yield Refusal(
            instance.instance_id, _("has disks that are not CBS ({kinds}); list the others in targets.disks", kinds=kinds)
        )
    for disk in disks:
        reason = _unfit(disk)
        if reason:
            yield Refusal(f"{instance.instance_id} {disk.disk_id}", reason)


def _local(policy: Policy, instance: Instance) -> tuple[str, ...]:
    """Kinds of the local disks that the policy selects; by name it can select none."""
    if not isinstance(policy.targets.disks, str):
        return ()
    system = instance.local_system if policy.targets.disks == "all" else None
    return instance.local_data + ((system,) if system else ())


def _unfit(disk: Disk) -> str:
    """Why CreateSnapshot would fail (API reference: SnapshotAbility, ShareDiskNotSupportSnap, ResourceInUse codes)."""
    if disk.state != "ATTACHED":
        return _("is {state}, not ATTACHED; run again when it is", state=disk.state)
    if not disk.snapshot_ability:
        return _("has no SnapshotAbility")
    if disk.shareable:
        return _("is a shared disk, which cannot be snapshotted")
    if disk.migrating:
        return _("is changing its type; run again when that is over")
    return _("is rolling back; run again when that is over") if disk.rolling_back else ""


def _misnamed(names: Iterable[SnapshotName]) -> Iterator[Refusal]:
    for name in names:
        if not name.fits:
            yield Refusal(
                name.disk_id,
                _(
                    "{name} is no snapshot name of {most} characters; shorten name_prefix",
                    name=name,
                    most=MAX_LENGTH,
                ),
            )


def _name(request: Request, policy: Policy, disk_id: str) -> SnapshotName:
    return SnapshotName(_prefix(request, policy), request.run_id, disk_id)


def _group(request: Request, policy: Policy, instance_id: str) -> str | None:
    name = GroupName(_prefix(request, policy), request.run_id, instance_id)
    return str(name) if policy.snapshot_group else None


def _prefix(request: Request, policy: Policy) -> str:
    return policy.name_prefix or request.policy


def _plan(
    request: Request, policy: Policy, instance_id: str, address: str, names: dict[str, SnapshotName], now: datetime
) -> TargetPlan:
    days = policy.expire_after_days
    expires_at = None if days is None else expiry_in(days, now)
    group = _group(request, policy, instance_id)
    return TargetPlan(
        run_id=request.run_id,
        policy=request.policy,
        instance_id=instance_id,
        address=address,
        intents=tuple(Intent(disk_id, str(name), expires_at, group) for disk_id, name in names.items()),
        level=policy.asked,
        on_quiesce_failure=policy.on_quiesce_failure,
        limits=Limits(policy.acquire_limit_s, policy.hold_limit_s),
        hold_until=policy.hold_until,
        on_partial=policy.on_partial,
        tags=dict(policy.tags),
    )
