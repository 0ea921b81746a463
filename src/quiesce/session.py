"""Holding one instance still: asked for once, released always.

Where the promise "whatever was held is let go" lives on this side. The other half is the hook's own lease and guardian,
for the case that this process dies between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

from quiesce import facts, holds
from quiesce.course import Course
from quiesce.errors import AgentError, CloudError
from quiesce.judge import outside_of
from quiesce.model import Level, OnQuiesceFailure

IN_TURN_S = 0.010
"""How long a release waits for the one before it to be answered. Writers wait meanwhile, so an instance that does not
answer keeps the others for no longer."""


def check(course: Course) -> None:
    """Ask the hook what a hold would cover; ``checked`` stays None, with the trouble noted, without a usable answer."""
    plan = course.plan
    request = holds.CheckRequest(
        run_id=plan.run_id,
        disks=plan.disks,
        acquire_limit_s=plan.limits.acquire_limit_s,
        hold_limit_s=plan.limits.hold_limit_s,
    )
    try:
        course.checked = course.world.agent.check(request)
    except AgentError as error:
        course.trouble("check", str(error))
    else:
        course.journal.note(facts.Checked(course.checked))


@contextmanager
def leases(courses: Sequence[Course]) -> Iterator[None]:
    """Release, at the end of the block and whatever happened in it, what was asked for in it, the last one first.

    Once anything has been asked for, a release follows: a lost answer may hide a hold that was granted.
    """
    try:
        yield
    finally:
        asked = [course for course in reversed(courses) if course.request is not None]
        if len(asked) == 1:
            _release(asked[0])
        elif asked:
            _release_in_turn(asked)


def _release_in_turn(courses: Sequence[Course]) -> None:
    """Release each a moment after the one before, whether that was answered or not; return when all are done with."""
    releases: list[Future[None]] = []
    with ThreadPoolExecutor(max_workers=len(courses)) as pool, ExitStack() as turns:
        for course in reversed(courses):  # whatever ends one turn, an interruption too, the others have theirs
            turns.callback(_take_turn, pool, course, releases)
    for release in releases:
        release.result()


def _take_turn(pool: ThreadPoolExecutor, course: Course, releases: list[Future[None]]) -> None:
    try:
        releases.append(pool.submit(_release, course))
    except RuntimeError:  # there is no thread to be had: then this one is waited for
        _release(course)
    else:
        wait(releases[-1:], timeout=IN_TURN_S)


def prepare(course: Course) -> None:
    """Make ready to create, and have the hook do everything slow, which holds nobody yet; sets ``prepared``."""
    try:
        course.world.snapshots.connect(course.plan.intents)
    except CloudError as error:
        course.trouble("connect", str(error))
        course.wanted = False
        return
    checked = course.checked
    if checked is None or not checked.ready or not _worth_a_stall(course, checked):
        return
    course.request = _request(course, checked)
    course.journal.note(facts.QuiesceAsked(course.request.lease_id))
    try:
        answer = course.world.agent.prepare(course.request)
    except AgentError as error:
        course.trouble("prepare", str(error))
        return
    course.journal.note(facts.PrepareAnswered(answer))
    course.prepared = answer.state == "prepared"


def quiesce(course: Course) -> float | None:
    """Ask for the hold that was prepared; return when it ends on our clock, or None when there is none."""
    if course.request is None:
        return None
    try:
        answer = course.world.agent.quiesce(course.request)
    except AgentError as error:
        course.trouble("quiesce", str(error))
        return None
    course.journal.note(facts.QuiesceAnswered(answer))
    return course.world.clock.monotonic() + answer.hold_remaining_s if answer.state == "held" else None


def _worth_a_stall(course: Course, checked: holds.CheckAnswer) -> bool:
    """Whether the level asked for is within reach; nobody is made to wait for a set that will be turned down.

    A policy that takes a weaker set holds all the same: what it gets is better than without.
    """
    plan = course.plan
    if plan.level is not Level.APPLICATION or plan.on_quiesce_failure is OnQuiesceFailure.CRASH_CONSISTENT:
        return True
    outside = [words for application in checked.applications for words in outside_of(plan, application)]
    for words in outside:
        course.trouble("coverage", words)
    return not outside


def _request(course: Course, checked: holds.CheckAnswer) -> holds.QuiesceRequest:
    return holds.QuiesceRequest(
        lease_id=course.world.new_lease_id(),
        run_id=course.plan.run_id,
        prior_holds=checked.holds_of_run,
        disks=course.plan.disks,
        acquire_limit_s=course.plan.limits.acquire_limit_s,
        hold_limit_s=course.plan.limits.hold_limit_s,
    )


def _release(course: Course) -> None:
    if course.request is None:
        return
    lease_id = course.request.lease_id
    course.journal.note(facts.ReleaseAsked(lease_id))
    try:
        course.journal.note(facts.Released(course.world.agent.release(holds.ReleaseRequest(lease_id=lease_id))))
    except AgentError as error:
        course.trouble("release", f"not confirmed: {error}")
