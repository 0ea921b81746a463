"""The lease book: what each lease is told, whatever comes twice, late, out of order or never."""

from __future__ import annotations

import math
from typing import Optional

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from quiesced.config import AllowedLimits
from quiesced.lease import (
    REMEMBERED,
    LeaseBook,
    Phase,
    Turn,
    expired,
    never_held,
    refused,
    unsafe_limits,
)
from quiesced.messages import QuiesceAnswer, Refusal, ReleaseAnswer
from tests.daemon.fakes import quiesce

HELD_S = 10.0


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def held(lease_id: str) -> QuiesceAnswer:
    return QuiesceAnswer(lease_id, "held", None, None, (), HELD_S)


def released(lease_id: str, reason: str = "") -> ReleaseAnswer:
    return ReleaseAnswer(lease_id, "released", not reason, reason, None, 1.0, ())


def book_holding(clock: Clock, lease_id: str = "lease-1") -> LeaseBook:
    book = LeaseBook(clock)
    assert book.ask(quiesce(lease_id)) is Turn.ACQUIRE
    assert book.granted(lease_id, held(lease_id), clock() + HELD_S)
    return book


def code_of(answer: object) -> Optional[str]:
    assert isinstance(answer, QuiesceAnswer)
    return answer.refusal.code if answer.refusal else None


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


class LeaseLife(RuleBasedStateMachine):
    """Requests come lost, twice and out of order; holds end by request, by limit, by restart. The promises stay."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.book = LeaseBook(self.clock)
        self.holding: dict[str, float] = {}
        """Leases that hold now, and when their limit passes: at most one, if the book keeps its promise."""
        self.acquiring: Optional[str] = None
        self.letting_go: Optional[str] = None
        self.closed: dict[str, Optional[ReleaseAnswer]] = {}
        """Leases that may never hold again, with the answer that was given to a release."""

    @rule(target=ids, number=st.integers(0, 5))
    def name_a_lease(self, number: int) -> str:
        return f"lease-{number}"

    @rule(lease_id=ids, stale=st.booleans())
    def ask(self, lease_id: str, stale: bool) -> None:
        prior_holds = self.book.holds_of("run-1") + stale
        turn = self.book.ask(quiesce(lease_id, prior_holds=prior_holds))
        if turn is Turn.ACQUIRE:
            assert lease_id not in self.closed, "a lease that was over acquires again"
            assert not self.holding and not self.acquiring and not self.letting_go, "two leases at a time"
            assert not stale, "a stale run acquires"
            self.acquiring = lease_id
        elif turn is Turn.WAIT:
            assert lease_id == self.acquiring
        elif code_of(turn) is None:
            assert lease_id in self.holding, "told to hold, and it does not"

    @precondition(lambda self: self.acquiring)
    @rule(hold_s=st.floats(0.1, HELD_S))
    def grant(self, hold_s: float) -> None:
        assert self.acquiring
        lease_id = self.acquiring
        if self.book.granted(lease_id, held(lease_id), self.clock() + hold_s):
            assert lease_id not in self.closed, "held after its release was asked for"
            self.holding[lease_id] = self.clock() + hold_s
            self.acquiring = None
        else:
            self.refuse()

    @precondition(lambda self: self.acquiring)
    @rule()
    def refuse(self) -> None:
        assert self.acquiring
        self.book.refused(self.acquiring, refused(self.acquiring, Refusal("blocked", "")))
        self.book.vacate(self.acquiring)
        self.closed.setdefault(self.acquiring, None)
        self.acquiring = None

    @rule(lease_id=ids)
    def release(self, lease_id: str) -> None:
        turn = self.book.release(lease_id)
        if turn is Turn.LET_GO:
            self._start_letting_go(lease_id)
        elif turn is Turn.WAIT:
            assert lease_id in (self.acquiring, self.letting_go)
        else:
            assert isinstance(turn, ReleaseAnswer)
            assert lease_id not in self.holding, "answered while it holds"
            assert self.closed.get(lease_id) in (None, turn), "another answer than before"
            self.closed[lease_id] = turn
        self.closed.setdefault(lease_id, None)

    @precondition(lambda self: self.letting_go)
    @rule()
    def end(self) -> None:
        assert self.letting_go
        self.book.ended(self.letting_go, released(self.letting_go))
        self.book.vacate(self.letting_go)
        self.letting_go = None

    @rule(seconds=st.floats(0.0, HELD_S))
    def time_passes(self, seconds: float) -> None:
        """The warden looks at the book as the keeper's does, and ends what is due."""
        self.clock.now_s += seconds
        current = self.book.current()
        if current and current[2] is Phase.HELD and self.clock() >= current[3]:
            assert self.book.claim(current[0])
            self._start_letting_go(current[0])

    @rule()
    def restart(self) -> None:
        """The daemon dies: the guardian lets go of all that it held."""
        self.closed.update(dict.fromkeys([*self.holding, *filter(None, [self.acquiring, self.letting_go])]))
        self.holding.clear()
        self.acquiring = self.letting_go = None
        self.book = LeaseBook(self.clock, self.book.records())

    @invariant()
    def nothing_holds_past_its_limit(self) -> None:
        assert all(ends_s > self.clock() for ends_s in self.holding.values())

    @invariant()
    def one_lease_at_a_time(self) -> None:
        assert len(self.holding) + bool(self.acquiring) + bool(self.letting_go) <= 1

    def _start_letting_go(self, lease_id: str) -> None:
        del self.holding[lease_id]
        self.closed.setdefault(lease_id, None)
        self.letting_go = lease_id


TestLeaseLife = LeaseLife.TestCase
TestLeaseLife.settings = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_answers_of_ended_leases_say_that_nothing_is_held_without_gap() -> None:
    assert not never_held("lease-1", "why").held_without_gap
    assert not expired("lease-1", "why", 1.0).held_without_gap
