"""A set made by one call: what the group's id proves, what it does not, and what happens where there are no groups."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from quiesce import creation, facts
from quiesce.course import Outcome
from quiesce.judge import judge
from quiesce.model import HoldUntil, Level, Snapshot
from quiesce.procedure import protect
from quiesce.story import Story
from tests.function.fake_instance import Faults
from tests.function.fake_world import FakeWorld, plan_for

DISKS = ("disk-a", "disk-b", "disk-c")
PLAN = plan_for(*DISKS, group="group")


def protected(fault: dict[str, str] | None = None) -> tuple[FakeWorld, Outcome]:
    here = FakeWorld(disks=DISKS, faults=Faults(fault or {}))
    outcome = protect(PLAN, here.world)
    if fault:
        assert here.faults.seen, "the fault never struck"
    return here, outcome


def noted(outcome: Outcome) -> Story:
    return Story([entry.fact for entry in outcome.entries])


def test_a_group_is_one_call_inside_the_hold_and_its_members_are_looked_up_after_it() -> None:
    here, outcome = protected()
    story = noted(outcome)

    assert outcome.verdict.level is Level.APPLICATION
    assert set(outcome.verdict.snapshots) == set(DISKS)
    assert story.group is not None and story.all(facts.Accepted) == []
    assert story.first_index(facts.GroupAccepted) < story.first_index(facts.ReleaseAsked)
    assert story.first_index(facts.Member) > story.first_index(facts.Released)
    assert here.cloud.looks_while_held == 0
    assert {cut.epoch for cut in here.cloud.cuts} == {1}


def test_a_member_that_cannot_be_found_leaves_no_set_and_the_group_is_named() -> None:
    here, outcome = protected({"find": "member missing"})

    assert outcome.verdict.level is Level.NONE
    assert set(outcome.verdict.snapshots) == {"disk-a", "disk-b"}
    assert "disk-c" in outcome.verdict.reasons[0] and "snapg-1" in outcome.verdict.reasons[0]
    assert len(here.cloud.cuts) == 3, "nothing is made a second time"


def test_a_snapshot_of_another_group_is_no_member_of_the_one_that_was_accepted() -> None:
    accepted = facts.GroupAccepted("snapg-1", DISKS)
    ours = Snapshot("snap-1", "group_0", "disk-a", "NORMAL", 100, group_id="snapg-1")

    assert creation.found(ours, accepted) == facts.Member("disk-a", "snap-1", "snapg-1")
    for other in (replace(ours, group_id="snapg-2"), replace(ours, group_id=None)):
        assert isinstance(creation.found(other, accepted), facts.Trouble)
    assert creation.found(ours, None) == facts.Adopted("disk-a", "snap-1", None)


def test_members_that_are_listed_late_are_looked_for_again() -> None:
    here = FakeWorld(disks=DISKS)
    here.cloud.hidden_looks = 3  # one of them before the hold
    assert protect(PLAN, here.world).verdict.level is Level.APPLICATION


@pytest.mark.parametrize(
    ("moment", "level", "made"),
    [
        pytest.param("before", Level.NONE, 0, id="refused for another reason"),
        pytest.param("never_arrived", Level.NONE, 0, id="never arrives"),
        pytest.param("after", Level.UNKNOWN, 3, id="works, but its answer is lost"),
    ],
)
def test_a_group_is_never_asked_for_twice_and_proves_nothing_without_its_id(moment: str, level: Level, made: int) -> None:
    here, outcome = protected({"create group": moment})

    assert outcome.verdict.level is level
    assert len(here.cloud.cuts) == made
    assert here.faults.seen == [f"create group {moment}"]
    assert not here.instance.held


def test_an_account_without_groups_gets_each_disk_by_itself_in_the_same_hold() -> None:
    here, outcome = protected({"create group": "unavailable"})

    assert outcome.verdict.level is Level.APPLICATION
    assert {cut.epoch for cut in here.cloud.cuts} == {1}
    assert here.cloud.group_of == {}
    assert [fact.code for fact in noted(outcome).all(facts.GroupUnavailable)] == ["UnsupportedOperation"]


def test_a_refusal_among_those_made_singly_after_all_leaves_no_set() -> None:
    _, outcome = protected({"create group": "unavailable", "create disk-b": "before"})

    assert outcome.verdict.level is Level.NONE
    assert set(outcome.verdict.snapshots) == {"disk-a", "disk-c"}


def test_a_second_delivery_adopts_the_group_of_the_first() -> None:
    here, first = protected()
    here.recorded = Level.APPLICATION
    second = protect(PLAN, here.world)

    assert len(here.cloud.cuts) == 3
    assert second.verdict.snapshots == first.verdict.snapshots
    assert second.verdict.level is Level.APPLICATION


def test_a_hold_that_ends_while_the_group_is_cut_is_seen_in_its_second_witness() -> None:
    _, outcome = protected({"create disk-b": "hold_ends"})
    assert outcome.verdict.level is Level.UNKNOWN


def test_a_group_accepted_after_the_release_was_asked_for_is_no_hold_around_the_cut() -> None:
    _, outcome = protected()
    story = list(noted(outcome).noted)
    accepted = next(fact for fact in story if isinstance(fact, facts.GroupAccepted))
    story.remove(accepted)
    story.insert([type(fact) for fact in story].index(facts.ReleaseAsked) + 1, accepted)
    verdict = judge(PLAN, story)

    assert verdict.level is Level.UNKNOWN
    assert any("accepted after the release was asked for" in reason for reason in verdict.reasons)


def test_a_group_may_be_held_until_its_members_are_listed() -> None:
    here = FakeWorld(disks=DISKS)
    here.cloud.hidden_looks = 2
    outcome = protect(plan_for(*DISKS, group="group", hold_until=HoldUntil.LISTED), here.world)

    assert noted(outcome).all(facts.WaitedUntil) == [facts.WaitedUntil("listed", seen=True)]
    assert outcome.verdict.level is Level.APPLICATION


def test_one_disk_is_asked_for_by_itself_whatever_the_policy_says() -> None:
    here = FakeWorld()
    assert protect(plan_for("disk-a", group="group"), here.world).verdict.level is Level.APPLICATION
    assert here.cloud.group_of == {}
