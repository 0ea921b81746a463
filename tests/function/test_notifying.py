"""What is told, to whom it matters, and in which words."""

from __future__ import annotations

from datetime import datetime, timezone

import msgspec
import pytest
from msgspec.structs import replace

from quiesce.certificate import Certificate, SigningKey, issue
from quiesce.coverage import Finding, Row
from quiesce.errors import PolicyError
from quiesce.notifying import SHOWN, of_follow_up, of_refusal, of_run
from quiesce.procedure import protect
from quiesce.report import Report, Status, TargetReport, status_of
from quiesce.settings import NotifyOn
from tests.function.fake_instance import Faults
from tests.function.fake_world import FakeWorld, plan_for

USUAL = frozenset({NotifyOn.FAILED, NotifyOn.WEAKER, NotifyOn.LATE})
WECOM_BYTES = 2048


def target(instance_id: str, fault: dict[str, str] | None = None) -> TargetReport:
    """What an instance got from the real procedure, with something going wrong on the way."""
    outcome = protect(plan_for(), FakeWorld(faults=Faults(fault or {})).world)
    certificate: Certificate = msgspec.structs.replace(
        issue(outcome, SigningKey("k", b"a secret of the tests"), "2026-11-26T00:00:00Z"), instance_id=instance_id
    )
    return TargetReport(instance_id, status_of(outcome), certificate)


def refused(instance_id: str, status: Status = Status.FAILED, why: str = "no disk is attached") -> TargetReport:
    return TargetReport(instance_id, status, None, refusal=why)


def run(*targets: TargetReport) -> Report:
    return Report("r-1", "nightly", targets)


def test_a_run_that_got_all_it_was_asked_for_wakes_nobody() -> None:
    assert of_run(run(target("ins-a")), USUAL) is None


def test_a_failed_run_is_told_with_its_id_policy_instance_and_reason() -> None:
    message = of_run(run(target("ins-a"), refused("ins-b")), USUAL)
    assert message is not None
    assert message.title == "Quiesce: failed, run r-1 of policy nightly"
    assert message.text.splitlines() == [
        "instances: 1 failed, 1 reached",
        "ins-b: failed, none: no disk is attached",
        "Next: when the reason is gone, `quiesce trigger nightly` runs it again.",
    ]


def test_a_weaker_level_is_told_with_what_speaks_against_more() -> None:
    message = of_run(run(target("ins-a", {"create disk-a": "after"})), USUAL)
    assert message is not None
    assert "ins-a: weaker, crash: not every CreateSnapshot returned its id inside the hold" in message.text


@pytest.mark.parametrize("on", [USUAL, frozenset[NotifyOn]()], ids=["usual", "nothing is asked for"])
def test_a_release_that_was_not_confirmed_is_told_first_and_always_with_what_to_do_now(on: frozenset[NotifyOn]) -> None:
    message = of_run(run(refused("ins-a"), target("ins-b", {"release": "before"})), on)
    assert message is not None
    lines = message.text.splitlines()
    assert lines[1].startswith("ins-b: RELEASE NOT CONFIRMED, ")
    assert lines[-1].startswith("Next: look at ins-b NOW: `quiesced status` there")
    assert "systemctl restart quiesced" in lines[-1]
    assert message.facts["release_unconfirmed"] == ["ins-b"]


@pytest.mark.parametrize("status", [Status.IN_PROGRESS, Status.DISPATCHED])
def test_what_another_delivery_or_worker_tells_is_not_told_twice(status: Status) -> None:
    assert of_run(run(refused("ins-a", status)), frozenset(NotifyOn)) is None


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (Status.FAILED, NotifyOn.FAILED),
        (Status.WEAKER, NotifyOn.WEAKER),
        (Status.SKIPPED, NotifyOn.SKIPPED),
        (Status.REACHED, NotifyOn.REACHED),
    ],
)
def test_each_word_asks_for_its_own_status_and_no_other(status: Status, word: NotifyOn) -> None:
    assert of_run(run(refused("ins-a", status)), {word}) is not None
    assert of_run(run(refused("ins-a", status)), set(NotifyOn) - {word}) is None


def test_a_run_that_found_no_instance_has_failed_and_says_so() -> None:
    message = of_run(run(), USUAL)
    assert message is not None
    assert "no instance was found" in message.text
    assert of_run(run(), {NotifyOn.WEAKER}) is None


def test_the_worst_come_first_and_a_thousand_instances_fit_into_a_chat() -> None:
    many = [refused(f"ins-{n:04d}", Status.WEAKER, "锁" * 5000) for n in range(1000)]
    message = of_run(run(*many, refused("ins-zzzz")), USUAL)
    assert message is not None
    lines = message.text.splitlines()
    assert lines[1].startswith("ins-zzzz: failed")
    assert lines[1 + SHOWN] == f"and {1001 - SHOWN} more"
    assert len(message.text.encode()) <= WECOM_BYTES
    items = message.facts["items"]
    assert isinstance(items, list)
    assert len(items) == 50


def test_an_invocation_that_could_not_begin_is_told_with_where_to_look() -> None:
    message = of_refusal(PolicyError(("hold_limit_s is 5 s and must be at least 8 s",)), "req-7", USUAL)
    assert message is not None
    assert message.text.splitlines()[0] == "PolicyError: hold_limit_s is 5 s and must be at least 8 s"
    assert "req-7" in message.text
    assert of_refusal(PolicyError(("x",)), "req-7", {NotifyOn.LATE}) is None


NOW = datetime(2026, 11, 26, tzinfo=timezone.utc)
LATE = Row("disk-a", "ins-a", ("nightly",), {}, 26.0, 31.54, Finding.LATE)
NEVER = replace(LATE, disk_id="disk-b", age_hours=None)
BARE = Row("disk-c", "ins-c", (), {}, None, None, Finding.UNCOVERED)
WELL = replace(LATE, disk_id="disk-d", age_hours=3.0, finding=Finding.COVERED)


def counts(*rows: Row, **more: int) -> dict[str, int]:
    return {**{finding.value: sum(row.finding is finding for row in rows) for finding in Finding}, **more}


def test_late_disks_are_told_in_one_message_the_worst_first() -> None:
    rows = [WELL, LATE, BARE, NEVER]
    message = of_follow_up(counts(*rows, stuck=2, vanished=0), rows, USUAL)
    assert message is not None
    assert message.title == "Quiesce: 2 disks late, 1 without a policy"
    assert message.text.splitlines() == [
        "disk-b of ins-a: late: no point of the level asked for, 26 h is the objective (nightly)",
        "disk-a of ins-a: late: 31.5 h, 26 h is the objective (nightly)",
        "snapshots: 2 stuck",
        "Next: `quiesce coverage` shows every disk; `quiesce trigger POLICY` takes a set now.",
    ]


def test_disks_without_a_policy_are_told_where_that_is_asked_for() -> None:
    assert of_follow_up(counts(BARE, WELL), [BARE, WELL], USUAL) is None
    message = of_follow_up(counts(BARE, WELL), [BARE, WELL], {NotifyOn.UNCOVERED})
    assert message is not None
    assert message.text.splitlines()[0] == "disk-c of ins-c: no policy covers it"


def test_an_estate_in_which_all_is_well_wakes_nobody() -> None:
    assert of_follow_up(counts(WELL), [WELL], frozenset(NotifyOn)) is None
