"""The lease book under any sequence of requests, limits and restarts: it keeps its promises."""

from __future__ import annotations

from typing import Optional

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from quiesced.lease import LeaseBook, Phase, Turn, refused
from quiesced.messages import Refusal, ReleaseAnswer
from tests.daemon.fakes import quiesce
from tests.daemon.leases import HELD_S, Clock, code_of, held, released


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
