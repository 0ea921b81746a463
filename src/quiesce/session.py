"""Holding one instance still: asked for once, released always.

Where the promise "whatever was held is let go" lives on this side. The other half is the hook's own lease and guardian,
for the case that this process dies between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quiesce import facts, holds
from quiesce.errors import AgentError
from quiesce.judge import outside_of
from quiesce.model import Level, OnQuiesceFailure, TargetPlan
from quiesce.ports import World


def check(plan: TargetPlan, world: World, journal: facts.Journal) -> holds.CheckAnswer | None:
    """Ask the hook what a hold would cover; None, with the trouble noted, when it gives no usable answer."""
    request = holds.CheckRequest(
        run_id=plan.run_id,
        disks=plan.disks,
        acquire_limit_s=plan.limits.acquire_limit_s,
        hold_limit_s=plan.limits.hold_limit_s,
    )
    try:
        answer = world.agent.check(request)
    except AgentError as error:
        journal.note(facts.Trouble("check", str(error)))
        return None
    journal.note(facts.Checked(answer))
    return answer


@contextmanager
def hold(
    plan: TargetPlan, world: World, journal: facts.Journal, checked: holds.CheckAnswer | None
) -> Iterator[float | None]:
    """Hold the instance still; yields when the hold ends on our clock, or None when there is no hold.

    Once a hold has been asked for, a release follows, whatever was answered and whatever happens in between: a lost
    answer may hide a hold that was granted.
    """
    if checked is None or not checked.ready or not _worth_a_stall(plan, checked, journal):
        yield None
        return
    lease_id = world.new_lease_id()
    journal.note(facts.QuiesceAsked(lease_id))
    try:
        yield _quiesce(plan, world, journal, checked, lease_id)
    finally:
        _release(world, journal, lease_id)


def _worth_a_stall(plan: TargetPlan, checked: holds.CheckAnswer, journal: facts.Journal) -> bool:
    """Whether the level asked for is within reach; nobody is made to wait for a set that will be turned down.

    A policy that takes a weaker set holds all the same: what it gets is better than without.
    """
    if plan.level is not Level.APPLICATION or plan.on_quiesce_failure is OnQuiesceFailure.CRASH_CONSISTENT:
        return True
    outside = [words for application in checked.applications for words in outside_of(plan, application)]
    for words in outside:
        journal.note(facts.Trouble("coverage", words))
    return not outside


def _quiesce(
    plan: TargetPlan, world: World, journal: facts.Journal, checked: holds.CheckAnswer, lease_id: str
) -> float | None:
    request = holds.QuiesceRequest(
        lease_id=lease_id,
        run_id=plan.run_id,
        prior_holds=checked.holds_of_run,
        disks=plan.disks,
        acquire_limit_s=plan.limits.acquire_limit_s,
        hold_limit_s=plan.limits.hold_limit_s,
    )
    try:
        answer = world.agent.quiesce(request)
    except AgentError as error:
        journal.note(facts.Trouble("quiesce", str(error)))
        return None
    journal.note(facts.QuiesceAnswered(answer))
    return world.clock.monotonic() + answer.hold_remaining_s if answer.state == "held" else None


def _release(world: World, journal: facts.Journal, lease_id: str) -> None:
    journal.note(facts.ReleaseAsked(lease_id))
    try:
        journal.note(facts.Released(world.agent.release(holds.ReleaseRequest(lease_id=lease_id))))
    except AgentError as error:
        journal.note(facts.Trouble("release", f"not confirmed: {error}"))
