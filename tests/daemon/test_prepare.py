"""A hold that is prepared first: everything slow is done, and nobody waits until the hold itself is asked for."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from quiesced.due import PREPARED_LIMIT_S
from quiesced.errors import Refused
from quiesced.keeper import Keeper
from quiesced.lease import LeaseBook
from tests.daemon.fakes import FakeInstance, check, quiesce, release
from tests.daemon.keeper_on_fakes import refused_with, start
from tests.waiting import wait_until


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(tmp_path: Path, instance: FakeInstance, clock: Clock) -> Keeper:
    return start(tmp_path, instance, clock=clock)


def locks(instance: FakeInstance) -> list[str]:
    return [entry for entry in instance.journal.entries if entry.startswith(("lock", "freeze"))]


def test_everything_slow_is_done_and_nobody_is_locked_or_frozen(keeper: Keeper, instance: FakeInstance) -> None:
    answer = keeper.prepare(quiesce())
    assert (answer.state, answer.witness, answer.refusal) == ("prepared", None, None)
    assert 0 < answer.hold_remaining_s <= PREPARED_LIMIT_S
    assert [step.name for step in answer.steps] == ["preflush", "arm"]
    assert locks(instance) == []
    assert instance.first.setting == "strict"


def test_the_hold_goes_on_from_there_and_repeats_nothing_slow(keeper: Keeper, instance: FakeInstance) -> None:
    keeper.prepare(quiesce())
    synced = instance.journal.entries.count("sync disk-0")
    held = keeper.quiesce(quiesce())
    assert held.state == "held"
    assert [step.name for step in held.steps] == ["lock", "freeze", "witness"]
    assert instance.journal.entries.count("sync disk-0") == synced
    assert keeper.release(release()).held_without_gap
    assert instance.holds_nothing()


def test_a_release_undoes_the_preparation_and_frees_the_place(keeper: Keeper, instance: FakeInstance) -> None:
    keeper.prepare(quiesce())
    for _ in range(2):
        assert keeper.release(release()).state == "never_held"
    assert (instance.holds_nothing(), instance.first.setting) == (True, "relaxed")
    assert refused_with(keeper.quiesce(quiesce())) == "lease_over"
    assert keeper.quiesce(quiesce("lease-2")).state == "held"


def test_a_preparation_that_nobody_goes_on_with_undoes_itself(timed: Keeper, instance: FakeInstance, clock: Clock) -> None:
    timed.prepare(quiesce())
    clock.now_s += PREPARED_LIMIT_S
    instance.guardians[-1].nudge()
    wait_until(instance.holds_nothing)
    assert instance.first.setting == "relaxed"
    assert refused_with(timed.quiesce(quiesce())) == "lease_over"
    released = timed.release(release())
    assert released.state == "never_held"
    assert "prepared_too_long" in released.reason
    timed.close()


def test_while_one_lease_is_prepared_another_is_refused_as_busy(keeper: Keeper) -> None:
    keeper.prepare(quiesce())
    assert refused_with(keeper.prepare(quiesce("lease-2", run_id="run-2"))) == "busy"
    assert refused_with(keeper.quiesce(quiesce("lease-2", run_id="run-2"))) == "busy"
    assert [refusal.code for refusal in keeper.check(check()).refusals] == ["busy"]


def test_a_second_delivery_does_not_get_past_a_preparation_of_the_same_run(keeper: Keeper) -> None:
    keeper.prepare(quiesce())
    assert keeper.check(check()).holds_of_run == 1
    assert refused_with(keeper.prepare(quiesce("lease-2"))) == "run_moved_on"


def test_a_preparation_asked_for_twice_is_one(keeper: Keeper, instance: FakeInstance) -> None:
    first, again = keeper.prepare(quiesce()), keeper.prepare(quiesce())
    assert (first.steps, again.state) == (again.steps, "prepared")
    assert instance.journal.entries.count("armed") == 1


def test_what_was_prepared_for_other_disks_holds_nothing(keeper: Keeper, instance: FakeInstance) -> None:
    keeper.prepare(quiesce())
    assert refused_with(keeper.quiesce(quiesce(disks=("disk-0",)))) == "busy"
    assert locks(instance) == []
    assert keeper.quiesce(quiesce()).state == "held"


def test_a_preparation_that_fails_leaves_nothing(keeper: Keeper, instance: FakeInstance) -> None:
    instance.second.fails_at["prepare"] = Refused("blocked", "a long statement")
    assert refused_with(keeper.prepare(quiesce())) == "blocked"
    assert (instance.holds_nothing(), instance.first.setting) == (True, "relaxed")
    instance.second.fails_at.clear()
    assert keeper.prepare(quiesce("lease-2")).state == "prepared"


def test_a_release_while_it_is_being_prepared_leaves_nothing(keeper: Keeper, instance: FakeInstance) -> None:
    instance.kernel.sync_waits = threading.Event()
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(keeper.prepare(quiesce()).state))
    asking.start()
    wait_until(lambda: instance.first.setting == "strict")
    releasing = threading.Thread(target=lambda: answers.append(keeper.release(release()).state))
    releasing.start()
    wait_until(lambda: keeper._book.is_cancelled("lease-1"))
    instance.kernel.sync_waits.set()
    asking.join()
    releasing.join()
    assert sorted(answers) == ["never_held", "refused"]
    assert (instance.holds_nothing(), instance.first.setting) == (True, "relaxed")


def test_a_daemon_that_stops_undoes_what_it_prepared(tmp_path: Path, instance: FakeInstance) -> None:
    keeper = start(tmp_path, instance)
    keeper.prepare(quiesce())
    keeper.close()
    assert (instance.holds_nothing(), instance.first.setting) == (True, "relaxed")


def test_a_daemon_that_starts_undoes_what_another_had_prepared(tmp_path: Path, instance: FakeInstance) -> None:
    start(tmp_path, instance).prepare(quiesce())
    second = start(tmp_path, instance)
    assert instance.first.setting == "relaxed"
    assert second.check(check()).holds_of_run == 1
    assert not LeaseBook(lambda: 0.0).is_prepared("lease-1")
    second.close()
