"""What a set of snapshots may be called.

The level starts at the bottom and climbs one rung at a time, each only when nothing speaks against it. It is never
computed backwards from the errors that were seen: a fact that is missing is an objection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from quiesce import facts, holds
from quiesce.model import HoldUntil, Level, TargetPlan
from quiesce.story import Story


class Verdict(msgspec.Struct, frozen=True):
    """A level, the snapshots it is about (disk id to snapshot id), and why it is not higher."""

    level: Level
    snapshots: dict[str, str]
    reasons: tuple[str, ...]
    release_confirmed: bool
    """False when a hold was asked for and nobody confirmed that it has ended."""


def judge(plan: TargetPlan, noted: Sequence[facts.Fact]) -> Verdict:
    """Climb as high as the facts carry."""
    story = Story(noted)
    level, reasons = _recorded(plan, story) or _climb(plan, story)
    refusals = tuple(f"{refusal.code}: {refusal.message}" for refusal in story.refusals)
    troubles = tuple(f"{trouble.where}: {trouble.reason}" for trouble in story.all(facts.Trouble))
    return Verdict(level, story.snapshots, (*reasons, *refusals, *troubles), story.release_confirmed)


def _climb(plan: TargetPlan, story: Story) -> tuple[Level, tuple[str, ...]]:
    level = Level.NONE
    for rung, objections in _RUNGS:
        against = tuple(objections(plan, story))
        if against:
            return level, against
        level = rung
    return level, ()


def _recorded(plan: TargetPlan, story: Story) -> tuple[Level, tuple[str, ...]] | None:
    """Repeat what an earlier delivery of this run recorded and signed about the very same set."""
    levels = {fact.disk_id: fact.recorded for fact in story.all(facts.Adopted)}
    recorded = set(levels.values())
    if set(levels) != set(plan.disks) or len(recorded) != 1:
        return None
    level = recorded.pop()
    return None if level is None else (level, ("recorded by an earlier delivery of this run",))


def _against_unknown(plan: TargetPlan, story: Story) -> Iterator[str]:
    """Speak against anything at all: a set without one of its snapshots is no set."""
    groups = story.all(facts.GroupAccepted)
    why = {disk_id: f": it was not found among the members of {g.group_id}" for g in groups for disk_id in g.disk_ids}
    why |= {fact.disk_id: f": {fact.code}, {fact.message}" for fact in story.all(facts.NotAccepted)}
    for disk_id in plan.disks:
        if disk_id not in story.snapshots:
            yield f"no snapshot of {disk_id} is known to exist{why.get(disk_id, '')}"


def _against_crash(plan: TargetPlan, story: Story) -> Iterator[str]:
    """One disk is cut at one instant; several are only when nothing wrote to any of them in between."""
    if len(plan.disks) > 1:
        yield from _against_filesystem(plan, story)


def _against_filesystem(plan: TargetPlan, story: Story) -> Iterator[str]:
    """Every cut lies inside one hold without a gap, with every filesystem seen frozen at both ends.

    Without a freeze one disk is still cut at one moment: then everything depends on applications that hold, and on the
    hook's word that nobody else writes.
    """
    yield from _against_window(plan, story)
    if story.witnesses is None:
        yield "the hold was not witnessed at both ends"
    elif any(witness.freeze == "none" for witness in story.witnesses):
        yield from _against_no_freeze(plan, story, story.witnesses)
    else:
        yield from _against_freeze(plan, story, story.witnesses)


Witnesses = tuple[holds.Witness, holds.Witness]


def _against_no_freeze(plan: TargetPlan, story: Story, witnesses: Witnesses) -> Iterator[str]:
    if len(plan.disks) > 1:
        yield "several disks were cut without a freeze, so not at one moment"
    for seen in (application for witness in witnesses for application in witness.applications):
        if seen.held_by != "lock":
            yield f"{seen.name} needs the freeze, and there was none"
    yield from _against_application(plan, story)


def _against_freeze(plan: TargetPlan, story: Story, witnesses: Witnesses) -> Iterator[str]:
    for disk_id in plan.disks:
        seen = [{f.mount_point for f in w.filesystems if f.disk_id == disk_id and f.frozen} for w in witnesses]
        mounted = _mounted(story, disk_id)
        if not mounted:
            yield f"{disk_id} has no mounted filesystem that could be frozen"
        elif seen != [mounted, mounted]:
            yield f"not every filesystem of {disk_id} was seen frozen at both ends of the hold"


def _mounted(story: Story, disk_id: str) -> set[str]:
    """Where the disk is mounted, by all that the hook said before and while holding."""
    checked = story.checked.filesystems if story.checked else ()
    witnessed = story.witnesses[0].filesystems if story.witnesses else ()
    before = {filesystem.mount_point for filesystem in checked if filesystem.disk_id == disk_id}
    return before | {filesystem.mount_point for filesystem in witnessed if filesystem.disk_id == disk_id}


def _against_window(plan: TargetPlan, story: Story) -> Iterator[str]:
    """The order of events here is the proof: held, then sent; accepted, then released. No clocks are compared."""
    if story.held is None:
        yield "there was no hold"
        return
    if story.accepted_disks != set(plan.disks):
        yield "not every CreateSnapshot returned its id inside the hold"
    elif story.first_index(facts.CreateSent) < story.last_index(facts.QuiesceAnswered):
        yield "a CreateSnapshot was sent before the hold was confirmed"
    elif story.last_acceptance > story.first_index(facts.ReleaseAsked):
        yield "a CreateSnapshot was accepted after the release was asked for"
    if plan.hold_until is not HoldUntil.ACCEPTED and not any(fact.seen for fact in story.all(facts.WaitedUntil)):
        yield f"the hold ended before the snapshots were {plan.hold_until.value}"
    yield from _against_release(story.held, story)


def _against_release(held: holds.QuiesceAnswer, story: Story) -> Iterator[str]:
    """The hook itself says that it held from its first answer to the release, under the lease we made."""
    released = story.released
    if released is None:
        yield "the hook did not confirm that it held until the release"
    elif not held.lease_id == released.lease_id == story.lease_id:
        yield "the hook answered for another lease"
    elif released.state != "released" or not released.held_without_gap:
        yield f"the hold had a gap: {released.reason or released.state}"


def _against_application(plan: TargetPlan, story: Story) -> Iterator[str]:
    """Every application that the hook knows was seen to hold still, and writes to disks of this set only."""
    if story.checked is None or story.witnesses is None or not story.checked.applications:
        yield "no application is configured at the hook, so none is known to have held still"
        return
    for application in story.checked.applications:
        yield from outside_of(plan, application)
        first, second = ([a for a in w.applications if a.name == application.name] for w in story.witnesses)
        if not application.paths:
            yield f"{application.name} did not say where it writes"
        elif len(first) != 1 or len(second) != 1:
            yield f"{application.name} was not witnessed at both ends of the hold"
        else:
            yield from _against_witnesses(first[0], second[0])


def outside_of(plan: TargetPlan, application: holds.Application) -> Iterator[str]:
    """Name every path that a restore needs and that no disk of the set has."""
    for path in application.paths:
        if path.disk_id not in plan.disks and not path.scratch:
            yield f"{application.name} writes {path.path} ({path.role}), which is not on a disk of this set"


def _against_witnesses(first: holds.ApplicationWitness, second: holds.ApplicationWitness) -> Iterator[str]:
    """The same session, alive, its lock shown by the server, at a position that stood still, all of it on disk."""
    yield from _against_moment("began", first)
    yield from _against_moment("ended", second)
    if first.held_by != second.held_by or first.mode != second.mode:
        yield f"{first.name}: it was held in another way at the end than at the beginning"
    if not first.session or first.session != second.session:
        yield f"{first.name}: the lock's session changed during the hold"
    if not first.position or first.position != second.position:
        yield f"{first.name}: the position was not seen to stand still during the hold"


def _against_moment(moment: str, witness: holds.ApplicationWitness) -> Iterator[str]:
    if witness.held_by == "word":
        yield f"{witness.name}: it said that it held still when the hold {moment}, and showed nothing"
        return
    if not witness.session_alive:
        yield f"{witness.name}: the lock's session was not alive when the hold {moment}"
    if not witness.lock_shown:
        yield f"{witness.name}: the server did not show the lock when the hold {moment} ({witness.lock_evidence})"
    if not witness.durable:
        yield f"{witness.name}: not all was on disk when the hold {moment} ({witness.durable_evidence})"


_RUNGS: tuple[tuple[Level, Callable[[TargetPlan, Story], Iterator[str]]], ...] = (
    (Level.UNKNOWN, _against_unknown),
    (Level.CRASH, _against_crash),
    (Level.FILESYSTEM, _against_filesystem),
    (Level.APPLICATION, _against_application),
)
