"""What is there already: the hook is asked what a hold would cover, and the cloud what an earlier delivery made.

The look-up comes after the check on purpose: a hold of this run that the check did not count yet is refused later by the
hook (``prior_holds``), and one that it did count has its snapshots listed by now, or after a few looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quiesce import facts, session
from quiesce.course import Course
from quiesce.errors import CloudError
from quiesce.model import Intent, Snapshot
from quiesce.parallel import at_once
from quiesce.ports import World
from quiesce.story import Story

LOOKS = 3
LOOK_EVERY_S = 1.5
"""How soon CBS lists an accepted snapshot is not documented: look more than once before saying it is not there."""


def examine(courses: Sequence[Course]) -> None:
    """Check every instance, look all their snapshots up by one look, and say of each whether its set is to be made."""
    at_once(session.check, courses)
    look_up(courses)


def look_up(courses: Sequence[Course]) -> None:
    """Look up by one look what an earlier delivery made for these, which were checked, and say what is to be made."""
    again = any(course.checked is not None and course.checked.holds_of_run for course in courses)
    intents = tuple(intent for course in courses for intent in course.plan.intents)
    try:
        found = look(courses[0].world, intents, LOOKS if again else 1)
    except CloudError as error:
        for course in courses:
            course.trouble("look_up", str(error))
        return
    for course in courses:
        _adopt_or_want(course, {disk_id: found[disk_id] for disk_id in course.plan.disks if disk_id in found})


def _adopt_or_want(course: Course, found: Mapping[str, Snapshot]) -> None:
    recorded = course.world.recorded_level(course.plan, found) if found else None
    for disk_id, snapshot in found.items():
        course.journal.note(facts.Adopted(disk_id, snapshot.snapshot_id, recorded))
    course.wanted = not found and not Story(course.journal.facts).run_moved_on


def look(world: World, intents: Sequence[Intent], looks: int) -> Mapping[str, Snapshot]:
    """Look up by name until every disk is found, at most ``looks`` times. Raises CloudError."""
    found: Mapping[str, Snapshot] = {}
    for number in range(looks):
        if number:
            world.clock.sleep(LOOK_EVERY_S)
        found = world.snapshots.find(intents)
        if len(found) == len(intents):
            break
    return found


def grows(world: World, intents: Sequence[Intent], after_s: float) -> bool | None:
    """Whether more of these is there a while later: then somebody makes them. None when all are there. Raises CloudError."""
    there = len(look(world, intents, 1))
    if there == len(intents):
        return None
    world.clock.sleep(after_s)
    return len(look(world, intents, 1)) > there
