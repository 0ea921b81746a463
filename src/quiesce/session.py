"""Holding one instance still: asked for once, released always.

Where the promise "whatever was held is let go" lives on this side. The other half is the hook's own lease and guardian,
for the case that this process dies between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quiesce import facts, holds
from quiesce.errors import AgentError
from quiesce.model import TargetPlan
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
    if checked is None or not checked.ready:
        yield None
        return
    lease_id = world.new_lease_id()
    journal.note(facts.QuiesceAsked(lease_id))
    try:
        yield _quiesce(plan, world, journal, checked, lease_id)
    finally:
        _release(world, journal, lease_id)


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
