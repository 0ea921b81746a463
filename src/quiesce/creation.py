"""Making one set: a call for each disk, all at the same time, or by choice one call for a group of them all.

Every call is sent exactly once. Either way the instance is held, because a group is not consistent by itself
(docs/adr/0008-a-group-is-a-call.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from quiesce import facts
from quiesce.course import Course
from quiesce.errors import CloudError, UnavailableError
from quiesce.model import Intent, Snapshot
from quiesce.parallel import at_once


def create(courses: Sequence[Course]) -> None:
    """Send what makes each set, all at the same time."""
    at_once(_create, courses)


def _create(course: Course) -> None:
    """Where the account has no groups, each disk is asked for by itself after all."""
    if not (course.plan.grouped and _as_group(course)):
        _singly(course)


def found(snapshot: Snapshot, group: facts.GroupAccepted | None) -> facts.Fact:
    """Say what a snapshot that was looked up is: adopted, or a member of the group that was accepted.

    One that has our name and is not in that group is not what was accepted, so nothing is known to be.
    """
    if group is None:
        return facts.Adopted(snapshot.disk_id, snapshot.snapshot_id, None)
    if snapshot.group_id != group.group_id:
        return facts.Trouble("members", f"{snapshot.snapshot_id} of {snapshot.disk_id} is not in group {group.group_id}")
    return facts.Member(snapshot.disk_id, snapshot.snapshot_id, group.group_id)


def _as_group(course: Course) -> bool:
    """Send one call for every disk; False when the account has no groups."""
    plan, world, journal = course.plan, course.world, course.journal
    for disk_id in plan.disks:
        journal.note(facts.CreateSent(disk_id))
    try:
        group_id = world.snapshots.create(*plan.intents, timeout_s=world.api_timeout_s)
    except UnavailableError as error:
        journal.note(facts.GroupUnavailable(error.code, str(error)))
        return False
    except CloudError as error:
        for disk_id in plan.disks:
            journal.note(facts.NotAccepted(disk_id, error.code, str(error), error.ambiguous))
    else:
        journal.note(facts.GroupAccepted(group_id, plan.disks))
    return True


def _singly(course: Course) -> None:
    """Send every CreateSnapshot at the same time."""

    def send(intent: Intent) -> None:
        course.journal.note(facts.CreateSent(intent.disk_id))
        try:
            snapshot_id = course.world.snapshots.create(intent, timeout_s=course.world.api_timeout_s)
        except CloudError as error:
            course.journal.note(facts.NotAccepted(intent.disk_id, error.code, str(error), error.ambiguous))
        else:
            course.journal.note(facts.Accepted(intent.disk_id, snapshot_id))

    at_once(send, course.plan.intents)
