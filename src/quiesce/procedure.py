"""The procedure: preflight -> quiesce -> snapshot -> release -> reconcile -> judge.

Everything slow stands before the hold or after it. Whatever was asked for is released before ``protect`` returns, by
the ``with`` below (session.hold); if this process dies instead, the instance lets itself go. The level is judged from
the journal alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quiesce import creation, facts, holds, session
from quiesce.errors import CloudError
from quiesce.judge import Verdict, judge
from quiesce.model import HoldUntil, OnQuiesceFailure, Snapshot, TargetPlan
from quiesce.ports import World
from quiesce.story import Story

RELEASE_MARGIN_S = 0.5
"""Part of the hold kept back for the release while waiting for ``listed`` or ``completed``."""
LOOKS = 3
LOOK_EVERY_S = 1.5
"""How soon CBS lists an accepted snapshot is not documented: look more than once before saying it is not there."""
POLL_S = 0.1


@dataclass(frozen=True)
class Outcome:
    """What one target got, and everything it was judged from."""

    plan: TargetPlan
    verdict: Verdict
    entries: tuple[facts.Timed, ...]


def protect(plan: TargetPlan, world: World) -> Outcome:
    """Snapshot one instance's disks; raises nothing that agent or cloud may raise."""
    journal = facts.Journal(world.clock.monotonic)
    checked = session.check(plan, world, journal)
    if _look_up_and_prepare(plan, world, journal, checked):
        with session.hold(plan, world, journal, checked) as hold_ends_s:
            if hold_ends_s is not None:
                creation.create(plan, world, journal)
                _wait_until(plan, world, journal, hold_ends_s - RELEASE_MARGIN_S)
        if hold_ends_s is None and _may_go_on_without(plan, journal):
            creation.create(plan, world, journal)
        _reconcile(plan, world, journal)
    return Outcome(plan, judge(plan, journal.facts), journal.entries)


def _look_up_and_prepare(plan: TargetPlan, world: World, journal: facts.Journal, checked: holds.CheckAnswer | None) -> bool:
    """Adopt what an earlier delivery made, or make ready to create; False when nothing is to be created.

    The look-up comes after the check on purpose: a hold of this run that the check did not count yet is refused later
    by the hook (``prior_holds``), and one that it did count has its snapshots listed by now, or after a few looks.
    """
    looks = LOOKS if checked is not None and checked.holds_of_run else 1
    elsewhere = Story(journal.facts).run_moved_on
    try:
        found = _look(plan, world, looks)
        if not found and not elsewhere:
            world.snapshots.prepare(plan.intents)
    except CloudError as error:
        journal.note(facts.Trouble("prepare", str(error)))
        return False
    recorded = world.recorded_level(plan, found) if found else None
    for disk_id, snapshot in found.items():
        journal.note(facts.Adopted(disk_id, snapshot.snapshot_id, recorded))
    return not found and not elsewhere


def _wait_until(plan: TargetPlan, world: World, journal: facts.Journal, deadline_s: float) -> None:
    """Keep holding until the moment that the policy names, at most until ``deadline_s``."""
    if plan.hold_until is HoldUntil.ACCEPTED or Story(journal.facts).accepted_disks != set(plan.disks):
        return
    seen = False
    while not seen and world.clock.monotonic() < deadline_s:
        try:
            seen = _moment_seen(plan, world.snapshots.find(plan.intents))
        except CloudError as error:
            journal.note(facts.Trouble("hold_until", str(error)))
            break
        if not seen:
            world.clock.sleep(POLL_S)
    journal.note(facts.WaitedUntil(plan.hold_until.value, seen))


def _moment_seen(plan: TargetPlan, found: Mapping[str, Snapshot]) -> bool:
    if plan.hold_until is HoldUntil.LISTED:
        return set(found) == set(plan.disks)
    return set(found) == set(plan.disks) and all(s.state == "NORMAL" and s.percent == 100 for s in found.values())


def _may_go_on_without(plan: TargetPlan, journal: facts.Journal) -> bool:
    """Whether the policy wants a snapshot all the same, and no other delivery of this run is making one."""
    return plan.on_quiesce_failure is OnQuiesceFailure.CRASH_CONSISTENT and not Story(journal.facts).run_moved_on


def _reconcile(plan: TargetPlan, world: World, journal: facts.Journal) -> None:
    """After the release: find out by name what was made by a call whose answer was lost, or named a group alone."""
    story = Story(journal.facts)
    if not story.unsure_disks:
        return
    try:
        found = _look(plan, world, LOOKS, story.unsure_disks)
    except CloudError as error:
        journal.note(facts.Trouble("reconcile", str(error)))
        return
    for snapshot in found.values():
        journal.note(creation.found(snapshot, story.group))


def _look(plan: TargetPlan, world: World, looks: int, disks: tuple[str, ...] = ()) -> Mapping[str, Snapshot]:
    """Look up by name until every disk is found, at most ``looks`` times."""
    intents = tuple(i for i in plan.intents if not disks or i.disk_id in disks)
    found: Mapping[str, Snapshot] = {}
    for look in range(looks):
        if look:
            world.clock.sleep(LOOK_EVERY_S)
        found = world.snapshots.find(intents)
        if len(found) == len(intents):
            break
    return found
