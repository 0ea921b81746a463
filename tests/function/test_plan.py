from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Literal

import msgspec
import pytest

from quiesce.model import HoldUntil, Level, Limits, OnPartial, OnQuiesceFailure, TargetPlan
from quiesce.naming import MAX_LENGTH, MAX_PREFIX, GroupName, parse
from quiesce.plan import Disk, Instance, Refusal, make_plans
from quiesce.policies import Policy, TagSelector, Targets
from quiesce.request import Request, Trigger

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=timezone(timedelta(hours=8)))
REQUEST = Request("nightly", "20261123t0200-4f1c9a0b7d", Trigger.TIMER, "f03dc946")
RUNNING = Instance("ins-00lycyy6", "RUNNING", "10.0.0.7")
OTHER = Instance("ins-11lycyy7", "RUNNING", "10.0.0.8")
SYSTEM = Disk("disk-f4cbs4nc", "ins-00lycyy6", "ATTACHED", snapshot_ability=True, shareable=False)
DATA = msgspec.structs.replace(SYSTEM, disk_id="disk-3i2gnf0k")
OTHERS = msgspec.structs.replace(SYSTEM, disk_id="disk-aaaa1111", instance_id="ins-11lycyy7")


def policy(**changes: object) -> Policy:
    base = Policy(targets=Targets(instances=("ins-00lycyy6",)))
    return msgspec.structs.replace(base, **changes)


def plan(
    instances: list[Instance], disks: list[Disk], asked: Policy | None = None
) -> tuple[tuple[TargetPlan, ...], tuple[Refusal, ...]]:
    return make_plans(REQUEST, asked or policy(), instances, disks, NOW)


def test_a_plan_says_everything_that_the_policy_asks() -> None:
    asked = policy(
        level="filesystem",
        on_quiesce_failure=OnQuiesceFailure.SKIP,
        acquire_limit_s=3.0,
        hold_limit_s=20.0,
        hold_until=HoldUntil.LISTED,
        expire_after_days=7,
        tags={"owner": "dba"},
    )

    (made,), refusals = plan([RUNNING], [SYSTEM, DATA], asked)

    assert refusals == ()
    assert (made.run_id, made.policy) == ("20261123t0200-4f1c9a0b7d", "nightly")
    assert (made.instance_id, made.address) == ("ins-00lycyy6", "10.0.0.7")
    assert (made.level, made.on_quiesce_failure) == (Level.FILESYSTEM, OnQuiesceFailure.SKIP)
    assert (made.limits, made.hold_until) == (Limits(3.0, 20.0), HoldUntil.LISTED)
    assert made.tags == {"owner": "dba"}
    assert [intent.name for intent in made.intents] == [
        "quiesce-nightly-20261123t0200-4f1c9a0b7d-3i2gnf0k",
        "quiesce-nightly-20261123t0200-4f1c9a0b7d-f4cbs4nc",
    ]


def test_the_order_in_which_the_cloud_lists_changes_nothing() -> None:
    asked = policy(targets=Targets(tag=TagSelector(key="k", values=("v",))))

    assert plan([RUNNING, OTHER], [SYSTEM, DATA, OTHERS], asked) == plan([OTHER, RUNNING], [OTHERS, DATA, SYSTEM], asked)


def test_a_snapshot_expires_in_utc_and_never_less_than_a_day_after_the_call() -> None:
    (made,), _ = plan([RUNNING], [DATA], policy(expire_after_days=1))

    assert made.intents[0].expires_at == "2026-11-24T03:00:00+00:00"


def test_without_expiry_a_snapshot_is_kept() -> None:
    (made,), _ = plan([RUNNING], [DATA])

    assert made.intents[0].expires_at is None


def test_the_prefix_is_the_policys_own_or_its_name() -> None:
    (made,), _ = plan([RUNNING], [DATA], policy(name_prefix="orders"))

    parsed = parse(made.intents[0].name)
    assert parsed is not None
    assert parsed.prefix == "orders"


@pytest.mark.parametrize(
    ("disks", "chosen"),
    [
        pytest.param("data", ("disk-3i2gnf0k",), id="data"),
        pytest.param("all", ("disk-3i2gnf0k", "disk-f4cbs4nc"), id="all"),
    ],
)
def test_the_system_disk_is_left_out_unless_asked_for(disks: Literal["data", "all"], chosen: tuple[str, ...]) -> None:
    root = msgspec.structs.replace(SYSTEM, system=True)

    (made,), _ = plan([RUNNING], [root, DATA], policy(targets=Targets(instances=("ins-00lycyy6",), disks=disks)))

    assert made.disks == chosen


def test_only_the_listed_disks_are_planned() -> None:
    asked = policy(targets=Targets(instances=("ins-00lycyy6",), disks=("disk-3i2gnf0k",)))

    (made,), refusals = plan([RUNNING], [SYSTEM, DATA], asked)

    assert (made.disks, refusals) == (("disk-3i2gnf0k",), ())


def replaced(**changes: object) -> Disk:
    return msgspec.structs.replace(DATA, **changes)


LISTED = Targets(instances=("ins-00lycyy6",), disks=("disk-3i2gnf0k",))


@pytest.mark.parametrize(
    ("instance", "disk", "targets", "subject", "words"),
    [
        pytest.param(None, None, None, "ins-00lycyy6", "no such instance", id="unknown instance"),
        pytest.param(msgspec.structs.replace(RUNNING, state="STOPPED"), DATA, None, "ins-00lycyy6", "STOPPED", id="stopped"),
        pytest.param(
            msgspec.structs.replace(RUNNING, address=""), DATA, None, "ins-00lycyy6", "private address", id="no address"
        ),
        pytest.param(
            msgspec.structs.replace(RUNNING, local_data=("LOCAL_SSD",)),
            DATA,
            None,
            "ins-00lycyy6",
            "LOCAL_SSD",
            id="local",
        ),
        pytest.param(RUNNING, None, None, "ins-00lycyy6", "has no CBS disk", id="no disk"),
        pytest.param(RUNNING, replaced(state="EXPANDING"), None, "disk-3i2gnf0k", "EXPANDING", id="busy disk"),
        pytest.param(RUNNING, replaced(snapshot_ability=False), None, "disk-3i2gnf0k", "SnapshotAbility", id="no ability"),
        pytest.param(RUNNING, replaced(shareable=True), None, "disk-3i2gnf0k", "shared disk", id="shared"),
        pytest.param(RUNNING, replaced(migrating=True), None, "disk-3i2gnf0k", "changing its type", id="migrating"),
        pytest.param(RUNNING, replaced(rolling_back=True), None, "disk-3i2gnf0k", "rolling back", id="rolling back"),
        pytest.param(
            RUNNING, replaced(disk_id="disk-3i2gnf0kabcd"), None, "disk-3i2gnf0kabcd", "60 characters", id="long name"
        ),
        pytest.param(RUNNING, SYSTEM, LISTED, "disk-3i2gnf0k", "not a CBS disk attached", id="listed disk not there"),
        pytest.param(
            RUNNING, replaced(instance_id="ins-22222222"), LISTED, "disk-3i2gnf0k", "not a CBS disk", id="elsewhere"
        ),
        pytest.param(
            None, None, Targets(tag=TagSelector(key="backup", values=("a", "b"))), "tag backup", "a or b", id="no tag"
        ),
    ],
)
def test_what_cannot_be_protected_as_asked_is_refused_by_name_and_not_planned(
    instance: Instance | None, disk: Disk | None, targets: Targets | None, subject: str, words: str
) -> None:
    asked = policy(**({"targets": targets} if targets else {}), name_prefix="twelve-chars")

    plans, refusals = plan([instance] if instance else [], [disk] if disk else [], asked)

    assert plans == ()
    assert any(subject in refusal.subject and words in refusal.reason for refusal in refusals)


def test_a_local_disk_is_no_obstacle_when_the_policy_lists_its_disks() -> None:
    (made,), refusals = plan([msgspec.structs.replace(RUNNING, local_data=("LOCAL_SSD",))], [DATA], policy(targets=LISTED))

    assert (made.disks, refusals) == (("disk-3i2gnf0k",), ())


@pytest.mark.parametrize(("disks", "refused"), [pytest.param("data", 0, id="data"), pytest.param("all", 1, id="all")])
def test_a_local_system_disk_stands_in_the_way_of_all_disks_but_not_of_the_data_disks(
    disks: Literal["data", "all"], refused: int
) -> None:
    asked = policy(targets=Targets(instances=("ins-00lycyy6",), disks=disks))

    plans, refusals = plan([msgspec.structs.replace(RUNNING, local_system="LOCAL_BASIC")], [DATA], asked)

    assert (len(plans), len(refusals)) == (1 - refused, refused)


def test_a_refusal_of_one_instance_leaves_the_plan_of_another_to_the_caller() -> None:
    asked = policy(targets=Targets(tag=TagSelector(key="k", values=("v",))))

    plans, refusals = plan([msgspec.structs.replace(RUNNING, state="STOPPED"), OTHER], [DATA, OTHERS], asked)

    assert [made.instance_id for made in plans] == ["ins-11lycyy7"]
    assert [str(refusal) for refusal in refusals] == ["ins-00lycyy6: is STOPPED, not RUNNING, so no hook answers there"]


def test_by_choice_the_disks_of_one_instance_are_to_make_a_group_named_after_run_and_instance() -> None:
    (made,), _ = plan([RUNNING], [SYSTEM, DATA], policy(snapshot_group=True, on_partial=OnPartial.DELETE))
    (alone,), _ = plan([RUNNING], [DATA], policy(snapshot_group=True))
    (singly,), _ = plan([RUNNING], [SYSTEM, DATA])

    assert {intent.group for intent in made.intents} == {"quiesce-nightly-20261123t0200-4f1c9a0b7d-00lycyy6"}
    assert (made.grouped, alone.grouped, singly.grouped) == (True, False, False)
    assert (made.on_partial, singly.on_partial) == (OnPartial.DELETE, OnPartial.KEEP)


def test_the_longest_name_of_a_groups_last_member_is_taken_by_the_cloud() -> None:
    longest = str(GroupName("a" * MAX_PREFIX, REQUEST.run_id, "ins-" + "x" * 12))

    assert len(f"{longest}_20") <= MAX_LENGTH
