"""What follows the calls: waiting for the moment that the policy names, finding out what was made, and the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quiesce import creation, facts
from quiesce.course import Course, Outcome, Together
from quiesce.errors import CloudError
from quiesce.examine import LOOKS, look
from quiesce.judge import judge
from quiesce.model import HoldUntil, Level, Snapshot, TargetPlan
from quiesce.story import Story

RELEASE_MARGIN_S = 0.5
"""Part of the hold kept back for the release while waiting for ``listed`` or ``completed``."""
POLL_S = 0.1


def wait_until(courses: Sequence[Course], hold_ends_s: float) -> None:
    """Keep holding until the moment that the policy names, at most until just before ``hold_ends_s``."""
    for course in courses:
        _wait_until(course, hold_ends_s - RELEASE_MARGIN_S)


def _wait_until(course: Course, deadline_s: float) -> None:
    plan, world = course.plan, course.world
    if plan.hold_until is HoldUntil.ACCEPTED or Story(course.journal.facts).accepted_disks != set(plan.disks):
        return
    seen = False
    while not seen and world.clock.monotonic() < deadline_s:
        try:
            seen = _moment_seen(plan, world.snapshots.find(plan.intents))
        except CloudError as error:
            course.trouble("hold_until", str(error))
            break
        if not seen:
            world.clock.sleep(POLL_S)
    course.journal.note(facts.WaitedUntil(plan.hold_until.value, seen))


def _moment_seen(plan: TargetPlan, found: Mapping[str, Snapshot]) -> bool:
    if plan.hold_until is HoldUntil.LISTED:
        return set(found) == set(plan.disks)
    return set(found) == set(plan.disks) and all(s.state == "NORMAL" and s.percent == 100 for s in found.values())


def reconcile(course: Course) -> None:
    """After the release: find out by name what was made by a call whose answer was lost, or named a group alone."""
    story = Story(course.journal.facts)
    intents = tuple(intent for intent in course.plan.intents if intent.disk_id in story.unsure_disks)
    if not intents:
        return
    try:
        found = look(course.world, intents, LOOKS)
    except CloudError as error:
        course.trouble("reconcile", str(error))
        return
    for snapshot in found.values():
        course.journal.note(creation.found(snapshot, story.group))


def outcomes(courses: Sequence[Course]) -> tuple[Outcome, ...]:
    """Judge each by its own journal, and those that were to be cut together by all of them."""
    alone = [Outcome(course.plan, judge(course.plan, course.journal.facts), course.journal.entries) for course in courses]
    if len(alone) == 1:
        return tuple(alone)
    together = _together(alone)
    return tuple(Outcome(one.plan, one.verdict, one.entries, together) for one in alone)


def _together(alone: Sequence[Outcome]) -> Together:
    members = tuple(outcome.plan.instance_id for outcome in alone)
    skew_s = _skew_s([outcome.entries for outcome in alone])
    level = min(outcome.verdict.level for outcome in alone)
    return Together(members, level if skew_s is not None else min(level, Level.UNKNOWN), skew_s)


def _skew_s(entries: Sequence[Sequence[facts.Timed]]) -> float | None:
    """Say how far apart the cuts may be; None unless each was held before any call, and until every one was accepted."""
    held = [_times(one, facts.QuiesceAnswered) for one in entries]
    sent = [at_s for one in entries for at_s in _times(one, facts.CreateSent)]
    accepted = [_times(one, facts.Accepted) + _times(one, facts.GroupAccepted) for one in entries]
    asked = [at_s for one in entries for at_s in _times(one, facts.ReleaseAsked)]
    if not (all(held) and all(accepted) and sent and asked):
        return None
    last = max(at_s for times in accepted for at_s in times)
    if max(times[-1] for times in held) > min(sent) or last > min(asked):
        return None
    return last - min(sent)


def _times(entries: Sequence[facts.Timed], kind: type[facts.Fact]) -> list[float]:
    return [entry.at_s for entry in entries if isinstance(entry.fact, kind)]
