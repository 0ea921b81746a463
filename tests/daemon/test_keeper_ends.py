"""How holds of the keeper end: limits, disturbances, releases that come twice or too early, restarts and closing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quiesced.keeper import Keeper
from quiesced.messages import Stall
from quiesced.quiescers.base import Watched
from tests.daemon.fakes import FakeInstance, check, quiesce, release
from tests.daemon.keeper_on_fakes import refused_with, start
from tests.waiting import wait_until


def test_a_hold_that_nobody_releases_ends_before_its_limit(keeper: Keeper, instance: FakeInstance) -> None:
    answer = keeper.quiesce(quiesce(hold_limit_s=0.1))
    assert answer.state == "held"
    wait_until(instance.holds_nothing, 1.0)
    told = keeper.release(release())
    assert (told.state, told.held_without_gap) == ("expired", False)
    assert told.reason == "the hold limit of 0.1 s passed before a release was asked for"
    assert told.held_s > 0.05


def test_the_death_of_the_guardian_ends_the_hold_at_once(keeper: Keeper, instance: FakeInstance) -> None:
    keeper.quiesce(quiesce())
    instance.guardian.die()
    wait_until(instance.holds_nothing)
    told = keeper.release(release())
    assert (told.state, told.held_without_gap) == ("expired", False)
    assert "guardian" in told.reason


def test_a_hold_behind_which_too_many_wait_ends_at_once_and_says_what_they_waited(
    keeper: Keeper, instance: FakeInstance
) -> None:
    keeper.quiesce(quiesce())
    instance.second.watched = Watched(12, 3.5, 9, "12 writers waited")
    wait_until(instance.holds_nothing)
    told = keeper.release(release())
    assert (told.state, told.reason) == ("expired", "second: 12 writers waited")
    assert told.stalls == (Stall("first", 0, 0.0, 0), Stall("second", 12, 3.5, 9))


def test_a_hold_is_refused_when_too_many_wait_before_it_is_complete(keeper: Keeper, instance: FakeInstance) -> None:
    instance.first.watched = Watched(12, 3.5, 9, "12 writers waited")
    assert refused_with(keeper.quiesce(quiesce())) == "writers_piled_up"
    assert instance.holds_nothing()


GAPS = [
    pytest.param(lambda i: setattr(i.guardian, "why_lost", "the guardian died"), "guardian", id="no guardian any more"),
    pytest.param(lambda i: i.kernel.by_hand("disk-0", frozen=False), "disk-0", id="a filesystem was thawed"),
    pytest.param(lambda i: i.first.witness_says.update(session="session-8"), "session-8", id="another session"),
    pytest.param(lambda i: i.first.witness_says.update(session_alive=False), "session", id="the session died"),
    pytest.param(lambda i: i.second.witness_says.update(position={"gtid": "0-1-43"}), "0-1-43", id="a commit went by"),
    pytest.param(lambda i: setattr(i.second, "locked", False), "lock", id="the lock is gone"),
    pytest.param(lambda i: i.first.fails_at.update(witness=RuntimeError("a bug")), "a bug", id="no witness"),
]


@pytest.mark.parametrize(("disturb", "word"), GAPS)
def test_a_hold_that_was_disturbed_is_released_with_a_gap_and_a_reason(
    keeper: Keeper, instance: FakeInstance, disturb: Callable[[FakeInstance], object], word: str
) -> None:
    keeper.quiesce(quiesce())
    disturb(instance)
    told = keeper.release(release())
    assert (told.state, told.held_without_gap) == ("expired", False)
    assert word in told.reason
    assert instance.holds_nothing()


def test_an_unlock_that_fails_does_not_strand_the_other_application(keeper: Keeper, instance: FakeInstance) -> None:
    keeper.quiesce(quiesce())
    instance.second.fails_at["release"] = RuntimeError("a bug")
    assert keeper.release(release()).state == "released"
    assert instance.holds_nothing()


class ExhaustedClock:
    """Runs out of memory once, at one of the readings that this thread takes after ``exhaust``."""

    def __init__(self) -> None:
        self.left = -1
        self._thread = threading.get_ident()

    def exhaust(self, after: int) -> None:
        self.left = after + 1

    def __call__(self) -> float:
        if self.left > 0 and threading.get_ident() == self._thread:
            self.left -= 1
            if self.left == 0:
                raise MemoryError
        return time.monotonic()


@pytest.mark.parametrize("reading", range(8))
def test_no_memory_while_letting_go_leaves_nothing_held_and_the_next_run_holds(
    tmp_path: Path, instance: FakeInstance, reading: int
) -> None:
    clock = ExhaustedClock()
    keeper = start(tmp_path, instance, clock=clock)
    keeper.quiesce(quiesce())
    clock.exhaust(after=reading)
    told = keeper.release(release())
    assert clock.left == 0, "the reading was never taken"
    assert told.state == ("expired" if reading < 3 else "released"), "a witness that is missing is a gap"
    assert instance.holds_nothing()
    assert keeper.quiesce(quiesce("lease-2", run_id="run-2")).state == "held"
    keeper.close()
    assert instance.holds_nothing()


def test_a_release_that_is_asked_again_gets_the_same_answer(keeper: Keeper) -> None:
    keeper.quiesce(quiesce())
    first = keeper.release(release())
    assert keeper.release(release()) == first


def test_many_releases_at_once_get_one_answer(keeper: Keeper, instance: FakeInstance) -> None:
    keeper.quiesce(quiesce())
    with ThreadPoolExecutor(4) as pool:
        answers = set(map(str, pool.map(keeper.release, [release()] * 4)))
    assert len(answers) == 1
    assert instance.journal.entries.count("unlock first") == 1


def test_a_release_cancels_an_acquisition_and_answers_when_it_is_out(keeper: Keeper, instance: FakeInstance) -> None:
    instance.second.waits_at_quiesce = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(keeper.quiesce, quiesce(acquire_limit_s=5.0))
        wait_until(lambda: instance.journal.has("lock second"))
        told = keeper.release(release())
        assert instance.holds_nothing()
        assert told.state == "never_held"
        assert refused_with(asked.result()) == "cancelled"


def test_a_lease_released_before_it_was_asked_for_never_holds_also_after_a_restart(
    tmp_path: Path, keeper: Keeper, instance: FakeInstance
) -> None:
    told = keeper.release(release())
    assert told.state == "never_held"
    assert refused_with(keeper.quiesce(quiesce())) == "released_before"
    keeper.close()
    after = start(tmp_path, instance)
    assert refused_with(after.quiesce(quiesce())) == "released_before"
    assert after.release(release()) == told
    after.close()


def test_releases_that_come_while_others_are_acquired_are_stored_all_of_them(
    tmp_path: Path, keeper: Keeper, instance: FakeInstance
) -> None:
    unknown = [f"unknown-{number}" for number in range(300)]
    with ThreadPoolExecutor(1) as pool:
        released = pool.submit(lambda: [keeper.release(release(lease_id)) for lease_id in unknown])
        for number in range(30):
            answer = keeper.quiesce(quiesce(f"lease-{number}", run_id=f"run-{number}"))
            assert answer.state == "held", answer.refusal
            keeper.release(release(f"lease-{number}"))
            wait_until(lambda: keeper.status().state == "idle")  # its place is free a moment after the answer
        released.result()
    keeper.close()
    after = start(tmp_path, instance)
    refused = {refused_with(after.quiesce(quiesce(lease_id))) for lease_id in unknown}
    after.close()
    assert refused == {"released_before"}


def test_a_daemon_that_died_while_holding_is_healed_by_the_next(tmp_path: Path, instance: FakeInstance) -> None:
    start(tmp_path, instance).quiesce(quiesce())  # and is never heard of again
    instance.guardian.armed = False
    assert instance.kernel.frozen == {"disk-0", "disk-1"}
    after = start(tmp_path, instance)
    assert instance.holds_nothing()
    assert instance.journal.entries[-2:] == ("heal second", "heal first")
    told = after.release(release())
    assert (told.state, told.held_without_gap) == ("expired", False)
    assert after.check(check()).holds_of_run == 1
    assert refused_with(after.quiesce(quiesce("lease-2", prior_holds=0))) == "run_moved_on"
    after.close()


def test_the_answer_to_a_release_outlives_a_restart(tmp_path: Path, instance: FakeInstance) -> None:
    before = start(tmp_path, instance)
    before.quiesce(quiesce())
    told = before.release(release())
    before.close()
    after = start(tmp_path, instance)
    assert after.release(release()) == told
    assert told.witness is not None
    after.close()


def test_closing_lets_go_and_takes_no_more_leases(keeper: Keeper, instance: FakeInstance) -> None:
    keeper.quiesce(quiesce())
    keeper.close()
    assert instance.holds_nothing()
    assert "stopped" in keeper.release(release()).reason
    assert refused_with(keeper.quiesce(quiesce("lease-2", prior_holds=1))) == "busy"


def test_closing_while_acquiring_backs_out(keeper: Keeper, instance: FakeInstance) -> None:
    instance.second.waits_at_quiesce = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(keeper.quiesce, quiesce(acquire_limit_s=5.0))
        wait_until(lambda: instance.journal.has("lock second"))
        keeper.close()
        assert instance.holds_nothing()
        assert refused_with(asked.result()) == "cancelled"
