from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from quiesce.budget import DISCARD_S, HOLD_MARGIN_S, PREFLUSH_S, RELEASE_MARGIN_S, needed_s, unsafe
from quiesce.model import OnPartial
from quiesce.policies import Policy, Targets
from quiesce.settings import Settings
from tests.function.requests_made import settings

POLICY = Policy(targets=Targets(instances=("ins-00lycyy6",)), acquire_limit_s=2.0, hold_limit_s=10.0)
PLENTY_S = 900.0


def with_timeouts(*, api_s: float = 5.0, hook_s: float = 5.0) -> Settings:
    base = settings()
    return replace(base, cloud=replace(base.cloud, timeout_s=api_s), hook=replace(base.hook, timeout_s=hook_s))


def test_the_defaults_fit_a_function_with_five_minutes() -> None:
    assert unsafe(POLICY, with_timeouts(), 300.0) == ()


def test_a_hold_must_outlast_acquiring_it_and_one_call_to_the_cloud() -> None:
    least = POLICY.acquire_limit_s + 5.0 + HOLD_MARGIN_S

    assert unsafe(msgspec.structs.replace(POLICY, hold_limit_s=least), with_timeouts(), PLENTY_S) == ()
    (problem,) = unsafe(msgspec.structs.replace(POLICY, hold_limit_s=least - 0.1), with_timeouts(), PLENTY_S)
    assert "hold_limit_s is 7.9 s and must be at least 8 s" in problem


def test_time_left_must_cover_the_hold_and_every_release_that_may_follow() -> None:
    needed = needed_s(POLICY, with_timeouts())

    assert needed > PREFLUSH_S + 2 * POLICY.hold_limit_s + RELEASE_MARGIN_S
    assert unsafe(POLICY, with_timeouts(), needed) == ()
    (problem,) = unsafe(POLICY, with_timeouts(), needed - 1)
    assert "raise the function's timeout" in problem


def test_a_second_of_hold_costs_a_second_of_holding_and_one_of_asking_for_the_release() -> None:
    longer = msgspec.structs.replace(POLICY, hold_limit_s=POLICY.hold_limit_s + 1)

    assert needed_s(longer, with_timeouts()) == needed_s(POLICY, with_timeouts()) + 2


@pytest.mark.parametrize("change", ["hold", "hook", "api"])
def test_whatever_may_take_longer_needs_more_time(change: str) -> None:
    longer = {
        "hold": needed_s(msgspec.structs.replace(POLICY, hold_limit_s=11.0), with_timeouts()),
        "hook": needed_s(POLICY, with_timeouts(hook_s=6.0)),
        "api": needed_s(POLICY, with_timeouts(api_s=6.0)),
    }

    assert longer[change] > needed_s(POLICY, with_timeouts())


def test_every_problem_is_said_at_once() -> None:
    assert len(unsafe(POLICY, with_timeouts(api_s=30.0), 3.0)) == 2


def test_a_group_must_leave_room_for_asking_for_each_disk_after_all() -> None:
    grouped = msgspec.structs.replace(POLICY, snapshot_group=True, hold_limit_s=13.0)

    assert unsafe(grouped, with_timeouts(), PLENTY_S) == ()
    (problem,) = unsafe(msgspec.structs.replace(grouped, hold_limit_s=12.9), with_timeouts(), PLENTY_S)
    assert "must be at least 13 s: 1 x acquire_limit_s (2) + 2 x QUIESCE_API_TIMEOUT_S (5) + 1" in problem


def test_deleting_a_part_of_a_set_needs_time() -> None:
    deleting = msgspec.structs.replace(POLICY, on_partial=OnPartial.DELETE)

    assert needed_s(deleting, with_timeouts()) >= needed_s(POLICY, with_timeouts()) + DISCARD_S
