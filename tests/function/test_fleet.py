"""Splitting a run into batches: every target once, within the rate limit, and sealed."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from quiesce import fleet
from quiesce.certificate import SigningKey
from quiesce.errors import PolicyError, RequestError
from quiesce.model import TargetPlan
from tests.function.fake_world import plan_for

KEY = SigningKey("2026-11", b"a secret of the tests")
LONG_S = 800.0


def plans(*disks_of: int) -> list[TargetPlan]:
    return [
        replace(plan_for(*(f"disk-{n}-{d}" for d in range(disks))), instance_id=f"ins-{n}")
        for n, disks in enumerate(disks_of)
    ]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=300))
def test_every_target_is_in_one_batch_and_all_shares_together_stay_within_the_limit(disks_of: list[int]) -> None:
    planned = plans(*disks_of)
    batches = fleet.split(planned, "timer", time_s=LONG_S, key=KEY)
    assert [target.instance_id for batch in batches for target in batch.targets] == [plan.instance_id for plan in planned]
    assert sum(batch.allowance for batch in batches) <= max(fleet.CALLS_PER_S, *disks_of)
    assert all(batch.allowance >= len(target.disks) for batch in batches for target in batch.targets)
    assert [(batch.number, batch.of) for batch in batches] == [(n, len(batches)) for n in range(1, len(batches) + 1)]


def test_a_thousand_instances_become_twenty_batches_that_scf_takes() -> None:
    batches = fleet.split(plans(*[1] * 1000), "timer", time_s=LONG_S, key=KEY)
    assert [len(batch.targets) for batch in batches] == [50] * 20
    assert all(len(json.dumps(fleet.as_event(batch))) < fleet.MAX_EVENT_BYTES for batch in batches)


def test_more_than_the_timeout_lets_through_is_refused_before_anything_is_touched() -> None:
    with pytest.raises(PolicyError, match=r"1000 instances .* do not fit into the function's timeout, 600 do: raise"):
        fleet.split(plans(*[1] * 1000), "timer", time_s=50.0, key=KEY)


def test_a_batch_comes_back_as_it_was_sent() -> None:
    batch = fleet.split(plans(1, 2), "timer", time_s=LONG_S, key=KEY)[0]
    event = json.loads(json.dumps(fleet.as_event(batch)))
    assert fleet.is_batch(event)
    assert fleet.read(event, KEY) == batch


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": "another"},
        {"allowance": 20},
        {"run_id": "another"},
        {"seal": ""},
        {"quota_seen": True},
        {"number": 7},
        {"of": 1},
    ],
)
def test_a_batch_that_was_altered_is_refused(changes: dict[str, object]) -> None:
    batch = fleet.split(plans(*[1] * 40), "timer", time_s=LONG_S, key=KEY)[0]
    with pytest.raises(RequestError, match="not sealed by this function"):
        fleet.read({**fleet.as_event(batch), **changes}, KEY)


def test_a_batch_of_another_key_or_release_is_refused() -> None:
    event = fleet.as_event(fleet.split(plans(1), "timer", time_s=LONG_S, key=KEY)[0])
    with pytest.raises(RequestError, match="not sealed"):
        fleet.read(event, SigningKey("2026-12", b"another secret altogether"))
    with pytest.raises(RequestError, match="no batch of this release"):
        fleet.read({**event, "later": 1}, KEY)


def test_nothing_else_is_taken_for_a_batch() -> None:
    events: list[object] = [{"Type": "Timer"}, [], None, {"kind": "other"}, msgspec.UNSET]
    assert not any(fleet.is_batch(event) for event in events)
