"""The procedure: examine -> prepare -> quiesce -> snapshot -> release -> reconcile -> judge.

For one instance, or for several that are to be cut together: then all are prepared, held in their order, cut at the
same time, and let go in reverse. Everything slow stands before the hold or after it. Whatever was asked for is released
before ``carry_out`` returns, by the block of leases below (session.leases); if this process dies instead, each instance
lets itself go. The level is judged from the journals alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from quiesce import afterwards, creation, session
from quiesce.course import Course, Outcome, Target
from quiesce.examine import examine
from quiesce.model import OnQuiesceFailure, TargetPlan
from quiesce.parallel import at_once
from quiesce.ports import World
from quiesce.story import Story


def protect(plan: TargetPlan, world: World) -> Outcome:
    """Snapshot one instance's disks; raises nothing that agent or cloud may raise."""
    return protect_together((Target(plan, world),))[0]


def protect_together(targets: Sequence[Target]) -> tuple[Outcome, ...]:
    """Snapshot several instances, all held at the same time; raises nothing that agents or cloud may raise."""
    courses = tuple(Course.begin(target) for target in targets)
    examine(courses)
    return carry_out(courses)


def carry_out(courses: Sequence[Course]) -> tuple[Outcome, ...]:
    """Make what ``examine`` found to be left to make: all of these together, or nothing of any."""
    if all(course.wanted for course in courses):
        if not _hold_and_create(courses):
            _create_without(courses)
        for course in courses:
            afterwards.reconcile(course)
    else:
        _blame(courses, [course for course in courses if not course.wanted])
    return afterwards.outcomes(courses)


def _hold_and_create(courses: Sequence[Course]) -> bool:
    """Hold all, create all, let all go; False when not all could be held, and then nothing was created."""
    with session.leases(courses):
        at_once(session.prepare, courses)
        if not all(course.prepared for course in courses):
            _blame(courses, [course for course in courses if not course.prepared])
            return False
        for course in courses:  # what the cloud's rate limit allows, before anybody is made to wait for it
            course.world.snapshots.admit(course.plan.intents)
        hold_ends_s = _hold_all(courses)
        if hold_ends_s is None:
            return False
        creation.create(courses)
        afterwards.wait_until(courses, hold_ends_s)
    return True


def _hold_all(courses: Sequence[Course]) -> float | None:
    """Hold each in order; return when the first hold ends on our clock, or None as soon as one cannot be had."""
    ends_s: list[float] = []
    for course in courses:
        end_s = session.quiesce(course)
        if end_s is None:
            _blame(courses, [course])
            return None
        ends_s.append(end_s)
    return min(ends_s)


def _create_without(courses: Sequence[Course]) -> None:
    """Make snapshots without a hold, where the policy wants them all the same and no other delivery makes any."""
    wanted = [course for course in courses if course.plan.on_quiesce_failure is OnQuiesceFailure.CRASH_CONSISTENT]
    left = [course for course in wanted if course.wanted and not Story(course.journal.facts).run_moved_on]
    for course in left:
        course.world.snapshots.admit(course.plan.intents)
    if left:
        creation.create(left)


def _blame(courses: Sequence[Course], fallen: Sequence[Course]) -> None:
    """Say to the others of a group why there is nothing of them: a part of it is not what was asked for."""
    names = ", ".join(course.plan.instance_id for course in fallen)
    for course in courses:
        if course not in fallen:
            course.trouble("together", f"{names} fell out, and without it the others are not held")
