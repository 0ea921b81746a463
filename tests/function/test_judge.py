"""The certificate's rungs: each piece of evidence, taken away alone, keeps the set below ``application``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from quiesce import facts, holds
from quiesce.judge import judge
from quiesce.model import Level, OnQuiesceFailure
from quiesce.procedure import protect
from tests.function.fake_instance import HONEST
from tests.function.fake_world import FakeWorld, plan_for


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        pytest.param(replace(HONEST, session_alive=False), "not alive", id="the session is dead"),
        pytest.param(replace(HONEST, lock_shown=False), "did not show the lock", id="the server shows no lock"),
        pytest.param(replace(HONEST, durable=False), "not all was on disk", id="redo is not on disk"),
        pytest.param(replace(HONEST, position={}), "position", id="there is no position"),
        pytest.param(replace(HONEST, session=""), "session changed", id="the session has no name"),
    ],
)
def test_each_missing_witness_keeps_the_set_at_filesystem(told: holds.ApplicationWitness, reason: str) -> None:
    here = FakeWorld()
    here.instance.told = told
    verdict = protect(plan_for(), here.world).verdict
    assert verdict.level is Level.FILESYSTEM
    assert any(reason in said for said in verdict.reasons)


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(replace(HONEST, mode="replica"), id="it was held in another way at the end"),
        pytest.param(replace(HONEST, session="4712"), id="another session holds the lock at the end"),
        pytest.param(replace(HONEST, position={"gtid": "0-1-43"}), id="the position moved"),
        pytest.param(replace(HONEST, lock_shown=False), id="the lock is gone at the end"),
        pytest.param(replace(HONEST, session_alive=False), id="the session is dead at the end"),
    ],
)
def test_what_changed_during_the_hold_keeps_the_set_at_filesystem(told: holds.ApplicationWitness) -> None:
    here = FakeWorld()
    here.instance.told_at_release = told
    assert protect(plan_for(), here.world).verdict.level is Level.FILESYSTEM


def test_a_path_outside_the_set_is_named() -> None:
    here = FakeWorld()
    here.instance.written_disks = ("disk-a", "disk-of-the-binlog")
    verdict = protect(plan_for(on_quiesce_failure=OnQuiesceFailure.CRASH_CONSISTENT), here.world).verdict
    assert verdict.level is Level.FILESYSTEM
    assert any("not on a disk of this set" in said for said in verdict.reasons)


def test_nobody_is_made_to_wait_for_a_set_that_a_path_outside_of_it_would_turn_down() -> None:
    here = FakeWorld()
    here.instance.written_disks = ("disk-a", "disk-of-the-binlog")
    verdict = protect(plan_for(), here.world).verdict
    assert (verdict.level, here.cloud.cuts, here.instance.epoch) == (Level.NONE, [], 0)
    assert any("orders writes /d (data), which is not on a disk of this set" in said for said in verdict.reasons)


def test_what_a_restore_does_without_may_lie_elsewhere() -> None:
    here = FakeWorld()
    here.instance.written_disks, here.instance.scratch_disks = ("disk-a", "disk-s"), ("disk-s",)
    assert protect(plan_for(), here.world).verdict.level is Level.APPLICATION


@pytest.mark.parametrize(
    ("disks", "told", "level"),
    [
        pytest.param(("disk-a",), HONEST, Level.APPLICATION, id="one disk, every writer locked"),
        pytest.param(("disk-a", "disk-b"), HONEST, Level.UNKNOWN, id="several disks are not cut at one moment"),
        pytest.param(("disk-a",), replace(HONEST, held_by="freeze"), Level.CRASH, id="only a freeze would have stopped it"),
        pytest.param(("disk-a",), replace(HONEST, held_by="word"), Level.CRASH, id="it only said so"),
        pytest.param(("disk-a",), replace(HONEST, lock_shown=False), Level.CRASH, id="its lock was not shown"),
    ],
)
def test_without_a_freeze_everything_hangs_on_the_locks(
    disks: tuple[str, ...], told: holds.ApplicationWitness, level: Level
) -> None:
    here = FakeWorld(disks)
    here.instance.told, here.instance.frozen, here.instance.freeze = told, False, "none"
    assert protect(plan_for(*disks), here.world).verdict.level is level


def test_an_application_that_shows_nothing_is_worth_the_freeze() -> None:
    here = FakeWorld()
    here.instance.told = replace(HONEST, held_by="word", lock_shown=False, durable=False, position={}, session="")
    verdict = protect(plan_for(), here.world).verdict
    assert verdict.level is Level.FILESYSTEM
    assert any("showed nothing" in said for said in verdict.reasons)


def test_an_instance_without_applications_is_filesystem_consistent_at_most() -> None:
    here = FakeWorld()
    here.instance.applications = ()
    assert protect(plan_for(), here.world).verdict.level is Level.FILESYSTEM


def test_a_filesystem_that_was_not_seen_frozen_leaves_crash() -> None:
    here = FakeWorld()
    here.instance.frozen = False
    assert protect(plan_for(), here.world).verdict.level is Level.CRASH


def test_a_hold_with_a_gap_leaves_crash_and_says_why() -> None:
    here = FakeWorld()
    here.instance.gap_after_quiesce = "the guardian died"
    verdict = protect(plan_for(), here.world).verdict
    assert verdict.level is Level.CRASH
    assert any("the guardian died" in said for said in verdict.reasons)


def swapped(noted: list[facts.Fact], one: type[facts.Fact], other: type[facts.Fact]) -> list[facts.Fact]:
    kinds = [type(fact) for fact in noted]
    first, second = kinds.index(one), kinds.index(other)
    noted[first], noted[second] = noted[second], noted[first]
    return noted


def for_another_lease(noted: list[facts.Fact]) -> list[facts.Fact]:
    answered = next(fact for fact in noted if isinstance(fact, facts.Released))
    other = facts.Released(replace(answered.answer, lease_id="of somebody else"))
    return [other if fact is answered else fact for fact in noted]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda noted: swapped(noted, facts.QuiesceAnswered, facts.CreateSent),
            "sent before the hold was confirmed",
            id="a create is sent before the hold is confirmed",
        ),
        pytest.param(
            lambda noted: swapped(noted, facts.Accepted, facts.ReleaseAsked),
            "accepted after the release was asked for",
            id="a create is accepted after the release was asked for",
        ),
        pytest.param(for_another_lease, "another lease", id="the release is answered for another lease"),
    ],
)
def test_facts_that_came_in_another_order_are_no_hold_around_the_cut(
    change: Callable[[list[facts.Fact]], list[facts.Fact]], reason: str
) -> None:
    """Velero's hooks ran before the snapshot existed, or after it was cut: the order of events is what is judged."""
    noted = [entry.fact for entry in protect(plan_for(), FakeWorld().world).entries]
    verdict = judge(plan_for(), change(noted))
    assert verdict.level is Level.CRASH
    assert any(reason in said for said in verdict.reasons)
