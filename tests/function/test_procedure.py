"""The procedure in a world where anything may fail: what was held is let go, nothing is called better than it is."""

from __future__ import annotations

import pytest

from quiesce import facts, holds
from quiesce.model import HoldUntil, Level, OnQuiesceFailure
from quiesce.procedure import protect
from tests.function.fake_instance import Faults
from tests.function.fake_world import FakeWorld, plan_for


def test_a_hold_without_trouble_gives_an_application_consistent_set() -> None:
    here = FakeWorld()
    outcome = protect(plan_for(), here.world)
    assert outcome.verdict.level is Level.APPLICATION
    assert outcome.verdict.reasons == ()
    assert not here.instance.held


def test_several_disks_are_cut_inside_one_hold() -> None:
    here = FakeWorld(disks=("disk-a", "disk-b", "disk-c"))
    outcome = protect(plan_for("disk-a", "disk-b", "disk-c"), here.world)
    assert outcome.verdict.level is Level.APPLICATION
    assert {cut.epoch for cut in here.cloud.cuts} == {1}


@pytest.mark.parametrize(
    ("step", "moment", "level", "snapshots"),
    [
        pytest.param("check", "before", Level.NONE, 0, id="the hook is unreachable"),
        pytest.param("check", "after", Level.NONE, 0, id="the check's answer is lost"),
        pytest.param("find", "before", Level.NONE, 0, id="the cloud cannot be asked what exists"),
        pytest.param("connect", "before", Level.NONE, 0, id="no connection to the cloud"),
        pytest.param("prepare", "refused", Level.NONE, 0, id="the preparation is refused"),
        pytest.param("prepare", "before", Level.NONE, 0, id="prepare never arrives"),
        pytest.param("prepare", "after", Level.NONE, 0, id="what was prepared is not known: its answer is lost"),
        pytest.param("quiesce", "refused", Level.NONE, 0, id="the hold is refused"),
        pytest.param("quiesce", "before", Level.NONE, 0, id="quiesce never arrives"),
        pytest.param("quiesce", "after", Level.NONE, 0, id="quiesce holds but its answer is lost"),
        pytest.param("create disk-a", "before", Level.NONE, 0, id="CreateSnapshot is refused"),
        pytest.param("create disk-a", "never_arrived", Level.NONE, 0, id="CreateSnapshot never arrives"),
        pytest.param("create disk-a", "after", Level.CRASH, 1, id="CreateSnapshot works but its answer is lost"),
        pytest.param("create disk-a", "hold_ends", Level.CRASH, 1, id="the hold ends during CreateSnapshot"),
        pytest.param("release", "after", Level.CRASH, 1, id="the release's answer is lost for good"),
    ],
)
def test_one_fault_lets_go_and_lowers_the_level(step: str, moment: str, level: Level, snapshots: int) -> None:
    here = FakeWorld(faults=Faults({step: moment}))
    outcome = protect(plan_for(), here.world)
    assert here.faults.seen, "the fault never struck"
    assert outcome.verdict.level is level
    assert outcome.verdict.reasons
    assert len(here.cloud.cuts) == snapshots
    assert not here.instance.held


def test_a_release_that_never_arrives_is_reported_and_the_lease_ends_by_itself() -> None:
    here = FakeWorld(faults=Faults({"release": "before"}))
    outcome = protect(plan_for(), here.world)
    assert outcome.verdict.level is Level.CRASH
    assert not outcome.verdict.release_confirmed
    assert here.instance.held
    here.clock.sleep(10)
    assert not here.instance.held


@pytest.mark.parametrize("step", ["check", "quiesce"])
def test_a_policy_may_take_a_weaker_snapshot_when_the_hold_fails(step: str) -> None:
    here = FakeWorld(faults=Faults({step: "after"}))
    outcome = protect(plan_for(on_quiesce_failure=OnQuiesceFailure.CRASH_CONSISTENT), here.world)
    assert outcome.verdict.level is Level.CRASH
    assert [cut.epoch for cut in here.cloud.cuts] == [None], "the weaker snapshot is taken after the release"


def test_several_disks_without_a_hold_are_not_even_crash_consistent_as_a_set() -> None:
    here = FakeWorld(disks=("disk-a", "disk-b"), faults=Faults({"check": "before"}))
    plan = plan_for("disk-a", "disk-b", on_quiesce_failure=OnQuiesceFailure.CRASH_CONSISTENT)
    assert protect(plan, here.world).verdict.level is Level.UNKNOWN


def test_one_disk_refused_makes_the_set_none_and_names_what_was_created() -> None:
    here = FakeWorld(disks=("disk-a", "disk-b"), faults=Faults({"create disk-b": "before"}))
    verdict = protect(plan_for("disk-a", "disk-b"), here.world).verdict
    assert verdict.level is Level.NONE
    assert set(verdict.snapshots) == {"disk-a"}
    assert "disk-b" in verdict.reasons[0]


def test_a_second_delivery_adopts_the_set_of_the_first() -> None:
    here = FakeWorld()
    protect(plan_for(), here.world)
    here.recorded = Level.APPLICATION
    second = protect(plan_for(), here.world)
    assert len(here.cloud.cuts) == 1
    assert second.verdict.level is Level.APPLICATION
    assert second.verdict.snapshots == {"disk-a": "snap-1"}


def test_a_second_delivery_without_a_record_calls_the_set_crash_consistent_at_most() -> None:
    here = FakeWorld()
    protect(plan_for(), here.world)
    assert protect(plan_for(), here.world).verdict.level is Level.CRASH


def test_a_second_delivery_looks_again_when_the_cloud_lists_late() -> None:
    here = FakeWorld()
    protect(plan_for(), here.world)
    here.cloud.hidden_looks = 2
    protect(plan_for(), here.world)
    assert len(here.cloud.cuts) == 1


def test_a_second_delivery_during_the_first_creates_nothing_not_even_a_weaker_set() -> None:
    here = FakeWorld()
    plan = plan_for(on_quiesce_failure=OnQuiesceFailure.CRASH_CONSISTENT)
    first = holds.QuiesceRequest(
        lease_id="of-the-first",
        run_id=plan.run_id,
        prior_holds=0,
        disks=plan.disks,
        acquire_limit_s=2.0,
        hold_limit_s=10.0,
    )
    here.instance.prepare(first)
    here.instance.quiesce(first)
    here.instance.owes_a_release = False  # on its own account: this is about another delivery
    protect(plan, here.world)
    assert here.cloud.cuts == []
    assert here.instance.lease_id == "of-the-first"


def test_a_delivery_that_another_one_overtook_before_its_hold_makes_no_weaker_set() -> None:
    here = FakeWorld()
    plan = plan_for(on_quiesce_failure=OnQuiesceFailure.CRASH_CONSISTENT)
    others: list[Level] = []
    here.faults.meanwhile = {("connect", "before"): lambda: others.append(protect(plan, here.world).verdict.level)}
    overtaken = protect(plan, here.world)
    assert others == [Level.APPLICATION]
    assert overtaken.verdict.level is Level.NONE
    assert len(here.cloud.cuts) == 1


@pytest.mark.parametrize("moment", [HoldUntil.LISTED, HoldUntil.COMPLETED])
def test_a_hold_that_ends_before_the_moment_asked_for_is_not_application_consistent(moment: HoldUntil) -> None:
    here = FakeWorld()
    here.cloud.state = "CREATING"
    if moment is HoldUntil.LISTED:
        here.cloud.hidden_looks = 10_000
    outcome = protect(plan_for(hold_until=moment), here.world)
    assert outcome.verdict.level is Level.CRASH
    assert not here.instance.held


def test_holding_until_listed_is_application_consistent_once_seen() -> None:
    here = FakeWorld()
    here.cloud.hidden_looks = 1
    outcome = protect(plan_for(hold_until=HoldUntil.LISTED), here.world)
    waited = [e.fact for e in outcome.entries if isinstance(e.fact, facts.WaitedUntil)]
    assert waited == [facts.WaitedUntil("listed", seen=True)]
    assert outcome.verdict.level is Level.APPLICATION
