"""The lease book: what each lease is told, whatever comes twice, late, out of order or never."""

from __future__ import annotations

import math

import pytest

from quiesced.config import AllowedLimits
from quiesced.lease import (
    REMEMBERED,
    LeaseBook,
    Turn,
    expired,
    never_held,
    refused,
    unsafe_limits,
)
from quiesced.messages import QuiesceAnswer, Refusal, ReleaseAnswer
from tests.daemon.fakes import quiesce
from tests.daemon.leases import HELD_S, Clock, code_of, held, released


def book_holding(clock: Clock, lease_id: str = "lease-1") -> LeaseBook:
    book = LeaseBook(clock)
    assert book.ask(quiesce(lease_id)) is Turn.ACQUIRE
    assert book.granted(lease_id, held(lease_id), clock() + HELD_S)
    return book


def test_a_repeated_quiesce_gets_the_stored_answer_with_the_time_that_is_left() -> None:
    clock = Clock()
    book = book_holding(clock)
    clock.now_s += 4
    answer = book.ask(quiesce())
    assert isinstance(answer, QuiesceAnswer)
    assert answer.state == "held"
    assert answer.hold_remaining_s == pytest.approx(6)


def test_a_repeated_quiesce_while_acquiring_waits_for_the_answer_of_the_first() -> None:
    book = LeaseBook(Clock())
    book.ask(quiesce())
    assert book.ask(quiesce()) is Turn.WAIT
    book.refused("lease-1", refused("lease-1", Refusal("blocked", "a long query")))
    assert code_of(book.repeat("lease-1")) == "blocked"
    assert code_of(book.ask(quiesce())) == "lease_over"


def test_whoever_waited_for_a_hold_that_is_over_by_now_is_not_told_that_it_holds() -> None:
    book = LeaseBook(Clock())
    book.ask(quiesce())
    book.granted("lease-1", held("lease-1"), 110)
    book.release("lease-1")
    assert code_of(book.repeat("lease-1")) == "lease_over"


def test_another_lease_is_busy_until_the_place_is_vacated() -> None:
    book = book_holding(Clock())
    assert code_of(book.ask(quiesce("lease-2", run_id="run-2"))) == "busy"
    book.release("lease-1")
    book.ended("lease-1", released("lease-1"))
    assert code_of(book.ask(quiesce("lease-2", run_id="run-2"))) == "busy"
    book.vacate("lease-1")
    assert book.ask(quiesce("lease-2", run_id="run-2")) is Turn.ACQUIRE


def test_another_delivery_of_a_run_that_is_acquiring_or_held_is_told_that_the_run_moved_on() -> None:
    book = LeaseBook(Clock())
    book.ask(quiesce())
    assert book.holds_of("run-1") == 1
    assert code_of(book.ask(quiesce("lease-2"))) == "run_moved_on"
    assert code_of(book.ask(quiesce("lease-2", prior_holds=1))) == "run_moved_on"
    book.granted("lease-1", held("lease-1"), 110)
    assert code_of(book.ask(quiesce("lease-2", prior_holds=1))) == "run_moved_on"


def test_a_lease_that_was_refused_for_being_busy_may_ask_again() -> None:
    book = book_holding(Clock())
    book.ask(quiesce("lease-2", prior_holds=1))
    book.release("lease-1")
    book.ended("lease-1", released("lease-1"))
    book.vacate("lease-1")
    assert book.ask(quiesce("lease-2", prior_holds=1)) is Turn.ACQUIRE


def test_a_release_before_the_quiesce_makes_the_quiesce_refused() -> None:
    book = LeaseBook(Clock())
    answer = book.release("lease-1")
    assert isinstance(answer, ReleaseAnswer)
    assert answer.state == "never_held"
    assert code_of(book.ask(quiesce())) == "released_before"


def test_a_release_while_acquiring_cancels_and_the_grant_comes_too_late() -> None:
    book = LeaseBook(Clock())
    book.ask(quiesce())
    assert book.release("lease-1") is Turn.WAIT
    assert book.is_cancelled("lease-1")
    assert not book.granted("lease-1", held("lease-1"), 110)
    book.refused("lease-1", refused("lease-1", Refusal("cancelled", "")))
    answer = book.release("lease-1")
    assert isinstance(answer, ReleaseAnswer)
    assert answer.state == "never_held"


@pytest.mark.parametrize("prior_holds", [pytest.param(0, id="stale"), pytest.param(2, id="from the future")])
def test_a_run_that_has_held_in_between_is_refused(prior_holds: int) -> None:
    book = book_holding(Clock())
    book.release("lease-1")
    book.ended("lease-1", released("lease-1"))
    book.vacate("lease-1")
    assert code_of(book.ask(quiesce("lease-2", prior_holds=prior_holds))) == "run_moved_on"
    assert book.ask(quiesce("lease-2", prior_holds=1)) is Turn.ACQUIRE


@pytest.mark.parametrize("granted", [pytest.param(True, id="held"), pytest.param(False, id="being acquired")])
def test_a_lease_that_was_open_when_the_daemon_died_has_expired_and_counts_as_a_hold(granted: bool) -> None:
    book = LeaseBook(Clock())
    book.ask(quiesce())
    if granted:
        book.granted("lease-1", held("lease-1"), 110)
    after = LeaseBook(Clock(), book.records())
    answer = after.release("lease-1")
    assert isinstance(answer, ReleaseAnswer)
    assert (answer.state, answer.held_without_gap) == ("expired", False)
    assert code_of(after.ask(quiesce())) == "lease_over"
    assert after.holds_of("run-1") == 1


def test_the_oldest_leases_are_forgotten_but_never_the_one_that_holds() -> None:
    book = book_holding(Clock())
    for number in range(REMEMBERED + 5):
        book.release(f"other-{number}")
    assert len(book.records()) == REMEMBERED
    assert book.knows("lease-1")
    assert not book.knows("other-0")
    assert book.release("lease-1") is Turn.LET_GO


ALLOWED = AllowedLimits(acquire_limit_s=2.0, hold_limit_s=10.0)


@pytest.mark.parametrize(
    ("acquire_s", "hold_s", "is_safe"),
    [
        pytest.param(2.0, 10.0, True, id="just allowed"),
        pytest.param(2.1, 10.0, False, id="acquire too long"),
        pytest.param(2.0, 10.1, False, id="hold too long"),
        pytest.param(0.0, 10.0, False, id="no time to acquire"),
        pytest.param(2.0, -1.0, False, id="negative"),
        pytest.param(math.nan, 10.0, False, id="not a number"),
        pytest.param(2.0, math.inf, False, id="for ever"),
    ],
)
def test_limits_outside_what_the_owner_allows_are_refused(acquire_s: float, hold_s: float, is_safe: bool) -> None:
    refusal = unsafe_limits(ALLOWED, acquire_s, hold_s)
    assert (refusal is None) == is_safe
    assert refusal is None or refusal.code == "unsafe_limits"


def test_answers_of_ended_leases_say_that_nothing_is_held_without_gap() -> None:
    assert not never_held("lease-1", "why").held_without_gap
    assert not expired("lease-1", "why", 1.0).held_without_gap
