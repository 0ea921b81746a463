"""The promises, in a world that may fail anywhere, any number of times, over several deliveries of one run."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.course import Outcome
from quiesce.model import HoldUntil, Level, OnQuiesceFailure
from quiesce.procedure import protect
from tests.function.fake_world import FakeWorld, plan_for

STEPS = {
    "check": ["before", "after"],
    "find": ["before"],
    "connect": ["before"],
    "prepare": ["before", "after", "refused"],
    "quiesce": ["before", "after", "refused"],
    "create group": ["before", "never_arrived", "after", "unavailable"],
    "create disk-a": ["before", "never_arrived", "after", "hold_ends"],
    "create disk-b": ["before", "never_arrived", "after"],
    "release": ["before", "after"],
}
A_FAULT = st.fixed_dictionaries({}, optional={step: st.sampled_from(moments) for step, moments in STEPS.items()})
DELIVERIES = st.lists(A_FAULT, min_size=1, max_size=3)
DISKS = st.sampled_from([("disk-a",), ("disk-a", "disk-b")])
GROUPS = st.sampled_from([None, "group"])
MOMENTS = st.sampled_from(list(HoldUntil))
ON_FAILURE = st.sampled_from(list(OnQuiesceFailure))


def run(
    deliveries: list[dict[str, str]],
    disks: tuple[str, ...],
    moment: HoldUntil,
    on_failure: OnQuiesceFailure,
    group: str | None = None,
) -> tuple[FakeWorld, list[Outcome]]:
    here = FakeWorld(disks=disks)
    plan = plan_for(*disks, hold_until=moment, on_quiesce_failure=on_failure, group=group)
    outcomes = []
    for faults in deliveries:
        here.faults.at = faults
        outcomes.append(protect(plan, here.world))
    return here, outcomes


@given(DELIVERIES, DISKS, MOMENTS, ON_FAILURE, GROUPS)
def test_whatever_was_held_is_let_go_or_said_to_be_unconfirmed(
    deliveries: list[dict[str, str]],
    disks: tuple[str, ...],
    moment: HoldUntil,
    on_failure: OnQuiesceFailure,
    group: str | None,
) -> None:
    here, outcomes = run(deliveries, disks, moment, on_failure, group)
    if here.instance.held:
        assert not all(outcome.verdict.release_confirmed for outcome in outcomes)
        here.clock.sleep(10)
    assert not here.instance.held


@given(DELIVERIES, DISKS, MOMENTS, ON_FAILURE, GROUPS)
def test_application_means_that_every_cut_fell_into_one_unbroken_hold(
    deliveries: list[dict[str, str]],
    disks: tuple[str, ...],
    moment: HoldUntil,
    on_failure: OnQuiesceFailure,
    group: str | None,
) -> None:
    here, outcomes = run(deliveries, disks, moment, on_failure, group)
    epoch_of = {cut.snapshot.snapshot_id: cut.epoch for cut in here.cloud.cuts}
    for outcome in outcomes:
        if outcome.verdict.level >= Level.FILESYSTEM:
            epochs = {epoch_of[snapshot_id] for snapshot_id in outcome.verdict.snapshots.values()}
            assert len(epochs) == 1
            assert None not in epochs


def test_a_delivery_that_meets_an_older_hold_whose_release_was_lost_makes_no_second_set() -> None:
    lost = [{"create disk-a": "before", "release": "before"}, {"check": "before"}]
    here, outcomes = run(lost, ("disk-a",), HoldUntil.ACCEPTED, OnQuiesceFailure.FAIL)
    assert [outcome.verdict.level for outcome in outcomes] == [Level.NONE, Level.NONE]
    assert not here.cloud.cuts


@given(DELIVERIES, DISKS, MOMENTS, ON_FAILURE, GROUPS)
def test_one_run_makes_at_most_one_snapshot_of_each_disk(
    deliveries: list[dict[str, str]],
    disks: tuple[str, ...],
    moment: HoldUntil,
    on_failure: OnQuiesceFailure,
    group: str | None,
) -> None:
    here, _ = run(deliveries, disks, moment, on_failure, group)
    made = Counter(cut.snapshot.disk_id for cut in here.cloud.cuts)
    assert not [disk_id for disk_id, count in made.items() if count > 1]


@pytest.mark.parametrize("disks", [("disk-a",), ("disk-a", "disk-b")])
def test_a_world_without_faults_reaches_the_level_asked_for(disks: tuple[str, ...]) -> None:
    _, outcomes = run([{}], disks, HoldUntil.ACCEPTED, OnQuiesceFailure.FAIL)
    assert outcomes[0].verdict.level is Level.APPLICATION
