"""Views of the report: a pipeline that looks at the status alone never takes less for more."""

from __future__ import annotations

import pytest

from quiesce import facts
from quiesce.model import Level, OnQuiesceFailure
from quiesce.procedure import protect
from quiesce.report import HTTP_STATUS, Report, Status, TargetReport, leftovers_of, names_of, status_of
from quiesce.steps import steps_of
from tests.function.fake_instance import Faults
from tests.function.fake_world import FakeWorld, plan_for


@pytest.mark.parametrize(
    ("fault", "on_failure", "status"),
    [
        pytest.param({}, OnQuiesceFailure.FAIL, Status.REACHED, id="all went well"),
        pytest.param({"quiesce": "refused"}, OnQuiesceFailure.FAIL, Status.FAILED, id="refused, fail"),
        pytest.param({"quiesce": "refused"}, OnQuiesceFailure.SKIP, Status.SKIPPED, id="refused, skip"),
        pytest.param({"quiesce": "refused"}, OnQuiesceFailure.CRASH_CONSISTENT, Status.WEAKER, id="refused, weaker"),
        pytest.param({"create disk-a": "before"}, OnQuiesceFailure.SKIP, Status.FAILED, id="create refused is no skip"),
        pytest.param({"release": "before"}, OnQuiesceFailure.FAIL, Status.WEAKER, id="release not confirmed"),
        pytest.param({"quiesce": "after", "release": "before"}, OnQuiesceFailure.SKIP, Status.FAILED, id="unconfirmed"),
    ],
)
def test_a_target_ends_in_one_word(fault: dict[str, str], on_failure: OnQuiesceFailure, status: Status) -> None:
    here = FakeWorld(faults=Faults(fault))
    assert status_of(protect(plan_for(on_quiesce_failure=on_failure), here.world)) is status


def test_only_the_delivery_that_made_a_set_gives_it_its_name_and_tags() -> None:
    here = FakeWorld()
    assert names_of(protect(plan_for(), here.world)) == {"snap-1": "quiesce-nightly-run-1-disk-a"}
    assert names_of(protect(plan_for(), here.world)) == {}, "the first may still be judging"


def test_a_part_of_a_set_that_is_none_is_named_keeps_a_pending_name_and_is_left_over() -> None:
    here = FakeWorld(disks=("disk-a", "disk-b"), faults=Faults({"create disk-b": "before"}))
    outcome = protect(plan_for("disk-a", "disk-b"), here.world)
    assert outcome.verdict.level is Level.NONE
    assert names_of(outcome) == {"snap-1": "quiesce-nightly-run-1-disk-a-pending"}
    assert leftovers_of(outcome) == ("snap-1",)


def test_a_part_of_a_group_is_left_over_as_the_group_and_its_members_get_pending_names_of_their_own() -> None:
    here = FakeWorld(disks=("disk-a", "disk-b"), faults=Faults({"find": "member missing"}))
    outcome = protect(plan_for("disk-a", "disk-b", group="group"), here.world)
    assert list(names_of(outcome).values()) == ["quiesce-nightly-run-1-disk-a-pending"]
    assert leftovers_of(outcome) == ("snapg-1",)


def test_a_whole_set_and_one_that_somebody_else_made_leave_nothing_over() -> None:
    here = FakeWorld(disks=("disk-a", "disk-b"))
    assert leftovers_of(protect(plan_for("disk-a", "disk-b"), here.world)) == ()
    here.faults.at = {"find": "member missing"}
    assert leftovers_of(protect(plan_for("disk-a", "disk-b"), here.world)) == (), "the first delivery's, and its business"


def test_the_worst_target_names_the_run() -> None:
    targets = tuple(TargetReport(f"ins-{s.value}", s, None) for s in (Status.REACHED, Status.WEAKER, Status.SKIPPED))
    assert Report("run-1", "nightly", targets).status is Status.WEAKER


def test_a_run_without_targets_has_failed() -> None:
    assert Report("run-1", "nightly", ()).status is Status.FAILED


def test_only_a_reached_or_skipped_run_is_a_2xx() -> None:
    assert {status for status, code in HTTP_STATUS.items() if code < 300} == {
        Status.REACHED,
        Status.SKIPPED,
        Status.DISPATCHED,
    }
    assert set(HTTP_STATUS) == set(Status)


FACTS: list[facts.Fact] = [
    facts.CreateSent("disk-a"),
    facts.NotAccepted("disk-a", "InternalError", "lost", ambiguous=True),
    facts.GroupAccepted("snapg-1", ("disk-a", "disk-b")),
    facts.GroupUnavailable("UnsupportedOperation", "no groups"),
    facts.Member("disk-a", "snap-1", "snapg-1"),
    facts.Adopted("disk-a", "snap-1", None),
    facts.Adopted("disk-a", "snap-1", Level.CRASH),
    facts.WaitedUntil("listed", seen=False),
    facts.Trouble("release", "not confirmed"),
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_every_fact_has_a_flat_log_line(fact: facts.Fact) -> None:
    (step,) = steps_of(plan_for(), (facts.Timed(1.0, fact),))
    assert all(isinstance(value, str | int | float | bool) for value in step.values())


def test_a_whole_run_is_logged_in_order() -> None:
    here = FakeWorld()
    outcome = protect(plan_for(), here.world)
    steps = [step["step"] for step in steps_of(outcome.plan, outcome.entries)]
    assert steps == ["check", "quiesce_asked", "prepare", "quiesce", "create_sent", "create", "release_asked", "release"]
